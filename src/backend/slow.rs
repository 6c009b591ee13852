//! Which requests were slow: noticed by the turn's clock when their replies come, at no cost to those that were not.
//!
//! Requests wait in a connection in the order of their age, but for those that came to it by a detour; so one look
//! at the oldest, once a read, tells whether any may have been slow. Who asks for them is the worker's business.

use std::time::Duration;

use super::pipeline::Pipeline;
use super::record::Pending;
use super::{Backend, Millis};

/// So many are kept until they are taken; more in one turn are not worth a line each.
const MOST: usize = 256;
/// So much of a frame is kept.
const MAX_FRAME: usize = 1 << 20;

/// A request that took long.
#[derive(Debug, PartialEq, Eq)]
pub struct Slow {
    /// Tells its client, as its ticket does.
    pub client_key: u64,
    /// The canonical frame.
    pub frame: Box<[u8]>,
    /// From its arrival to its reply.
    pub ms: Millis,
}

/// What was noticed, and what is looked for.
pub(super) struct Watchful {
    threshold: Millis,
    found: Vec<Slow>,
}

impl Watchful {
    pub(super) const fn new(threshold: Duration) -> Self {
        Self { threshold: threshold.as_millis() as Millis, found: Vec::new() }
    }

    /// What counts as slow from now on.
    pub(super) const fn set_threshold(&mut self, threshold: Duration) {
        self.threshold = threshold.as_millis() as Millis;
    }

    /// Whether a request of `pipeline` may have been slow.
    pub(super) fn expects_slow(&self, pipeline: &Pipeline, now: Millis) -> bool {
        pipeline.has_detours() || pipeline.head_age(now).is_some_and(|age| age >= self.threshold)
    }

    /// Notes a request that ends now, if it took long; `token` is to be told when it is the first.
    #[cold]
    pub(super) fn look(&mut self, pending: &Pending, frame: &[u8], now: Millis, tell: impl FnOnce()) {
        let ms = pending.age(now);
        // What waits for data is not slow.
        if pending.traits.blocks() || ms < self.threshold || self.found.len() >= MOST || frame.len() > MAX_FRAME {
            return;
        }
        if self.found.is_empty() {
            tell();
        }
        self.found.push(Slow { client_key: pending.ticket.client_key(), frame: frame.into(), ms });
    }
}

impl Backend {
    /// Notes a request that ends now, if it took long.
    pub(super) fn note_slow(&mut self, pending: &Pending, frame: &[u8]) {
        let around = &self.around;
        self.watchful.look(pending, frame, self.now, || around.ready.push(around.desk));
    }

    /// The requests that were slow since the last call.
    pub fn take_slow(&mut self) -> Vec<Slow> {
        std::mem::take(&mut self.watchful.found)
    }
}
