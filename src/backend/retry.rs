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

/// The first wait of a request that a node put off, in milliseconds. Later ones are half of its age.
const FIRST_MS: Millis = 1;
/// The longest wait between two tries, in milliseconds.
pub(super) const LAST_MS: Millis = 16;

impl Retries {
    /// Puts `request` off, longer each time, but never so that it is overtaken by a later one of its client
    /// for the same slot. Gives when it is due.
    pub(super) fn put_off(&mut self, now: Millis, proto: Proto, request: Taken) -> Millis {
        let behind = self.waiting.iter().filter(|other| {
            other.request.pending.slot == request.pending.slot
                && other.request.pending.ticket.same_client(&request.pending.ticket)
        });
        let earliest = behind.map(|other| other.due).max().unwrap_or(0);
        let due = earliest.max(now + (request.pending.age(now) / 2).clamp(FIRST_MS, LAST_MS));
        self.waiting.push(Delayed { due, proto, request });
        due
    }

    /// Takes those whose time has come, in the order in which they were put off.
    pub(super) fn due(&mut self, now: Millis) -> Vec<Delayed> {
        self.waiting.extract_if(.., |delayed| delayed.due <= now).collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.waiting.iter().map(|delayed| delayed.due).min()
    }
}
