//! Requests that a node did not run and that are sent again a little later.

use super::Millis;
use super::pipeline::Taken;
use crate::resp::Proto;

/// A request that waits for its time.
pub(super) struct Delayed {
    pub(super) due: Millis,
    pub(super) proto: Proto,
    pub(super) request: Taken,
}

/// What waits to be sent again. Bounded, because each entry is a request that its client is charged with.
#[derive(Default)]
pub(super) struct Retries {
    waiting: Vec<Delayed>,
}

/// The first wait of a request that a node put off, in milliseconds; doubled each time up to [`LAST_MS`].
const FIRST_MS: Millis = 1;
/// The longest wait between two tries, in milliseconds.
const LAST_MS: Millis = 16;

impl Retries {
    /// Puts `request` off; the wait grows with its hops.
    pub(super) fn put_off(&mut self, now: Millis, proto: Proto, request: Taken) -> Millis {
        let wait = (FIRST_MS << request.pending.hops.min(8)).min(LAST_MS);
        let due = now + wait;
        self.waiting.push(Delayed { due, proto, request });
        due
    }

    /// Takes those whose time has come.
    pub(super) fn due(&mut self, now: Millis) -> Vec<Delayed> {
        // In order: two requests of one client for one key must not overtake each other here.
        self.waiting.extract_if(.., |delayed| delayed.due <= now).collect()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.waiting.iter().map(|delayed| delayed.due).min()
    }
}
