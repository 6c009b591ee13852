//! What discovery counts while it keeps the map of the cluster fresh. It alone writes.

use super::{Counter, Histogram};

/// Why the map was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// The process has just started, or nothing else happened for so long.
    #[default]
    Interval,
    /// A node answered MOVED.
    Moved,
    /// A connection failed.
    Unreachable,
    /// A slot had no owner.
    Unowned,
    /// A primary had become a replica.
    Stale,
}

/// The names of [`Trigger`], in its order.
pub const TRIGGERS: [&str; 5] = ["interval", "moved", "unreachable", "unowned", "stale"];

/// What discovery counts.
#[derive(Debug, Default)]
pub struct MapTally {
    succeeded: [Counter; TRIGGERS.len()],
    failed: [Counter; TRIGGERS.len()],
    /// Maps that differ from the one before.
    pub changes: Counter,
    /// From the first sign that the map is out of date to the one that took its place.
    pub convergence: Histogram,
    /// When a node last confirmed the map, in milliseconds since the process began; 0 is never.
    pub confirmed_ms: Counter,
}

impl MapTally {
    /// Counts a refresh.
    pub fn refreshed(&self, trigger: Trigger, found: bool) {
        let counters = if found { &self.succeeded } else { &self.failed };
        if let Some(counter) = counters.get(trigger as usize) {
            counter.add(1);
        }
    }

    /// Each trigger, with the refreshes that found a map and those that did not.
    pub fn refreshes(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let counts = self.succeeded.iter().zip(&self.failed);
        TRIGGERS.into_iter().zip(counts).map(|(name, (found, not))| (name, found.value(), not.value()))
    }
}
