//! What a worker shows to others: its counters once a turn, its gauges when somebody asks, and how long the proxy
//! itself takes, of one request in some turns.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use crate::backend::{Backend, Sample};

/// One turn in so many draws a sample; a power of two.
const EACH: u32 = 64;

/// How many slow requests are shown.
const SLOW: usize = 32;

/// How many hot keys are shown.
const HOT: usize = 128;

/// The request that is watched.
struct Watched {
    sample: Sample,
    /// From its arrival to the node's socket.
    before: Duration,
}

/// Measures how long a request is in the proxy's own hands.
#[derive(Default)]
pub(super) struct Probe {
    turn: u32,
    /// When this turn began, since the worker did.
    began: Duration,
    watched: Option<Watched>,
}

impl Probe {
    /// A turn begins.
    #[inline]
    pub(super) const fn begin(&mut self, began: Duration) {
        self.turn = self.turn.wrapping_add(1);
        self.began = began;
    }

    /// Requests have been written to their nodes: perhaps one of them is drawn.
    #[inline]
    pub(super) fn written(&mut self, backend: &Backend, started: Instant) {
        if self.turn.is_multiple_of(EACH) && self.watched.is_none() {
            self.draw(backend, started);
        }
    }

    #[cold]
    fn draw(&mut self, backend: &Backend, started: Instant) {
        if let Some(sample) = backend.sample() {
            self.watched = Some(Watched { sample, before: started.elapsed().saturating_sub(self.began) });
        }
    }

    /// Replies have been written to their clients: gives how long the proxy had the request, once its reply is out.
    #[inline]
    pub(super) fn answered(&mut self, backend: &Backend, started: Instant) -> Option<Duration> {
        let watched = self.watched.as_ref()?;
        if !backend.is_answered(&watched.sample) {
            return None;
        }
        let before = watched.before;
        self.watched = None;
        Some(before + started.elapsed().saturating_sub(self.began))
    }
}

impl Worker {
    /// Shows this worker's counts to the others.
    pub(super) fn publish(&self) {
        let counts = &self.room.backend.counts;
        let tally = &self.room.tally;
        tally.commands.set(self.room.commands);
        tally.redirects.set(counts.moved + counts.asked);
        tally.moved.set(counts.moved);
        tally.asked.set(counts.asked);
        tally.put_off.set(counts.put_off);
        tally.lost.set(counts.lost);
        tally.unasked.set(counts.unasked);
        tally.timed_out.set(counts.timed_out);
        tally.failed_fast.set(counts.failed_fast);
        tally.out_of_step.set(counts.out_of_step);
        tally.received.set(self.received);
        tally.sent.set(self.sent);
        tally.slow.set(self.slow);
    }

    /// Shows what takes a look at every client and node.
    pub(super) fn show_gauges(&mut self) {
        let buffered =
            |(id, _): (usize, _)| self.room.replies.queue(id as u32).map_or(0, super::super::replies::Queue::buffered);
        let tally = &self.room.tally;
        tally.beats.add(1);
        tally.buffered.set(self.clients.iter().map(buffered).sum::<usize>() as u64);
        tally.in_flight.set(self.room.replies.tickets_out());
        tally.subscribed.set(self.clients.iter().filter(|(id, _)| self.room.pubsub.has(*id as u32)).count() as u64);
        self.room.backend.show_gauges();
        self.show_hot_keys();
        let tally = &self.room.tally;
        let newest = self.room.slow.newest();
        if newest != self.slow_shown {
            self.slow_shown = newest;
            *tally.slow_requests.lock().unwrap_or_else(PoisonError::into_inner) = self.room.slow.told(SLOW);
        }
    }

    /// Shows hot keys, as long as there is something new about them.
    fn show_hot_keys(&mut self) {
        let is_on = self.room.hot.is_on();
        if is_on || self.hot_shown {
            let report = self.room.hot.report(self.room.now, self.room.commands).head(HOT);
            *self.room.tally.hot.lock().unwrap_or_else(PoisonError::into_inner) = report;
        }
        self.hot_shown = is_on;
    }
}
