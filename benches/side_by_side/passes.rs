//! What is measured outside of the rounds, because counting disturbs: system calls and instructions.
//!
//! Each pass runs one target at a time. System calls come from perf's tracepoint, or from strace where that is
//! forbidden; instructions from callgrind, start-up subtracted by two runs of different lengths.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use crate::Result;
use crate::child::{Child, on_path};
use crate::cluster::{PATIENCE, Servers};
use crate::load::Fleet;
use crate::plan::{Scene, mixed};
use crate::rounds::Spaces;
use crate::targets::{Running, Target};

/// Something counted per request at one depth.
#[derive(Debug, Serialize)]
pub(crate) struct Count {
    /// The target's name.
    pub(crate) target: &'static str,
    /// Requests per batch.
    pub(crate) depth: usize,
    /// How many per request.
    pub(crate) per_request: f64,
    /// What counted.
    pub(crate) by: &'static str,
}

/// How long a tracer needs to attach.
const ATTACH: Duration = Duration::from_millis(700);

/// Counts the system calls of a running target with GET and SET at this depth.
pub(crate) fn system_calls(target: &Running, depth: usize, spaces: &Spaces, directory: &Path) -> Result<Count> {
    let pid = target.pid().ok_or("no process of its own")?.to_string();
    let load = mixed(depth, 20_000 * depth.min(8) as u64);
    let mut fleet = Fleet::connect(&target.destination, spaces.of(load.space), load.connections)?;
    fleet.run(&load.sized(load.warm_up()), 1)?;
    let file = directory.join(format!("calls-{}-{depth}", target.name));
    let out = file.display().to_string();
    let perf = ["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-o", &out, "-p", &pid];
    let strace = ["-c", "-f", "-o", &out, "-p", &pid];
    let tools: [(&'static str, &[&str], Reader); 2] = [("perf", &perf, perf_total), ("strace", &strace, strace_total)];
    for (by, words, read) in tools {
        let Some(program) = on_path(by) else { continue };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut tracer = Child::spawn(&program, &words, &directory.join("tracer.log"))?;
        std::thread::sleep(ATTACH);
        if tracer.ended()?.is_some() {
            continue;
        }
        let outcome = fleet.run(&load, 2)?;
        tracer.finish(Signal::INT, PATIENCE)?;
        if let Some(complaint) = outcome.complaint {
            return Err(format!("a request was answered {complaint}").into());
        }
        if let Some(calls) = read(&std::fs::read_to_string(&file)?) {
            let per_request = calls as f64 / outcome.replies as f64;
            return Ok(Count { target: target.name, depth, per_request, by });
        }
    }
    Err("neither perf (tracepoints) nor strace (ptrace) is there and allowed to count".into())
}

type Reader = fn(&str) -> Option<u64>;

/// `123,,raw_syscalls:sys_enter,...`
fn perf_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

/// `100.00 0.012345 1 12345 67 total`: the calls stand fourth.
fn strace_total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Under callgrind all takes some fifty times as long; without this, slotway would note requests as slow that are not.
const UNHURRIED: &str = "SLOTWAY__SLOWLOG__THRESHOLD=1h";

/// Counts a target's user instructions per request with GET and SET at this depth, in runs of its own.
pub(crate) fn instructions(
    target: &Target,
    depth: usize,
    requests: u64,
    servers: &Servers,
    spaces: &Spaces,
    directory: &Path,
) -> Result<Count> {
    let valgrind = on_path("valgrind").ok_or("valgrind is missing: install the package valgrind")?;
    let short = mixed(depth, 0).warm_up() * 2;
    let total = |length: u64| -> Result<u64> {
        let out = directory.join(format!("callgrind-{}-{depth}-{length}", target.name));
        let wrapper = [
            "env".to_owned(),
            UNHURRIED.to_owned(),
            valgrind.display().to_string(),
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", out.display()),
        ];
        let mut running = target.start(Scene::Usual, servers, directory, &wrapper)?;
        let load = mixed(depth, length);
        let outcome = Fleet::connect(&running.destination, spaces.of(load.space), load.connections)?.run(&load, 3)?;
        if let Some(complaint) = outcome.complaint {
            return Err(format!("a request was answered {complaint}").into());
        }
        let child = running.child.as_mut().ok_or("no process of its own")?;
        child.finish(Signal::TERM, PATIENCE * 3)?;
        let text = std::fs::read_to_string(&out)?;
        let line = text.lines().find_map(|line| line.strip_prefix("totals:")).ok_or("callgrind wrote no totals")?;
        Ok(line.trim().parse()?)
    };
    let difference = total(short + requests)?.saturating_sub(total(short)?);
    let per_request = difference as f64 / requests as f64;
    Ok(Count { target: target.name, depth, per_request, by: "callgrind" })
}
