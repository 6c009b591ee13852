//! Requests that are looked at one by one, because something out of the ordinary goes on: somebody watches with
//! MONITOR, there is a pause, operators deny commands, or the client is not to hear its replies.
//!
//! `session` walks past all of this otherwise, for one look a read.

use super::state::{Flow, Hears, Room, Session, refuse};
use super::{learning, local, rights, watch};
use crate::replies::ClientId;
use crate::resp::request::Request;

impl Session {
    /// Whether each request needs a look before it is taken: somebody watches, there is a pause, or the client is
    /// not to hear its replies.
    pub(super) fn needs_care(&self, room: &Room) -> bool {
        self.is_monitor || self.hears != Hears::All || room.is_alert() || self.terms.rights.deny_something()
    }

    /// Takes one request while something out of the ordinary goes on.
    #[cold]
    #[inline(never)]
    pub(super) fn take_carefully(&mut self, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
        let spec = learning::known(request, room);
        let spec = spec.filter(|spec| self.is_trusted() && spec.arity_ok(request.argc()));
        if let (Some(pause), Some(spec)) = (room.pause, spec)
            && room.now < pause.until
            && (pause.holds(spec) || (spec.name == "exec" && self.transaction().is_some_and(|open| !open.read)))
        {
            return Flow::Pause;
        }
        let hears = self.hears;
        if hears != Hears::All {
            room.replies.mute(client);
        }
        if hears == Hears::NotNext {
            self.hears = Hears::All;
        }
        let before = room.commands;
        let denied = spec.filter(|spec| self.terms.rights.denies(spec));
        let flow = if self.is_monitor && spec.is_some_and(|spec| spec.flags.0 & local::KEYSPACE != 0) {
            self.abort_transaction();
            refuse(client, "ERR Replica can't interact with the keyspace", room)
        } else if let Some(spec) = denied {
            self.abort_transaction();
            refuse(client, &rights::refusal(spec), room)
        } else {
            self.take(client, request, room)
        };
        if hears != Hears::All {
            room.replies.unmute(client);
        }
        if !flow.is_taken() {
            self.hears = hears;
        } else if room.watch.is_on() && spec.is_some() && room.commands != before {
            watch::show(self, request, room);
        }
        flow
    }
}
