//! MULTI, EXEC, DISCARD: commands are checked and kept here, and go to their node in one piece at EXEC.
//!
//! On the shared connection nothing can come between the frames of one transaction, so it needs no connection of
//! its own; only one with WATCH has to go where its keys are watched. What Redis refuses when it queues is refused
//! here at once, and EXEC then answers EXECABORT.

use std::collections::VecDeque;

use super::pinned::{Own, Transaction, Wide};
use super::state::{Flow, Room, Session, ok, refuse, say, wrong_arity};
use super::{asking, blocking, draws, local};
use crate::backend::{EXEC, Lane, Outgoing};
use crate::command::{Flags, Keys, Merge, Pin, Spec};
use crate::merge::{Gather, Splice};
use crate::replies::{ClientId, Ticket};
use crate::resp::encode;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};
use crate::route::{self, Refused, Route};

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

impl Session {
    /// The transaction that is open.
    pub(super) fn transaction(&mut self) -> Option<&mut Transaction> {
        self.pinned.as_mut()?.transaction.as_mut()
    }

    /// A command of the open transaction was refused: EXEC will be refused, too.
    pub(super) fn abort_transaction(&mut self) {
        if let Some(transaction) = self.transaction() {
            transaction.aborted = true;
        }
    }

    /// Ends what outlasts requests: the transaction, and what is watched.
    pub(super) fn unpin(&mut self, client: ClientId, room: &mut Room) {
        if let Some(pinned) = self.pinned.take()
            && pinned.watching.is_some()
        {
            blocking::unwatch(client, room);
        }
    }

    /// MULTI and its kin outside of a transaction.
    pub(super) fn begin(
        &mut self,
        client: ClientId,
        spec: &'static Spec,
        request: &Request<'_>,
        room: &mut Room,
    ) -> Flow {
        match spec.name {
            "multi" => {
                let pinned = self.pinned.get_or_insert_default();
                pinned.transaction = Some(Transaction::new(pinned.watching));
                self.ordinary = false;
                ok(client, room)
            }
            "watch" => blocking::watch(self, client, spec, request, room),
            "unwatch" => {
                self.unpin(client, room);
                ok(client, room)
            }
            "exec" => refuse(client, "ERR EXEC without MULTI", room),
            _ => refuse(client, "ERR DISCARD without MULTI", room),
        }
    }

    /// A request inside a transaction. `None` for those that act at once.
    pub(super) fn within(
        &mut self,
        client: ClientId,
        spec: &'static Spec,
        request: &Request<'_>,
        room: &mut Room,
    ) -> Option<Flow> {
        let fits = spec.arity_ok(request.argc());
        if !fits {
            self.abort_transaction();
            return Some(self.misfit(client, spec, room));
        }
        if spec.flags.has(Flags::NO_MULTI) {
            self.abort_transaction();
            return Some(refuse(client, "ERR Command not allowed inside a transaction", room));
        }
        Some(match (spec.parent, spec.name) {
            (None, "quit") => return None,
            (None, "reset") => {
                self.unpin(client, room);
                return None;
            }
            (None, "multi") => refuse(client, "ERR MULTI calls can not be nested", room),
            (None, "watch") => refuse(client, "ERR WATCH inside MULTI is not allowed", room),
            (None, "discard") => {
                self.unpin(client, room);
                ok(client, room)
            }
            (None, "exec") => self.exec(client, room),
            _ => self.queue(client, spec, request, room),
        })
    }

    /// A request with a wrong number of arguments. An EXEC ends what it could not run, and what is watched.
    #[cold]
    pub(super) fn misfit(&mut self, client: ClientId, spec: &Spec, room: &mut Room) -> Flow {
        if spec.name == "exec" {
            self.unpin(client, room);
        }
        wrong_arity(client, spec, room)
    }

    fn queue(&mut self, client: ClientId, spec: &'static Spec, request: &Request<'_>, room: &mut Room) -> Flow {
        let place = match place(spec, request, room) {
            Ok(place) => place,
            Err(text) => {
                self.abort_transaction();
                return refuse(client, &text, room);
            }
        };
        let Some(transaction) = self.transaction() else { return Flow::Taken };
        if transaction.len() + request.frame().len() > room.options.max_input_bytes {
            transaction.aborted = true;
            transaction.frames = Vec::new();
            return refuse(client, "ERR the transaction is larger than limits.client_input allows", room);
        }
        if room.deals() && !transaction.is_watched() {
            return self.deal(client, spec, request, place, room);
        }
        match place {
            Place::Split(_) => {
                transaction.aborted = true;
                return refuse(client, &Refused::CrossSlot.to_string(), room);
            }
            Place::Slot(slot) if !transaction.bind(slot) => {
                transaction.aborted = true;
                return refuse(client, &Refused::CrossSlot.to_string(), room);
            }
            // Nothing of it will run, so nothing of it is kept.
            _ if transaction.aborted => {}
            Place::Wide(_) if transaction.is_watched() && spec.flags.has(Flags::WRITE) => {
                transaction.aborted = true;
                return refuse(client, &not_here(spec), room);
            }
            Place::Wide(merge) => transaction.queue_wide(request.frame(), spec.flags.has(Flags::READONLY), merge),
            Place::Own => transaction.queue_own(spec, request.frame()),
            Place::Slot(_) | Place::Node => {
                transaction.queue(request.frame(), spec.flags.has(Flags::READONLY));
            }
        }
        say(client, room, |out| encode::simple(out, "QUEUED"))
    }

    fn exec(&mut self, client: ClientId, room: &mut Room) -> Flow {
        let watching = self.pinned.as_ref().and_then(|pinned| pinned.watching);
        let is_busy = room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0);
        let Some(transaction) = self.transaction() else { return Flow::Taken };
        if transaction.aborted {
            self.unpin(client, room);
            return refuse(client, ABORTED, room);
        }
        if let Some(slot) = watching {
            // What the client sent before must have had its effect on what it watches.
            return if is_busy { Flow::Quiet } else { self.exec_watched(client, slot, room) };
        }
        let (sent, slot) = (transaction.sent(), transaction.slot);
        if sent == 0 {
            let mut own = self.finish(room);
            let mut out = Vec::new();
            own.splice.write(std::iter::empty::<&[u8]>(), &mut out);
            return say(client, room, |reply| reply.extend_from_slice(&out));
        }
        if transaction.dealt.is_some() {
            return self.exec_dealt(client, room);
        }
        let slot = slot.unwrap_or_else(|| room.backend.any_slot());
        let lane = match self.lane(client, slot, room) {
            Ok(lane) => lane,
            Err(flow) => return flow,
        };
        let unit = self.finish(room);
        let request = Outgoing { frame: &unit.frames, slot, read: unit.read, proto: self.proto };
        if let Some(ticket) = send_around(client, request, &unit.wide, unit.splice, room) {
            room.backend.send_unit(request, lane, ticket);
        }
        Flow::Taken
    }

    /// EXEC of a client that watches keys, with nothing under way.
    fn exec_watched(&mut self, client: ClientId, slot: u16, room: &mut Room) -> Flow {
        let unit = self.finish(room);
        let request = Outgoing { frame: &unit.frames, slot, read: unit.read, proto: self.proto };
        if let Some(ticket) = send_around(client, request, &unit.wide, unit.splice, room) {
            room.backend.exec_watched(request, ticket, &mut room.replies);
        }
        Flow::Bound
    }

    /// Ends the transaction and gives what is to be sent; the proxy's own commands in it are run now.
    fn finish(&mut self, room: &mut Room) -> Unit {
        let (mut transaction, own) = self.end(room);
        transaction.frames.extend_from_slice(EXEC);
        let mut splice = Splice::new(self.proto);
        for (place, reply) in own {
            splice.add_own(place, reply);
        }
        Unit { frames: transaction.frames, read: transaction.read, wide: transaction.wide, splice }
    }

    /// Ends the transaction and gives it, with the replies to the proxy's own commands by their places.
    pub(super) fn end(&mut self, room: &mut Room) -> (Transaction, Vec<(usize, Vec<u8>)>) {
        let transaction = self.pinned.take().and_then(|pinned| pinned.transaction);
        let transaction = transaction.unwrap_or_else(|| Transaction::new(None));
        let own = transaction.own.iter().map(|own| (own.place, self.own_reply(own, room))).collect();
        (transaction, own)
    }

    /// What the proxy answers to one of its own commands, caught in a queue that belongs to no client.
    fn own_reply(&mut self, own: &Own, room: &mut Room) -> Vec<u8> {
        let limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };
        let mut args = Args::default();
        let step = Decoder::default().step(&own.frame, &mut args, &limits);
        let aside = room.replies.open();
        if let Ok(Step::Request { used, inline }) = step {
            let request = args.request(&own.frame, used, inline);
            local::answer(self, aside, own.spec, &request, room);
        }
        let mut reply = room.replies.queue(aside).map(|queue| queue.unwritten().to_vec()).unwrap_or_default();
        room.replies.close(aside);
        if reply.is_empty() {
            encode::error(&mut reply, &not_here(own.spec));
        }
        reply
    }
}

/// A whole transaction, ready to be sent.
struct Unit {
    frames: Vec<u8>,
    read: bool,
    wide: Vec<Wide>,
    splice: Splice,
}

/// Sends to the other nodes what concerns all of them, and gives the ticket for the transaction, which is sent to the
/// owner of its slot by the caller. The proxy's own replies are put in on the way back.
fn send_around(
    client: ClientId,
    unit: Outgoing<'_>,
    wide: &[Wide],
    mut splice: Splice,
    room: &mut Room,
) -> Option<Ticket> {
    let others: Vec<u16> =
        room.backend.primaries().iter().copied().filter(|&slot| !room.backend.share_a_node(slot, unit.slot)).collect();
    for wide in wide {
        let parts = others.len() as u32;
        splice.widen(wide.place, Gather::new(wide.merge, unit.proto, 1 + parts), parts);
    }
    let whole = room.replies.reserve(client, unit.frame.len())?;
    if splice.is_empty() {
        return Some(whole);
    }
    let parts = splice.parts();
    let mut tickets: VecDeque<Ticket> =
        room.replies.split(whole, Gather::step(Box::new(splice), parts), parts).collect();
    let own = tickets.pop_front();
    let elsewhere = wide.iter().flat_map(|wide| others.iter().map(move |&slot| (wide, slot)));
    for (ticket, (wide, slot)) in tickets.into_iter().zip(elsewhere) {
        let lane = room.backend.lane(slot, unit.proto).unwrap_or(Lane::New);
        let request = Outgoing { frame: &wide.frame, slot, read: wide.read, proto: unit.proto };
        room.backend.send(request, lane, ticket);
    }
    own
}

/// Where a command inside a transaction is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// On the owner of its keys' slot.
    Slot(u16),
    /// In parts, on the owners of several slots: `Parts` has them.
    Split(Merge),
    /// On the node that runs the transaction, whichever it is.
    Node,
    /// Here.
    Own,
    /// On the node that runs the transaction and on all others.
    Wide(Merge),
}

fn place(spec: &'static Spec, request: &Request<'_>, room: &mut Room) -> Result<Place, String> {
    let route = match route::route(spec, request, &mut room.parts) {
        Err(refused) => Route::Everywhere(room.rights.instead(refused, spec, request)?),
        Ok(route) => route,
    };
    match route {
        Route::Slot(slot) => Ok(Place::Slot(slot)),
        Route::Split(merge) if room.deals() && room.may_split(spec) => Ok(Place::Split(merge)),
        Route::Split(_) => Err(Refused::CrossSlot.to_string()),
        Route::Pin(Pin::Blocking) => match route::one_slot(spec, request) {
            Ok(slot) => Ok(slot.map_or(Place::Node, Place::Slot)),
            // What is wrong with its options is the node's word, when it is run.
            Err(Refused::Keys(_)) if spec.keys == [Keys::Streams] => Ok(Place::Node),
            Err(refused) => Err(refused.to_string()),
        },
        Route::Local if draws::is_for_a_node(spec, request) => Ok(Place::Node),
        Route::Publish(slot) if !spec.keys.is_empty() => Ok(Place::Slot(slot)),
        Route::Publish(_) if room.options.keyspace.is_some() => {
            Ok(room.options.keyspace.as_ref().map_or(Place::Node, |keyspace| Place::Slot(keyspace.slot())))
        }
        // The cluster's bus carries a message from whichever node to all subscribers.
        Route::Any | Route::Publish(_) | Route::Pin(Pin::Transaction | Pin::Replicas) => Ok(Place::Node),
        Route::Local if is_own(spec) => Ok(Place::Own),
        Route::Everywhere(merge) => Ok(Place::Wide(merge)),
        Route::Local | Route::Subscribe | Route::Pin(Pin::Subscribe) => Err(not_here(spec)),
    }
}

/// Whether the proxy's answer to such a command is one reply and leaves the form of the others alone.
fn is_own(spec: &Spec) -> bool {
    let client_wide = ["reply", "tracking", "caching", "pause", "unblock"];
    let elsewhere = match spec.parent {
        None => &["hello", "monitor", "scan", "randomkey", "info", "debug"][..],
        Some("client") => &client_wide,
        Some(_) => &[],
    };
    !elsewhere.contains(&spec.name) && !asking::asks(spec)
}

fn not_here(spec: &Spec) -> String {
    format!("ERR '{}' is not available inside a transaction through slotway", spec.full_name())
}
