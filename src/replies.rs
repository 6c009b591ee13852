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

use std::collections::VecDeque;

use slab::Slab;

use crate::merge::Gather;

/// A client's place in the worker's tables.
pub type ClientId = u32;

/// In [`Ticket::gather`]: the reply is not a part of a merge.
const WHOLE: u32 = u32::MAX;
/// A stash below this size is not worth compacting.
const STASH_MIN: usize = 16 << 10;
/// An output buffer above this capacity is freed and not kept for the next client.
const SPARE_MAX: usize = 64 << 10;
/// How many empty output buffers are kept.
const SPARES: usize = 64;

/// A claim on one place in one client's queue. It must be handed in exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket that is not handed in leaves its client waiting for ever"]
pub struct Ticket {
    client: ClientId,
    generation: u32,
    sequence: u32,
    gather: u32,
    part: u32,
    /// Bytes that the client is charged with until the ticket is handed in.
    charge: u32,
}

impl Ticket {
    /// Whether both are places in the queue of one client.
    #[must_use]
    pub const fn same_client(&self, other: &Self) -> bool {
        self.client == other.client && self.generation == other.generation
    }
}

/// Where the reply to one request stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// It has not come.
    Open,
    /// It came early and stands in the stash.
    Early { start: u32, len: u32 },
}

/// What one client is owed.
#[derive(Debug, Default)]
pub struct Queue {
    generation: u32,
    /// Sequence of the oldest request that has no reply in `out`.
    head: u32,
    /// Sequence of the next request.
    tail: u32,
    /// Places from `head` on; shorter than `tail - head`: what is behind its end is open.
    places: VecDeque<Place>,
    stash: Vec<u8>,
    /// How much of the stash is still wanted.
    stash_live: usize,
    /// Replies in order, for the socket.
    out: Vec<u8>,
    /// How much of `out` the socket took.
    written: usize,
    /// Bytes of the requests that are under way.
    charged: usize,
    dirty: bool,
}

impl Queue {
    /// How many requests have no reply yet.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.tail.wrapping_sub(self.head) as usize
    }

    /// Bytes held for this client: requests under way, replies early and replies unwritten.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.charged + self.stash_live + self.out.len() - self.written
    }

    /// What the socket has not taken yet.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// Puts the reply to `sequence` into its place; true if `out` grew.
    #[inline]
    fn settle(&mut self, sequence: u32, reply: &[u8]) -> bool {
        let ahead = sequence.wrapping_sub(self.head) as usize;
        if ahead > 0 {
            let start = self.stash.len();
            self.stash.extend_from_slice(reply);
            self.stashed(ahead, start);
            return false;
        }
        self.out.extend_from_slice(reply);
        self.advance();
        true
    }

    /// The stash from `start` on holds the reply that is `ahead` places behind the head.
    fn stashed(&mut self, ahead: usize, start: usize) {
        if self.places.len() <= ahead {
            self.places.resize(ahead + 1, Place::Open);
        }
        let len = self.stash.len() - start;
        self.stash_live += len;
        if let Some(place) = self.places.get_mut(ahead) {
            debug_assert!(matches!(place, Place::Open), "a place was answered twice");
            *place = Place::Early { start: start as u32, len: len as u32 };
        }
    }

    /// The head is in `out`: moves on, over all that came early.
    #[inline]
    fn advance(&mut self) {
        self.head = self.head.wrapping_add(1);
        if self.places.is_empty() {
            return;
        }
        self.places.pop_front();
        while let Some(&Place::Early { start, len }) = self.places.front() {
            let start = start as usize;
            self.out.extend_from_slice(self.stash.get(start..start + len as usize).unwrap_or_default());
            self.stash_live -= len as usize;
            self.places.pop_front();
            self.head = self.head.wrapping_add(1);
        }
        if self.stash_live == 0 {
            self.stash.clear();
        } else if self.stash.len() > STASH_MIN && self.stash.len() / 4 > self.stash_live {
            self.compact();
        }
    }

    /// Drops what the stash no longer needs, for clients that never pause.
    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.stash_live * 2);
        for place in &mut self.places {
            if let Place::Early { start, len } = place {
                let from = *start as usize;
                *start = kept.len() as u32;
                kept.extend_from_slice(self.stash.get(from..from + *len as usize).unwrap_or_default());
            }
        }
        self.stash = kept;
    }
}

/// The queues of all clients of one worker, and the merges under way.
#[derive(Debug, Default)]
pub struct Replies {
    queues: Slab<Queue>,
    gathers: Slab<Gather>,
    /// Clients whose output grew since they were last written to.
    dirty: Vec<ClientId>,
    /// Tickets that were reserved and not handed in.
    open: u64,
    generation: u32,
    /// Empty output buffers, so that a silent client owns none.
    spares: Vec<Vec<u8>>,
    merged: Vec<u8>,
}

impl Replies {
    /// Opens a queue; its id is the client's id until [`close`](Self::close).
    pub fn open(&mut self) -> ClientId {
        self.generation = self.generation.wrapping_add(1);
        self.queues.insert(Queue { generation: self.generation, ..Queue::default() }) as ClientId
    }

    /// Closes a queue. Tickets that are still out are handed in later and go nowhere.
    pub fn close(&mut self, client: ClientId) {
        self.queues.try_remove(client as usize);
    }

    /// The queue of `client`.
    #[inline]
    #[must_use]
    pub fn queue(&self, client: ClientId) -> Option<&Queue> {
        self.queues.get(client as usize)
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
        Some(Ticket { client, generation: queue.generation, sequence, gather: WHOLE, part: 0, charge: charge as u32 })
    }

    /// Turns a ticket into one for each part of a merge, in order.
    pub fn split(&mut self, whole: Ticket, gather: Gather, parts: u32) -> impl Iterator<Item = Ticket> + use<> {
        let id = self.gathers.insert(gather) as u32;
        self.open += u64::from(parts) - 1;
        let Ticket { client, generation, sequence, charge, .. } = whole;
        // The whole charge rides on the first part.
        (0..parts).map(move |part| {
            let charge = if part == 0 { charge } else { 0 };
            Ticket { client, generation, sequence, gather: id, part, charge }
        })
    }

    /// Hands a ticket in with the whole reply.
    #[inline]
    pub fn deliver(&mut self, ticket: Ticket, reply: &[u8]) {
        self.open -= 1;
        if let Some(queue) = self.queues.get_mut(ticket.client as usize)
            && queue.generation == ticket.generation
        {
            queue.charged -= ticket.charge as usize;
            if ticket.gather == WHOLE {
                if queue.out.capacity() == 0 {
                    queue.out = self.spares.pop().unwrap_or_default();
                }
                if queue.settle(ticket.sequence, reply) && !queue.dirty {
                    queue.dirty = true;
                    self.dirty.push(ticket.client);
                }
                return;
            }
        }
        if ticket.gather != WHOLE {
            self.deliver_part(ticket, reply);
        }
    }

    #[cold]
    fn deliver_part(&mut self, ticket: Ticket, reply: &[u8]) {
        let Some(gather) = self.gathers.get_mut(ticket.gather as usize) else { return };
        if gather.add(ticket.part, reply) {
            let gather = self.gathers.remove(ticket.gather as usize);
            let mut merged = std::mem::take(&mut self.merged);
            gather.finish(&mut merged);
            self.open += 1;
            self.deliver(Ticket { gather: WHOLE, charge: 0, ..ticket }, &merged);
            merged.clear();
            self.merged = if merged.capacity() > SPARE_MAX { Vec::new() } else { merged };
        }
    }

    /// Hands a ticket in with an error reply; `text` begins with the error's code.
    #[cold]
    pub fn fail(&mut self, ticket: Ticket, text: &str) {
        let mut reply = Vec::with_capacity(text.len() + 3);
        crate::resp::encode::error(&mut reply, text);
        self.deliver(ticket, &reply);
    }

    /// Answers the next request of `client` at once with what `write` appends.
    pub fn answer(&mut self, client: ClientId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(queue) = self.queues.get_mut(client as usize) else { return };
        let ahead = queue.in_flight();
        queue.tail = queue.tail.wrapping_add(1);
        if ahead > 0 {
            let start = queue.stash.len();
            write(&mut queue.stash);
            queue.stashed(ahead, start);
            return;
        }
        if queue.out.capacity() == 0 {
            queue.out = self.spares.pop().unwrap_or_default();
        }
        write(&mut queue.out);
        queue.advance();
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
        let mut out = std::mem::take(&mut queue.out);
        out.clear();
        if out.capacity() <= SPARE_MAX && self.spares.len() < SPARES {
            self.spares.push(out);
        }
        if queue.in_flight() == 0 && queue.stash.capacity() > 0 {
            queue.stash = Vec::new();
            queue.places = VecDeque::new();
        }
        &[]
    }
}

#[cfg(test)]
mod tests;
