//! Clients whose reads need not go to primaries: by configuration, or because they said READONLY.
//!
//! The order that they may rely on is kept here: a write is not sent while a read of the same slot is under way, which
//! might otherwise meet it on its way to the replica and tell of it before its time. A read that follows a write may be
//! answered by a replica that does not have the write yet; that is what such a client has chosen.

use std::collections::VecDeque;

use super::learning;
use super::state::{Flow, Room, Session, ok};
use crate::backend::{Outgoing, ReadFrom};
use crate::command::Spec;
use crate::replies::{ClientId, Queue, Ticket};
use crate::resp::request::Request;

/// So many reads under way are remembered one by one.
const REMEMBERED: usize = 256;

/// What is remembered of such a client.
#[derive(Debug)]
pub(super) struct Reading {
    from: ReadFrom,
    /// The place in the queue and the slot of each read that may be under way.
    under_way: VecDeque<(u32, u16)>,
    /// Up to this place there are more.
    more: Option<u32>,
}

impl Reading {
    const fn new(from: ReadFrom) -> Self {
        Self { from, under_way: VecDeque::new(), more: None }
    }

    /// Forgets the reads that were answered.
    fn forget(&mut self, queue: &Queue) {
        while self.under_way.front().is_some_and(|&(place, _)| !queue.awaits(place)) {
            self.under_way.pop_front();
        }
        self.more = self.more.filter(|&place| queue.awaits(place));
    }

    fn note(&mut self, place: u32, slot: u16, queue: &Queue) {
        self.forget(queue);
        if self.under_way.len() >= REMEMBERED
            && let Some((place, _)) = self.under_way.pop_front()
        {
            self.more = Some(place);
        }
        self.under_way.push_back((place, slot));
    }

    /// Whether a read of `slot` is under way.
    fn reads(&mut self, slot: u16, queue: &Queue) -> bool {
        self.forget(queue);
        self.more.is_some() || self.under_way.iter().any(|&(_, of)| of == slot)
    }
}

impl Session {
    /// From now on the client's reads go there.
    pub fn read_from(&mut self, from: ReadFrom) {
        match &mut self.reading {
            Some(reading) => reading.from = from,
            None if from == ReadFrom::Primary => {}
            None => self.reading = Some(Box::new(Reading::new(from))),
        }
    }

    /// Whether its reads go to replicas as a rule.
    pub(super) fn reads_replicas(&self) -> bool {
        let from = self.reading.as_ref().map_or(ReadFrom::Primary, |reading| reading.from);
        !matches!(from, ReadFrom::Primary | ReadFrom::PreferPrimary)
    }

    /// Where a request of `spec` may go, if not to the primary alone. What a client reads that watches keys decides
    /// what it writes.
    pub(super) fn spread(&self, spec: &Spec) -> Option<ReadFrom> {
        let from = self.reading.as_ref()?.from;
        let watches = self.pinned.as_ref().is_some_and(|pinned| pinned.watching.is_some());
        (from != ReadFrom::Primary && !watches && spec.suits_any_copy()).then_some(from)
    }

    /// Sends a request of such a client on its way.
    #[cold]
    pub(super) fn forward_reading(
        &mut self,
        client: ClientId,
        spec: &Spec,
        request: &Request<'_>,
        slot: u16,
        room: &mut Room,
    ) -> Flow {
        let Some(from) = self.spread(spec) else { return self.forward_to_primary(client, spec, request, slot, room) };
        let key = room.replies.client_key(client).unwrap_or_default();
        let Some(lane) = room.backend.read_lane(slot, self.proto, from, key) else { return Flow::Node(slot) };
        let frame = request.frame();
        if let Some(ticket) = room.replies.reserve(client, frame.len()) {
            learning::remember_script(spec, request, room);
            self.note_read(&ticket, client, slot, room);
            let request = Outgoing { frame, slot, read: true, proto: self.proto };
            room.backend.send_read(request, from, lane, ticket);
        }
        Flow::Sent
    }

    /// Remembers that a read of `slot` is under way.
    pub(super) fn note_read(&mut self, ticket: &Ticket, client: ClientId, slot: u16, room: &Room) {
        if let (Some(reading), Some(queue)) = (&mut self.reading, room.replies.queue(client)) {
            reading.note(ticket.sequence(), slot, queue);
        }
    }

    /// Whether a request to the primary of `slot` has to wait, because the client's own read of it is under way.
    #[cold]
    pub(super) fn is_read_under_way(&mut self, client: ClientId, slot: u16, room: &Room) -> bool {
        let (Some(reading), Some(queue)) = (&mut self.reading, room.replies.queue(client)) else { return false };
        let waits = reading.reads(slot, queue);
        if reading.from == ReadFrom::Primary && reading.under_way.is_empty() && !waits {
            // It went back to primaries, and all that it had read elsewhere is answered.
            self.reading = None;
        }
        waits
    }
}

/// `READONLY` and `READWRITE`. A client that reads from replicas by configuration goes on as configured.
pub(super) fn choose(session: &mut Session, client: ClientId, spec: &Spec, room: &mut Room) -> Flow {
    if spec.name == "readwrite" {
        session.read_from(ReadFrom::Primary);
    } else if !session.reads_replicas() {
        session.read_from(match room.options.read_from {
            ReadFrom::Primary | ReadFrom::PreferPrimary => ReadFrom::PreferReplica,
            configured => configured,
        });
    }
    ok(client, room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::Replies;

    #[test]
    fn a_slot_is_held_until_its_reads_are_answered() {
        let mut replies = Replies::default();
        let client = replies.open();
        let mut reading = Reading::new(ReadFrom::Any);
        let mut tickets = Vec::new();
        for slot in [7, 8] {
            let ticket = replies.reserve(client, 1).expect("an open queue");
            reading.note(ticket.sequence(), slot, replies.queue(client).expect("it is open"));
            tickets.push(ticket);
        }
        let reads =
            |reading: &mut Reading, replies: &Replies, slot| reading.reads(slot, replies.queue(client).expect("open"));
        assert!(
            reads(&mut reading, &replies, 7) && reads(&mut reading, &replies, 8) && !reads(&mut reading, &replies, 9)
        );
        replies.deliver(tickets.remove(0), b"+OK\r\n");
        assert!(!reads(&mut reading, &replies, 7) && reads(&mut reading, &replies, 8));
        replies.deliver(tickets.remove(0), b"+OK\r\n");
        assert!(!reads(&mut reading, &replies, 8));
    }

    #[test]
    fn more_reads_than_are_remembered_hold_every_slot() {
        let mut replies = Replies::default();
        let client = replies.open();
        let mut reading = Reading::new(ReadFrom::Any);
        let mut tickets: VecDeque<Ticket> = VecDeque::new();
        for _ in 0..=REMEMBERED {
            let ticket = replies.reserve(client, 1).expect("an open queue");
            reading.note(ticket.sequence(), 1, replies.queue(client).expect("it is open"));
            tickets.push_back(ticket);
        }
        assert!(reading.reads(2, replies.queue(client).expect("open")));
        replies.deliver(tickets.pop_front().expect("many"), b"+OK\r\n");
        assert!(!reading.reads(2, replies.queue(client).expect("open")));
        assert!(reading.reads(1, replies.queue(client).expect("open")) && reading.under_way.len() == REMEMBERED);
        for ticket in tickets {
            replies.deliver(ticket, b"+OK\r\n");
        }
        assert!(!reading.reads(1, replies.queue(client).expect("open")));
    }
}
