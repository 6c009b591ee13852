//! What all clients of the process share and may ask about: counters, identifiers, the map.
//!
//! Written by workers, each its own part, without a lock and without contention; read by `INFO`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::Options;
use crate::backend::{self, Scripts};
use crate::cluster::lore::Lore;
use crate::cluster::topology::Topology;
use crate::command;
use crate::net::Addr;
use crate::pubsub::Registry;
pub(super) use crate::telemetry::wall_clock;
pub use crate::telemetry::{Counter, Tally};
use crate::telemetry::{MapTally, Nodes};

/// What can change while the process runs, as one value: workers take it up when they are told of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// What clients of each listener may do and cost, in the order of [`Process::doors`].
    pub clients: Vec<Options>,
    /// How nodes are reached.
    pub backend: backend::Options,
    /// `[shutdown] drain`: how long clients may finish what is in flight.
    pub drain: Duration,
    /// The configuration in use, without secrets, for `PROXY CONFIG`.
    pub effective: String,
}

/// A listener, as its clients see it.
#[derive(Debug, Default)]
pub struct Door {
    /// What it is called in the configuration.
    pub name: Box<str>,
    /// Where it listens.
    pub addrs: Vec<Addr>,
    /// Clients that came by it.
    pub clients: AtomicUsize,
    max_clients: AtomicUsize,
}

impl Door {
    /// A listener without clients.
    #[must_use]
    pub fn new(name: &str, addrs: Vec<Addr>, max_clients: usize) -> Self {
        Self { name: name.into(), addrs, clients: AtomicUsize::new(0), max_clients: AtomicUsize::new(max_clients) }
    }

    /// Whether no more clients are let in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.clients.load(Ordering::Relaxed) >= self.max_clients()
    }

    /// How many clients are let in.
    #[must_use]
    pub fn max_clients(&self) -> usize {
        self.max_clients.load(Ordering::Relaxed)
    }

    /// Lets in so many from now on; those who are in stay.
    pub fn set_max_clients(&self, most: usize) {
        self.max_clients.store(most, Ordering::Relaxed);
    }
}

/// What the process is and what it counts.
pub struct Process {
    /// What can change while it runs.
    pub settings: ArcSwap<Settings>,
    /// Where clients come in.
    pub doors: Box<[Door]>,
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
    /// Whether clients are let in.
    pub accepting: AtomicBool,
    /// Whether the process takes its leave.
    pub draining: AtomicBool,
    /// Whether the configuration that was read last is in use.
    pub config_is_good: AtomicBool,
    /// How often it was read again and was good, and how often it was bad.
    reloads: [AtomicU64; 2],
    /// Requests that were slow; the next one's identifier.
    pub slow: AtomicU64,
    /// Clients that wait in a blocking command.
    pub blocked: AtomicUsize,
    /// Tells this process from another, 40 hexadecimal digits.
    pub run_id: String,
    started: Instant,
    /// For a worker that does not exist.
    spare: Arc<Tally>,
    /// For a listener that does not exist.
    spare_door: Door,
}

impl Process {
    /// A process that begins now.
    #[must_use]
    pub fn new(settings: Settings, doors: Vec<Door>, map: Arc<ArcSwap<Topology>>, workers: usize) -> Self {
        let first = doors.iter().flat_map(|door| &door.addrs).next();
        Self {
            port: first.map_or(0, Addr::port),
            settings: ArcSwap::from_pointee(settings),
            doors: doors.into(),
            registry: Arc::default(),
            map,
            tallies: std::iter::repeat_with(|| Arc::new(Tally::new(command::TOTAL))).take(workers).collect(),
            nodes: Arc::default(),
            refreshes: Arc::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accepting: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            config_is_good: AtomicBool::new(true),
            reloads: Default::default(),
            lore: Arc::default(),
            scripts: Arc::default(),
            slow: AtomicU64::new(0),
            blocked: AtomicUsize::new(0),
            run_id: run_id(),
            started: Instant::now(),
            spare: Arc::default(),
            spare_door: Door::default(),
        }
    }

    /// What worker `index` counts.
    #[must_use]
    pub fn tally(&self, index: usize) -> &Arc<Tally> {
        debug_assert!(index < self.tallies.len(), "a worker without a tally");
        self.tallies.get(index).unwrap_or(&self.spare)
    }

    /// A listener.
    #[must_use]
    pub fn door(&self, at: usize) -> &Door {
        debug_assert!(at < self.doors.len(), "a client of a listener that does not exist");
        self.doors.get(at).unwrap_or(&self.spare_door)
    }

    /// How often the configuration was read again, and was good or bad.
    #[must_use]
    pub const fn reloads(&self, good: bool) -> &AtomicU64 {
        let [of_good, of_bad] = &self.reloads;
        if good { of_good } else { of_bad }
    }

    /// How many clients are let in, over all listeners.
    #[must_use]
    pub fn max_clients(&self) -> usize {
        self.doors.iter().map(Door::max_clients).sum()
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
