//! A reply that goes out in pieces, because it is too large to be kept whole.
//!
//! Only the head of a queue may: its pieces go straight to the client's output, and whoever brings them stops when
//! [`WINDOW`] bytes wait there, until the client has read on. What answers no request waits for the end of it.
//!
//! ```text
//!   begin_stream ─► stream … stream ─┬─► end_stream    the next reply's turn
//!                                    └─► break_off     half a reply is out: the client can only be closed
//! ```

use super::{ClientId, Place, Queue, Replies, Ticket, WHOLE};

/// How much of a reply may wait for its client before no more of it is read, in bytes.
pub const WINDOW: usize = 256 << 10;

/// What a queue has while a reply goes out in pieces.
#[derive(Debug)]
pub(super) struct Streaming {
    /// The connection that brings it.
    pub(super) pipe: u32,
    /// Whether that connection waits for the client to read.
    paused: bool,
    /// Messages that came meanwhile.
    pub(super) pushes: Vec<u8>,
}

/// Whether a reply may go out in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may: it is its turn.
    Yes,
    /// It must be kept until it is whole: others come first, it is a part of another one, or nobody wants it.
    No,
    /// Its client is gone.
    Gone,
}

impl Queue {
    /// Bytes of messages that wait for the end of a reply.
    #[must_use]
    pub fn pushes(&self) -> usize {
        self.streaming.as_ref().map_or(0, |streaming| streaming.pushes.len())
    }
}

impl Replies {
    fn queue_of(&mut self, ticket: &Ticket) -> Option<&mut Queue> {
        self.queues.get_mut(ticket.client as usize).filter(|queue| queue.generation == ticket.generation)
    }

    /// The reply to `ticket` begins to come from the connection `pipe`, in pieces.
    pub fn begin_stream(&mut self, ticket: &Ticket, pipe: u32) -> Begun {
        if ticket.part != WHOLE {
            return Begun::No;
        }
        let Some(queue) = self.queue_of(ticket) else { return Begun::Gone };
        if queue.head != ticket.sequence || matches!(queue.stash.places.front(), Some(Place::Muted)) {
            return Begun::No;
        }
        queue.streaming = Some(Box::new(Streaming { pipe, paused: false, pushes: Vec::new() }));
        Begun::Yes
    }

    /// One more piece. False if the client is gone.
    pub fn stream(&mut self, ticket: &Ticket, piece: &[u8]) -> bool {
        let Some(queue) = self.queue_of(ticket) else { return false };
        queue.out.extend_from_slice(piece);
        if !queue.dirty {
            queue.dirty = true;
            self.dirty.push(ticket.client);
        }
        true
    }

    /// Whether `WINDOW` bytes wait and the client has to read first: the connection that brings the pieces is told
    /// when it has. Not so if the client sends more without reading, for it may only read when all of that is taken.
    pub fn must_wait(&mut self, ticket: &Ticket) -> bool {
        let Some(queue) = self.queue_of(ticket) else { return false };
        let is_full = queue.out.len() - queue.written >= WINDOW && !queue.pressed;
        if let Some(streaming) = &mut queue.streaming {
            streaming.paused = is_full;
        }
        is_full
    }

    /// The client was written to: gives the connection that waits for it, if that may go on.
    #[inline]
    pub fn goes_on(&mut self, client: ClientId) -> Option<u32> {
        let queue = self.queues.get_mut(client as usize)?;
        let streaming = queue.streaming.as_mut()?;
        let may = streaming.paused && (queue.pressed || queue.out.len() - queue.written <= WINDOW / 2);
        streaming.paused &= !may;
        may.then_some(streaming.pipe)
    }

    /// Whether the client sends more than is taken from it now. Gives the connection that need not wait any longer.
    pub fn press(&mut self, client: ClientId, pressed: bool) -> Option<u32> {
        self.queues.get_mut(client as usize)?.pressed = pressed;
        self.goes_on(client)
    }

    /// All pieces are there: hands the ticket in.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is handed in: nobody may use it again")]
    pub fn end_stream(&mut self, ticket: Ticket) {
        self.open -= 1;
        let Some(queue) = self.queue_of(&ticket) else { return };
        queue.charged -= ticket.charge as usize;
        if let Some(streaming) = queue.streaming.take() {
            queue.out.extend_from_slice(&streaming.pushes);
        }
        queue.advance(|_| ());
        if !queue.dirty {
            queue.dirty = true;
            self.dirty.push(ticket.client);
        }
    }

    /// No more pieces come: hands the ticket in. The client cannot be told, since half of the reply is out.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is handed in: nobody may use it again")]
    pub fn break_off(&mut self, ticket: Ticket) {
        self.open -= 1;
        if self.queue_of(&ticket).is_some() {
            self.broken.push(ticket.client);
        }
    }

    /// A client to close, because its reply broke off.
    pub fn take_broken(&mut self) -> Option<ClientId> {
        self.broken.pop()
    }
}
