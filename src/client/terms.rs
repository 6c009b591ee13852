//! On what terms the clients of one listener are served: what the configuration gives and forbids them.
//!
//! Each worker has one value for each listener and shares it with the listener's sessions, so that what is asked of it
//! on the way of a request is one pointer away. A new configuration is a new value, which sessions take up by `renewal`.

use std::rc::Rc;

use super::rights::Rights;
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
