//! The text format of Prometheus: families with help and type, samples with labels.
//!
//! Written straight from the counters at each scrape, so a series ends with what it counts.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write as _};

use super::Distribution;
use super::names::{Kind, Metric};

/// A scrape under construction. Writing to a string cannot fail.
#[derive(Debug, Default)]
pub struct Exposition {
    out: String,
}

impl Exposition {
    /// A family with one sample that has no labels.
    pub fn single(&mut self, metric: &Metric, value: impl Display) {
        self.family(metric);
        self.sample(metric, &[], value);
    }

    /// Begins a family. Its samples follow directly.
    pub fn family(&mut self, metric: &Metric) {
        let Metric { name, kind, help, .. } = metric;
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
    }

    /// A sample; `labels` are the values of those that the metric has, in their order.
    pub fn sample(&mut self, metric: &Metric, labels: &[&str], value: impl Display) {
        debug_assert_ne!(metric.kind, Kind::Histogram, "{} has buckets", metric.name);
        self.line(metric, "", labels, None, value);
    }

    /// Buckets, sum and count of durations.
    pub fn histogram(&mut self, metric: &Metric, labels: &[&str], all: &Distribution) {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{} has no buckets", metric.name);
        for (bound, count) in all.cumulative() {
            self.line(metric, "_bucket", labels, Some(&seconds(bound)), count);
        }
        self.line(metric, "_bucket", labels, Some("+Inf"), all.count());
        self.line(metric, "_sum", labels, None, all.sum_seconds());
        self.line(metric, "_count", labels, None, all.count());
    }

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.out
    }

    fn line(&mut self, metric: &Metric, suffix: &str, labels: &[&str], le: Option<&str>, value: impl Display) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{} has other labels", metric.name);
        let _ = write!(self.out, "{}{suffix}", metric.name);
        let labels = metric.labels.iter().copied().zip(labels.iter().copied());
        let mut separator = '{';
        for (name, value) in labels.chain(le.map(|bound| ("le", bound))) {
            let _ = write!(self.out, "{separator}{name}=\"");
            self.escaped(value);
            self.out.push('"');
            separator = ',';
        }
        let end = if separator == ',' { "}" } else { "" };
        let _ = writeln!(self.out, "{end} {value}");
    }

    fn escaped(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                other => self.out.push(other),
            }
        }
    }
}

/// Microseconds as seconds, in as few digits as it takes: `0.00005`.
fn seconds(micros: u32) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let metric = Metric { name: "x_total", kind: Kind::Counter, labels: &["a", "b"], help: "Of x." };
        let mut out = Exposition::default();
        out.family(&metric);
        out.sample(&metric, &["1", "q\"\\\n"], 7);
        let text = "# HELP x_total Of x.\n# TYPE x_total counter\nx_total{a=\"1\",b=\"q\\\"\\\\\\n\"} 7\n";
        assert_eq!(out.finish(), text);
        assert_eq!([50, 1_000, 2_500_000, 10_000_000].map(seconds), ["0.00005", "0.001", "2.5", "10"]);
    }
}
