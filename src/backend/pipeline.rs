//! One connection to one node: what waits to be sent, what waits to be answered.
//!
//! Requests are appended to the outbox once and stay there until they are answered, so that a redirect or an
//! unsent retry sends the same bytes again. The FIFO holds one record for each of them, in the order of the
//! wire. Which node, and what to do with an error reply, is decided in `backend`.
//!
//! ```text
//!            a request             handshake done            the node left the map
//!   Down ───────────────► Connecting ───────────► Ready ───────────────────► Draining ──► gone
//!    ▲  (not before retry_at)  │ failed            │ broken
//!    └─────────────────────────┴───────────────────┘
//!
//!   outbox:  | answered | sent, unanswered | unsent |
//!            0       answered             sent      len
//! ```

mod passage;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use super::health::Health;
use super::prelude::Prelude;
use super::record::{ASKING, Expect, Pending, Taken, Traits, plain};
use super::{Millis, NEVER};
use crate::net::Link;
use crate::resp::Proto;
use crate::resp::reply::Scanner;
use crate::telemetry::NodeTally;
pub(super) use passage::Passage;

/// The outbox is compacted when so many answered bytes stand in front.
const COMPACT_MIN: usize = 16 << 10;
/// An outbox above this capacity is given back when it runs empty.
const OUTBOX_KEEP: usize = 1 << 20;

/// Where a connection stands in its life.
pub(super) enum State {
    /// No connection; none is tried before `retry_at`.
    Down { retry_at: Millis },
    /// A task dials and shakes hands.
    Connecting,
    /// In use.
    Ready(Link),
    /// The node left the map: answered to the end, then closed.
    Draining(Link),
}

/// A client and which of its connections: for what it watches, for what it waits, or for the part of a request to
/// several nodes.
pub(super) type LoanKey = (u64, u32);

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Everybody's.
    Shared,
    /// Nobody's, and fit for the next client.
    Idle,
    /// One client's.
    Lent(LoanKey),
    /// Nobody's, and not fit yet.
    Cleaning,
    /// Everybody's, until a large reply began to come: no more requests are put in.
    Aside,
}

/// One connection.
pub(super) struct Pipeline {
    /// The node's place in the backend.
    pub(super) node: u16,
    pub(super) proto: Proto,
    pub(super) tally: Arc<NodeTally>,
    pub(super) state: State,
    /// Whose it is.
    pub(super) holder: Holder,
    /// Of one that is not shared: WATCH that the node accepted since it was clean, by which name the node knows
    /// it, and when it is given up.
    pub(super) watched: u32,
    pub(super) name: Option<i64>,
    pub(super) deadline: Millis,
    /// Told apart from an earlier pipeline in the same place.
    pub(super) generation: u32,
    /// How connections fared lately.
    pub(super) health: Health,
    /// When the next canary is due, and the number of the one under way.
    pub(super) canary_at: Millis,
    pub(super) canary: Option<u64>,
    /// Whether it is on the list of pipelines to write.
    pub(super) dirty: bool,
    outbox: Vec<u8>,
    answered: usize,
    sent: usize,
    fifo: VecDeque<Expect>,
    /// Requests ever put in, and replies ever taken out.
    pushed: u64,
    popped: u64,
    /// Records in the FIFO that have no ticket.
    late: usize,
    /// Requests before this one may be older than those in front of them.
    detour: u64,
    /// The replies in front of the one to the oldest request, while they come; and those of the last one.
    prelude: Option<Prelude>,
    told: Option<Prelude>,
    pub(super) inbox: Vec<u8>,
    pub(super) scanner: Scanner,
    /// What goes through it in pieces.
    pub(super) passage: Option<Passage>,
}

impl Pipeline {
    pub(super) const fn new(node: u16, proto: Proto, max_reply: usize, generation: u32, tally: Arc<NodeTally>) -> Self {
        Self {
            node,
            proto,
            tally,
            state: State::Down { retry_at: 0 },
            holder: Holder::Shared,
            watched: 0,
            name: None,
            deadline: NEVER,
            generation,
            health: Health::new(),
            canary_at: 0,
            canary: None,
            dirty: false,
            outbox: Vec::new(),
            answered: 0,
            sent: 0,
            fifo: VecDeque::new(),
            pushed: 0,
            popped: 0,
            late: 0,
            detour: 0,
            prelude: None,
            told: None,
            inbox: Vec::new(),
            scanner: Scanner::new(proto, max_reply),
            passage: None,
        }
    }

    /// Whether it is shared and stays: nothing needs to be looked at when it is answered.
    #[inline]
    pub(super) const fn is_common(&self) -> bool {
        matches!((&self.state, self.holder), (State::Ready(_), Holder::Shared))
    }

    /// Appends a request and its record.
    #[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
    #[inline(always)]
    pub(super) fn push(&mut self, frame: &[u8], expect: Expect) {
        debug_assert_eq!(frame.len(), expect.len(), "a record must know its frame's length");
        self.late += usize::from(matches!(expect, Expect::Clean { .. } | Expect::Canary { .. }));
        self.outbox.extend_from_slice(frame);
        self.fifo.push_back(expect);
        self.pushed += 1;
    }

    /// Appends a request, with an ASKING in front that nothing can come between.
    pub(super) fn push_asking(&mut self, frame: &[u8], pending: Pending) {
        self.outbox.extend_from_slice(ASKING);
        self.outbox.extend_from_slice(frame);
        let len = (ASKING.len() + frame.len()) as u32;
        self.fifo.push_back(Expect::Deliver(Pending { len, traits: pending.traits.asking(), ..pending }));
        self.pushed += 1;
    }

    /// Whether `reply` answers only what stands in front of a request, such as its ASKING.
    #[inline]
    pub(super) fn skip_prelude(&mut self, reply: &[u8]) -> bool {
        match self.fifo.front() {
            Some(Expect::Deliver(pending)) if pending.traits.has_prelude() => self.is_prelude(reply),
            _ => false,
        }
    }

    #[cold]
    fn is_prelude(&mut self, reply: &[u8]) -> bool {
        let Some(Expect::Deliver(pending)) = self.fifo.front_mut() else { return false };
        if pending.traits.is_asking() {
            let is_asked = self.answered + ASKING.len() <= self.sent;
            if is_asked {
                pending.traits = pending.traits.plain();
            }
            return is_asked;
        }
        if self.answered >= self.sent {
            return false;
        }
        let frame = self.outbox.get(self.answered..self.answered + pending.len as usize).unwrap_or_default();
        let prelude = self.prelude.get_or_insert_with(|| Prelude::of(frame));
        if prelude.skip(reply, pending.traits) {
            return true;
        }
        self.watched += u32::from(pending.traits == Traits::Watch && reply == b"+OK\r\n");
        self.told = self.prelude.take();
        false
    }

    /// What was said before the reply at hand, which is that of a transaction.
    pub(super) fn told(&mut self) -> Prelude {
        self.told.take().unwrap_or_default()
    }

    /// Takes the record that the reply at hand answers; `None` means that nobody asked.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Expect> {
        let answered = self.answered + self.fifo.front()?.len();
        if answered > self.sent {
            // A reply to what was not sent: the node answers more than it was asked. The record stays.
            return None;
        }
        self.answered = answered;
        self.popped += 1;
        self.fifo.pop_front()
    }

    /// The proxy's own request was answered.
    pub(super) fn cleaned(&mut self) {
        self.late -= 1;
    }

    /// The frame of the record that was popped last, which was `len` long; without its ASKING.
    pub(super) fn popped_frame(&self, len: usize) -> &[u8] {
        plain(self.outbox.get(self.answered.saturating_sub(len)..self.answered).unwrap_or_default())
    }

    /// Gives back the room of what was answered; to be called once a read.
    pub(super) fn compact(&mut self) {
        if self.answered == self.outbox.len() {
            self.answered = 0;
            self.sent = 0;
            self.outbox.clear();
            if self.outbox.capacity() > OUTBOX_KEEP {
                self.outbox = Vec::new();
            }
        } else if self.answered > COMPACT_MIN && self.answered * 2 > self.outbox.len() {
            self.outbox.drain(..self.answered);
            self.sent -= self.answered;
            self.answered = 0;
        }
    }

    /// The frame that the reply at hand answers, which [`pop`](Self::pop) is about to take; without its ASKING.
    pub(super) fn head_frame(&self) -> &[u8] {
        let len = self.fifo.front().map_or(0, Expect::len);
        plain(self.outbox.get(self.answered..self.answered + len).unwrap_or_default())
    }

    /// Writes what is unsent. True when everything is out.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let (State::Ready(link) | State::Draining(link)) = &mut self.state else { return Ok(false) };
        while self.sent < self.outbox.len() {
            match link.write(self.outbox.get(self.sent..).unwrap_or_default()) {
                Poll::Ready(Ok(bytes)) => self.sent += bytes,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(false),
            }
        }
        if self.is_in_step() { Ok(true) } else { Err(io::Error::other("requests and replies are out of step")) }
    }

    /// Whether everything that was put in and not taken out stands in the queue.
    pub(super) fn is_in_step(&self) -> bool {
        self.pushed - self.popped == self.fifo.len() as u64
    }

    /// The request that was put in last did not come straight from its client.
    pub(super) const fn note_detour(&mut self) {
        self.detour = self.pushed;
    }

    /// Whether there are requests that may be older than those in front of them.
    pub(super) const fn has_detours(&self) -> bool {
        self.popped < self.detour
    }

    /// For how long the request whose reply is next has been under way.
    pub(super) fn head_age(&self, now: Millis) -> Option<Millis> {
        match self.fifo.front()? {
            Expect::Deliver(pending) => Some(pending.age(now)),
            Expect::Late { .. } | Expect::Clean { .. } | Expect::Canary { .. } => None,
        }
    }

    /// Whether the reply that is due is that to a canary.
    pub(super) fn is_canary_due(&self) -> bool {
        matches!(self.fifo.front(), Some(Expect::Canary { .. }))
    }

    /// How many requests were ever put in.
    pub(super) const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many replies were ever taken out.
    pub(super) const fn popped(&self) -> u64 {
        self.popped
    }

    /// Whether anything was sent that is not answered.
    pub(super) const fn awaits_reply(&self) -> bool {
        self.answered < self.sent
    }

    /// Bytes that wait to be sent or answered.
    #[inline]
    pub(super) const fn queued(&self) -> usize {
        self.outbox.len() - self.answered
    }

    /// Requests that wait to be sent or answered.
    pub(super) fn in_flight(&self) -> usize {
        self.fifo.len()
    }

    /// How many of them still have a ticket.
    pub(super) fn tickets(&self) -> usize {
        self.fifo.len() - self.late
    }

    /// For how long the oldest request that still waits has been under way.
    pub(super) fn oldest_age(&self, now: Millis) -> Option<Millis> {
        match self.passage {
            None => self.oldest_in_line(now),
            Some(passage) => self.stall(passage, now),
        }
    }

    fn oldest_in_line(&self, now: Millis) -> Option<Millis> {
        let all_sent = !self.has_unsent();
        let waiting = self.fifo.iter().filter_map(|expect| match expect {
            // The node has it, and may take its time.
            Expect::Deliver(pending) if all_sent && pending.traits.blocks() => None,
            Expect::Deliver(pending) => Some(pending.age(now)),
            Expect::Late { .. } | Expect::Clean { .. } | Expect::Canary { .. } => None,
        });
        waiting.max()
    }

    /// When the request came that was put in last, if it still waits.
    pub(super) fn newest_born(&self) -> Option<u32> {
        match self.fifo.back()? {
            Expect::Deliver(pending) => Some(pending.born),
            Expect::Late { .. } | Expect::Clean { .. } | Expect::Canary { .. } => None,
        }
    }

    /// Whether there is anything that was not sent.
    pub(super) const fn has_unsent(&self) -> bool {
        self.sent < self.outbox.len()
    }

    /// Takes every request that still waits, and leaves the pipeline empty.
    pub(super) fn take_all(&mut self) -> Vec<Taken> {
        let mut at = self.answered;
        let sent = self.sent;
        let uploaded = self.has_uploaded();
        let taken = self
            .fifo
            .drain(..)
            .filter_map(|expect| {
                let end = at + expect.len();
                let may_have_run = uploaded.unwrap_or(end <= sent);
                let frame = plain(self.outbox.get(at..end).unwrap_or_default()).into();
                at = end;
                Some(Taken { pending: expect.into_pending()?, frame, may_have_run })
            })
            .collect();
        self.popped = self.pushed;
        self.late = 0;
        self.outbox = Vec::new();
        self.answered = 0;
        self.sent = 0;
        self.inbox = Vec::new();
        self.prelude = None;
        self.canary = None;
        self.passage = None;
        self.scanner.reset();
        taken
    }

    /// Takes the requests of which nothing left and that `wanted` names; the others stay as they are.
    pub(super) fn take_unsent(&mut self, mut wanted: impl FnMut(&Pending) -> bool) -> Vec<Taken> {
        let mut taken = Vec::new();
        let mut at = self.answered;
        let mut kept = Vec::with_capacity(self.outbox.len());
        kept.extend_from_slice(self.outbox.get(..at).unwrap_or_default());
        for expect in std::mem::take(&mut self.fifo) {
            let end = at + expect.len();
            let frame = self.outbox.get(at..end).unwrap_or_default();
            match expect {
                Expect::Deliver(pending) if at >= self.sent && wanted(&pending) => {
                    taken.push(Taken { pending, frame: plain(frame).into(), may_have_run: false });
                    self.popped += 1;
                }
                other => {
                    kept.extend_from_slice(frame);
                    self.fifo.push_back(other);
                }
            }
            at = end;
        }
        self.outbox = kept;
        taken
    }

    /// Takes the requests that `expired` names; their places stay in the FIFO as [`Expect::Late`].
    pub(super) fn expire(&mut self, mut expired: impl FnMut(&Pending) -> bool) -> Vec<Taken> {
        let mut out = Vec::new();
        let mut at = self.answered;
        for expect in &mut self.fifo {
            let end = at + expect.len();
            let frame = plain(self.outbox.get(at..end).unwrap_or_default());
            at = end;
            if let Expect::Deliver(pending) = expect
                && !pending.traits.blocks()
                && expired(pending)
            {
                let late = Expect::Late { len: pending.len };
                let pending = std::mem::replace(expect, late).into_pending();
                out.extend(pending.map(|pending| Taken { pending, frame: frame.into(), may_have_run: true }));
                self.late += 1;
            }
        }
        out
    }
}
