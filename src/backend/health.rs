//! Nodes that are out of reach: how long until the next try, and when to stop waiting for them.
//!
//! ```text
//!             lost, or cannot be made          out of reach for fail_fast_after
//!   in reach ────────────────────────► waited for ────────────────────────► given up: requests fail at once
//!      ▲                                   │                                    │
//!      └───────────────────────────────────┴── a new connection answers PING ◄──┘
//! ```
//!
//! A try is made for the sake of a request, whatever the state: requests wait while it is under way.
//!
//! A new connection to a node that was out of reach has to answer first: the system of a process that was stopped
//! still takes connections, and what is sent on them would be lost in doubt.

use super::pipeline::{Holder, Pipeline, State};
use super::record::Taken;
use super::{Backend, Millis, PipelineId};
use crate::replies::Replies;
use crate::resp::Proto;

/// The first wait before a connection that failed is tried again, in milliseconds; doubled each time.
const BACKOFF_MS: Millis = 20;
/// The longest wait between two tries, in milliseconds.
const BACKOFF_MAX_MS: Millis = 1000;
/// A connection that lived for so long, in milliseconds, has worked: the next one is made at once.
const WORKED_MS: Millis = 1000;

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

    /// Whether the node has been out of reach for `after` (never, if zero).
    const fn is_given_up(&self, now: Millis, after: Millis) -> bool {
        match self.down_since {
            Some(since) => after > 0 && now.saturating_sub(since) >= after,
            None => false,
        }
    }
}

impl Backend {
    /// Something waits on a connection that is not there. When the next try is due, even a node that was given up gets
    /// it, and what came in the meantime waits for its outcome.
    #[cold]
    pub(super) fn wait_or_dial(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let after = self.options.fail_fast_after.as_millis() as Millis;
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let State::Down { retry_at } = pipeline.state else { return };
        if retry_at <= self.now {
            self.dial(pipe);
        } else if pipeline.health.is_given_up(self.now, after) && pipeline.holder == Holder::Shared {
            self.fail_fast(pipe, replies);
        } else {
            self.wake_by(retry_at);
        }
    }

    /// Answers what waits for a node that is given up: nothing of it has left.
    fn fail_fast(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let addr = self.nodes.get(usize::from(pipeline.node)).map_or("?".to_owned(), |node| node.addr.to_string());
        let since = pipeline.health.down_since.map_or(0, |since| self.now.saturating_sub(since)) / 1000;
        for request in pipeline.take_unsent(|_| true) {
            self.counts.failed_fast += 1;
            let text = format!("PROXYUNSENT not executed: {addr} has been out of reach for {since} s");
            replies.fail(request.pending.ticket, &text);
        }
        self.drained |= std::mem::take(&mut self.refused);
    }

    /// The node did not run the request because it does not accept the proxy: again on a new connection, if the
    /// proxy has something to say there that it may not have said yet. The client has no part in it.
    #[cold]
    pub(super) fn unauthenticated(&mut self, proto: Proto, request: Taken, replies: &mut Replies) {
        const REFUSAL: &str = "PROXYUNSENT not executed: a node does not accept the proxy (cluster.password)";
        if self.options.credentials.is_none() || request.pending.hops >= self.options.max_redirects {
            return replies.fail(request.pending.ticket, REFUSAL);
        }
        if let Some(request) = self.hop(request, replies) {
            self.put_off(proto, request, format!("-{REFUSAL}\r\n").as_bytes(), None);
        }
    }
}

impl Pipeline {
    /// Whether everything that was put in and not taken out stands in the queue.
    pub(super) fn is_in_step(&self) -> bool {
        self.pushed() - self.popped() == self.in_flight() as u64
    }
}

/// How long to wait after `failures` failed tries: doubled each time, and shortened by up to a half at random.
pub(super) fn backoff(failures: u32, jitter: &mut u32) -> Millis {
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
