//! What is measured: the figures, and the workloads that stand for them.
//!
//! Plain values only. `load` drives a workload, `rounds` and `passes` decide when, `limits` says what is to be reached.

use clap::ValueEnum;
use serde::Serialize;

use crate::args::Args;
use crate::targets::DIRECT;

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
    /// Latency that a proxy adds, at a fixed rate.
    #[value(name = "F6", alias = "f6")]
    F6,
    /// Memory: per idle connection, of ten thousand, and after a burst.
    #[value(name = "F7", alias = "f7")]
    F7,
    /// Growth of CPU per request with nodes, ranges of slots, connections and workers.
    #[value(name = "F8", alias = "f8")]
    F8,
    /// Values of 4 KB to 64 MB.
    #[value(name = "F9", alias = "f9")]
    F9,
    /// MGET, MSET and DEL of 10 to 10 000 keys over three nodes.
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
    /// GET and SET in turn.
    InTurn,
    /// MGET of so many random keys.
    Mget(u32),
    /// MSET of so many random keys.
    Mset(u32),
    /// DEL of so many random keys, none of which exists: what it costs a proxy is the same.
    Del(u32),
    /// SET of every key in turn.
    Preload,
}

/// Which of the keyspaces: they differ in the size of their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Space {
    /// Values of 64 bytes.
    Small,
    /// Values of 4096 bytes.
    Large,
    /// Values of 64 KB.
    Kb64,
    /// Values of 1 MB.
    Mb1,
    /// Values of 16 MB.
    Mb16,
    /// Values of 64 MB.
    Mb64,
}

impl Space {
    /// How its keys begin, how many there are, and how long a value is.
    pub(crate) const fn shape(self) -> (&'static str, u32, usize) {
        match self {
            Self::Small => ("key:", 50_000, 64),
            Self::Large => ("big:", 5_000, 4096),
            Self::Kb64 => ("64k:", 200, 64 << 10),
            Self::Mb1 => ("_1m:", 20, 1 << 20),
            Self::Mb16 => ("16m:", 4, 16 << 20),
            Self::Mb64 => ("64m:", 2, 64 << 20),
        }
    }
}

/// What stands behind the proxies, and how wide they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Scene {
    /// Three primaries, each with one range of slots; one worker.
    Usual,
    /// Thirty primaries.
    Thirty,
    /// Three primaries that own every third slot: 16 384 ranges.
    Scattered,
    /// As usual, but two workers.
    TwoWorkers,
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
    /// Whom it is for.
    pub(crate) scene: Scene,
    /// Connections, each a closed loop, or one that is sent to at its time.
    pub(crate) connections: usize,
    /// Requests per batch: the next batch leaves when the last reply of this one is there.
    pub(crate) depth: usize,
    /// Requests per measurement.
    pub(crate) requests: u64,
    /// Requests per second, sent at their time whatever has been answered; without it, as many as can be.
    pub(crate) pace: Option<u64>,
    /// Targets that cannot take part.
    pub(crate) without: &'static [&'static str],
}

impl Workload {
    /// Keys per request: costs are given per key.
    pub(crate) fn keys(&self) -> u64 {
        match self.work {
            Work::Mget(keys) | Work::Mset(keys) | Work::Del(keys) => u64::from(keys),
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

/// No node answers for another's keys.
const DIRECT_ONLY: &[&str] = &[DIRECT];
/// So many connections, and as many behind, are more than a process may open; and to each node besides.
const TEN_THOUSAND: &[&str] = &[DIRECT, "haproxy"];

/// A load of the usual kind: GET and SET of 64 bytes, fifty connections.
const USUAL: Workload = Workload {
    name: "GET/SET",
    figures: &[],
    work: Work::Mixed,
    space: Space::Small,
    scene: Scene::Usual,
    connections: 50,
    depth: 1,
    requests: 40_000,
    pace: None,
    without: &[],
};

const P1: Workload = Workload { figures: &[Figure::F1, Figure::F3], ..USUAL };
const P16: Workload = Workload { figures: &[Figure::F2, Figure::F3], depth: 16, requests: 160_000, ..USUAL };
const P64: Workload = Workload { figures: &[Figure::F2], depth: 64, requests: 320_000, ..USUAL };
const GROWN: Workload = Workload { figures: &[Figure::F8], ..USUAL };
const GROWN_16: Workload = Workload { depth: 16, requests: 160_000, ..GROWN };
const BIG: Workload = Workload { figures: &[Figure::F9], work: Work::InTurn, without: DIRECT_ONLY, ..USUAL };
const MANY: Workload = Workload { figures: &[Figure::F10], without: DIRECT_ONLY, ..USUAL };

/// The workloads of the rounds.
const ALL: &[Workload] = &[
    Workload { name: "GET c50 P1", work: Work::Get, ..P1 },
    Workload { name: "SET c50 P1", work: Work::Set, ..P1 },
    Workload { name: "GET c50 P16", work: Work::Get, ..P16 },
    Workload { name: "SET c50 P16", work: Work::Set, ..P16 },
    Workload { name: "GET c50 P64", work: Work::Get, ..P64 },
    Workload { name: "SET c50 P64", work: Work::Set, ..P64 },
    Workload { name: PACED, figures: &[Figure::F6], pace: Some(10_000), requests: 20_000, ..USUAL },
    Workload { name: "GET/SET c1000 P1", connections: 1000, ..GROWN },
    Workload { name: "GET/SET c10000 P1", connections: 10_000, without: TEN_THOUSAND, ..GROWN },
    Workload { name: "GET 4 KB c50 P16", work: Work::Get, space: Space::Large, depth: 16, requests: 48_000, ..BIG },
    Workload { name: "SET 4 KB c50 P16", work: Work::Set, space: Space::Large, depth: 16, requests: 48_000, ..BIG },
    Workload { name: "64 KB c10", space: Space::Kb64, connections: 10, requests: 4000, ..BIG },
    Workload { name: "1 MB c4", space: Space::Mb1, connections: 4, requests: 240, ..BIG },
    Workload { name: "16 MB c2", space: Space::Mb16, connections: 2, requests: 16, ..BIG },
    Workload { name: "64 MB c1", space: Space::Mb64, connections: 1, requests: 4, ..BIG },
    Workload { name: "MGET 10 c50", work: Work::Mget(10), requests: 20_000, ..MANY },
    Workload { name: "MGET 100 c50", work: Work::Mget(100), requests: 4000, ..MANY },
    Workload { name: "MGET 1000 c10", work: Work::Mget(1000), connections: 10, requests: 400, ..MANY },
    Workload { name: "MGET 10000 c2", work: Work::Mget(10_000), connections: 2, requests: 40, ..MANY },
    Workload { name: "MSET 100 c50", work: Work::Mset(100), requests: 2000, ..MANY },
    Workload { name: "MSET 10000 c2", work: Work::Mset(10_000), connections: 2, requests: 20, ..MANY },
    Workload { name: "DEL 100 c50", work: Work::Del(100), requests: 2000, ..MANY },
    Workload { name: "DEL 10000 c2", work: Work::Del(10_000), connections: 2, requests: 20, ..MANY },
];

/// The workloads of rounds of their own, with more servers than the others need.
const GROWING: &[Workload] = &[
    Workload { name: "P1, 3 nodes", ..GROWN },
    Workload { name: "P1, 30 nodes", scene: Scene::Thirty, ..GROWN },
    Workload { name: "P1, 16384 ranges", scene: Scene::Scattered, ..GROWN },
    Workload { name: "P1, 2 workers", scene: Scene::TwoWorkers, ..GROWN },
    Workload { name: "P16, 3 nodes", ..GROWN_16 },
    Workload { name: "P16, 30 nodes", scene: Scene::Thirty, ..GROWN_16 },
    Workload { name: "P16, 16384 ranges", scene: Scene::Scattered, ..GROWN_16 },
    Workload { name: "P16, 2 workers", scene: Scene::TwoWorkers, ..GROWN_16 },
];

/// The load of F6.
pub(crate) const PACED: &str = "GET/SET c50, 10000/s";

/// The workloads that these arguments ask for: those of the rounds, and those with more servers.
pub(crate) fn workloads(args: &Args) -> (Vec<Workload>, Vec<Workload>) {
    let shrink = if args.quick { 6 } else { 1 };
    // Each direction once at least, and every connection.
    let few = |load: &Workload| (load.requests / shrink).max(2 * load.connections as u64).min(load.requests);
    let of = |all: &[Workload]| {
        let wanted = all.iter().filter(|load| load.figures.iter().any(|figure| args.wants(*figure)));
        wanted.map(|load| load.sized(few(load))).collect()
    };
    (of(ALL), of(GROWING))
}

/// GET and SET 50:50 at this depth, for the passes outside of the rounds.
pub(crate) fn mixed(depth: usize, requests: u64) -> Workload {
    Workload { depth, requests, ..USUAL }
}
