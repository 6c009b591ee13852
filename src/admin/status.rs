//! The shape of `/status.json`: what an operator wants to see at one look.
//!
//! `docs/status.md` tells what each field means, and a test compares. Times of day are milliseconds since 1970, durations
//! microseconds where the name says so; a rate is over the last five seconds, a percentile over the last ten. How it is
//! put together is told in `report`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

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
    pub linked: bool,
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
    /// Requests that the node did not answer in time, of late; what its health is judged by.
    #[serde(skip)]
    pub recent_timeouts: u64,
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

/// How bad something is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Clients suffer.
    Bad,
    /// Somebody should look.
    Warn,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Bad { "bad" } else { "warn" })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The node that it is about, if it is about one.
    pub node: Option<String>,
    /// What it is.
    pub text: String,
}
