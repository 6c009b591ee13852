//! The main figures as bars in an SVG, for `docs/performance.md`: nothing in it that the tables do not say.
//!
//! Colours follow the reader's light or dark, and each panel has a scale of its own.

use std::fmt::Write as _;
use std::path::Path;

use crate::Result;
use crate::report::Report;
use crate::stats::median;
use crate::targets::{DIRECT, OURS};
use crate::verdict::PROXY;

/// One panel: its title, the workloads whose mean is shown.
const PANELS: &[(&str, &[&str])] = &[
    ("GET and SET, no pipelining", &["GET c50 P1", "SET c50 P1"]),
    ("in pipelines of 16", &["GET c50 P16", "SET c50 P16"]),
    ("in pipelines of 64", &["GET c50 P64", "SET c50 P64"]),
    ("1000 connections, no pipelining", &["GET/SET c1000 P1"]),
    ("GET and SET of 4 KB, pipelines of 16", &["GET 4 KB c50 P16", "SET 4 KB c50 P16"]),
    ("MGET of 100 keys, per key", &["MGET 100 c50"]),
];

/// Panels side by side.
const ACROSS: usize = 2;
const PANEL: usize = 400;
const NAMES: usize = 96;
const VALUES: usize = 52;
const LINE: usize = 20;
const TITLE: usize = 28;
const TOP: usize = 40;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.b{fill:#8c959f}.o{fill:#1f6feb}\
                     @media(prefers-color-scheme:dark){text{fill:#d1d7e0}.b{fill:#656c76}.o{fill:#4493f8}}";

/// Draws what was measured of the panels; a panel without numbers is left out.
pub(crate) fn write(report: &Report, path: &Path) -> Result<()> {
    let names: Vec<&str> = report.columns.iter().copied().filter(|name| *name != DIRECT).collect();
    let value = |works: &[&str], target: &str| -> Option<f64> {
        let each = works.iter().map(|work| median(&report.measured.samples, target, work, PROXY));
        Some(each.sum::<Option<f64>>()? / works.len() as f64)
    };
    let panels = PANELS.iter().filter_map(|(title, works)| {
        let bars: Vec<_> = names.iter().filter_map(|name| Some((*name, value(works, name)?))).collect();
        (!bars.is_empty()).then_some((*title, bars))
    });
    let height = TITLE + names.len() * LINE + 24;
    let (mut body, mut count) = (String::new(), 0);
    for (place, (title, bars)) in panels.enumerate() {
        let (x, y) = (place % ACROSS * PANEL + 10, place / ACROSS * height + TOP);
        panel(&mut body, x, y, title, &bars)?;
        count = place + 1;
    }
    let (width, tall) = (ACROSS * PANEL + 10, count.div_ceil(ACROSS) * height + TOP);
    let heading = "CPU of the proxy in \u{b5}s per request: less is better";
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {tall}\" width=\"{width}\" height=\"{tall}\" \
         role=\"img\" aria-label=\"{heading}\">\n<style>{STYLE}</style>\n\
         <text class=\"t\" x=\"10\" y=\"20\">{heading} ({})</text>\n{body}</svg>\n",
        report.machine.date.split('T').next().unwrap_or_default(),
    );
    std::fs::write(path, svg).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn panel(out: &mut String, x: usize, y: usize, title: &str, bars: &[(&str, f64)]) -> Result<()> {
    writeln!(out, "<text class=\"t\" x=\"{x}\" y=\"{}\">{title}</text>", y + 14)?;
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    for (row, (name, value)) in bars.iter().enumerate() {
        let top = y + TITLE + row * LINE;
        let shown = if *name == "haproxy" { "null relay" } else { name };
        let long = ((PANEL - NAMES - VALUES - 20) as f64 * value / most).max(1.0);
        let class = if *name == OURS { "o" } else { "b" };
        let (left, base) = (x + NAMES, top + 11);
        writeln!(out, "<text x=\"{x}\" y=\"{base}\">{shown}</text>")?;
        writeln!(out, "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{long:.1}\" height=\"14\"/>")?;
        writeln!(out, "<text x=\"{:.1}\" y=\"{base}\">{value:.2}</text>", left as f64 + long + 6.0)?;
    }
    Ok(())
}
