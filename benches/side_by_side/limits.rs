//! The limits to reach, figure by figure. Plain values; `verdict` compares with them.

use crate::plan::Figure;

/// Workloads by name; what is compared is their sum.
pub(crate) type Works = &'static [&'static str];

const P1: Works = &["GET c50 P1", "SET c50 P1"];
const P16: Works = &["GET c50 P16", "SET c50 P16"];
const P64: Works = &["GET c50 P64", "SET c50 P64"];

/// CPU per request: at most so many times another's.
pub(crate) struct Limit {
    /// Which figure it belongs to.
    pub(crate) figure: Figure,
    /// What is compared.
    pub(crate) works: Works,
    /// For the table.
    pub(crate) label: &'static str,
    /// Compared with.
    pub(crate) other: &'static str,
    /// The ratio to stay under.
    pub(crate) most: f64,
}

const fn limit(figure: Figure, works: Works, label: &'static str, other: &'static str, most: f64) -> Limit {
    Limit { figure, works, label, other, most }
}

/// The ratios to reach.
pub(crate) const RATIOS: &[Limit] = &[
    limit(Figure::F1, P1, "per request, P1", "predixy", 0.90),
    limit(Figure::F1, P1, "per request, P1", "nutcracker", 1.0),
    limit(Figure::F1, P1, "per request, P1", "envoy", 0.65),
    limit(Figure::F2, P16, "per request, P16", "predixy", 0.50),
    limit(Figure::F2, P16, "per request, P16", "nutcracker", 0.30),
    limit(Figure::F2, P16, "per request, P16", "envoy", 0.20),
    limit(Figure::F2, P64, "per request, P64", "predixy", 0.35),
    limit(Figure::F2, P64, "per request, P64", "nutcracker", 0.12),
    limit(Figure::F2, P64, "per request, P64", "envoy", 0.10),
    limit(Figure::F9, &["64 KB c10"], "per MB, values of 64 KB", "haproxy", 1.3),
    limit(Figure::F9, &["1 MB c4"], "per MB, values of 1 MB", "haproxy", 1.3),
    limit(Figure::F9, &["16 MB c2"], "per MB, values of 16 MB", "haproxy", 1.3),
    limit(Figure::F9, &["64 MB c1"], "per MB, values of 64 MB", "haproxy", 1.3),
    limit(Figure::F10, &["MGET 100 c50"], "per key, MGET of 100", "predixy", 0.40),
];

/// Our CPU per request in one workload: at most so many times that in another.
pub(crate) struct Growth {
    /// Which figure it belongs to.
    pub(crate) figure: Figure,
    /// For the table.
    pub(crate) label: &'static str,
    /// The larger one.
    pub(crate) grown: &'static str,
    /// The smaller one.
    pub(crate) base: &'static str,
    /// The ratio to stay under.
    pub(crate) most: f64,
}

const fn growth(figure: Figure, label: &'static str, grown: &'static str, base: &'static str, most: f64) -> Growth {
    Growth { figure, label, grown, base, most }
}

/// How much may be paid for size.
pub(crate) const GROWTHS: &[Growth] = &[
    growth(Figure::F8, "30 / 3 nodes, P1", "P1, 30 nodes", "P1, 3 nodes", 1.15),
    growth(Figure::F8, "30 / 3 nodes, P16", "P16, 30 nodes", "P16, 3 nodes", 1.15),
    growth(Figure::F8, "16384 / 3 ranges, P1", "P1, 16384 ranges", "P1, 3 nodes", 1.02),
    growth(Figure::F8, "16384 / 3 ranges, P16", "P16, 16384 ranges", "P16, 3 nodes", 1.02),
    growth(Figure::F8, "10000 / 1000 connections", "GET/SET c10000 P1", "GET/SET c1000 P1", 1.3),
    growth(Figure::F8, "10000 / 50 connections", "GET/SET c10000 P1", "GET c50 P1", 1.3),
    growth(Figure::F10, "per key, MGET of 1000 / 100", "MGET 1000 c10", "MGET 100 c50", 1.25),
    growth(Figure::F10, "per key, MGET of 10000 / 100", "MGET 10000 c2", "MGET 100 c50", 1.25),
    growth(Figure::F10, "per key, MSET of 10000 / 100", "MSET 10000 c2", "MSET 100 c50", 1.25),
    growth(Figure::F10, "per key, DEL of 10000 / 100", "DEL 10000 c2", "DEL 100 c50", 1.25),
];

/// F3: (label, workloads, limit) of proxy and nodes over direct.
pub(crate) const TOTALS: &[(&str, Works, f64)] = &[("P1", P1, 1.3), ("P16", P16, 1.8)];

/// F4: (depth, limit) in system calls per request.
pub(crate) const SYSTEM_CALLS: &[(usize, f64)] = &[(1, 2.8), (16, 0.20), (64, 0.06)];

/// F5: (depth, limit) in user instructions per request.
pub(crate) const INSTRUCTIONS: &[(usize, f64)] = &[(1, 2500.0), (16, 1300.0)];

/// F6: the latency that we add, over what nutcracker adds.
pub(crate) const ADDED: (&str, f64) = ("nutcracker", 1.0);

/// F7: bytes per idle connection, fresh and after use.
pub(crate) const PER_CONNECTION: (f64, f64) = (1536.0, 2048.0);

/// F7: resident memory with ten thousand connections that are idle.
pub(crate) const TEN_THOUSAND: f64 = 25.0 * MEGABYTE;

/// F7: resident memory half a minute after a burst, over that before it.
pub(crate) const AFTER_BURST: f64 = 1.25;

/// F9: resident memory at the peak, with values of 64 MB.
pub(crate) const PEAK: (&str, f64) = ("64 MB c1", 64.0 * MEGABYTE);

/// A megabyte.
pub(crate) const MEGABYTE: f64 = 1_048_576.0;
