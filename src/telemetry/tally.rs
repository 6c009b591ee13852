//! What one worker counts.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Counter, Distribution, Errors, Histogram, HotReport};

/// Kinds of requests whose durations are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One node, reads only.
    Read,
    /// One node, may change something.
    Write,
    /// Several parts, answered as one.
    Split,
    /// Answered by the proxy itself.
    Local,
}

/// The names of [`Class`], in its order.
pub const CLASSES: [&str; 4] = ["read", "write", "split", "local"];

/// A request that took long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowRequest {
    /// Counts the slow requests of the process.
    pub id: u64,
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How much of that was until it had left for its node, from then to the reply, and until its client had that.
    pub waited_us: u64,
    #[expect(missing_docs, reason = "see `waited_us`")]
    pub node_us: u64,
    #[expect(missing_docs, reason = "see `waited_us`")]
    pub written_us: u64,
    /// The node that ended it, if one did.
    pub node: String,
    /// Its beginning.
    pub command: String,
    /// The address of its client.
    pub client: String,
}

/// What one worker counts. The worker alone writes, except for `clients`.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// Requests taken from clients.
    pub commands: Counter,
    /// MOVED and ASK followed.
    pub redirects: Counter,
    /// MOVED followed.
    pub moved: Counter,
    /// ASK followed.
    pub asked: Counter,
    /// Requests sent again because the node could not run them yet.
    pub put_off: Counter,
    /// Node connections that broke or could not be made.
    pub lost: Counter,
    /// Replies that nobody waited for.
    pub unasked: Counter,
    /// Requests that were answered with a timeout.
    pub timed_out: Counter,
    /// Requests refused because their node had been out of reach for long.
    pub failed_fast: Counter,
    /// Node connections whose requests and replies did not add up.
    pub out_of_step: Counter,
    /// Subscribers that were closed because their messages piled up.
    pub slow: Counter,
    /// Bytes read from clients.
    pub received: Counter,
    /// Bytes written to clients.
    pub sent: Counter,
    /// Its clients, counted up where they are accepted and down where they end.
    pub clients: AtomicUsize,
    /// Requests by the row of their command; empty where nobody counts them.
    pub rows: Box<[Counter]>,
    /// Requests that no row knows.
    pub unknown: Counter,
    /// Error replies to clients.
    pub errors: Errors,
    /// From the arrival of a request to its reply, by [`Class`].
    pub durations: [Histogram; CLASSES.len()],
    /// The proxy's part of it, of requests drawn as samples.
    pub overhead: Histogram,
    /// How often the worker was asked.
    pub beats: Counter,
    /// Requests under way, when the worker was last asked.
    pub in_flight: Counter,
    /// Bytes of replies that wait for clients, when the worker was last asked.
    pub buffered: Counter,
    /// The latest slow requests, the newest first, when the worker was last asked.
    pub slow_requests: Mutex<Vec<SlowRequest>>,
    /// Hot keys and large values, when the worker was last asked.
    pub hot: Mutex<HotReport>,
    /// Clients that are subscribed, when the worker was last asked.
    pub subscribed: Counter,
}

impl Tally {
    /// A tally that counts the requests of so many rows apart.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self { rows: std::iter::repeat_with(Counter::default).take(rows).collect(), ..Self::default() }
    }

    /// Counts a request of the command in `row`.
    #[inline]
    pub fn count(&self, row: u16) {
        if let Some(row) = self.rows.get(usize::from(row)) {
            row.add(1);
        }
    }

    /// Counts `times` requests that took `micros` each.
    #[inline]
    pub fn took(&self, class: Class, micros: u32, times: u32) {
        if let Some(durations) = self.durations.get(class as usize) {
            durations.record(micros, times);
        }
    }

    /// The durations of all classes together.
    pub fn add_durations(&self, all: &mut Distribution) {
        self.durations.iter().for_each(|durations| all.add(durations));
    }
}

/// The time of day, since 1970. Nothing is measured with it.
#[must_use]
pub fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
