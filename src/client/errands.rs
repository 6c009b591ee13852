//! Runs errands: sends what a step asks for, and goes on when all of it is answered.
//!
//! An errand begins when everything before it is answered, and its client's later requests wait until it ends:
//! to the client it is one command among others.

use super::state::{Flow, Room, Session, refuse};
use crate::backend::{Lane, Outgoing};
use crate::merge::Gather;
use crate::merge::errand::{Around, Asks, Errand, To};
use crate::replies::{ClientId, Ticket};

/// Begins `errand` as the answer to a request of `charge` bytes.
pub(super) fn begin(
    session: &mut Session,
    client: ClientId,
    errand: Box<dyn Errand>,
    charge: usize,
    room: &mut Room,
) -> Flow {
    if room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0) {
        return Flow::Quiet;
    }
    if room.backend.primaries().is_empty() {
        return refuse(client, "CLUSTERDOWN no primary of the cluster is known yet", room);
    }
    session.epoch = room.backend.epoch();
    if let Some(ticket) = room.replies.reserve(client, charge) {
        step(ticket, errand, room);
    }
    Flow::Bound
}

/// Takes the next step of each errand that wants one.
pub fn go_on(room: &mut Room) {
    while let Some((ticket, errand)) = room.replies.take_again() {
        step(ticket, errand, room);
    }
}

fn step(ticket: Ticket, mut errand: Box<dyn Errand>, room: &mut Room) {
    let proto = errand.proto();
    let mut asks = Asks::default();
    errand.ask(Around { slots: room.backend.primaries(), nodes: room.backend.leaders() }, &mut asks);
    if asks.is_empty() {
        return room.replies.fail(ticket, "CLUSTERDOWN no primary of the cluster is known");
    }
    let parts = asks.len() as u32;
    let tickets: Vec<Ticket> = room.replies.split(ticket, Gather::step(errand, parts), parts).collect();
    for (ticket, (to, frame)) in tickets.into_iter().zip(asks.iter()) {
        let (slot, node) = match to {
            To::Slot(slot) => {
                let lane = room.backend.lane(slot, proto).unwrap_or(Lane::New);
                room.backend.send(Outgoing { frame, slot, read: true, proto }, lane, ticket);
                continue;
            }
            To::Owner(slot) => (slot, None),
            To::Node(node) => (0, Some(node)),
        };
        room.backend.send_here(Outgoing { frame, slot, read: true, proto }, node, ticket, &mut room.replies);
    }
}
