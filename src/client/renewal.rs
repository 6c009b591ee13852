//! Sessions take up new terms: at once, but for a transaction, which ends on the terms on which it began.

use std::rc::Rc;

use super::auth;
use super::state::{Room, Session};
use super::terms::Terms;

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
