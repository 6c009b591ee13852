//! What all clients of the process share and may ask about: counters, identifiers, the map.
//!
//! Written by workers, each its own part, without a lock and without contention; read by `INFO`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::Options;
use crate::backend::Scripts;
use crate::cluster::topology::Topology;
use crate::pubsub::Registry;

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counter(AtomicU64);

impl Counter {
    /// Sets the number; only its one writer may.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests taken from clients.
    pub commands: Counter,
    /// MOVED and ASK followed.
    pub redirects: Counter,
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
    /// Its clients, counted up where they are accepted and down where they end.
    pub clients: AtomicUsize,
}

/// What the process is and what it counts.
pub struct Process {
    /// What clients may do and cost.
    pub options: Options,
    /// `[listen] max_clients`, for `INFO`.
    pub max_clients: usize,
    /// The port that clients connect to, for `INFO`; 0 when there is none.
    pub port: u16,
    /// What clients of all workers are subscribed to.
    pub registry: Arc<Registry>,
    /// The map of the cluster.
    pub map: Arc<ArcSwap<Topology>>,
    /// What clients have loaded.
    pub scripts: Arc<Scripts>,
    /// One for each worker.
    pub tallies: Box<[Tally]>,
    /// Clients ever accepted; the next one's identifier is one more.
    pub accepted: AtomicU64,
    /// Clients refused because there were too many.
    pub refused: AtomicU64,
    /// Requests that were slow; the next one's identifier.
    pub slow: AtomicU64,
    /// The configuration in use, without secrets, for `PROXY CONFIG`.
    pub effective: String,
    /// Clients that wait in a blocking command.
    pub blocked: AtomicUsize,
    /// Tells this process from another, 40 hexadecimal digits.
    pub run_id: String,
    started: Instant,
    /// For a worker that does not exist.
    spare: Tally,
}

impl Process {
    /// A process that begins now.
    #[must_use]
    pub fn new(options: Options, max_clients: usize, port: u16, map: Arc<ArcSwap<Topology>>, workers: usize) -> Self {
        Self {
            options,
            max_clients,
            port,
            registry: Arc::default(),
            map,
            scripts: Arc::default(),
            tallies: std::iter::repeat_with(Tally::default).take(workers).collect(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            effective: String::new(),
            blocked: AtomicUsize::new(0),
            run_id: run_id(),
            started: Instant::now(),
            spare: Tally::default(),
        }
    }

    /// What worker `index` counts.
    #[must_use]
    pub fn tally(&self, index: usize) -> &Tally {
        debug_assert!(index < self.tallies.len(), "a worker without a tally");
        self.tallies.get(index).unwrap_or(&self.spare)
    }

    /// How many clients there are.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.tallies.iter().map(|tally| tally.clients.load(Ordering::Relaxed)).sum()
    }

    /// The sum over all workers of what `field` names.
    pub fn total(&self, field: impl Fn(&Tally) -> &Counter) -> u64 {
        self.tallies.iter().map(|tally| field(tally).value()).sum()
    }

    /// How long the process has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The time of day, since 1970. Nothing is measured with it.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Not a secret, only unlike that of another process.
fn run_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let word = || RandomState::new().hash_one((std::process::id(), wall_clock()));
    let mut id = format!("{:016x}{:016x}{:016x}", word(), word(), word());
    id.truncate(40);
    id
}
