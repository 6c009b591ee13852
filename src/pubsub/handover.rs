//! How a topic goes from one node to another without a message lost or doubled.
//!
//! The cluster spreads a message to all nodes, but to some a little later. So both are subscribed for a while: the
//! old one's messages go on to the clients and are remembered, then those of the new one are kept beside them, and
//! in the end what the new one had and the old one had not follows. What the old one had told last may still come
//! from the new one, and is left out for a while longer.
//!
//! ```text
//!   old  ──── told and remembered ────────────────────────────┤ not heard any more
//!   new       (asked) ··· ignored ···├──── kept ──────────────┤ told ──── but not twice ──┤ told
//!             began               LEAD_MS                OVERLAP_MS                  OVERLAP_MS
//! ```

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::Millis;

/// How long messages of the old node are remembered before those of the new one count.
const LEAD_MS: Millis = 50;
/// How long both are heard then.
const OVERLAP_MS: Millis = 50;
/// So much may be kept; a busier topic changes over at once.
const MOST_BYTES: usize = 4 << 20;
/// So many messages may be remembered.
const MOST_SEEN: usize = 1 << 18;

/// How often a message came from the old node.
#[derive(Debug, Default)]
struct Seen {
    /// Before those of the new one were kept.
    early: u32,
    /// Since then.
    late: u32,
}

/// A topic between two nodes.
#[derive(Debug)]
pub(super) struct Handover {
    began: Millis,
    /// When the new node's messages began to count.
    keeping: Option<Millis>,
    /// Until when messages of the new node may be those that the old one told.
    tail: Option<Millis>,
    seen: HashMap<u64, Seen>,
    /// What came from the new node.
    kept: Vec<Vec<u8>>,
    bytes: usize,
}

fn mark(message: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

impl Handover {
    pub(super) fn new(now: Millis) -> Self {
        Self { began: now, keeping: None, tail: None, seen: HashMap::new(), kept: Vec::new(), bytes: 0 }
    }

    /// The new node has confirmed: when to look again, or `None` when the time has come to change over.
    pub(super) fn step(&mut self, now: Millis) -> Option<Millis> {
        if self.seen.len() > MOST_SEEN || self.bytes > MOST_BYTES {
            return None;
        }
        if now < self.began + LEAD_MS {
            return Some(self.began + LEAD_MS);
        }
        let end = *self.keeping.get_or_insert(now) + OVERLAP_MS;
        (now < end).then_some(end)
    }

    /// A message of the old node was told.
    pub(super) fn remember(&mut self, message: &[u8]) {
        let seen = self.seen.entry(mark(message)).or_default();
        *if self.keeping.is_some() { &mut seen.late } else { &mut seen.early } += 1;
    }

    /// A message of the new node, before it is the one that tells.
    pub(super) fn keep(&mut self, message: &[u8]) {
        if self.keeping.is_some() {
            self.bytes += message.len();
            self.kept.push(message.to_vec());
        }
    }

    /// The new node tells from now on: gives what it alone had, in order.
    pub(super) fn change(&mut self, now: Millis) -> Vec<Vec<u8>> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.retain(|message| self.is_new(message));
        // What the new node had told before its messages were kept does not come any more.
        self.seen.retain(|_, seen| {
            seen.early = 0;
            seen.late > 0
        });
        self.tail = Some(now + OVERLAP_MS);
        kept
    }

    /// When the tail ends, once the new node tells.
    pub(super) const fn tail(&self) -> Option<Millis> {
        self.tail
    }

    /// Whether the old node did not tell this message of the new one.
    pub(super) fn is_new(&mut self, message: &[u8]) -> bool {
        match self.seen.get_mut(&mark(message)) {
            Some(seen) if seen.early > 0 => seen.early -= 1,
            Some(seen) if seen.late > 0 => seen.late -= 1,
            _ => return true,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_had_is_told_once_and_in_order() {
        let mut handover = Handover::new(0);
        handover.remember(b"1");
        handover.keep(b"1");
        assert_eq!(handover.step(0), Some(LEAD_MS));
        assert_eq!(handover.step(LEAD_MS), Some(LEAD_MS + OVERLAP_MS));
        for old in [b"2", b"3", b"3"] {
            handover.remember(old);
        }
        for new in [b"3", b"3", b"3", b"4"] {
            handover.keep(new);
        }
        assert_eq!(handover.step(LEAD_MS + OVERLAP_MS), None);
        handover.remember(b"5");
        assert_eq!(handover.change(LEAD_MS + OVERLAP_MS), [b"3", b"4"]);
        assert!(!handover.is_new(b"5"), "the old one told it");
        assert!(handover.is_new(b"5") && handover.is_new(b"6"));
    }

    #[test]
    fn a_flood_ends_it_early() {
        let mut handover = Handover::new(0);
        handover.step(LEAD_MS);
        handover.keep(&vec![0; MOST_BYTES + 1]);
        assert_eq!(handover.step(LEAD_MS), None);
    }
}
