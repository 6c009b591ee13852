//! Keeps the map of the cluster fresh: the only writer of [`Topology`].
//!
//! One task for the whole process. It asks one node at a time, known ones first and the seeds when none of them
//! answers (their names are looked up anew each time), on every hint of a worker and every `refresh_interval`
//! without one. Hints are merged into one refresh, at most ten a second; as long as something is wrong it goes on
//! asking, and watches the replicas of primaries that are out of reach, so that a failover is seen as soon as a node
//! knows of it. Which answer is believed is decided in `belief`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::address::Addresses;
use super::asking::{Asker, Round, Unusable};
use super::belief::Doubts;
use super::dial::Credentials;
use super::links::Links;
use super::reading;
use super::topology::{Facts, Role, Topology};
use super::watch::Watch;
use super::{Hint, Options};
use crate::net::{Addr, Net};
use crate::telemetry::{MapTally, Trigger};

/// The least time between the beginnings of two refreshes that hints ask for.
const PACE: Duration = Duration::from_millis(100);
/// The same while replicas are watched, which is the quicker way to learn of an election.
const WATCHED_PACE: Duration = Duration::from_millis(200);
/// No more than this many refreshes begin in any second, whatever they are for.
const MOST_A_SECOND: usize = 10;
/// How long to go on asking at that pace after the last sign of trouble.
const TROUBLE: Duration = Duration::from_secs(3);

/// How long a node that does not say what it runs is left alone.
const MUTE: Duration = Duration::from_secs(2);

/// What discovery needs.
pub struct Discovery {
    /// Where the cluster is.
    pub options: Options,
    /// Who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// What the operator says of addresses.
    pub addresses: Addresses,
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

impl Discovery {
    /// How it asks nodes.
    pub(super) fn asker(&self) -> Asker {
        Asker {
            net: Arc::clone(&self.net),
            credentials: self.credentials.clone(),
            timeout: self.timeout,
            addresses: self.addresses.clone(),
        }
    }

    /// Runs until its task is dropped.
    pub async fn run(mut self) {
        let asker = self.asker();
        let started = Instant::now();
        let mut state = Progress::new();
        loop {
            let began = Instant::now();
            state.begun(began);
            let found = self.refresh(&asker, &mut state).await;
            self.tally.refreshed(std::mem::take(&mut state.trigger), found);
            if found {
                self.tally.confirmed_ms.set((started.elapsed().as_millis() as u64).max(1));
                self.learn_versions(&asker, &mut state).await;
            }
            state.watch.follow(&self.map.load(), &asker);
            state.links.follow(&self.map.load(), &asker);
            self.pause(began, found, &asker, &mut state).await;
        }
    }

    /// Waits for the next reason to ask.
    async fn pause(&mut self, began: Instant, found: bool, asker: &Asker, state: &mut Progress) {
        let in_trouble = !found || state.trouble_until.is_some_and(|until| Instant::now() < until);
        if !in_trouble {
            state.noticed = None;
        }
        let mut next = match (in_trouble, state.watch.is_on()) {
            (true, false) => began + PACE,
            (true, true) => began + WATCHED_PACE,
            (false, _) => began + self.interval(state.rotation),
        };
        next = next.max(state.earliest());
        loop {
            tokio::select! {
                biased;
                addr = state.watch.elected() => {
                    state.first = Some(addr);
                    next = state.earliest();
                }
                () = state.links.changed() => {
                    let held = self.map.load_full();
                    self.publish(Topology::clone(&held), &held, state);
                    state.links.follow(&held, asker);
                }
                hint = self.hints.recv() => {
                    // Nobody hints any more when the workers are gone.
                    let Some(hint) = hint else { break tokio::time::sleep_until(next).await };
                    if hint == Hint::Reading {
                        state.links.begin(&self.map.load(), asker);
                        continue;
                    }
                    let soon = if state.note(&hint) { PACE } else { WATCHED_PACE };
                    if let Hint::Unreachable(addr) = &hint {
                        state.watch.miss(addr, &self.map.load(), asker);
                    }
                    next = next.min((began + soon).max(state.earliest()));
                }
                () = tokio::time::sleep_until(next) => break,
            }
        }
    }

    /// The interval, up to a tenth longer, so that many proxies do not ask at the same moment.
    fn interval(&self, salt: usize) -> Duration {
        let tenth = self.options.refresh_interval / 10;
        self.options.refresh_interval + tenth * ((salt % 8) as u32) / 8
    }

    /// Asks nodes until one gives a map that is believed. True if one did.
    async fn refresh(&self, asker: &Asker, state: &mut Progress) -> bool {
        let held = self.map.load_full();
        let facts = (held.version > 0).then_some(&held.facts);
        let mut round = Round::new(asker, facts);
        for addr in self.candidates(&held, state) {
            round.add(&addr);
        }
        let (mut doubts, mut failures) = (Doubts::default(), Vec::new());
        while let Some((addr, answer)) = round.next().await {
            match answer {
                Ok(map) => {
                    map.owners().for_each(|node| round.add(&node.addr));
                    if let Some(map) = doubts.weigh(&addr, map, &held) {
                        self.publish(map, &held, state);
                        return true;
                    }
                    failures.push(format!("{addr}: {}", Unusable::Older));
                }
                Err(why) => failures.push(format!("{addr}: {why}")),
            }
        }
        if held.version == 0
            && let Some(map) = doubts.newest()
        {
            self.publish(map, &held, state);
            return true;
        }
        if !state.silent {
            state.silent = true;
            tracing::warn!("no node tells the cluster's map: {}", failures.join("; "));
        }
        false
    }

    /// A node that was just elected, known nodes with a different one first each time, then the seeds.
    fn candidates(&self, held: &Topology, state: &mut Progress) -> Vec<Addr> {
        state.rotation = state.rotation.wrapping_add(1);
        let mut known: Vec<Addr> = held.nodes.iter().filter(|node| node.online).map(|node| node.addr.clone()).collect();
        if !known.is_empty() {
            let first = state.rotation % known.len();
            known.rotate_left(first);
        }
        state.first.take().into_iter().chain(known).chain(self.options.seeds.iter().cloned()).collect()
    }

    fn publish(&self, mut map: Topology, held: &Topology, state: &mut Progress) {
        state.silent = false;
        state.links.mark(&mut map);
        if map.same_as(held) && map.cluster_epoch == held.cluster_epoch {
            return;
        }
        let mut convergence = held.convergence;
        if !map.same_as(held) {
            self.tally.changes.add(1);
            let primaries = map.primaries().count();
            tracing::info!(
                "cluster map {}: {primaries} primaries, {} replicas, {} of 16384 slots owned",
                held.version + 1,
                map.nodes.len() - primaries,
                map.covered(),
            );
            if let Some(noticed) = state.noticed.take() {
                convergence = noticed.elapsed();
                self.tally.convergence.record(convergence.as_micros().min(u128::from(u32::MAX)) as u32, 1);
            }
        }
        self.map.store(Arc::new(Topology { version: held.version + 1, convergence, ..map }));
        (self.published)();
    }

    /// Asks nodes that are new what they run, and publishes the lowest version.
    async fn learn_versions(&self, asker: &Asker, state: &mut Progress) {
        let held = self.map.load_full();
        state.versions.retain(|addr, _| held.nodes.iter().any(|node| node.addr == *addr));
        let mut policy = held.facts.maxmemory_policy.clone();
        let primaries = held.nodes.iter().filter(|node| node.online && node.role == Role::Primary);
        for addr in primaries.map(|node| &node.addr) {
            if state.versions.contains_key(addr) {
                continue;
            }
            if state.mute.as_ref().is_some_and(|(mute, when)| mute == addr && when.elapsed() < MUTE) {
                continue;
            }
            if let Ok(facts) = asker.facts(addr).await {
                state.versions.insert(addr.clone(), facts.version);
                policy = facts.maxmemory_policy;
            } else {
                // One after the other: nodes that hang must not keep the map from being asked for.
                state.mute = Some((addr.clone(), Instant::now()));
                break;
            }
        }
        let lowest = state.versions.values().min_by_key(|version| reading::version_key(version));
        let Some(version) = lowest.cloned() else { return };
        let facts = Facts { version, maxmemory_policy: policy };
        self.publish(Topology { facts, ..Topology::clone(&held) }, &held, state);
    }
}

/// What discovery remembers from one refresh to the next.
struct Progress {
    /// What each node runs.
    versions: HashMap<Addr, String>,
    /// Who did not tell it, and when.
    mute: Option<(Addr, Instant)>,
    /// Whether it was said already that nobody answers.
    silent: bool,
    rotation: usize,
    /// Until when to go on asking at full pace.
    trouble_until: Option<Instant>,
    /// What the next refresh is for.
    trigger: Trigger,
    /// When the first hint came that no new map has followed yet.
    noticed: Option<Instant>,
    /// When the last refreshes began.
    recent: VecDeque<Instant>,
    watch: Watch,
    links: Links,
    /// A node that was just elected: the first to be asked.
    first: Option<Addr>,
}

impl Progress {
    fn new() -> Self {
        Self {
            versions: HashMap::new(),
            mute: None,
            silent: false,
            rotation: 0,
            trouble_until: None,
            trigger: Trigger::default(),
            noticed: None,
            recent: VecDeque::new(),
            watch: Watch::default(),
            links: Links::default(),
            first: None,
        }
    }

    /// Counts a refresh.
    fn begun(&mut self, at: Instant) {
        self.recent.push_back(at);
        if self.recent.len() > MOST_A_SECOND {
            self.recent.pop_front();
        }
    }

    /// Before this no refresh may begin.
    fn earliest(&self) -> Instant {
        let now = Instant::now();
        match self.recent.front() {
            Some(&first) if self.recent.len() >= MOST_A_SECOND => now.max(first + Duration::from_secs(1)),
            _ => now,
        }
    }

    /// Takes note of a hint. True if the map should be asked for at once, false if an election is awaited that the
    /// watch will see sooner.
    fn note(&mut self, hint: &Hint) -> bool {
        let now = Instant::now();
        self.noticed.get_or_insert(now);
        if self.trigger == Trigger::Interval {
            self.trigger = match hint {
                Hint::Moved => Trigger::Moved,
                Hint::Unreachable(_) => Trigger::Unreachable,
                Hint::Unowned => Trigger::Unowned,
                Hint::Stale => Trigger::Stale,
                Hint::Reading => Trigger::Interval,
            };
        }
        match hint {
            Hint::Moved | Hint::Reading => true,
            Hint::Stale => {
                self.trouble_until = Some(now + TROUBLE);
                true
            }
            Hint::Unreachable(_) | Hint::Unowned => {
                self.trouble_until = Some(now + TROUBLE);
                !self.watch.is_on()
            }
        }
    }
}
