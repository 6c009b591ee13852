//! Puts the status together from what the workers count, the map, and what was noted from second to second.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::history::{LATENCY_LOOKS, Look, RATE_LOOKS, Window, round};
use super::status::{Clients, Cluster, Count, Latency, NodeError, NodeStatus, Range, Rates, Slow, Status, Totals};
use super::{Admin, problems, scrape};
use crate::client::Process;
use crate::cluster::topology::{Node, Role, Topology, UNOWNED};
use crate::telemetry::{CLASSES, Counter, Distribution, Fault, LastError, SlowRequest, Tally, wall_clock};

/// How many slow requests are shown.
const SLOW: usize = 32;

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
            slowlog: slow(process),
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
        let in_use = process.certificates.load();
        let ends = in_use.iter().filter_map(|one| Some((one.file()?.display().to_string(), one.validity()?.not_after)));
        status.problems.extend(problems::of_certificates(ends, wall_clock().as_secs()));
        status.problems.sort_by_key(|problem| problem.severity);
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
                let of = |look: &Look| look.nodes.get(&node.addr).cloned().unwrap_or_default();
                node.requests_per_second = window.rate(|look| of(look).durations.count());
                node.errors_per_second = window.rate(|look| of(look).error_count());
            }
            if let Some(window) = latencies {
                let timeouts = |look: &Look| look.nodes.get(&node.addr).map_or(0, |of| of.faults(Fault::Timeout));
                node.recent_timeouts = timeouts(window.now).saturating_sub(timeouts(window.before));
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

/// The latest slow requests of all workers, the newest first.
fn slow(process: &Process) -> Vec<Slow> {
    let of = |tally: &Arc<Tally>| tally.slow_requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut all: Vec<_> = process.tallies.iter().flat_map(of).collect();
    all.sort_unstable_by_key(|slow| Reverse(slow.id));
    let shown = |SlowRequest { at_ms, took_us, command, client, .. }| Slow { at_ms, took_us, command, client };
    all.into_iter().take(SLOW).map(shown).collect()
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
    of: impl Fn(&Look) -> &Vec<u64>,
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
