//! What is measured outside of the rounds, because counting disturbs: system calls, instructions, memory.
//!
//! Each pass runs one target at a time. System calls come from perf's tracepoint, or from strace where that is
//! forbidden; instructions from callgrind, start-up subtracted by two runs of different lengths.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use crate::child::{Child, on_path};
use crate::cluster::{PATIENCE, Servers, ask};
use crate::load::Fleet;
use crate::plan::{Space, mixed};
use crate::rounds::Spaces;
use crate::targets::{Running, Target};
use crate::wire::{Keyspace, Owed, Verdict};
use crate::{Result, cpu};

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

/// Memory that idle connections cost.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// The target's name.
    pub(crate) target: &'static str,
    /// How many connections.
    pub(crate) connections: usize,
    /// Bytes per connection that has said nothing yet.
    pub(crate) fresh: f64,
    /// Bytes per connection that has asked sixteen times and is idle again.
    pub(crate) used: f64,
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
        let mut running = target.start(servers, directory, &wrapper)?;
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

/// Measures what idle connections cost a target that was just started.
pub(crate) fn memory(target: &Running, connections: usize, spaces: &Spaces) -> Result<Memory> {
    let pid = target.pid().ok_or("no process of its own")?;
    let address = *target.destination.addresses.first().ok_or("no address")?;
    let keys = spaces.of(Space::Small);
    // The first connection pays for what all share.
    use_connection(&mut TcpStream::connect(address)?, keys)?;
    let settled = || -> Result<f64> {
        std::thread::sleep(Duration::from_secs(2));
        Ok(cpu::resident(pid)? as f64)
    };
    let before = settled()?;
    let mut idle = (0..connections).map(|_| TcpStream::connect(address)).collect::<std::io::Result<Vec<_>>>()?;
    // Connections are accepted in their order: when a later one is answered, all are in.
    ask(address, &["PING"])?;
    let fresh = (settled()? - before) / connections as f64;
    for stream in &mut idle {
        use_connection(stream, keys)?;
    }
    let used = (settled()? - before) / connections as f64;
    Ok(Memory { target: target.name, connections, fresh, used })
}

/// Sixteen GETs in one pipeline.
fn use_connection(stream: &mut TcpStream, keys: &Keyspace) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    (0..16).for_each(|key| keys.encode_get(&mut request, key));
    stream.write_all(&request)?;
    let (mut replies, mut scratch) = (Vec::new(), [0; 4096]);
    let (mut key, mut used) = (0, 0);
    while key < 16 {
        let count = stream.read(&mut scratch)?;
        if count == 0 {
            return Err("closed by the proxy".into());
        }
        replies.extend_from_slice(scratch.get(..count).unwrap_or_default());
        while let Some((length, verdict)) = keys.check(replies.get(used..).unwrap_or_default(), Owed::Value(key)) {
            if verdict != Verdict::Right {
                return Err(format!("a GET was answered {}", String::from_utf8_lossy(&replies)).into());
            }
            used += length;
            key += 1;
        }
    }
    Ok(())
}
