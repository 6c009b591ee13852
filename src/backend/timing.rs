//! How long requests took, counted in runs.
//!
//! Replies that a node sends together mostly answer requests that came together, so their durations are the same:
//! a reply costs a comparison and an addition, and only the end of a run looks for a bucket. The clock is that of
//! the worker's turn.

use super::Backend;
use super::record::Pending;
use crate::replies::Replies;
use crate::telemetry::{Class, NodeTally, Tally};

/// The time of the turn, and where durations are counted.
#[derive(Clone, Copy)]
pub(super) struct Clock<'a> {
    pub(super) now_us: u32,
    pub(super) tally: &'a Tally,
}

/// Requests that arrived together and were answered together.
#[derive(Clone, Copy, Default)]
pub(super) struct Run {
    /// When they arrived.
    pub(super) born: u32,
    count: u32,
    writes: u32,
    parts: u32,
}

impl Run {
    /// A run of those that arrived at `born`, none so far.
    #[inline]
    pub(super) const fn at(born: u32) -> Self {
        Self { born, count: 0, writes: 0, parts: 0 }
    }

    /// A run of one.
    pub(super) const fn of(pending: &Pending) -> Self {
        let mut run = Self::at(pending.born);
        run.note(pending);
        run
    }

    /// Counts a request that arrived when the others did. How long a client wants to wait says nothing of a node.
    #[inline]
    pub(super) const fn note(&mut self, pending: &Pending) {
        if pending.traits.blocks() {
            return;
        }
        self.count += 1;
        if pending.ticket.is_part() {
            self.parts += 1;
        } else if !pending.traits.is_read() {
            self.writes += 1;
        }
    }

    /// Counts their durations, once their replies were delivered: for the node that answered, if any did, and for
    /// clients.
    pub(super) fn end(self, node: Option<&NodeTally>, clock: Clock<'_>, replies: &mut Replies) {
        if self.count == 0 {
            return;
        }
        let took = clock.now_us.wrapping_sub(self.born);
        if let Some(node) = node {
            node.durations.record(took, self.count);
        }
        let reads = self.count - self.writes - self.parts;
        if reads > 0 {
            clock.tally.took(Class::Read, took, reads);
        }
        if self.writes > 0 {
            clock.tally.took(Class::Write, took, self.writes);
        }
        if self.parts > 0 {
            // What ended in this run began with it.
            clock.tally.took(Class::Split, took, replies.take_ended());
        }
    }
}

impl Backend {
    pub(super) fn clock(&self) -> Clock<'_> {
        Clock { now_us: self.now_us, tally: &self.around.tally }
    }
}
