//! What is printed and what is written: aligned tables of plain text, and everything as JSON.
//!
//! No measurement and no judgement here. A cell without a number says `-`; `!` marks numbers that contain replies which
//! were errors or wrong, listed below the tables and left out of the ratios.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::cpu::Machine;
use crate::passes::Count;
use crate::plan::TOTALS;
use crate::rounds::Sample;
use crate::stats::{Pick, Spread, median, ratio};
use crate::targets::{DIRECT, Missing, OURS};
use crate::verdict::{Measured, NODES, PROXY, TOTAL, Verdict};

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
    /// The order of the rows.
    pub(crate) works: Vec<&'static str>,
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
        for work in self.works.iter().copied() {
            for theirs in others() {
                let spread = ratio(&self.measured.samples, &[work], (ours, PROXY), (theirs, PROXY));
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
        table(&title, &others, &self.works, |work, other| {
            let found = self.ratios.iter().find(|ratio| ratio.work == work && ratio.theirs == other)?;
            Some(spread(&found.spread))
        });
        self.print_grid("Servers' CPU, us per request (MGET: per key)", NODES, number);
        self.print_grid("Thousand requests (MGET: keys) per second", |s| Some(s.per_second / 1e3), number);
        let whole: fn(f64) -> String = |value| format!("{value:.0}");
        self.print_grid("Batch latency p50, us", |s| Some(s.p50_us), whole);
        self.print_grid("Batch latency p99, us", |s| Some(s.p99_us), whole);
        let labels: Vec<&str> = TOTALS.iter().map(|(label, ..)| *label).collect();
        if self.columns.contains(&DIRECT) {
            let title = "F3: CPU of proxy and nodes / nodes asked directly, GET and SET";
            table(title, &self.on_cluster, &labels, |row, column| {
                let (_, works, _) = TOTALS.iter().find(|(label, ..)| *label == row)?;
                Some(spread(&ratio(&self.measured.samples, works, (column, TOTAL), (DIRECT, NODES))?))
            });
        }
    }

    fn print_grid(&self, title: &str, pick: Pick, format: fn(f64) -> String) {
        table(title, &self.columns, &self.works, |work, target| {
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
        let Some(first) = self.measured.memory.first() else { return };
        let title = format!("F7: bytes per idle connection, {} connections", first.connections);
        let columns: Vec<&str> = self.measured.memory.iter().map(|memory| memory.target).collect();
        table(&title, &columns, &["fresh", "after use"], |row, column| {
            let memory = self.measured.memory.iter().find(|memory| memory.target == column)?;
            Some(whole(if row == "fresh" { memory.fresh } else { memory.used }))
        });
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

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

fn spread(spread: &Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.low, spread.high)
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

/// Prints a table: the first column as wide as its rows' names, the others as wide as their widest cell.
fn table(title: &str, columns: &[&str], rows: &[&str], cell: impl Fn(&str, &str) -> Option<String>) {
    let text = |row: &str, column: &str| cell(row, column).unwrap_or("-".to_owned());
    let names = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: &&str| rows.iter().map(|row| text(row, column).len()).max().unwrap_or(0).max(column.len());
    println!("\n{title}");
    print!("{:names$}", "");
    for column in columns {
        print!("  {column:>0$}", width(column));
    }
    for row in rows {
        print!("\n{row:names$}");
        for column in columns {
            print!("  {:>1$}", text(row, column), width(column));
        }
    }
    println!();
}
