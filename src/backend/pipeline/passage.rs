//! What goes through a connection in pieces, and what that changes for its queue: the frame of an upload is never
//! there as a whole, and a reply that streams has begun to be answered while it still stands at the head.
//!
//! ```text
//!   Probing ── the node takes the slot ──► Upload ── last piece, reply ──► (gone)
//!   Stream ── last piece ──► (gone)
//! ```

use std::io;
use std::task::Poll;

use super::{Pipeline, State};
use crate::backend::Millis;
use crate::backend::record::{ASKING, Expect, Pending, Traits};
use crate::replies::Ticket;

/// What goes through a connection in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend) enum Passage {
    /// A question whether the node takes a request that is too large to be sent twice.
    Probing,
    /// That request.
    Upload {
        /// More of it is to come from its client.
        open: bool,
        /// The reply to the ASKING in front of it is to come.
        asking: bool,
        /// When the node last took some of it.
        progress: Millis,
    },
    /// The reply to the request at the head.
    Stream {
        /// When it began to come, in microseconds.
        since_us: u32,
        /// When more of it last came.
        progress: Millis,
        /// Whether the client has to read before more of it is read.
        paused: bool,
    },
}

impl Passage {
    /// Whether half of something may stand on the wire.
    pub(in crate::backend) const fn is_under_way(self) -> bool {
        matches!(self, Self::Upload { .. } | Self::Stream { .. })
    }
}

impl Pipeline {
    /// The node takes the request that was asked for by `probe`: its pieces may come.
    pub(in crate::backend) fn begin_upload(&mut self, probe: Pending, asking: bool, now: Millis, now_us: u32) {
        let front: &[u8] = if asking { ASKING } else { b"" };
        self.outbox.extend_from_slice(front);
        let pending = Pending { len: front.len() as u32, traits: Traits::Upload, born: now_us, ..probe };
        self.fifo.push_back(Expect::Deliver(pending));
        self.pushed += 1;
        self.passage = Some(Passage::Upload { open: true, asking, progress: now });
    }

    /// Sends a piece on: what the system does not take now stays in the outbox.
    pub(in crate::backend) fn feed(&mut self, mut piece: &[u8], now: Millis) -> io::Result<()> {
        if !self.has_unsent()
            && let State::Ready(link) | State::Draining(link) = &mut self.state
        {
            while !piece.is_empty() {
                match link.write(piece) {
                    Poll::Ready(Ok(bytes)) => piece = piece.get(bytes..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => break,
                }
            }
            self.trim(now);
        }
        self.outbox.extend_from_slice(piece);
        if let Some(Expect::Deliver(pending)) = self.fifo.front_mut() {
            pending.len += piece.len() as u32;
        }
        Ok(())
    }

    /// Forgets what has left of an upload: it cannot be sent again. Gives how much has not.
    pub(in crate::backend) fn trim(&mut self, now: Millis) -> usize {
        if let Some(Passage::Upload { progress, .. }) = &mut self.passage {
            *progress = now;
            let sent = std::mem::take(&mut self.sent);
            self.outbox.drain(..sent);
            if let Some(Expect::Deliver(pending)) = self.fifo.front_mut() {
                pending.len -= sent as u32;
            }
        }
        self.outbox.len() - self.sent
    }

    /// The last piece of an upload has come.
    pub(in crate::backend) fn end_upload(&mut self) {
        if let Some(Passage::Upload { open, .. }) = &mut self.passage {
            *open = false;
        }
    }

    /// Whether the node may have run the upload: every byte of it has left.
    pub(in crate::backend) fn has_uploaded(&self) -> Option<bool> {
        match self.passage? {
            Passage::Upload { open, .. } => Some(!open && !self.has_unsent()),
            _ => None,
        }
    }

    /// Whether the reply at hand is only that to the ASKING in front of an upload.
    pub(in crate::backend) const fn skip_asked(&mut self) -> bool {
        match &mut self.passage {
            Some(Passage::Upload { asking, .. }) => std::mem::replace(asking, false),
            _ => false,
        }
    }

    /// Takes the record of an upload, whether or not all of it has left: it gets no other reply.
    pub(in crate::backend) fn take_upload(&mut self) -> Option<Pending> {
        self.passage = None;
        self.take_head()
    }

    /// Takes the record at the head, whose reply has begun to come.
    fn take_head(&mut self) -> Option<Pending> {
        let expect = self.fifo.pop_front()?;
        self.answered = (self.answered + expect.len()).min(self.outbox.len());
        self.popped += 1;
        expect.into_pending()
    }

    /// The reply to the head begins to come in pieces.
    pub(in crate::backend) fn begin_stream(&mut self, now: Millis, now_us: u32) {
        self.passage = Some(Passage::Stream { since_us: now_us, progress: now, paused: false });
    }

    /// The reply has come to its end, or will not: takes its record. The requests behind it had to wait for it, which
    /// does not count as their own time.
    pub(in crate::backend) fn end_stream(&mut self, now_us: u32) -> Option<Pending> {
        let Some(Passage::Stream { since_us, .. }) = self.passage else { return None };
        self.passage = None;
        let pending = self.take_head();
        let took = now_us.wrapping_sub(since_us);
        for expect in &mut self.fifo {
            if let Expect::Deliver(pending) = expect {
                pending.born = pending.born.wrapping_add(took);
            }
        }
        pending
    }

    /// The ticket of the request at the head.
    pub(in crate::backend) fn head_ticket(&self) -> Option<&Ticket> {
        match self.fifo.front()? {
            Expect::Deliver(pending) => Some(&pending.ticket),
            _ => None,
        }
    }

    /// Whether the head's reply may be passed on in pieces: its request is one of a client's own, has left, and nothing
    /// else is answered before it.
    pub(in crate::backend) fn may_stream(&self) -> bool {
        let is_sent = self.fifo.front().is_some_and(|expect| self.answered + expect.len() <= self.sent);
        let head = self.fifo.front();
        let is_plain = matches!(head, Some(Expect::Deliver(p)) if matches!(p.traits, Traits::Read | Traits::Write));
        is_sent && is_plain
    }

    /// Whether a request of another client waits behind the head.
    pub(in crate::backend) fn has_strangers(&self) -> bool {
        let mut keys = self.fifo.iter().map(|expect| match expect {
            Expect::Deliver(pending) => Some(pending.ticket.client_key()),
            _ => None,
        });
        let head = keys.next().flatten();
        keys.flatten().any(|key| Some(key) != head)
    }

    /// Notes that more of the reply came, or whether it has to wait.
    pub(in crate::backend) const fn note_stream(&mut self, now: Millis, is_paused: bool) {
        if let Some(Passage::Stream { progress, paused, .. }) = &mut self.passage {
            *progress = now;
            *paused = is_paused;
        }
    }

    /// For how long nothing has moved that should; `None` while it is the client's turn.
    pub(super) fn stall(&self, passage: Passage, now: Millis) -> Option<Millis> {
        match passage {
            Passage::Stream { paused: true, .. } => None,
            Passage::Upload { open: true, .. } if !self.has_unsent() => None,
            Passage::Stream { progress, .. } | Passage::Upload { progress, .. } => Some(now.saturating_sub(progress)),
            Passage::Probing => self.oldest_in_line(now),
        }
    }
}
