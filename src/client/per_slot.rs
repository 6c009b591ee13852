//! `transactions = "per_slot"`: MULTI … EXEC over several slots, as one transaction for each of them.
//!
//! Commands are dealt to the slots of their keys while they are queued; at EXEC each slot's go to its owner in one
//! piece, and their replies are put back in the client's order. Each piece is atomic, the whole is not. A transaction
//! of a client that watches keys is never dealt: nobody could say for all of it whether it is to run.

use super::dealt::Cards;
use super::state::{Flow, Room, Session, say};
use super::transaction::Place;
use crate::backend::{EXEC, Lane, Outgoing};
use crate::command::{Flags, Spec};
use crate::merge::{Deal, Gather};
use crate::replies::{ClientId, Ticket};
use crate::resp::encode;
use crate::resp::request::Request;
use crate::route;

/// A command for all other nodes.
struct Elsewhere {
    frame: Box<[u8]>,
    read: bool,
}

impl Session {
    /// Queues a command of a transaction that may go over several slots.
    pub(super) fn deal(
        &mut self,
        client: ClientId,
        spec: &'static Spec,
        request: &Request<'_>,
        place: Place,
        room: &mut Room,
    ) -> Flow {
        let proto = self.proto;
        let Some(open) = self.transaction() else { return Flow::Taken };
        if open.aborted {
            // Nothing of it will run, so nothing of it is kept.
            return say(client, room, |out| encode::simple(out, "QUEUED"));
        }
        let read = spec.flags.has(Flags::READONLY);
        let (at, frame) = (open.count, request.frame());
        let dealt = open.dealt.get_or_insert_default();
        let cards = match place {
            Place::Own => {
                open.queue_own(spec, frame);
                return say(client, room, |out| encode::simple(out, "QUEUED"));
            }
            Place::Slot(slot) => Cards::One(dealt.put(Some(slot), read, |out| out.extend_from_slice(frame))),
            Place::Node => Cards::One(dealt.put(None, read, |out| out.extend_from_slice(frame))),
            Place::Wide(merge) => {
                dealt.put(None, read, |out| out.extend_from_slice(frame));
                Cards::Wide { merge, read, frame: frame.into() }
            }
            Place::Split(merge) => {
                let step = route::step(spec);
                let units = room
                    .parts
                    .iter()
                    .map(|part| dealt.put(Some(part.slot), read, |out| part.write(request, step, out)));
                let units: Vec<u32> = units.collect();
                let gather = room.parts.gather(merge, proto, step);
                Cards::Split(Box::new(gather), units)
            }
        };
        dealt.places.push((at, cards));
        open.dealt_one(frame.len() + size_of::<Cards>(), read);
        say(client, room, |out| encode::simple(out, "QUEUED"))
    }

    /// EXEC of a transaction that was dealt.
    pub(super) fn exec_dealt(&mut self, client: ClientId, room: &mut Room) -> Flow {
        let any = room.backend.any_slot();
        let slots: Vec<u16> = match self.transaction().and_then(|open| open.dealt.as_ref()) {
            Some(dealt) => dealt.units.iter().map(|unit| unit.slot.unwrap_or(any)).collect(),
            None => return Flow::Taken,
        };
        let mut lanes = Vec::with_capacity(slots.len());
        for &slot in &slots {
            match self.lane(client, slot, room) {
                Ok(lane) => lanes.push(lane),
                Err(flow) => return flow,
            }
        }
        let (mut open, own) = self.end(room);
        let mut dealt = open.dealt.take().unwrap_or_default();
        let around = slots.first().copied().unwrap_or(any);
        let primaries = room.backend.primaries().iter().copied();
        let others: Vec<u16> = primaries.filter(|&slot| !room.backend.share_a_node(slot, around)).collect();
        let (mut deal, wide) = self.put_together(std::mem::take(&mut dealt.places), own, others.len() as u32);
        let parts = deal.close(dealt.units.len());
        let charge = dealt.units.iter().map(|unit| unit.frames.len()).sum();
        let Some(whole) = room.replies.reserve(client, charge) else { return Flow::Taken };
        let mut tickets: Vec<Ticket> = room.replies.split(whole, Gather::step(Box::new(deal), parts), parts).collect();
        let further = tickets.split_off(dealt.units.len());
        for (((unit, slot), ticket), lane) in dealt.units.iter_mut().zip(slots).zip(tickets).zip(lanes) {
            unit.frames.extend_from_slice(EXEC);
            let request = Outgoing { frame: &unit.frames, slot, read: unit.read, proto: self.proto };
            // A unit may find its lane full by now: its transaction was let in as a whole.
            let lane = room.backend.lane(slot, self.proto).unwrap_or(lane);
            room.backend.send_unit(request, lane, ticket);
        }
        let elsewhere = wide.iter().flat_map(|wide| others.iter().map(move |&slot| (wide, slot)));
        for (ticket, (Elsewhere { frame, read }, slot)) in further.into_iter().zip(elsewhere) {
            let lane = room.backend.lane(slot, self.proto).unwrap_or(Lane::New);
            room.backend.send(Outgoing { frame, slot, read: *read, proto: self.proto }, lane, ticket);
        }
        Flow::Taken
    }

    /// Says where each reply comes from; gives the commands for all other nodes too.
    fn put_together(
        &self,
        places: Vec<(usize, Cards)>,
        own: Vec<(usize, Vec<u8>)>,
        others: u32,
    ) -> (Deal, Vec<Elsewhere>) {
        let (mut deal, mut wide) = (Deal::new(self.proto), Vec::new());
        let mut own = own.into_iter().peekable();
        for (at, cards) in places {
            while let Some((_, reply)) = own.next_if(|(place, _)| *place < at) {
                deal.own(reply);
            }
            match cards {
                Cards::One(unit) => deal.next(unit),
                Cards::Split(gather, units) => deal.folded(*gather, units, 0),
                Cards::Wide { merge, read, frame } => {
                    deal.folded(Gather::new(merge, self.proto, 1 + others), vec![0], others);
                    wide.push(Elsewhere { frame, read });
                }
            }
        }
        for (_, reply) in own {
            deal.own(reply);
        }
        (deal, wide)
    }
}
