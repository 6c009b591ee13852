//! What the benchmark can be told on its command line.
//!
//! Only reads and checks the words; what they select is decided in `plan`.

use std::path::PathBuf;

use clap::Parser;

use crate::plan::Figure;

/// Compares proxies in one run: the same load, interleaved rounds, CPU time from the kernel's accounting.
#[derive(Debug, Parser)]
#[command(name = "side_by_side")]
pub(crate) struct Args {
    /// How many interleaved rounds (5, or 2 with --quick).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Only these figures: F1 to F10, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "FIGURES")]
    pub(crate) only: Vec<Figure>,
    /// The slotway binary; without it, the one that cargo built beside this benchmark.
    #[arg(long, value_name = "PATH")]
    pub(crate) slotway: Option<PathBuf>,
    /// The nutcracker binary; without it, the one on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) nutcracker: Option<PathBuf>,
    /// The envoy binary; without it, the one in the Python package, or on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// The haproxy binary; without it, the one on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) haproxy: Option<PathBuf>,
    /// The predixy binary; without it, the one on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) predixy: Option<PathBuf>,
    /// Only these targets, by name (direct is always there when F3 is measured).
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) targets: Vec<String>,
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the main figures into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
    /// A sixth of the requests and two rounds: shows that it works, proves nothing.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Cargo adds this word to every benchmark's command line.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Args {
    /// Whether this figure is to be measured.
    pub(crate) fn wants(&self, figure: Figure) -> bool {
        self.only.is_empty() || self.only.contains(&figure)
    }

    /// Whether this target is to take part.
    pub(crate) fn invites(&self, name: &str) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|wanted| wanted == name)
    }

    /// How many rounds to run.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 })
    }
}
