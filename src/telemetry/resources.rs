//! What the system says of this process: processor time, memory, open files.
//!
//! Read from `/proc` when somebody asks; where there is none, only the start is known.

use std::time::Duration;

use super::wall_clock;

/// What the process has used and holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Processor time of all threads, in seconds.
    pub cpu_seconds: f64,
    /// Memory in use, in bytes.
    pub resident_bytes: u64,
    /// Addresses in use, in bytes.
    pub virtual_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// How many files may be open; 0 where there is no limit.
    pub max_files: u64,
    /// When the process began, in seconds since 1970.
    pub started_seconds: f64,
}

impl Resources {
    /// Asks the system. `uptime` is for how long the process has run.
    #[must_use]
    pub fn now(uptime: Duration) -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program is in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            cpu_seconds: (field(11) + field(12)) as f64 / ticks as f64,
            virtual_bytes: field(20),
            resident_bytes: field(21) * rustix::param::page_size() as u64,
            open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            max_files: limit.unwrap_or(0),
            started_seconds: wall_clock().saturating_sub(uptime).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_uses_something() {
        let now = Resources::now(Duration::from_secs(1));
        assert!(now.resident_bytes > 100_000 && now.virtual_bytes >= now.resident_bytes, "{now:?}");
        assert!(now.open_files > 2 && now.started_seconds > 1.7e9, "{now:?}");
    }
}
