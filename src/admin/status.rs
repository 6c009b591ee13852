//! `/status.json`: what an operator wants to see at one look, and how it is put together.
//!
//! The shape is that of these types; `docs/status.md` tells what each field means, and a test compares. Times of day
//! are milliseconds since 1970, durations microseconds where the name says so; a rate is over the last five seconds, a
//! percentile over the last ten.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::history::{LATENCY_LOOKS, RATE_LOOKS, Window, round};
use super::problems::{self, Problem};
use super::{Admin, scrape};
use crate::cluster::topology::{Node, Role, Topology, UNOWNED};
use crate::telemetry::{CLASSES, Counter, Distribution, LastError, Tally, wall_clock};

/// Everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Status {
    pub version: String,
    pub commit: String,
    pub run_id: String,
    pub pid: u32,
    pub state: String,
    pub now_ms: u64,
    pub uptime_seconds: u64,
    pub workers: usize,
    pub listen: Vec<String>,
    pub problems: Vec<Problem>,
    pub clients: Clients,
    pub rates: Rates,
    pub totals: Totals,
    pub latency: BTreeMap<String, Latency>,
    pub chart: Vec<Point>,
    pub cluster: Cluster,
    pub slots: Vec<Range>,
    pub migrations: Vec<Migration>,
    pub nodes: Vec<NodeStatus>,
    pub changes: Vec<Change>,
    pub commands: Vec<Count>,
    pub errors: Vec<Count>,
    pub slowlog: Vec<Slow>,
}

/// Clients as they are now.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Clients {
    pub connected: usize,
    pub max: usize,
    pub refused: u64,
    pub blocked: usize,
    pub subscribed: u64,
    pub in_flight: u64,
    pub output_buffer_bytes: u64,
}

/// How often a second.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Rates {
    pub requests: f64,
    pub errors: f64,
    pub redirects: f64,
    pub retries: f64,
    pub received_bytes: f64,
    pub sent_bytes: f64,
    pub connections: f64,
}

/// Since the start.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Totals {
    pub requests: u64,
    pub errors: u64,
    pub redirects: u64,
    pub retries: u64,
    pub timeouts: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub connections: u64,
}

/// How long things took; `null` when nothing happened.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Latency {
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
}

/// One second.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Point {
    pub at_ms: u64,
    pub requests: f64,
    pub errors: f64,
    pub p99_us: Option<f64>,
}

/// The map.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Cluster {
    pub server_version: String,
    pub epoch: u64,
    pub map_version: u64,
    pub map_age_seconds: f64,
    pub map_changes: u64,
    pub slots_covered: usize,
}

/// Slots in a row that have the same owner.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Range {
    pub first: u16,
    pub last: u16,
    pub node: Option<String>,
    pub shard: Option<usize>,
}

/// Slots in a row that are on the move.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Migration {
    pub first: u16,
    pub last: u16,
    pub from: String,
    pub to: String,
}

/// One node.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct NodeStatus {
    pub addr: String,
    pub id: String,
    pub role: String,
    pub primary: Option<String>,
    pub shard: Option<usize>,
    pub online: bool,
    pub slots: usize,
    pub connections: u64,
    pub in_flight: u64,
    pub queue_bytes: u64,
    pub requests_per_second: f64,
    pub latency: Latency,
    pub errors: u64,
    pub errors_per_second: f64,
    pub redirects: u64,
    pub last_error: Option<NodeError>,
    pub health: String,
    pub reason: Option<String>,
}

/// What went wrong with a node last.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct NodeError {
    pub at_ms: u64,
    pub text: String,
}

/// One change of the cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Change {
    pub at_ms: u64,
    pub kind: String,
    pub text: String,
}

/// How often something happened.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Count {
    pub name: String,
    pub total: u64,
    pub per_second: f64,
}

/// One slow request.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "docs/status.md tells what each field means")]
pub struct Slow {
    pub at_ms: u64,
    pub took_us: u64,
    pub command: String,
    pub client: String,
}

impl Admin {
    /// The status now.
    pub(super) fn status(&self) -> Status {
        let process = &self.parts.process;
        let (map, history) = (process.map.load_full(), self.history.borrow());
        let (rates, latencies) = (history.window(RATE_LOOKS), history.window(LATENCY_LOOKS));
        let total = |field: fn(&Tally) -> &Counter| process.total(field);
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: scrape::COMMIT.to_owned(),
            run_id: process.run_id.clone(),
            pid: std::process::id(),
            state: self.state().to_owned(),
            now_ms: wall_clock().as_millis() as u64,
            uptime_seconds: process.uptime().as_secs(),
            workers: process.tallies.len(),
            listen: self.parts.listen.iter().map(ToString::to_string).collect(),
            clients: Clients {
                connected: process.clients(),
                max: process.max_clients,
                refused: process.refused.load(Ordering::Relaxed),
                blocked: process.blocked.load(Ordering::Relaxed),
                subscribed: total(|tally| &tally.subscribed),
                in_flight: total(|tally| &tally.in_flight),
                output_buffer_bytes: total(|tally| &tally.buffered),
            },
            totals: Totals {
                requests: total(|tally| &tally.commands),
                errors: scrape::errors(process).map(|(_, count)| count).sum(),
                redirects: total(|tally| &tally.redirects),
                retries: total(|tally| &tally.put_off),
                timeouts: total(|tally| &tally.timed_out),
                received_bytes: total(|tally| &tally.received),
                sent_bytes: total(|tally| &tally.sent),
                connections: process.accepted.load(Ordering::Relaxed),
            },
            chart: history.points(),
            cluster: Cluster {
                server_version: map.facts.version.clone(),
                epoch: map.cluster_epoch,
                map_version: map.version,
                map_age_seconds: round(scrape::map_age_seconds(process)),
                map_changes: process.refreshes.changes.value(),
                slots_covered: map.covered(),
            },
            slots: self.ranges(&map),
            migrations: self.moves.borrow().list(),
            nodes: self.nodes(&map, rates, latencies),
            changes: self.changes.borrow().list(),
            ..Status::default()
        };
        if let Some(window) = rates {
            status.rates = rates_of(window);
            status.commands = counts(scrape::commands(process), window, |look| &look.commands);
            status.errors = counts(scrape::errors(process), window, |look| &look.errors);
        }
        if let Some(window) = latencies {
            status.latency = latency_of(window);
        }
        status.problems = problems::judge(&mut status);
        status
    }

    fn state(&self) -> &'static str {
        match self.not_ready() {
            None => "ready",
            Some("draining") => "draining",
            Some(_) => "starting",
        }
    }

    fn ranges(&self, map: &Topology) -> Vec<Range> {
        let mut ranges: Vec<(Range, u16)> = Vec::new();
        for (slot, &owner) in (0..).zip(map.slots.iter()) {
            match ranges.last_mut() {
                Some((range, of)) if *of == owner => range.last = slot,
                _ => {
                    let node = map.nodes.get(usize::from(owner)).filter(|_| owner != UNOWNED);
                    let shard = node.and_then(|node| self.shards.borrow().of(node));
                    let node = node.map(|node| node.addr.to_string());
                    ranges.push((Range { first: slot, last: slot, node, shard }, owner));
                }
            }
        }
        ranges.into_iter().map(|(range, _)| range).collect()
    }

    /// The nodes of the map, shard by shard with the primary first, and those that left and are still known.
    fn nodes(&self, map: &Topology, rates: Option<Window<'_>>, latencies: Option<Window<'_>>) -> Vec<NodeStatus> {
        let totals: BTreeMap<String, _> = self.parts.process.nodes.totals().into_iter().collect();
        let mut nodes: Vec<NodeStatus> = map.nodes.iter().zip(0..).map(|(node, at)| self.node(map, node, at)).collect();
        for addr in totals.keys() {
            if !nodes.iter().any(|node| node.addr == *addr) {
                nodes.push(NodeStatus { addr: addr.clone(), role: "left".to_owned(), ..NodeStatus::default() });
            }
        }
        for node in &mut nodes {
            let Some(of) = totals.get(&node.addr) else { continue };
            node.connections = of.connections;
            node.in_flight = of.in_flight;
            node.queue_bytes = of.queued;
            node.errors = of.error_count();
            node.redirects = of.moved + of.asked;
            node.last_error = of.last_error.clone().map(|LastError { at_ms, text }| NodeError { at_ms, text });
            if let Some(window) = rates {
                let of = |look: &super::history::Look| look.nodes.get(&node.addr).cloned().unwrap_or_default();
                node.requests_per_second = window.rate(|look| of(look).durations.count());
                node.errors_per_second = window.rate(|look| of(look).error_count());
            }
            if let Some(window) = latencies {
                node.latency = window.latency(|look| look.nodes.get(&node.addr).map(|of| &of.durations));
            }
        }
        nodes.sort_by_key(|node| (node.shard.unwrap_or(usize::MAX), node.role != "primary", node.addr.clone()));
        nodes
    }

    fn node(&self, map: &Topology, node: &Node, index: u16) -> NodeStatus {
        let (role, primary) = match node.role {
            Role::Primary => ("primary", None),
            Role::Replica { of } => ("replica", map.nodes.get(usize::from(of)).map(|primary| primary.addr.to_string())),
        };
        NodeStatus {
            addr: node.addr.to_string(),
            id: node.id.clone(),
            role: role.to_owned(),
            primary,
            shard: self.shards.borrow().of(node),
            online: node.online,
            slots: map.slots.iter().filter(|&&owner| owner == index).count(),
            ..NodeStatus::default()
        }
    }
}

fn rates_of(window: Window<'_>) -> Rates {
    Rates {
        requests: window.rate(|look| look.totals.requests),
        errors: window.rate(|look| look.totals.errors),
        redirects: window.rate(|look| look.totals.redirects),
        retries: window.rate(|look| look.totals.retries),
        received_bytes: window.rate(|look| look.totals.received),
        sent_bytes: window.rate(|look| look.totals.sent),
        connections: window.rate(|look| look.totals.connections),
    }
}

/// The latency of all requests, of each class, and of the proxy itself.
fn latency_of(window: Window<'_>) -> BTreeMap<String, Latency> {
    let class = |at: usize| window.latency(move |look| look.classes.get(at).map(|class: &Distribution| class));
    let mut all: BTreeMap<String, Latency> =
        CLASSES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), class(at))).collect();
    all.insert("all".to_owned(), window.latency(|look| Some(&look.durations)));
    all.insert("overhead".to_owned(), window.latency(|look| Some(&look.overhead)));
    all
}

/// What happened at all, the most frequent now first.
fn counts<N: Into<String>>(
    all: impl Iterator<Item = (N, u64)>,
    window: Window<'_>,
    of: impl Fn(&super::history::Look) -> &Vec<u64>,
) -> Vec<Count> {
    let happened = all.enumerate().filter(|(_, (_, total))| *total > 0);
    let mut list: Vec<Count> = happened
        .map(|(at, (name, total))| {
            let per_second = window.rate(|look| of(look).get(at).copied().unwrap_or(0));
            Count { name: name.into(), total, per_second }
        })
        .collect();
    list.sort_by(|a, b| b.per_second.total_cmp(&a.per_second).then(b.total.cmp(&a.total)));
    list
}
