//! What is printed and what is written: aligned tables of plain text, and everything as JSON.
//!
//! No measurement and no judgement here. A cell without a number says `-`; `!` marks numbers that contain replies which
//! were errors or wrong, listed below the tables and left out of the ratios.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::cpu::Machine;
use crate::limits::{GROWTHS, MEGABYTE, TOTALS};
use crate::passes::Count;
use crate::plan::{Figure, Workload};
use crate::rounds::Sample;
use crate::stats::{Pick, Side, Spread, median, ratio};
use crate::table::{short, spread, table};
use crate::targets::{DIRECT, Missing, OURS};
use crate::verdict::{Measured, NODES, P50, P99, PROXY, RESIDENT, TOTAL, Verdict, added};

/// The whole result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Where and when.
    pub(crate) machine: Machine,
    /// How many rounds.
    pub(crate) rounds: u32,
    /// Whether it was a quick run, whose numbers prove nothing.
    pub(crate) quick: bool,
    /// Every program's own word for its version.
    pub(crate) versions: BTreeMap<String, String>,
    /// The order of the columns.
    pub(crate) columns: Vec<&'static str>,
    /// What the load was, in the order of the rows.
    pub(crate) works: Vec<Workload>,
    /// Which targets serve the cluster (F3 compares only those).
    pub(crate) on_cluster: Vec<&'static str>,
    /// Who did not take part, or not to the end.
    pub(crate) missing: Vec<Missing>,
    /// What could not be measured.
    pub(crate) notes: Vec<String>,
    /// All numbers.
    pub(crate) measured: Measured,
    /// The ratios of the tables.
    pub(crate) ratios: Vec<Ratio>,
    /// The limits.
    pub(crate) verdicts: Vec<Verdict>,
}

/// How many times another's CPU time per request.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    work: &'static str,
    ours: &'static str,
    theirs: &'static str,
    #[serde(flatten)]
    spread: Spread,
}

impl Report {
    /// The target that the others are compared with: the house's own, or the first when it is missing.
    fn base(&self) -> &'static str {
        let proxies = || self.columns.iter().copied().filter(|name| *name != DIRECT);
        proxies().find(|name| *name == OURS).or_else(|| proxies().next()).unwrap_or(OURS)
    }

    /// Works out the ratios of all rows.
    pub(crate) fn compare(&mut self) {
        let ours = self.base();
        let others = || self.columns.iter().copied().filter(|name| *name != ours && *name != DIRECT);
        for work in self.works.iter().map(|load| load.name) {
            for theirs in others() {
                let works = [work];
                let side = |target| Side { target, works: &works, pick: PROXY };
                let spread = ratio(&self.measured.samples, side(ours), side(theirs));
                self.ratios.extend(spread.map(|spread| Ratio { work, ours, theirs, spread }));
            }
        }
    }

    /// Prints everything.
    pub(crate) fn print(&self) {
        let machine = &self.machine;
        println!("{}  {} cores, {}, Linux {}", machine.date, machine.cores, machine.processor, machine.kernel);
        println!("load averages before: {}; {} rounds{}", machine.load, self.rounds, self.caution());
        for (name, version) in &self.versions {
            println!("{name}: {version}");
        }
        for missing in &self.missing {
            println!("{}: {}", missing.name, missing.why);
        }
        if !self.works.is_empty() {
            self.print_rounds();
        }
        self.print_passes();
        for note in &self.notes {
            println!("\nnote: {note}");
        }
        self.print_errors();
        self.print_verdicts();
    }

    fn caution(&self) -> &'static str {
        if self.quick { " (quick: too short to conclude from)" } else { "" }
    }

    fn print_rounds(&self) {
        let number: fn(f64) -> String = |value| format!("{value:.2}");
        self.print_grid("Proxy's CPU, us per request (MGET: per key), median of rounds", PROXY, number);
        let base = self.base();
        let others = self.columns.iter().copied().filter(|name| *name != base && *name != DIRECT);
        let others: Vec<&str> = others.collect();
        let title = format!("{base} / other: proxy's CPU, median of same-round ratios (quartiles)");
        table(&title, &others, &self.names(|_| true), |work, other| {
            let found = self.ratios.iter().find(|ratio| ratio.work == work && ratio.theirs == other)?;
            Some(spread(&found.spread))
        });
        self.print_grid("Servers' CPU, us per request (MGET: per key)", NODES, number);
        self.print_grid("Thousand requests (MGET: keys) per second", |s| Some(s.per_second / 1e3), number);
        let whole: fn(f64) -> String = |value| format!("{value:.0}");
        self.print_grid("Batch latency p50, us", P50, whole);
        self.print_grid("Batch latency p99, us", P99, whole);
        self.print_total();
        self.print_added();
        self.print_growth();
        self.print_large();
    }

    /// The names of some workloads.
    fn names(&self, wanted: impl Fn(&Workload) -> bool) -> Vec<&'static str> {
        self.works.iter().filter(|load| wanted(load)).map(|load| load.name).collect()
    }

    fn has(&self, work: &str) -> bool {
        self.works.iter().any(|load| load.name == work)
    }

    fn print_total(&self) {
        let labels = TOTALS.iter().filter(|(_, works, _)| works.iter().all(|work| self.has(work)));
        let labels: Vec<&str> = labels.map(|(label, ..)| *label).collect();
        if labels.is_empty() || !self.columns.contains(&DIRECT) {
            return;
        }
        let title = "F3: CPU of proxy and nodes / nodes asked directly, GET and SET";
        table(title, &self.on_cluster, &labels, |row, column| {
            let (_, works, _) = TOTALS.iter().find(|(label, ..)| *label == row)?;
            let proxied = Side { target: column, works, pick: TOTAL };
            let direct = Side { target: DIRECT, works, pick: NODES };
            Some(spread(&ratio(&self.measured.samples, proxied, direct)?))
        });
    }

    fn print_added(&self) {
        for load in self.works.iter().filter(|load| load.pace.is_some()) {
            let title = format!("F6: us added to the latency of nodes asked directly, {}", load.name);
            let proxies: Vec<&str> = self.columns.iter().copied().filter(|name| *name != DIRECT).collect();
            table(&title, &proxies, &["p50", "p99"], |row, column| {
                let pick = if row == "p50" { P50 } else { P99 };
                Some(format!("{:.0}", added(&self.measured.samples, column, pick)?))
            });
        }
    }

    fn print_growth(&self) {
        let rows = GROWTHS.iter().filter(|growth| self.has(growth.grown) && self.has(growth.base));
        let rows: Vec<&str> = rows.map(|growth| growth.label).collect();
        if rows.is_empty() {
            return;
        }
        let proxies: Vec<&str> = self.columns.iter().copied().filter(|name| *name != DIRECT).collect();
        table("F8, F10: growth of the proxy's CPU per request, or per key", &proxies, &rows, |row, target| {
            let growth = GROWTHS.iter().find(|growth| growth.label == row)?;
            let (grown, base) = ([growth.grown], [growth.base]);
            let side = |works| Side { target, works, pick: PROXY };
            Some(spread(&ratio(&self.measured.samples, side(&grown), side(&base))?))
        });
    }

    fn print_large(&self) {
        let size = |name: &str| self.works.iter().find(|load| load.name == name).map(|load| load.space.shape().2);
        let rows = self.names(|load| load.figures.contains(&Figure::F9));
        if rows.is_empty() {
            return;
        }
        table("F9: proxy's CPU, us per MB of values", &self.columns, &rows, |row, target| {
            let us = median(&self.measured.samples, target, row, PROXY)?;
            Some(format!("{:.0}", us / size(row)? as f64 * MEGABYTE))
        });
        self.print_grid_of("F9: proxy's resident memory at its peak, MB", &rows, RESIDENT, |mb| format!("{mb:.0}"));
    }

    fn print_grid(&self, title: &str, pick: Pick, format: fn(f64) -> String) {
        self.print_grid_of(title, &self.names(|_| true), pick, format);
    }

    fn print_grid_of(&self, title: &str, works: &[&'static str], pick: Pick, format: fn(f64) -> String) {
        table(title, &self.columns, works, |work, target| {
            let samples = &self.measured.samples;
            let bad =
                |sample: &Sample| sample.work == work && sample.target == target && sample.errors + sample.wrong > 0;
            let mark = if samples.iter().any(bad) { "!" } else { "" };
            median(samples, target, work, pick).map(|value| format(value) + mark)
        });
    }

    fn print_passes(&self) {
        let two: fn(f64) -> String = |value| format!("{value:.3}");
        let whole: fn(f64) -> String = |value| format!("{value:.0}");
        print_counts("F4: system calls per request, GET/SET, 50 connections", &self.measured.system_calls, two);
        print_counts("F5: user instructions per request, GET/SET, 50 connections", &self.measured.instructions, whole);
        self.print_memory();
    }

    fn print_memory(&self) {
        let idle = |column: &str| self.measured.idle.iter().find(|idle| idle.target == column);
        let columns: Vec<&str> = self.measured.idle.iter().map(|idle| idle.target).collect();
        if !columns.is_empty() {
            let rows = ["connections", "bytes each, fresh", "bytes each, after use", "MB in all"];
            table("F7: idle connections", &columns, &rows, |row, column| {
                let idle = idle(column)?;
                Some(match row {
                    "connections" => idle.connections.to_string(),
                    "bytes each, fresh" => format!("{:.0}", idle.fresh),
                    "bytes each, after use" => format!("{:.0}", idle.used),
                    _ => format!("{:.1}", idle.whole / MEGABYTE),
                })
            });
        }
        let columns: Vec<&str> = self.measured.bursts.iter().map(|burst| burst.target).collect();
        if !columns.is_empty() {
            let rows = ["before", "at the peak", "30 s later", "seconds until 1.25 x"];
            table("F7: resident memory around a burst, MB", &columns, &rows, |row, column| {
                let burst = self.measured.bursts.iter().find(|burst| burst.target == column)?;
                let megabytes = |bytes: f64| Some(format!("{:.1}", bytes / MEGABYTE));
                match row {
                    "before" => megabytes(burst.before),
                    "at the peak" => megabytes(burst.peak),
                    "30 s later" => megabytes(burst.after),
                    _ => burst.back.map(|seconds| format!("{seconds:.1}")),
                }
            });
        }
    }

    fn print_errors(&self) {
        for sample in self.measured.samples.iter().filter(|sample| sample.errors + sample.wrong > 0) {
            let complaint = sample.complaint.as_deref().unwrap_or_default();
            println!(
                "\n{} in {}, round {}: {} error replies and {} wrong ones of {}; the first: {complaint}",
                sample.target, sample.work, sample.round, sample.errors, sample.wrong, sample.replies
            );
        }
    }

    fn print_verdicts(&self) {
        println!("\nTargets");
        for verdict in &self.verdicts {
            let got = verdict.got.map_or("-".to_owned(), short);
            let figure = format!("{:?}", verdict.figure);
            println!("{figure:4} {:58} {got:>8}  <= {:<6} {}", verdict.what, short(verdict.most), verdict.word());
        }
    }

    /// Whether the house's own proxy gave a reply that it should not have given: then its figures mean nothing.
    pub(crate) fn is_invalid(&self) -> bool {
        let ours = |sample: &&Sample| sample.target == OURS;
        self.measured.samples.iter().filter(ours).any(|sample| sample.errors + sample.wrong > 0)
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .map_err(|error| format!("{}: {error}", path.display()).into())
    }
}

fn print_counts(title: &str, counts: &[Count], format: fn(f64) -> String) {
    let Some(first) = counts.first() else { return };
    let (mut columns, mut depths) = (Vec::new(), Vec::new());
    for count in counts {
        if !columns.contains(&count.target) {
            columns.push(count.target);
        }
        if !depths.contains(&count.depth) {
            depths.push(count.depth);
        }
    }
    let rows: Vec<String> = depths.iter().map(|depth| format!("P{depth}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    table(&format!("{title} (counted by {})", first.by), &columns, &rows, |row, column| {
        let found = counts.iter().find(|count| count.target == column && format!("P{}", count.depth) == row)?;
        Some(format(found.per_request))
    });
}
