//! What all clients of the process share and may ask about: counters, identifiers, the map.
//!
//! Written by workers, each its own part, without a lock and without contention; read by `INFO`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::{Handshakes, Options};
use crate::backend::Scripts;
use crate::cluster::lore::Lore;
use crate::cluster::topology::Topology;
use crate::command;
use crate::net::tls::Certificates;
use crate::pubsub::Registry;
pub(super) use crate::telemetry::wall_clock;
pub use crate::telemetry::{Counter, Tally};
use crate::telemetry::{MapTally, Nodes};

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
    /// What was learned of commands that the table lacks.
    pub lore: Arc<Lore>,
    /// What clients have loaded.
    pub scripts: Arc<Scripts>,
    /// One for each worker.
    pub tallies: Box<[Arc<Tally>]>,
    /// What is counted for each node.
    pub nodes: Arc<Nodes>,
    /// What discovery counts.
    pub refreshes: Arc<MapTally>,
    /// Clients ever accepted; the next one's identifier is one more.
    pub accepted: AtomicU64,
    /// Clients refused because there were too many.
    pub refused: AtomicU64,
    /// What came of the handshakes of clients.
    pub handshakes: Handshakes,
    /// What clients and nodes are shown, and what nodes have to show.
    pub certificates: ArcSwap<Vec<Arc<dyn Certificates>>>,
    /// Whether clients are let in.
    pub accepting: AtomicBool,
    /// Whether the process takes its leave.
    pub draining: AtomicBool,
    /// Whether the configuration that was read last is in use.
    pub config_is_good: AtomicBool,
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
    spare: Arc<Tally>,
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
            tallies: std::iter::repeat_with(|| Arc::new(Tally::new(command::TOTAL))).take(workers).collect(),
            nodes: Arc::default(),
            refreshes: Arc::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            handshakes: Handshakes::default(),
            certificates: ArcSwap::default(),
            accepting: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            config_is_good: AtomicBool::new(true),
            lore: Arc::default(),
            scripts: Arc::default(),
            slow: AtomicU64::new(0),
            effective: String::new(),
            blocked: AtomicUsize::new(0),
            run_id: run_id(),
            started: Instant::now(),
            spare: Arc::default(),
        }
    }

    /// What worker `index` counts.
    #[must_use]
    pub fn tally(&self, index: usize) -> &Arc<Tally> {
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

/// Not a secret, only unlike that of another process.
fn run_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let word = || RandomState::new().hash_one((std::process::id(), wall_clock()));
    let mut id = format!("{:016x}{:016x}{:016x}", word(), word(), word());
    id.truncate(40);
    id
}
