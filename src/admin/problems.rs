//! What is wrong now, in words, the worst first: so that nobody has to read it out of the figures.

use super::status::{NodeStatus, Problem, Severity, Status};

impl Problem {
    fn bad(node: Option<&NodeStatus>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Bad, node: node.map(|node| node.addr.clone()), text: text.into() }
    }

    fn warn(node: Option<&NodeStatus>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, ..Self::bad(node, text) }
    }
}

/// An error of a node that is younger counts as one of now.
const FRESH_MS: u64 = 10_000;
/// A node is slow when its p99 is so many times that of the middle primary, and above this many microseconds.
const SLOW_TIMES: f64 = 4.0;
const SLOW_US: f64 = 5_000.0;
/// How old a map may be that nobody confirms.
const OLD_MAP_SECONDS: f64 = 30.0;
/// How full the table of clients may be.
const CLIENTS_FULL: f64 = 0.9;

/// What is wrong with `status`; each node gets its own verdict too.
pub(super) fn judge(status: &mut Status) -> Vec<Problem> {
    let mut problems = whole(status);
    let middle = middle_p99(&status.nodes);
    let covered: Vec<bool> = status.nodes.iter().map(|node| has_online_primary(node, &status.nodes)).collect();
    for (node, covered) in status.nodes.iter_mut().zip(covered) {
        let problem = of_node(node, middle, covered, status.now_ms);
        node.health = problem.as_ref().map_or_else(|| "ok".to_owned(), |problem| problem.severity.to_string());
        node.reason = problem.as_ref().map(|problem| problem.text.clone());
        problems.extend(problem.map(|problem| Problem { text: format!("{} {}", node.addr, problem.text), ..problem }));
    }
    problems.sort_by_key(|problem| problem.severity);
    problems
}

fn whole(status: &Status) -> Vec<Problem> {
    let mut problems = Vec::new();
    let cluster = &status.cluster;
    if cluster.map_version == 0 {
        problems.push(Problem::bad(None, "no node of the cluster has answered yet"));
    } else if cluster.slots_covered < 16384 {
        let gaps = 16384 - cluster.slots_covered;
        problems.push(Problem::bad(None, format!("{gaps} slots have no owner: requests for their keys fail")));
    }
    if cluster.map_version > 0 && cluster.map_age_seconds > OLD_MAP_SECONDS {
        let age = cluster.map_age_seconds;
        problems.push(Problem::warn(None, format!("no node has confirmed the map for {age:.0} s")));
    }
    let clients = &status.clients;
    if clients.connected as f64 >= clients.max as f64 * CLIENTS_FULL {
        problems.push(Problem::warn(None, format!("{} of {} clients are connected", clients.connected, clients.max)));
    }
    problems
}

/// A certificate that ends so soon is a problem, in seconds.
const EXPIRES_SOON: u64 = 7 * 24 * 3600;

/// What is wrong with the certificates in use: the file of each, and when it ends in seconds since 1970.
pub(super) fn of_certificates(ends: impl Iterator<Item = (String, u64)>, now: u64) -> Vec<Problem> {
    let problem = |(file, end): (String, u64)| match end.checked_sub(now) {
        None => Some(Problem::bad(None, format!("the certificate in {file} has expired"))),
        Some(left) if left < EXPIRES_SOON => {
            let days = left / (24 * 3600);
            Some(Problem::warn(None, format!("the certificate in {file} expires in {days} days")))
        }
        Some(_) => None,
    };
    ends.filter_map(problem).collect()
}

fn of_node(node: &NodeStatus, middle: Option<f64>, has_primary: bool, now_ms: u64) -> Option<Problem> {
    let fresh = node.last_error.as_ref().filter(|error| now_ms.saturating_sub(error.at_ms) < FRESH_MS);
    let p99 = node.latency.p99_us;
    let is_primary = node.role == "primary";
    if !node.online && node.role != "left" {
        let text = if is_primary { "is offline, and no replica has taken over" } else { "is offline" };
        return Some(if is_primary && node.slots > 0 {
            Problem::bad(Some(node), text)
        } else {
            Problem::warn(Some(node), text)
        });
    }
    if !has_primary {
        return Some(Problem::warn(Some(node), "has no primary that is online"));
    }
    // Only owners of slots are sent requests; what a node had before it lost its slots is history.
    if !is_primary || node.slots == 0 {
        return None;
    }
    if let Some(error) = fresh
        && node.connections == 0
    {
        return Some(Problem::bad(Some(node), format!("cannot be reached: {}", error.text)));
    }
    if node.recent_timeouts > 0 {
        return Some(Problem::bad(Some(node), format!("does not answer in time: {} requests wait", node.in_flight)));
    }
    if let (Some(p99), Some(middle)) = (p99, middle)
        && p99 > SLOW_US
        && p99 > middle * SLOW_TIMES
    {
        let text = format!("is slow: p99 {}, others {}", duration(p99), duration(middle));
        return Some(Problem::warn(Some(node), text));
    }
    let error = fresh?;
    let is_clients_own = ["ERR ", "WRONGTYPE", "NOSCRIPT", "CROSSSLOT", "EXECABORT", "BUSYGROUP", "NOGROUP"]
        .iter()
        .any(|code| error.text.starts_with(code));
    // A wrong command is no fault of the node that says so.
    (!is_clients_own).then(|| Problem::warn(Some(node), format!("had an error: {}", error.text)))
}

/// Microseconds for people.
fn duration(micros: f64) -> String {
    if micros < 1e6 { format!("{:.1} ms", micros / 1e3) } else { format!("{:.1} s", micros / 1e6) }
}

fn has_online_primary(node: &NodeStatus, nodes: &[NodeStatus]) -> bool {
    let Some(primary) = &node.primary else { return true };
    nodes.iter().any(|other| other.addr == *primary && other.online)
}

/// The p99 in the middle of those of the primaries.
fn middle_p99(nodes: &[NodeStatus]) -> Option<f64> {
    let mut all: Vec<f64> =
        nodes.iter().filter(|node| node.role == "primary").filter_map(|n| n.latency.p99_us).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::{Cluster, Latency, NodeError};

    fn node(addr: &str, p99_us: f64) -> NodeStatus {
        let latency = Latency { p50_us: Some(p99_us / 2.0), p99_us: Some(p99_us) };
        let (addr, role) = (addr.to_owned(), "primary".to_owned());
        NodeStatus { addr, role, online: true, slots: 5461, connections: 1, latency, ..NodeStatus::default() }
    }

    fn well() -> Status {
        let cluster = Cluster { map_version: 1, slots_covered: 16384, ..Cluster::default() };
        let mut status = Status { cluster, now_ms: 1_000_000, ..Status::default() };
        status.clients.max = 100;
        status.nodes = vec![node("a", 900.0), node("b", 1_000.0), node("c", 1_100.0)];
        status
    }

    fn judged(change: impl FnOnce(&mut Status)) -> Vec<String> {
        let mut status = well();
        change(&mut status);
        judge(&mut status).into_iter().map(|problem| format!("{} {}", problem.severity, problem.text)).collect()
    }

    fn error(status: &mut Status, at: usize, text: &str) {
        status.nodes[at].last_error = Some(NodeError { at_ms: 999_000, text: text.to_owned() });
    }

    #[test]
    fn a_cluster_that_is_well_has_no_problems() {
        assert_eq!(judged(|_| {}), [""; 0]);
        assert_eq!(judged(|status| error(status, 0, "WRONGTYPE no")), [""; 0]);
    }

    #[test]
    fn the_sick_shard_is_named_first() {
        let found = judged(|status| {
            status.nodes[0].latency.p99_us = Some(80_000.0);
            status.nodes[2].connections = 0;
            error(status, 2, "connection refused");
        });
        assert_eq!(
            found,
            ["bad c cannot be reached: connection refused", "warn a is slow: p99 80.0 ms, others 1.1 ms"]
        );
        let found = judged(|status| {
            status.cluster.slots_covered = 16380;
            status.nodes[1].online = false;
        });
        let gaps = "bad 4 slots have no owner: requests for their keys fail";
        assert_eq!(found, [gaps, "bad b is offline, and no replica has taken over"]);
    }

    #[test]
    fn a_certificate_that_ends_is_told_in_time() {
        let day = 24 * 3600;
        let ends = [("far", 100 * day), ("near", 14 * day - 1), ("over", day)].map(|(file, at)| (file.to_owned(), at));
        let found = of_certificates(ends.into_iter(), 10 * day);
        let found: Vec<_> = found.iter().map(|problem| format!("{} {}", problem.severity, problem.text)).collect();
        assert_eq!(
            found,
            ["warn the certificate in near expires in 3 days", "bad the certificate in over has expired"]
        );
    }

    #[test]
    fn a_node_that_stopped_is_told_from_one_that_is_idle() {
        let stuck = judged(|status| {
            status.nodes[1].in_flight = 7;
            status.nodes[1].recent_timeouts = 3;
        });
        assert_eq!(stuck, ["bad b does not answer in time: 7 requests wait"]);
        assert_eq!(judged(|status| status.nodes[1].latency = Latency::default()), [""; 0]);
    }
}
