//! What is measured: the figures, the workloads that stand for them, and the limits to reach.
//!
//! Plain values only. `load` drives a workload, `rounds` and `passes` decide when, `verdict` compares with the limits.

use clap::ValueEnum;
use serde::Serialize;

use crate::args::Args;

/// A figure that a run can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
pub(crate) enum Figure {
    /// CPU per request, 50 connections, no pipelining.
    #[value(name = "F1", alias = "f1")]
    F1,
    /// CPU per request, pipelines of 16 and 64.
    #[value(name = "F2", alias = "f2")]
    F2,
    /// CPU of proxy and nodes over that of the nodes when asked directly.
    #[value(name = "F3", alias = "f3")]
    F3,
    /// System calls per request.
    #[value(name = "F4", alias = "f4")]
    F4,
    /// User instructions per request.
    #[value(name = "F5", alias = "f5")]
    F5,
    /// Memory per idle connection.
    #[value(name = "F7", alias = "f7")]
    F7,
    /// 1000 connections, no pipelining.
    #[value(name = "F8", alias = "f8")]
    F8,
    /// Values of 4 KB, pipelines of 16.
    #[value(name = "F9", alias = "f9")]
    F9,
    /// MGET of 100 keys over three nodes.
    #[value(name = "F10", alias = "f10")]
    F10,
}

/// What a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Work {
    /// GET of a random key.
    Get,
    /// SET of a random key.
    Set,
    /// GET or SET, a coin decides.
    Mixed,
    /// MGET of so many random keys.
    Mget(u32),
    /// SET of every key in turn.
    Preload,
}

/// Which of the two preloaded keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Space {
    /// Values of 64 bytes.
    Small,
    /// Values of 4096 bytes.
    Large,
}

/// One kind of load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Workload {
    /// The name in tables and JSON.
    pub(crate) name: &'static str,
    /// The figures that are read from it.
    pub(crate) figures: &'static [Figure],
    /// What a request asks.
    pub(crate) work: Work,
    /// Which keys.
    pub(crate) space: Space,
    /// Connections, each a closed loop.
    pub(crate) connections: usize,
    /// Requests per batch: the next batch leaves when the last reply of this one is there.
    pub(crate) depth: usize,
    /// Requests per measurement.
    pub(crate) requests: u64,
}

impl Workload {
    /// Keys per request: costs are given per key.
    pub(crate) fn keys(&self) -> u64 {
        match self.work {
            Work::Mget(keys) => u64::from(keys),
            _ => 1,
        }
    }

    /// The same load with another number of requests.
    pub(crate) fn sized(&self, requests: u64) -> Self {
        Self { requests, ..self.clone() }
    }

    /// Requests before the clock starts: every connection is used and warm.
    pub(crate) fn warm_up(&self) -> u64 {
        (self.connections * self.depth) as u64 * 2
    }
}

const P1: &[Figure] = &[Figure::F1, Figure::F3];
const P16: &[Figure] = &[Figure::F2, Figure::F3];
const P64: &[Figure] = &[Figure::F2];

/// The workloads of the rounds that these arguments ask for.
pub(crate) fn workloads(args: &Args) -> Vec<Workload> {
    let shrink = if args.quick { 6 } else { 1 };
    let row = |name, figures, work, space, connections, depth, requests: u64| Workload {
        name,
        figures,
        work,
        space,
        connections,
        depth,
        requests: requests / shrink,
    };
    let all = [
        row("GET c50 P1", P1, Work::Get, Space::Small, 50, 1, 60_000),
        row("SET c50 P1", P1, Work::Set, Space::Small, 50, 1, 60_000),
        row("GET c50 P16", P16, Work::Get, Space::Small, 50, 16, 240_000),
        row("SET c50 P16", P16, Work::Set, Space::Small, 50, 16, 240_000),
        row("GET c50 P64", P64, Work::Get, Space::Small, 50, 64, 480_000),
        row("SET c50 P64", P64, Work::Set, Space::Small, 50, 64, 480_000),
        row("GET/SET c1000 P1", &[Figure::F8], Work::Mixed, Space::Small, 1000, 1, 60_000),
        row("GET 4 KB c50 P16", &[Figure::F9], Work::Get, Space::Large, 50, 16, 96_000),
        row("SET 4 KB c50 P16", &[Figure::F9], Work::Set, Space::Large, 50, 16, 96_000),
        row("MGET 100 c50 P1", &[Figure::F10], Work::Mget(100), Space::Small, 50, 1, 6_000),
    ];
    all.into_iter().filter(|row| row.figures.iter().any(|figure| args.wants(*figure))).collect()
}

/// GET and SET 50:50 at this depth, for the passes outside of the rounds.
pub(crate) fn mixed(depth: usize, requests: u64) -> Workload {
    let name = "GET/SET";
    Workload { name, figures: &[], work: Work::Mixed, space: Space::Small, connections: 50, depth, requests }
}

/// A limit for a ratio of CPU per request: at most so many times the other's.
pub(crate) struct Limit {
    /// Which figure it belongs to.
    pub(crate) figure: Figure,
    /// Pooled over these workloads.
    pub(crate) works: &'static [&'static str],
    /// For the table.
    pub(crate) label: &'static str,
    /// Compared with.
    pub(crate) other: &'static str,
    /// The ratio to stay under.
    pub(crate) most: f64,
}

const RATIO_P1: &[&str] = &["GET c50 P1", "SET c50 P1"];
const RATIO_P16: &[&str] = &["GET c50 P16", "SET c50 P16"];
const RATIO_P64: &[&str] = &["GET c50 P64", "SET c50 P64"];
const RATIO_MGET: &[&str] = &["MGET 100 c50 P1"];

const fn limit(
    figure: Figure,
    works: &'static [&'static str],
    label: &'static str,
    other: &'static str,
    most: f64,
) -> Limit {
    Limit { figure, works, label, other, most }
}

/// The ratios to reach.
pub(crate) const RATIOS: &[Limit] = &[
    limit(Figure::F1, RATIO_P1, "P1", "predixy", 0.90),
    limit(Figure::F1, RATIO_P1, "P1", "nutcracker", 1.0),
    limit(Figure::F1, RATIO_P1, "P1", "envoy", 0.65),
    limit(Figure::F2, RATIO_P16, "P16", "predixy", 0.50),
    limit(Figure::F2, RATIO_P16, "P16", "nutcracker", 0.30),
    limit(Figure::F2, RATIO_P16, "P16", "envoy", 0.20),
    limit(Figure::F2, RATIO_P64, "P64", "predixy", 0.35),
    limit(Figure::F2, RATIO_P64, "P64", "nutcracker", 0.12),
    limit(Figure::F2, RATIO_P64, "P64", "envoy", 0.10),
    limit(Figure::F10, RATIO_MGET, "MGET 100, per key", "predixy", 0.40),
];

/// F3: (label, workloads, limit) of proxy and nodes over direct.
pub(crate) const TOTALS: &[(&str, &[&str], f64)] = &[("P1", RATIO_P1, 1.3), ("P16", RATIO_P16, 1.8)];

/// F4: (depth, limit) in system calls per request.
pub(crate) const SYSTEM_CALLS: &[(usize, f64)] = &[(1, 2.8), (16, 0.20), (64, 0.06)];

/// F5: (depth, limit) in user instructions per request.
pub(crate) const INSTRUCTIONS: &[(usize, f64)] = &[(1, 2500.0), (16, 1300.0)];

/// F7: limits in bytes per idle connection, fresh and after use.
pub(crate) const MEMORY: (f64, f64) = (1536.0, 2048.0);
