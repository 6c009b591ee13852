//! When requests left for their node, where that was later than the turn in which they came.
//!
//! Most leave in that very turn, and nothing is kept of them. What had to wait (for a connection, for the node to take
//! what was sent before, for its next try) is noted as a span of requests with the time at which the last of them was
//! out, so that a slow request can tell where its time went.

use std::collections::VecDeque;

/// So many spans are kept for each connection; older ones count as if they had left at once.
const SPANS: usize = 32;

/// Requests that left late together.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    end: u64,
    at_us: u32,
}

/// What one connection knows of that.
#[derive(Debug)]
pub(super) struct Lag {
    behind: bool,
    /// Requests ever put in when all of them were out.
    out: u64,
    spans: VecDeque<Span>,
}

impl Lag {
    pub(super) const fn new() -> Self {
        Self { behind: false, out: 0, spans: VecDeque::new() }
    }

    /// Something is there that has not left, or comes from elsewhere.
    #[inline]
    pub(super) const fn fall_behind(&mut self) {
        self.behind = true;
    }

    /// All requests are out: `pushed` were ever put in, `popped` are answered.
    #[inline]
    pub(super) fn catch_up(&mut self, pushed: u64, popped: u64, now_us: u32) {
        if self.behind {
            self.note(pushed, popped, now_us);
        }
        self.out = pushed;
    }

    #[cold]
    fn note(&mut self, pushed: u64, popped: u64, now_us: u32) {
        self.behind = false;
        while self.spans.front().is_some_and(|span| span.end <= popped || self.spans.len() >= SPANS) {
            self.spans.pop_front();
        }
        if pushed > self.out {
            self.spans.push_back(Span { from: self.out, end: pushed, at_us: now_us });
        }
    }

    /// When the request of this number left, if that was late.
    pub(super) fn left_at(&self, number: u64) -> Option<u32> {
        let span = self.spans.iter().find(|span| (span.from..span.end).contains(&number));
        span.map(|span| span.at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_waited_left_late() {
        let mut lag = Lag::new();
        lag.catch_up(3, 0, 100);
        lag.fall_behind();
        lag.catch_up(5, 0, 900);
        lag.catch_up(6, 0, 1000);
        assert_eq!([0, 2, 3, 4, 5].map(|number| lag.left_at(number)), [None, None, Some(900), Some(900), None]);
        for n in 0..100 {
            lag.fall_behind();
            lag.catch_up(7 + n, 6, 2000);
        }
        assert!(lag.spans.len() <= SPANS);
        assert_eq!(lag.left_at(106), Some(2000));
    }
}
