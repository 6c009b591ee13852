//! The replies that clients are owed: in order, however the nodes answer.
//!
//! Each client has one queue. Taking a request reserves a place in it, and the [`Ticket`] that names the place
//! travels with the request; whoever ends the request hands the ticket in with the reply. A reply for the head
//! of the queue goes straight to the client's output; one that comes early (more than half of them, with three
//! nodes under pipelining) waits in the stash. Nothing here reads sockets or knows what a reply says.
//!
//! ```text
//!   reserve ─► open ─┬─ its turn ──────────────► out ─► socket
//!                    └─ early ─► stash ─ turn ─►
//! ```

mod aside;
mod hold;
mod stash;
mod stream;
mod ticket;

use std::sync::Arc;

use slab::Slab;

use crate::merge::Gather;
use crate::merge::errand::{Errand, Outcome};
use crate::telemetry::Tally;
use hold::Batch;
use stash::{Place, Stash};
use stream::Streaming;
pub use stream::{Begun, WINDOW};
pub use ticket::Ticket;

/// A client's place in the worker's tables.
pub type ClientId = u32;

/// In [`Ticket::part`]: the reply is not a part of a merge.
const WHOLE: u32 = u32::MAX;
/// An output buffer above this capacity is freed and not kept for the next client.
const SPARE_MAX: usize = 64 << 10;
/// How many empty output buffers are kept.
const SPARES: usize = 64;

/// A merge that is under way.
#[derive(Debug)]
struct Merging {
    gather: Gather,
    /// The part of another merge that its reply becomes, or [`WHOLE`].
    outer: u32,
}

/// One part of a merge that is under way.
#[derive(Clone, Copy, Debug)]
struct Part {
    gather: u32,
    number: u32,
}

/// What one client is owed.
#[derive(Debug, Default)]
pub struct Queue {
    generation: u32,
    /// Sequence of the oldest request that has no reply in `out`.
    head: u32,
    /// Sequence of the next request.
    tail: u32,
    stash: Stash,
    /// Replies in order, for the socket.
    out: Vec<u8>,
    /// How much of `out` the socket took.
    written: usize,
    /// Bytes of the requests that are under way.
    charged: usize,
    dirty: bool,
    /// The request at hand is to be answered with nothing.
    muted: bool,
    batch: Batch,
    /// The client sends more, or would: what it is owed must not wait for it to read.
    pressed: bool,
    /// The head's reply is on its way out in pieces.
    streaming: Option<Box<Streaming>>,
}

impl Queue {
    /// How many requests have no reply yet.
    #[inline]
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.tail.wrapping_sub(self.head) as usize
    }

    /// Bytes held for this client: requests under way, replies early and replies unwritten.
    #[inline]
    #[must_use]
    pub const fn held(&self) -> usize {
        self.charged + self.stash.live + self.out.len() - self.written
    }

    /// What the socket has not taken yet.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// Bytes of replies, early ones and unwritten ones.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.stash.live + self.out.len() - self.written
    }

    /// Puts the head's reply out and moves on, over all that came early.
    #[inline]
    fn advance(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.head = self.head.wrapping_add(1);
        if self.stash.places.is_empty() {
            return write(&mut self.out);
        }
        if !matches!(self.stash.places.pop_front(), Some(Place::Muted)) {
            write(&mut self.out);
        }
        self.head = self.head.wrapping_add(self.stash.release(&mut self.out));
    }
}

/// The queues of all clients of one worker, and the merges under way.
#[derive(Debug, Default)]
pub struct Replies {
    queues: Slab<Queue>,
    gathers: Slab<Merging>,
    /// The parts of the merges that have not answered.
    parts: Slab<Part>,
    /// Clients whose output grew since they were last written to.
    dirty: Vec<ClientId>,
    /// Clients whose output waits for more.
    held: Vec<ClientId>,
    /// Tickets that were reserved and not handed in.
    open: u64,
    generation: u32,
    /// Empty buffers, so that a silent client owns none.
    spares: Vec<Vec<u8>>,
    spare_stashes: Vec<Stash>,
    /// Clients whose reply broke off in the middle: they can only be closed.
    broken: Vec<ClientId>,
    /// Errands that want another step.
    again: Vec<(Ticket, Box<dyn Errand>)>,
    merged: Vec<u8>,
    /// One more than the part that the next request is given; 0 for none.
    wrapper: u32,
    /// Merges that ended since somebody last asked.
    ended: u32,
    tally: Arc<Tally>,
}

impl Replies {
    /// No queues yet; error replies are counted in `tally`.
    #[must_use]
    pub fn counting_in(tally: Arc<Tally>) -> Self {
        Self { tally, ..Self::default() }
    }

    /// Opens a queue; its id is the client's id until [`close`](Self::close).
    pub fn open(&mut self) -> ClientId {
        self.generation = self.generation.wrapping_add(1);
        self.queues.insert(Queue { generation: self.generation, ..Queue::default() }) as ClientId
    }

    /// Closes a queue. Tickets that are still out are handed in later and go nowhere. Gives the connection that waits
    /// for the client to read on, if there is one.
    pub fn close(&mut self, client: ClientId) -> Option<u32> {
        self.queues.try_remove(client as usize)?.streaming.map(|streaming| streaming.pipe)
    }

    /// The queue of `client`.
    #[inline]
    #[must_use]
    pub fn queue(&self, client: ClientId) -> Option<&Queue> {
        self.queues.get(client as usize)
    }

    /// What [`Ticket::client_key`] gives for the requests of `client`.
    #[must_use]
    pub fn client_key(&self, client: ClientId) -> Option<u64> {
        let queue = self.queues.get(client as usize)?;
        Some(u64::from(queue.generation) << 32 | u64::from(client))
    }

    /// Whether its client has made requests since that of `ticket`.
    #[must_use]
    pub fn is_followed(&self, ticket: &Ticket) -> bool {
        let queue = self.queues.get(ticket.client as usize).filter(|queue| queue.generation == ticket.generation);
        queue.is_some_and(|queue| queue.tail != ticket.sequence.wrapping_add(1))
    }

    /// Tickets that were reserved and not handed in.
    #[must_use]
    pub const fn tickets_out(&self) -> u64 {
        self.open
    }

    /// Takes the next place of `client`, for a request of `charge` bytes.
    #[inline]
    pub fn reserve(&mut self, client: ClientId, charge: usize) -> Option<Ticket> {
        let queue = self.queues.get_mut(client as usize)?;
        let sequence = queue.tail;
        queue.tail = queue.tail.wrapping_add(1);
        queue.charged += charge;
        self.open += 1;
        let part = std::mem::take(&mut self.wrapper).wrapping_sub(1);
        Some(Ticket { client, generation: queue.generation, sequence, part, charge: charge as u32 })
    }

    /// A ticket for a request that no client made: nobody gets the reply.
    pub const fn orphan(&mut self) -> Ticket {
        self.open += 1;
        Ticket { client: ClientId::MAX, generation: 0, sequence: 0, part: WHOLE, charge: 0 }
    }

    /// Turns a ticket into one for each part of a merge, in order.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is handed in: nobody may use it again")]
    pub fn split(&mut self, whole: Ticket, gather: Gather, parts: u32) -> impl Iterator<Item = Ticket> {
        let Ticket { client, generation, sequence, charge, part: outer } = whole;
        let gather = self.gathers.insert(Merging { gather, outer }) as u32;
        self.open += u64::from(parts) - 1;
        let places = &mut self.parts;
        (0..parts).map(move |number| {
            let part = places.insert(Part { gather, number }) as u32;
            // The whole charge rides on the first part.
            Ticket { client, generation, sequence, part, charge: if number == 0 { charge } else { 0 } }
        })
    }

    /// Hands a ticket in with the whole reply.
    #[inline]
    pub fn deliver(&mut self, ticket: Ticket, reply: &[u8]) {
        self.open -= 1;
        if ticket.part != WHOLE {
            return self.deliver_part(ticket, reply);
        }
        if let Some(queue) = self.queues.get_mut(ticket.client as usize)
            && queue.generation == ticket.generation
        {
            queue.charged -= ticket.charge as usize;
            let ahead = ticket.sequence.wrapping_sub(queue.head) as usize;
            if ahead > 0 {
                if queue.stash.places.capacity() == 0 {
                    queue.stash = self.spare_stashes.pop().unwrap_or_default();
                }
                return queue.stash.keep(ahead, |stash| stash.extend_from_slice(reply));
            }
            if queue.out.capacity() == 0 {
                queue.out = self.spares.pop().unwrap_or_default();
            }
            queue.advance(|out| out.extend_from_slice(reply));
            if !queue.dirty {
                queue.dirty = true;
                self.dirty.push(ticket.client);
            }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a ticket is handed in: nobody may use it again")]
    fn deliver_part(&mut self, ticket: Ticket, reply: &[u8]) {
        let Some(Part { gather: id, number }) = self.parts.try_remove(ticket.part as usize) else { return };
        if let Some(queue) = self.queues.get_mut(ticket.client as usize)
            && queue.generation == ticket.generation
        {
            queue.charged -= ticket.charge as usize;
        }
        let Some(merging) = self.gathers.get_mut(id as usize) else { return };
        if merging.gather.add(number, reply) {
            let Merging { mut gather, outer } = self.gathers.remove(id as usize);
            let mut merged = std::mem::take(&mut self.merged);
            self.ended += 1;
            self.open += 1;
            match gather.take_errand() {
                None => gather.finish(&mut merged),
                Some(mut errand) => {
                    if errand.finish(&mut merged) == Outcome::Again && self.is_served(&ticket) {
                        self.merged = merged;
                        self.again.push((Ticket { part: outer, charge: 0, ..ticket }, errand));
                        return;
                    }
                }
            }
            if outer == WHOLE && merged.starts_with(b"-") {
                self.tally.errors.count(&merged);
            }
            self.deliver(Ticket { part: outer, charge: 0, ..ticket }, &merged);
            merged.clear();
            self.merged = if merged.capacity() > SPARE_MAX { Vec::new() } else { merged };
        }
    }

    /// Whether the client of `ticket` is still there.
    fn is_served(&self, ticket: &Ticket) -> bool {
        self.queues.get(ticket.client as usize).is_some_and(|queue| queue.generation == ticket.generation)
    }

    /// An errand that wants another step, with the ticket that it answers.
    pub fn take_again(&mut self) -> Option<(Ticket, Box<dyn Errand>)> {
        self.again.pop()
    }

    /// Whether [`take_again`](Self::take_again) would give one.
    #[must_use]
    pub const fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Hands a ticket in with an error reply; `text` begins with the error's code.
    #[cold]
    pub fn fail(&mut self, ticket: Ticket, text: &str) {
        let mut reply = Vec::with_capacity(text.len() + 3);
        crate::resp::encode::error(&mut reply, text);
        self.deliver_error(ticket, &reply);
    }

    /// Hands a ticket in with an error reply, and counts it.
    #[cold]
    pub fn deliver_error(&mut self, ticket: Ticket, reply: &[u8]) {
        if !ticket.is_part() {
            self.tally.errors.count(reply);
        }
        self.deliver(ticket, reply);
    }

    /// How many merges have ended since the last call.
    pub const fn take_ended(&mut self) -> u32 {
        std::mem::replace(&mut self.ended, 0)
    }

    /// Answers the next request of `client` at once with what `write` appends.
    pub fn answer(&mut self, client: ClientId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(queue) = self.queues.get_mut(client as usize) else { return };
        if queue.muted {
            return;
        }
        let ahead = queue.in_flight();
        queue.tail = queue.tail.wrapping_add(1);
        if ahead > 0 {
            return queue.stash.keep(ahead, write);
        }
        if queue.out.capacity() == 0 {
            queue.out = self.spares.pop().unwrap_or_default();
        }
        queue.advance(write);
        if !queue.dirty {
            queue.dirty = true;
            self.dirty.push(client);
        }
    }

    /// The clients to write to, swapped for the empty `list`.
    pub fn take_dirty(&mut self, list: &mut Vec<ClientId>) {
        debug_assert!(list.is_empty(), "the last list of clients was not worked off");
        std::mem::swap(&mut self.dirty, list);
    }

    /// Puts `client` on the list of those to write to, if it has something unwritten.
    pub fn touch(&mut self, client: ClientId) {
        if let Some(queue) = self.queues.get_mut(client as usize)
            && !queue.dirty
            && queue.written < queue.out.len()
        {
            queue.dirty = true;
            self.dirty.push(client);
        }
    }

    /// Whether any client is to be written to.
    #[must_use]
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What `client` is to be sent; marks it as clean.
    pub fn begin_write(&mut self, client: ClientId) -> Option<&[u8]> {
        let queue = self.queues.get_mut(client as usize)?;
        queue.dirty = false;
        Some(queue.unwritten())
    }

    /// The socket took `bytes` more; gives what is left.
    pub fn wrote(&mut self, client: ClientId, bytes: usize) -> &[u8] {
        let Some(queue) = self.queues.get_mut(client as usize) else { return &[] };
        queue.written += bytes;
        debug_assert!(queue.written <= queue.out.len(), "more was written than there was");
        if queue.written < queue.out.len() {
            if queue.written > SPARE_MAX && queue.written * 2 > queue.out.len() {
                queue.out.drain(..queue.written);
                queue.written = 0;
            }
            return queue.unwritten();
        }
        queue.written = 0;
        if queue.streaming.is_some() {
            queue.out.clear();
            return &[];
        }
        let mut out = std::mem::take(&mut queue.out);
        out.clear();
        if out.capacity() <= SPARE_MAX && self.spares.len() < SPARES {
            self.spares.push(out);
        }
        if queue.in_flight() == 0 && queue.stash.places.capacity() > 0 {
            let stash = std::mem::take(&mut queue.stash);
            if stash.is_small() && self.spare_stashes.len() < SPARES {
                self.spare_stashes.push(stash);
            }
        }
        &[]
    }
}

#[cfg(test)]
mod tests;
