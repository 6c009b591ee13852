//! Keeps the map of the cluster fresh: the only writer of [`Topology`].
//!
//! One task for the whole process. It asks one node at a time, known ones first and the seeds when none of them
//! answers, on every hint of a worker and every `refresh_interval` without one. Hints are merged into one
//! refresh, at most ten a second; as long as something is wrong it goes on asking, so that a failover is seen
//! soon after the nodes know of it. A map with an older epoch than the one held is never taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::dial::{ConnectError, Conversation, Credentials};
use super::reading;
use super::topology::{Facts, Role, Topology};
use super::{Hint, Options};
use crate::net::{Addr, Net};
use crate::resp::Proto;
use crate::telemetry::{MapTally, Trigger};

/// The least time between the beginnings of two refreshes.
const PACE: Duration = Duration::from_millis(100);
/// How long to go on asking at that pace after the last sign of trouble.
const TROUBLE: Duration = Duration::from_secs(3);

/// What discovery needs.
pub struct Discovery {
    /// Where the cluster is.
    pub options: Options,
    /// Who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// Limit for a connection, and for each answer.
    pub timeout: Duration,
    /// Where connections come from.
    pub net: Arc<dyn Net>,
    /// Where the map is published.
    pub map: Arc<ArcSwap<Topology>>,
    /// What workers have noticed.
    pub hints: mpsc::Receiver<Hint>,
    /// Called after each publication.
    pub published: Box<dyn Fn()>,
    /// What is counted of all this.
    pub tally: Arc<MapTally>,
}

/// Why a node's answer is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("it answered CLUSTER SLOTS with: {0}")]
    Refused(String),
    #[error("its map makes no sense")]
    Nonsense,
    #[error("it knows of no slots")]
    Empty,
    #[error("its map is of epoch {0}, older than the one held")]
    Older(u64),
}

impl Discovery {
    /// Runs until its task is dropped.
    pub async fn run(mut self) {
        let began = Instant::now();
        let mut state = Progress::default();
        loop {
            let asked = Instant::now();
            let found = self.refresh(&mut state).await;
            self.tally.refreshed(std::mem::take(&mut state.trigger), found);
            if found {
                self.tally.confirmed_ms.set((began.elapsed().as_millis() as u64).max(1));
                self.learn_versions(&mut state).await;
            }
            let in_trouble = !found || state.trouble_until.is_some_and(|until| Instant::now() < until);
            let next = if in_trouble { asked + PACE } else { asked + self.interval(state.rotation) };
            self.pause(asked + PACE, next, &mut state).await;
        }
    }

    /// Waits for the next reason to ask, but not less than until `earliest`.
    async fn pause(&mut self, earliest: Instant, next: Instant, state: &mut Progress) {
        match tokio::time::timeout_at(next, self.hints.recv()).await {
            Ok(Some(hint)) => state.note(hint),
            // Nobody hints any more: the workers are gone, or time is up.
            Ok(None) => tokio::time::sleep_until(next).await,
            Err(_) => {}
        }
        tokio::time::sleep_until(earliest).await;
        while let Ok(hint) = self.hints.try_recv() {
            state.note(hint);
        }
    }

    /// The interval, up to a tenth longer, so that many proxies do not ask at the same moment.
    fn interval(&self, salt: usize) -> Duration {
        let tenth = self.options.refresh_interval / 10;
        self.options.refresh_interval + tenth * ((salt % 8) as u32) / 8
    }

    /// Asks nodes until one gives a usable map. True if one did.
    async fn refresh(&self, state: &mut Progress) -> bool {
        let held = self.map.load_full();
        let mut failures = Vec::new();
        for addr in self.candidates(&held, state) {
            match self.ask(&addr, &held).await {
                Ok(map) => {
                    state.silent = false;
                    let changed = self.publish(map, &held);
                    state.settle(changed, &self.tally);
                    return true;
                }
                Err(why) => failures.push(format!("{addr}: {why}")),
            }
        }
        if !state.silent {
            state.silent = true;
            tracing::warn!("no node tells the cluster's map: {}", failures.join("; "));
        }
        false
    }

    /// Known nodes, a different one first each time, then the seeds.
    fn candidates(&self, held: &Topology, state: &mut Progress) -> Vec<Addr> {
        state.rotation = state.rotation.wrapping_add(1);
        let mut known: Vec<Addr> = held.nodes.iter().filter(|node| node.online).map(|node| node.addr.clone()).collect();
        if !known.is_empty() {
            let first = state.rotation % known.len();
            known.rotate_left(first);
        }
        for seed in &self.options.seeds {
            if !known.contains(seed) {
                known.push(seed.clone());
            }
        }
        known
    }

    async fn ask(&self, addr: &Addr, held: &Topology) -> Result<Topology, Unusable> {
        let mut node =
            Conversation::open(&*self.net, addr, self.credentials.as_ref(), Proto::Resp2, self.timeout).await?;
        let asking = async {
            let info = node.ask(&[b"CLUSTER", b"INFO"]).await?;
            let epoch = reading::info_field(&info, "cluster_current_epoch").and_then(|text| text.parse().ok());
            let shards = node.ask(&[b"CLUSTER", b"SHARDS"]).await?;
            let map = if shards.error().is_some() {
                let slots = node.ask(&[b"CLUSTER", b"SLOTS"]).await?;
                if let Some(error) = slots.error() {
                    return Err(Unusable::Refused(error.to_owned()));
                }
                reading::slots(&slots, addr)
            } else {
                reading::shards(&shards, addr)
            };
            let map = map.filter(reading::is_sound).ok_or(Unusable::Nonsense)?;
            let facts = if held.version == 0 { facts(&mut node).await? } else { held.facts.clone() };
            Ok(Topology { cluster_epoch: epoch.unwrap_or(0), facts, ..map })
        };
        let map =
            tokio::time::timeout(self.timeout, asking).await.map_err(|_| ConnectError::TimedOut(self.timeout))??;
        if map.covered() == 0 {
            return Err(Unusable::Empty);
        }
        if map.cluster_epoch < held.cluster_epoch {
            return Err(Unusable::Older(map.cluster_epoch));
        }
        Ok(map)
    }

    /// Publishes a map that is new. True if it says something else of slots or nodes.
    fn publish(&self, map: Topology, held: &Topology) -> bool {
        let same = map.same_as(held);
        if same && map.cluster_epoch == held.cluster_epoch {
            return false;
        }
        if !same {
            self.tally.changes.add(1);
            let primaries = map.primaries().count();
            tracing::info!(
                "cluster map {}: {primaries} primaries, {} replicas, {} of 16384 slots owned",
                held.version + 1,
                map.nodes.len() - primaries,
                map.covered(),
            );
        }
        self.map.store(Arc::new(Topology { version: held.version + 1, ..map }));
        (self.published)();
        !same
    }

    /// Asks nodes that are new what they run, and publishes the lowest version.
    async fn learn_versions(&self, state: &mut Progress) {
        let held = self.map.load_full();
        state.versions.retain(|addr, _| held.nodes.iter().any(|node| node.addr == *addr));
        let mut policy = held.facts.maxmemory_policy.clone();
        for node in held.nodes.iter().filter(|node| node.online && node.role == Role::Primary) {
            if state.versions.contains_key(&node.addr) {
                continue;
            }
            let asking = async {
                let limit = self.timeout;
                let mut node =
                    Conversation::open(&*self.net, &node.addr, self.credentials.as_ref(), Proto::Resp2, limit).await?;
                facts(&mut node).await
            };
            // One that does not answer is asked again at the next refresh.
            if let Ok(Ok(facts)) = tokio::time::timeout(self.timeout, asking).await {
                state.versions.insert(node.addr.clone(), facts.version);
                policy = facts.maxmemory_policy;
            }
        }
        let lowest = state.versions.values().min_by_key(|version| reading::version_key(version));
        let Some(version) = lowest.cloned() else { return };
        let facts = Facts { version, maxmemory_policy: policy };
        self.publish(Topology { facts, ..Topology::clone(&held) }, &held);
    }
}

/// What discovery remembers from one refresh to the next.
#[derive(Default)]
struct Progress {
    /// What each node runs.
    versions: HashMap<Addr, String>,
    /// Whether it was said already that nobody answers.
    silent: bool,
    rotation: usize,
    /// Until when to go on asking at full pace.
    trouble_until: Option<Instant>,
    /// What the next refresh is for.
    trigger: Trigger,
    /// The first sign since the last change that the map is out of date.
    doubted: Option<Instant>,
}

impl Progress {
    fn note(&mut self, hint: Hint) {
        self.doubted.get_or_insert_with(Instant::now);
        if self.trigger == Trigger::Interval {
            self.trigger = match hint {
                Hint::Moved => Trigger::Moved,
                Hint::Unreachable => Trigger::Unreachable,
                Hint::Unowned => Trigger::Unowned,
                Hint::Stale => Trigger::Stale,
            };
        }
        if hint != Hint::Moved {
            self.trouble_until = Some(Instant::now() + TROUBLE);
        }
    }
}

impl Progress {
    /// A node has confirmed the map, or told one that differs.
    fn settle(&mut self, changed: bool, tally: &MapTally) {
        let trouble_is_over = self.trouble_until.is_none_or(|until| Instant::now() >= until);
        match self.doubted {
            Some(since) if changed => {
                tally.convergence.record(since.elapsed().as_micros().min(u128::from(u32::MAX)) as u32, 1);
                self.doubted = None;
            }
            // The sign was wrong: what comes later has nothing to do with it.
            Some(_) if trouble_is_over => self.doubted = None,
            _ => {}
        }
    }
}

async fn facts(node: &mut Conversation) -> Result<Facts, ConnectError> {
    let server = node.ask(&[b"INFO", b"server"]).await?;
    let memory = node.ask(&[b"INFO", b"memory"]).await?;
    let unknown = Facts::default();
    let field = |reply, name| reading::info_field(reply, name).map(str::to_owned);
    Ok(Facts {
        version: field(&server, "redis_version").unwrap_or(unknown.version),
        maxmemory_policy: field(&memory, "maxmemory_policy").unwrap_or(unknown.maxmemory_policy),
    })
}
