//! What is looked at before a request is routed, for clients that are not in the ordinary state: those that must
//! authenticate, that are subscribers, that are in a transaction.
//!
//! An ordinary client pays one look at a flag for all of this.

use std::rc::Rc;

use super::state::{Flow, Room, Session, refuse};
use super::subscriber;
use crate::command::{Flags, Spec};
use crate::replies::ClientId;
use crate::resp::Proto;
use crate::resp::request::Request;

impl Session {
    /// What became of the request, or `None` when it may go the common way.
    #[cold]
    pub(super) fn guard(
        &mut self,
        client: ClientId,
        spec: &'static Spec,
        request: &Request<'_>,
        room: &mut Room,
    ) -> Option<Flow> {
        if self.is_behind(room) && !self.renew(room) {
            return Some(Flow::Close);
        }
        if !self.is_trusted() {
            let may_ask = spec.flags.has(Flags::NO_AUTH);
            return (!may_ask).then(|| refuse(client, "NOAUTH Authentication required.", room));
        }
        let terms = Rc::clone(&self.terms);
        if let Some(keyspace) = &terms.options.keyspace {
            return Some(self.dressed(client, spec, request, keyspace, room));
        }
        self.state_guard(client, spec, request, room)
    }

    /// The same for one who need not authenticate any more.
    pub(super) fn state_guard(
        &mut self,
        client: ClientId,
        spec: &'static Spec,
        request: &Request<'_>,
        room: &mut Room,
    ) -> Option<Flow> {
        if self.transaction().is_some() {
            return self.within(client, spec, request, room);
        }
        if room.pubsub.has(client) {
            return if self.proto == Proto::Resp2 { subscriber::restrict(client, spec, request, room) } else { None };
        }
        self.ordinary = self.terms.options.keyspace.is_none();
        None
    }
}
