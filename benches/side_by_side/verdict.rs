//! Compares what was measured with the limits: reached, missed, or not measured and why.

use serde::Serialize;

use crate::limits::{
    ADDED, AFTER_BURST, GROWTHS, INSTRUCTIONS, MEGABYTE, PEAK, PER_CONNECTION, RATIOS, SYSTEM_CALLS, TEN_THOUSAND,
    TOTALS,
};
use crate::memory::{Burst, Idle};
use crate::passes::Count;
use crate::plan::{Figure, PACED};
use crate::rounds::Sample;
use crate::stats::{Pick, Side, excess, median, ratio};
use crate::targets::{DIRECT, OURS};

/// One limit and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// The figure.
    pub(crate) figure: Figure,
    /// What is limited.
    pub(crate) what: String,
    /// The limit.
    pub(crate) most: f64,
    /// What was measured.
    pub(crate) got: Option<f64>,
}

impl Verdict {
    /// Whether the limit was kept, in words.
    pub(crate) fn word(&self) -> &'static str {
        match self.got {
            None => "not measured",
            Some(got) if got <= self.most => "reached",
            Some(_) => "MISSED",
        }
    }
}

/// The proxy's own time.
pub(crate) const PROXY: Pick = |sample| sample.proxy_us;

/// The time of the servers behind it.
pub(crate) const NODES: Pick = |sample| Some(sample.nodes_us);

/// Both together.
pub(crate) const TOTAL: Pick = |sample| Some(sample.proxy_us? + sample.nodes_us);

/// Median latency.
pub(crate) const P50: Pick = |sample| Some(sample.p50_us);

/// The latency that 99 of 100 do not exceed.
pub(crate) const P99: Pick = |sample| Some(sample.p99_us);

/// The proxy's resident memory at its peak, in megabytes.
pub(crate) const RESIDENT: Pick = |sample| Some(sample.peak? as f64 / MEGABYTE);

/// Everything that was measured, for the verdicts and the report.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    /// The rounds.
    pub(crate) samples: Vec<Sample>,
    /// F4.
    pub(crate) system_calls: Vec<Count>,
    /// F5.
    pub(crate) instructions: Vec<Count>,
    /// F7, idle connections.
    pub(crate) idle: Vec<Idle>,
    /// F7, after a burst.
    pub(crate) bursts: Vec<Burst>,
}

/// The latency that a target adds to that of nodes asked directly, in microseconds: the median of the rounds.
pub(crate) fn added(samples: &[Sample], target: &str, pick: Pick) -> Option<f64> {
    let side = |target| Side { target, works: &[PACED], pick };
    excess(samples, side(target), side(DIRECT)).map(|spread| spread.median)
}

/// Judges every limit of the figures that were asked for.
pub(crate) fn judge(measured: &Measured, wanted: impl Fn(Figure) -> bool) -> Vec<Verdict> {
    let mut all = times(&measured.samples);
    all.extend(counts(measured));
    all.extend(weights(measured));
    all.retain(|verdict| wanted(verdict.figure));
    all.sort_by_key(|verdict| verdict.figure);
    all
}

/// What is judged by time.
fn times(samples: &[Sample]) -> Vec<Verdict> {
    let mut all = Vec::new();
    let mut note = |figure, what, most, got| all.push(Verdict { figure, what, most, got });
    for limit in RATIOS {
        let side = |target| Side { target, works: limit.works, pick: PROXY };
        let got = ratio(samples, side(OURS), side(limit.other)).map(|spread| spread.median);
        note(limit.figure, format!("CPU {}: {OURS} / {}", limit.label, limit.other), limit.most, got);
    }
    for growth in GROWTHS {
        let (grown, base) = ([growth.grown], [growth.base]);
        let side = |works| Side { target: OURS, works, pick: PROXY };
        let got = ratio(samples, side(&grown), side(&base)).map(|spread| spread.median);
        note(growth.figure, format!("growth of CPU, {}", growth.label), growth.most, got);
    }
    for (label, works, most) in TOTALS {
        let (ours, direct) = (Side { target: OURS, works, pick: TOTAL }, Side { target: DIRECT, works, pick: NODES });
        let got = ratio(samples, ours, direct).map(|spread| spread.median);
        note(Figure::F3, format!("CPU of proxy and nodes / nodes asked directly, {label}"), *most, got);
    }
    let (other, most) = ADDED;
    for (label, pick) in [("p50", P50), ("p99", P99)] {
        let got = added(samples, OURS, pick).zip(added(samples, other, pick)).map(|(ours, theirs)| ours / theirs);
        note(Figure::F6, format!("latency added at a fixed rate, {label}: {OURS} / {other}"), most, got);
    }
    all
}

/// What is judged by counts.
fn counts(measured: &Measured) -> Vec<Verdict> {
    let mut all = Vec::new();
    let kinds = [
        (Figure::F4, "system calls per request", SYSTEM_CALLS, &measured.system_calls),
        (Figure::F5, "user instructions per request", INSTRUCTIONS, &measured.instructions),
    ];
    for (figure, name, limits, counts) in kinds {
        for (depth, most) in limits {
            let ours = counts.iter().find(|count| count.target == OURS && count.depth == *depth);
            let what = format!("{name}, P{depth}");
            all.push(Verdict { figure, what, most: *most, got: ours.map(|count| count.per_request) });
        }
    }
    all
}

/// What is judged by memory.
fn weights(measured: &Measured) -> Vec<Verdict> {
    let idle = measured.idle.iter().find(|idle| idle.target == OURS);
    let burst = measured.bursts.iter().find(|burst| burst.target == OURS);
    let (fresh, used) = PER_CONNECTION;
    let (work, most) = PEAK;
    let peak = median(&measured.samples, OURS, work, RESIDENT);
    let count = idle.map_or(0, |idle| idle.connections);
    let rows = [
        (Figure::F7, "bytes per idle connection, fresh".to_owned(), fresh, idle.map(|idle| idle.fresh)),
        (Figure::F7, "bytes per idle connection, after use".to_owned(), used, idle.map(|idle| idle.used)),
        (
            Figure::F7,
            format!("MB with {count} idle connections"),
            TEN_THOUSAND / MEGABYTE,
            idle.map(|idle| idle.whole / MEGABYTE),
        ),
        (
            Figure::F7,
            "memory half a minute after a burst / before".to_owned(),
            AFTER_BURST,
            burst.map(|burst| burst.after / burst.before),
        ),
        (Figure::F9, "MB at the peak, values of 64 MB".to_owned(), most / MEGABYTE, peak),
    ];
    rows.into_iter().map(|(figure, what, most, got)| Verdict { figure, what, most, got }).collect()
}
