//! Requests on a connection that only their client uses: those that may wait for data, WAIT, WATCH,
//! and those that end what others run.
//!
//! They are sent when the client has nothing else under way, and what it sends next is read when they are answered:
//! so the order is that of one connection. A client that leaves while it is blocked takes its connection with it.

use std::sync::atomic::Ordering;

use super::state::{Flow, NO_PRIMARY, Room, Session, Wait, refuse};
use crate::backend::Outgoing;
use crate::command::{Flags, Merge, Spec};
use crate::merge::Gather;
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;
use crate::route::{self, Refused};

impl Session {
    /// Whether the client waits in a blocking command.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        matches!(self.wait, Some(Wait::Blocked))
    }

    /// The client is gone: what is kept for it outside of the session ends at once.
    pub fn gone(&mut self, client: ClientId, room: &mut Room) {
        if self.is_blocked() {
            room.process.blocked.fetch_sub(1, Ordering::Relaxed);
        }
        self.wait = None;
        if let Some(key) = room.replies.client_key(client) {
            room.backend.abandon(key, &mut room.replies);
        }
    }

    /// Ends the waiting of a blocked client as if its time were up, or with the error `UNBLOCKED`: what a node has
    /// popped for it by then still reaches it.
    pub fn wake(&mut self, client: ClientId, with_error: bool, room: &mut Room) {
        let Some(key) = room.replies.client_key(client) else { return };
        room.backend.unblock(key, with_error, &mut room.replies);
    }

    /// What the client waited for is there.
    pub(super) fn unblocked(&self, room: &Room) {
        if self.is_blocked() {
            room.process.blocked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether the client has nothing under way; it then goes by the present map.
    fn settle(&mut self, client: ClientId, room: &Room) -> bool {
        let is_quiet = room.replies.queue(client).is_some_and(|queue| queue.in_flight() == 0);
        if is_quiet {
            self.epoch = room.backend.epoch();
        }
        is_quiet
    }
}

/// `WATCH key …`.
pub(super) fn watch(
    session: &mut Session,
    client: ClientId,
    spec: &'static Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let slot = match route::one_slot(spec, request) {
        Ok(slot) => slot.unwrap_or(0),
        Err(refused) => return refuse(client, &refused.to_string(), room),
    };
    let watching = session.pinned.as_ref().and_then(|pinned| pinned.watching);
    if watching.is_some_and(|other| other != slot) {
        return refuse(client, &Refused::CrossSlot.to_string(), room);
    }
    if !session.settle(client, room) {
        return Flow::Quiet;
    }
    session.pinned.get_or_insert_default().watching = Some(slot);
    let frame = request.frame();
    if let Some(ticket) = room.replies.reserve(client, frame.len()) {
        room.backend.watch(Outgoing { frame, slot, read: true, proto: session.proto }, ticket);
    }
    Flow::Bound
}

/// The keys that `client` watches are forgotten.
pub(super) fn unwatch(client: ClientId, room: &mut Room) {
    if let Some(key) = room.replies.client_key(client) {
        room.backend.release(key);
    }
}

/// A command that may wait for data.
pub(super) fn block(
    session: &mut Session,
    client: ClientId,
    spec: &'static Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let slot = match route::one_slot(spec, request) {
        Ok(slot) => slot.unwrap_or(0),
        Err(refused) => return refuse(client, &refused.to_string(), room),
    };
    if !session.settle(client, room) {
        return Flow::Quiet;
    }
    let frame = request.frame();
    if let Some(ticket) = room.replies.reserve(client, frame.len()) {
        let read = spec.flags.has(Flags::READONLY);
        room.backend.block(Outgoing { frame, slot, read, proto: session.proto }, ticket);
    }
    room.process.blocked.fetch_add(1, Ordering::Relaxed);
    Flow::Blocked
}

/// What ends a script that keeps its node busy: at every primary, and not behind that script.
pub(super) fn aside(
    session: &mut Session,
    client: ClientId,
    request: &Request<'_>,
    merge: Merge,
    room: &mut Room,
) -> Flow {
    let slots = room.backend.primaries().to_vec();
    if slots.is_empty() {
        return refuse(client, NO_PRIMARY, room);
    }
    if !session.settle(client, room) {
        return Flow::Quiet;
    }
    let frame = request.frame();
    if let Some(whole) = room.replies.reserve(client, frame.len()) {
        let (proto, parts) = (session.proto, slots.len() as u32);
        let gather = Gather::new(merge, proto, parts);
        for (ticket, &slot) in room.replies.split(whole, gather, parts).zip(&slots) {
            room.backend.aside(Outgoing { frame, slot, read: false, proto }, ticket);
        }
    }
    Flow::Bound
}

/// WAIT at every primary; the least number is the answer. A connection waits for what its node had written when it
/// was last used, so each is used just before.
pub(super) fn wait(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let slots = room.backend.primaries().to_vec();
    if slots.is_empty() {
        return refuse(client, NO_PRIMARY, room);
    }
    if !session.settle(client, room) {
        return Flow::Quiet;
    }
    let mut frames = Vec::new();
    encode::request(&mut frames, &[b"PING"]);
    frames.extend_from_slice(request.frame());
    if let Some(whole) = room.replies.reserve(client, request.frame().len()) {
        let gather = Gather::new(Merge::Min, session.proto, slots.len() as u32);
        for (ticket, &slot) in room.replies.split(whole, gather, slots.len() as u32).zip(&slots) {
            room.backend.block(Outgoing { frame: &frames, slot, read: true, proto: session.proto }, ticket);
        }
    }
    room.process.blocked.fetch_add(1, Ordering::Relaxed);
    Flow::Blocked
}
