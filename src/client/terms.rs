//! On what terms the clients of one listener are served: what the configuration gives and forbids them.
//!
//! Each worker has one value for each listener and shares it with the listener's sessions, so that what is asked of it
//! on the way of a request is one pointer away. A new configuration is a new value ([`Session::renew`]); a transaction
//! ends on the terms on which it began.

use std::rc::Rc;

use super::rights::Rights;
use super::state::{Room, Session};
use super::{Options, Split, Transactions, auth};
use crate::command::{Flags, Spec};

/// What holds for the clients of one listener.
#[derive(Debug, Default)]
pub struct Terms {
    /// Which listener: its place in `Process::doors`.
    pub door: usize,
    /// What its clients may do and cost.
    pub options: Options,
    /// What operators forbid and allow them.
    pub rights: Rights,
}

impl Terms {
    /// Those of each listener, in their order.
    #[must_use]
    pub fn all(options: &[Options]) -> Vec<Rc<Self>> {
        let one = |(door, options): (usize, &Options)| {
            let rights = Rights::new(&options.deny, &options.allow);
            Rc::new(Self { door, options: options.clone(), rights })
        };
        options.iter().enumerate().map(one).collect()
    }

    /// Whether commands like this one may be split.
    pub(super) fn may_split(&self, spec: &Spec) -> bool {
        match self.options.split {
            Split::All => true,
            Split::Reads => spec.flags.has(Flags::READONLY),
            Split::Off => false,
        }
    }

    /// Whether transactions are dealt to the slots of their keys.
    pub(super) fn deals(&self) -> bool {
        self.options.transactions == Transactions::PerSlot
    }

    /// Whether there is a user of this name.
    pub(super) fn is_user(&self, name: &[u8]) -> bool {
        let users = &self.options.users;
        let known = users.iter().any(|user| user.name.as_bytes() == name);
        known || (users.is_empty() && name == auth::DEFAULT.as_bytes())
    }
}

/// What a client is by new terms.
enum Place {
    /// A user, or one of those who need not be any.
    Known(Option<usize>),
    /// Its user is gone.
    Gone,
}

impl Session {
    /// Whether the present terms are others than the client's; one that is in a transaction ends it first.
    pub(super) fn is_behind(&mut self, room: &Room) -> bool {
        self.transaction().is_none() && !Rc::ptr_eq(&self.terms, room.terms(self.terms.door))
    }

    /// Takes up the present terms, at once or when a transaction is over. False if the client's user is gone: then it
    /// is to be closed.
    pub fn renew(&mut self, room: &Room) -> bool {
        let terms = room.terms(self.terms.door);
        let Place::Known(user) = self.place(terms) else { return false };
        self.ordinary = false;
        if self.transaction().is_none() {
            self.user = user;
            self.terms = Rc::clone(terms);
        }
        true
    }

    /// Who the client is by other terms. It is known by the name of its user; whoever needed no password so far was the
    /// user `default`.
    fn place(&self, terms: &Terms) -> Place {
        let (before, now) = (&self.terms.options.users, &terms.options.users);
        let name = match self.user {
            _ if now.is_empty() => return Place::Known(None),
            Some(at) => before.get(at).map_or(auth::DEFAULT, |user| &user.name),
            None if before.is_empty() => auth::DEFAULT,
            // It has not authenticated.
            None => return Place::Known(None),
        };
        now.iter().position(|user| user.name == name).map_or(Place::Gone, |at| Place::Known(Some(at)))
    }
}
