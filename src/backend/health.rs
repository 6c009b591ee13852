//! How the connections to a node fared lately: how long until the next try, and when to stop waiting.
//!
//! ```text
//!             lost, or cannot be made          out of reach for fail_fast_after
//!   in reach ────────────────────────► waited for ────────────────────────► given up: requests fail at once
//!      ▲                                   │                                    │
//!      └───────────────────────────────────┴── a new connection answers PING ◄──┘
//! ```
//!
//! What follows from it is done in `absent`.

use super::Millis;

/// The first wait before a connection that failed is tried again, in milliseconds; doubled each time.
const BACKOFF_MS: Millis = 20;
/// The longest wait between two tries, in milliseconds.
const BACKOFF_MAX_MS: Millis = 1000;
/// A connection that lived for so long, in milliseconds, has worked: the next one is made at once.
const WORKED_MS: Millis = 200;

/// What is remembered of the connections to a node.
#[derive(Debug)]
pub(super) struct Health {
    /// Connections that failed in a row, those that ended soon after they began included.
    failures: u32,
    /// Since when none could be made.
    down_since: Option<Millis>,
    /// When the last one was made.
    opened_at: Millis,
}

impl Health {
    /// Nothing is known yet.
    pub(super) const fn new() -> Self {
        Self { failures: 0, down_since: None, opened_at: 0 }
    }

    /// A connection was made.
    pub(super) const fn opened(&mut self, now: Millis) {
        self.opened_at = now;
        self.down_since = None;
    }

    /// Whether the last connection failed, so that the next one has to prove itself.
    pub(super) const fn is_doubtful(&self) -> bool {
        self.failures > 0
    }

    /// A connection was lost, or could not be made: how long to wait for the next try. Jittered, so that workers and
    /// proxies do not come back all at once.
    pub(super) fn lost(&mut self, was_ready: bool, now: Millis, jitter: &mut u32) -> Millis {
        self.down_since.get_or_insert(now);
        if was_ready && now.saturating_sub(self.opened_at) >= WORKED_MS {
            self.failures = 1;
            return 0;
        }
        let wait = backoff(self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// For how long none could be made.
    pub(super) fn down_for(&self, now: Millis) -> Millis {
        self.down_since.map_or(0, |since| now.saturating_sub(since))
    }

    /// Whether the node has been out of reach for `after` (never, if zero).
    pub(super) const fn is_given_up(&self, now: Millis, after: Millis) -> bool {
        match self.down_since {
            Some(since) => after > 0 && now.saturating_sub(since) >= after,
            None => false,
        }
    }
}

/// How long to wait after `failures` failed tries: doubled each time, and shortened by up to a half at random.
fn backoff(failures: u32, jitter: &mut u32) -> Millis {
    *jitter ^= *jitter << 13;
    *jitter ^= *jitter >> 17;
    *jitter ^= *jitter << 5;
    let full = (BACKOFF_MS << failures.min(6)).min(BACKOFF_MAX_MS);
    full - Millis::from(*jitter) % (full / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_a_connection_that_worked_is_made_again_at_once() {
        let (mut health, mut jitter, mut now) = (Health::new(), 7, 5000);
        health.opened(now);
        now += WORKED_MS;
        assert_eq!(health.lost(true, now, &mut jitter), 0);
        assert!(health.is_doubtful());
        let mut last = 0;
        for failures in 1..10 {
            let wait = health.lost(false, now, &mut jitter);
            let full = (BACKOFF_MS << failures).min(BACKOFF_MAX_MS);
            assert!((full / 2..=full).contains(&wait), "{wait} after {failures}");
            now += wait;
            last = wait;
        }
        health.opened(now);
        assert!(health.lost(true, now + 10, &mut jitter) >= last / 2, "it ended at once: no storm of connects");
    }

    #[test]
    fn a_node_is_given_up_after_a_while_and_until_it_is_back() {
        let (mut health, mut jitter) = (Health::new(), 7);
        health.lost(false, 1000, &mut jitter);
        assert!(!health.is_given_up(10_999, 10_000) && health.is_given_up(11_000, 10_000));
        assert!(!health.is_given_up(99_999, 0), "zero is never");
        health.opened(12_000);
        assert!(!health.is_given_up(99_000, 10_000));
    }
}
