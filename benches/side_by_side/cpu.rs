//! What the kernel knows about a process: CPU time in nanoseconds, resident memory; and the machine's description.
//!
//! CPU time is read from `/proc/PID/task/*/schedstat`, exact to the nanosecond; the ticks of `/proc/PID/stat` are not.

use std::process::{Command, Stdio};

use serde::Serialize;

use crate::Result;

/// CPU time, user and system, of all threads of a process so far, in nanoseconds.
pub(crate) fn time(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let first = text.split_whitespace().next().ok_or("an empty schedstat")?;
        total += first.parse::<u64>()?;
    }
    Ok(total)
}

/// CPU time of several processes together, in nanoseconds.
pub(crate) fn times(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| time(*pid)).sum()
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// The most resident memory that a process had since the last [`forget_peak`], in bytes.
pub(crate) fn peak(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

/// Begins anew with what [`peak`] tells.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

fn status(pid: u32, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// What ran where.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// When the run began, UTC.
    pub(crate) date: String,
    /// The processor's name as the kernel gives it.
    pub(crate) processor: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Memory in bytes.
    pub(crate) memory: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Load averages before the run: others' work disturbs it.
    pub(crate) load: String,
}

impl Machine {
    /// Describes this machine.
    pub(crate) fn describe() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: String, name: &str| {
            let value =
                text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([' ', '\t', ':'])));
            value.unwrap_or_default().to_owned()
        };
        let memory = field(read("/proc/meminfo"), "MemTotal");
        let date = Command::new("date").args(["-u", "+%FT%TZ"]).stdin(Stdio::null()).output();
        Self {
            date: date.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default(),
            processor: field(read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory.trim_end_matches(" kB").parse().unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").trim().to_owned(),
        }
    }
}
