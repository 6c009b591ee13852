//! Compares proxies in one run: `cargo bench --bench side_by_side -- --help`.
//!
//! ```text
//! args ─► plan ─► cluster + targets (all started here) ─► rounds (interleaved) ─► passes (one target at a time)
//!                                   └── load + wire + cpu ──┘                          │
//!                                       report (tables, JSON, chart) ◄─ verdict ◄──────┘
//! ```
//!
//! Only ratios mean anything, and only between numbers of one run. Everything that is started ends with this process.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a benchmark makes is what it prints")]

mod args;
mod chart;
mod child;
mod cluster;
mod cpu;
mod limits;
mod load;
mod memory;
mod passes;
mod plan;
mod report;
mod rounds;
mod stats;
mod table;
mod targets;
mod verdict;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, Rlimit};

use crate::args::Args;
use crate::child::Directory;
use crate::cluster::Servers;
use crate::cpu::Machine;
use crate::limits::{INSTRUCTIONS, SYSTEM_CALLS};
use crate::plan::{Figure, Scene, Space};
use crate::report::Report;
use crate::rounds::Spaces;
use crate::targets::{Missing, Running, Target};
use crate::verdict::Measured;

/// Whatever can go wrong is told to whoever runs the benchmark.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Connections of F7, if so many files may be open.
const IDLE: u64 = 10_000;

/// Open files of a process that are no connections of clients.
const OTHER_FILES: u64 = 400;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let result = if words.next().is_some_and(|first| first == child::BECOME) {
        child::become_program(words).map(|()| ExitCode::FAILURE)
    } else {
        let args = Args::parse();
        if args.bench { compare(&args) } else { decline() }
    };
    result.unwrap_or_else(|error| {
        eprintln!("side_by_side: {error}");
        ExitCode::FAILURE
    })
}

/// `cargo test --all-targets` starts this too, without cargo bench's word: no time to measure anything.
fn decline() -> Result<ExitCode> {
    wire::prove()?;
    println!("to measure: cargo bench --bench side_by_side");
    Ok(ExitCode::SUCCESS)
}

fn compare(args: &Args) -> Result<ExitCode> {
    wire::prove()?;
    let machine = Machine::describe();
    let files = raise_open_files()?;
    let directory = Directory::create()?;
    let mut servers = Servers::start(directory.path())?;
    let spaces = Spaces::default();
    let (usual, growing) = plan::workloads(args);
    let (targets, mut missing) = targets::seek(args);
    let mut spaces_used = vec![Space::Small, Space::Large];
    spaces_used
        .extend(usual.iter().map(|load| load.space).filter(|space| !matches!(space, Space::Small | Space::Large)));
    spaces_used.dedup();
    let stage = Stage { args, spaces: &spaces, directory: directory.path() };
    let mut running = stage.start_usual(&targets, &spaces_used, &servers, &mut missing)?;
    for absent in &missing {
        eprintln!("{}: {}", absent.name, absent.why);
    }
    if !args.wants(Figure::F3) && !args.wants(Figure::F6) {
        running.retain(|target| target.child.is_some());
    }
    let columns: Vec<_> = running.iter().map(|target| target.name).collect();
    let proxies = running.iter().filter(|target| target.on_cluster && target.child.is_some());
    let on_cluster = proxies.map(|target| target.name).collect();
    let samples = rounds::run(args.rounds(), &usual, &mut running, &spaces, &mut missing);
    let mut measured = Measured { samples, ..Measured::default() };
    let mut notes = Vec::new();
    stage.count_calls(&running, &mut measured, &mut notes);
    let able: Vec<&Target> = targets.iter().filter(|target| columns.contains(&target.name)).collect();
    if !growing.is_empty() {
        servers.grow(directory.path())?;
        running.retain(|target| target.child.is_some() && target.on_cluster);
        running.extend(stage.start_grown(&able, &servers, &mut missing));
        measured.samples.extend(rounds::run(args.rounds(), &growing, &mut running, &spaces, &mut missing));
    }
    drop(running);
    servers.shrink();
    stage.count_instructions(&able, &servers, &mut measured, &mut notes);
    stage.weigh(&able, files.saturating_sub(OTHER_FILES), &servers, &mut measured, &mut notes);
    let mut report = Report {
        machine,
        rounds: args.rounds(),
        quick: args.quick,
        versions: versions(&targets),
        columns,
        works: usual.into_iter().chain(growing).collect(),
        on_cluster,
        missing,
        notes,
        verdicts: verdict::judge(&measured, |figure| args.wants(figure)),
        measured,
        ratios: Vec::new(),
    };
    report.compare();
    report.print();
    args.json.as_deref().map_or(Ok(()), |path| report.write(path))?;
    args.chart.as_deref().map_or(Ok(()), |path| chart::write(&report, path))?;
    Ok(if report.is_invalid() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What all steps of a run share.
struct Stage<'a> {
    args: &'a Args,
    spaces: &'a Spaces,
    directory: &'a Path,
}

impl Stage<'_> {
    /// Starts every target and fills the servers behind it. The direct run is first.
    fn start_usual(
        &self,
        targets: &[Target],
        spaces: &[Space],
        servers: &Servers,
        missing: &mut Vec<Missing>,
    ) -> Result<Vec<Running>> {
        let mut running = vec![Running::direct(servers)];
        running.iter().try_for_each(|direct| rounds::preload(direct, spaces, self.spaces))?;
        for target in targets {
            let started = target.start(Scene::Usual, servers, self.directory, &[]).and_then(|ready| {
                // The cluster was filled above; the other grounds are filled through the proxy that hashes for them.
                if !ready.on_cluster {
                    rounds::preload(&ready, spaces, self.spaces)?;
                }
                Ok(ready)
            });
            match started {
                Ok(ready) => running.push(ready),
                Err(error) => {
                    missing.push(Missing { name: target.name, why: format!("could not be started: {error}") });
                }
            }
        }
        Ok(running)
    }

    /// Starts those that can be a part of the scenes in which something has grown.
    fn start_grown(&self, targets: &[&Target], servers: &Servers, missing: &mut Vec<Missing>) -> Vec<Running> {
        let mut running: Vec<Running> = Vec::new();
        for scene in [Scene::Thirty, Scene::Scattered, Scene::TwoWorkers] {
            for target in targets.iter().filter(|target| target.plays(scene)) {
                let started = target.start(scene, servers, self.directory, &[]).and_then(|ready| {
                    if scene != Scene::TwoWorkers && !running.iter().any(|other| other.scene == scene) {
                        rounds::preload(&ready, &[Space::Small], self.spaces)?;
                    }
                    Ok(ready)
                });
                match started {
                    Ok(ready) => running.push(ready),
                    Err(error) => {
                        let why = format!("could not be started ({scene:?}): {error}");
                        missing.push(Missing { name: target.name, why });
                    }
                }
            }
        }
        running
    }

    /// F4, on the targets of the rounds.
    fn count_calls(&self, running: &[Running], measured: &mut Measured, notes: &mut Vec<String>) {
        if !self.args.wants(Figure::F4) {
            return;
        }
        for target in running.iter().filter(|target| target.child.is_some()) {
            for (depth, _) in SYSTEM_CALLS {
                eprintln!("system calls of {}, P{depth}", target.name);
                match passes::system_calls(target, *depth, self.spaces, self.directory) {
                    Ok(count) => measured.system_calls.push(count),
                    Err(error) => notes.push(format!("system calls of {}, P{depth}: {error}", target.name)),
                }
            }
        }
    }

    /// F5, on fresh processes under callgrind.
    fn count_instructions(
        &self,
        targets: &[&Target],
        servers: &Servers,
        measured: &mut Measured,
        notes: &mut Vec<String>,
    ) {
        if !self.args.wants(Figure::F5) {
            return;
        }
        for target in targets.iter().filter(|target| target.countable) {
            for (depth, _) in INSTRUCTIONS {
                eprintln!("instructions of {}, P{depth}", target.name);
                let requests = (if self.args.quick { 5_000 } else { 20_000 }) * (*depth as u64).min(8);
                match passes::instructions(target, *depth, requests, servers, self.spaces, self.directory) {
                    Ok(count) => measured.instructions.push(count),
                    Err(error) => notes.push(format!("instructions of {}, P{depth}: {error}", target.name)),
                }
            }
        }
    }

    /// F7, on fresh processes.
    fn weigh(
        &self,
        targets: &[&Target],
        files: u64,
        servers: &Servers,
        measured: &mut Measured,
        notes: &mut Vec<String>,
    ) {
        if !self.args.wants(Figure::F7) {
            return;
        }
        let mut recovering = Vec::new();
        for target in targets {
            eprintln!("memory of {}", target.name);
            let start = || target.start(Scene::Usual, servers, self.directory, &[]);
            let connections = IDLE.min(files / target.files) as usize;
            match start().and_then(|running| memory::idle(&running, connections, self.spaces)) {
                Ok(idle) => measured.idle.push(idle),
                Err(error) => notes.push(format!("memory of {}: {error}", target.name)),
            }
            match start().and_then(|running| memory::burst(running, self.spaces)) {
                Ok(one) => recovering.push(one),
                Err(error) => notes.push(format!("burst at {}: {error}", target.name)),
            }
        }
        match memory::recover(recovering) {
            Ok(bursts) => measured.bursts = bursts,
            Err(error) => notes.push(format!("after the bursts: {error}")),
        }
    }
}

fn versions(targets: &[Target]) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<_, _> =
        targets.iter().map(|target| (target.name.to_owned(), target.version.clone())).collect();
    if let Some(redis) = child::on_path("redis-server") {
        versions.insert("redis".to_owned(), child::version(&redis, "-v"));
    }
    versions
}

/// Raises the limit of open files to the hard one, for this process and all that it starts. Gives the new limit.
fn raise_open_files() -> Result<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
