//! The last two minutes, a look a second: what rates and percentiles are made of.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::scrape;
use super::status::{Latency, Point};
use crate::client::Process;
use crate::telemetry::{Distribution, NodeTotals, wall_clock};

/// How many looks are kept for the chart.
const KEPT: usize = 120;
/// Rates are over so many looks.
pub(super) const RATE_LOOKS: usize = 5;
/// Percentiles are over so many looks.
pub(super) const LATENCY_LOOKS: usize = 10;

/// What had been counted at one moment.
pub(super) struct Look {
    at: Instant,
    pub(super) totals: Totals,
    pub(super) durations: Distribution,
    pub(super) classes: Vec<Distribution>,
    pub(super) overhead: Distribution,
    pub(super) commands: Vec<u64>,
    pub(super) errors: Vec<u64>,
    pub(super) nodes: BTreeMap<String, NodeTotals>,
}

/// Sums over everything.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) redirects: u64,
    pub(super) retries: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) connections: u64,
}

impl Look {
    fn now(process: &Process) -> Self {
        let classes = scrape::durations(process).to_vec();
        let mut durations = Distribution::default();
        for class in &classes {
            durations.merge(class);
        }
        let errors: Vec<u64> = scrape::errors(process).map(|(_, count)| count).collect();
        let totals = Totals {
            requests: process.total(|tally| &tally.commands),
            errors: errors.iter().sum(),
            redirects: process.total(|tally| &tally.redirects),
            retries: process.total(|tally| &tally.put_off),
            received: process.total(|tally| &tally.received),
            sent: process.total(|tally| &tally.sent),
            connections: process.accepted.load(Ordering::Relaxed),
        };
        Self {
            at: Instant::now(),
            totals,
            durations,
            classes,
            overhead: scrape::overhead(process),
            commands: scrape::commands(process).map(|(_, count)| count).collect(),
            errors,
            nodes: process.nodes.totals().into_iter().collect(),
        }
    }
}

/// What was counted second by second.
#[derive(Default)]
pub(super) struct History {
    /// The newest last; as many as the longest window needs.
    looks: VecDeque<Look>,
    points: VecDeque<Point>,
}

impl History {
    /// Takes one more look.
    pub(super) fn take(&mut self, process: &Process) {
        let look = Look::now(process);
        if let Some(before) = self.looks.back() {
            self.points.push_back(point(before, &look));
        }
        self.looks.push_back(look);
        while self.looks.len() > LATENCY_LOOKS + 1 {
            self.looks.pop_front();
        }
        while self.points.len() > KEPT {
            self.points.pop_front();
        }
    }

    /// The chart, the newest last.
    pub(super) fn points(&self) -> Vec<Point> {
        self.points.iter().cloned().collect()
    }

    /// The look so many before the last one, or the oldest there is.
    fn back(&self, looks: usize) -> Option<&Look> {
        self.looks.get(self.looks.len().saturating_sub(looks + 1))
    }

    /// The span between the last look and that so many before.
    pub(super) fn window(&self, looks: usize) -> Option<Window<'_>> {
        Some(Window { before: self.back(looks)?, now: self.looks.back()? })
    }
}

/// Two looks.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) before: &'a Look,
    pub(super) now: &'a Look,
}

impl Window<'_> {
    /// How often a second what `count` reads was counted.
    pub(super) fn rate(&self, count: impl Fn(&Look) -> u64) -> f64 {
        let seconds = self.now.at.duration_since(self.before.at).max(Duration::from_millis(1)).as_secs_f64();
        round(count(self.now).saturating_sub(count(self.before)) as f64 / seconds)
    }

    /// How long what `of` reads took.
    pub(super) fn latency(&self, of: impl Fn(&Look) -> Option<&Distribution>) -> Latency {
        let nothing = Distribution::default();
        let now = of(self.now).unwrap_or(&nothing);
        let during = now.since(of(self.before).unwrap_or(&nothing));
        Latency { p50_us: during.quantile_us(0.5).map(round), p99_us: during.quantile_us(0.99).map(round) }
    }
}

fn point(before: &Look, now: &Look) -> Point {
    let window = Window { before, now };
    Point {
        at_ms: wall_clock().as_millis() as u64,
        requests: window.rate(|look| look.totals.requests),
        errors: window.rate(|look| look.totals.errors),
        p99_us: window.latency(|look| Some(&look.durations)).p99_us,
    }
}

/// To one digit behind the point: more would be noise.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
