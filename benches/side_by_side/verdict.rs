//! Compares what was measured with the limits of `plan`: reached, missed, or not measured and why.

use serde::Serialize;

use crate::passes::{Count, Memory};
use crate::plan::{Figure, INSTRUCTIONS, MEMORY, RATIOS, SYSTEM_CALLS, TOTALS};
use crate::rounds::Sample;
use crate::stats::{Pick, ratio};
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

/// Everything that was measured, for the verdicts and the report.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    /// The rounds.
    pub(crate) samples: Vec<Sample>,
    /// F4.
    pub(crate) system_calls: Vec<Count>,
    /// F5.
    pub(crate) instructions: Vec<Count>,
    /// F7.
    pub(crate) memory: Vec<Memory>,
}

/// Judges every limit of the figures that were asked for.
pub(crate) fn judge(measured: &Measured, wanted: impl Fn(Figure) -> bool) -> Vec<Verdict> {
    let samples = &measured.samples;
    let mut all = Vec::new();
    for limit in RATIOS {
        let got = ratio(samples, limit.works, (OURS, PROXY), (limit.other, PROXY)).map(|spread| spread.median);
        let what = format!("CPU per request, {}: {OURS} / {}", limit.label, limit.other);
        all.push(Verdict { figure: limit.figure, what, most: limit.most, got });
    }
    for (label, works, most) in TOTALS {
        let got = ratio(samples, works, (OURS, TOTAL), (DIRECT, NODES)).map(|spread| spread.median);
        let what = format!("CPU of proxy and nodes / nodes asked directly, {label}");
        all.push(Verdict { figure: Figure::F3, what, most: *most, got });
    }
    let counts = [
        (Figure::F4, "system calls per request", SYSTEM_CALLS, &measured.system_calls),
        (Figure::F5, "user instructions per request", INSTRUCTIONS, &measured.instructions),
    ];
    for (figure, name, limits, counts) in counts {
        for (depth, most) in limits {
            let ours = counts.iter().find(|count| count.target == OURS && count.depth == *depth);
            let what = format!("{name}, P{depth}");
            all.push(Verdict { figure, what, most: *most, got: ours.map(|count| count.per_request) });
        }
    }
    let ours = measured.memory.iter().find(|memory| memory.target == OURS);
    let (fresh, used) = MEMORY;
    for (name, most, got) in
        [("fresh", fresh, ours.map(|memory| memory.fresh)), ("after use", used, ours.map(|memory| memory.used))]
    {
        let what = format!("bytes per idle connection, {name}");
        all.push(Verdict { figure: Figure::F7, what, most, got });
    }
    all.retain(|verdict| wanted(verdict.figure));
    all.sort_by_key(|verdict| verdict.figure);
    all
}
