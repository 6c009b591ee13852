//! The slow log: requests that took long, from their arrival to their reply, with their beginning and their client.
//!
//! Each worker keeps the latest of its own. That a request was slow is noticed by the backend, which looks at the
//! turn's clock only; times are whole milliseconds therefore, shown in microseconds as Redis shows them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::process::{Process, wall_clock};
use super::shown;
use crate::backend::Millis;
use crate::command::{self, Flags};
use crate::resp::encode;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};
use crate::telemetry::SlowRequest;

/// How many arguments of a request are kept, and how many bytes of each, as Redis keeps them.
const MAX_ARGS: usize = 32;
const MAX_BYTES: usize = 128;
/// What came from a client was let in before: it needs no limit here.
const ANY: Limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };

/// One slow request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts the slow requests of the process.
    id: u64,
    /// Seconds since 1970 at which it ended.
    time: u64,
    micros: u64,
    args: Vec<Box<[u8]>>,
    addr: Box<str>,
    name: Box<str>,
}

/// The latest slow requests of one worker.
pub struct Ring {
    entries: VecDeque<Entry>,
    /// How many are kept.
    most: usize,
    process: Arc<Process>,
}

impl Ring {
    pub(super) const fn new(most: usize, process: Arc<Process>) -> Self {
        Self { entries: VecDeque::new(), most, process }
    }

    /// Keeps so many from now on.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
        self.entries.drain(..self.entries.len().saturating_sub(most));
    }

    /// Keeps a request that took `ms` milliseconds, or a transaction; its client may be gone.
    pub fn note(&mut self, frames: &[u8], ms: Millis, addr: &str, name: &str) {
        let args = arguments(frames);
        if args.is_empty() || self.most == 0 {
            return;
        }
        if self.entries.len() >= self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            id: self.process.slow.fetch_add(1, Ordering::Relaxed),
            time: wall_clock().as_secs(),
            micros: ms * 1000,
            args: cut(&args),
            addr: addr.into(),
            name: name.into(),
        });
    }

    /// The latest, so many at most.
    #[must_use]
    pub fn latest(&self, most: usize) -> Vec<Entry> {
        self.entries.iter().rev().take(most).cloned().collect()
    }

    /// The identifier of the latest.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.id)
    }

    /// The latest in words, so many at most.
    #[must_use]
    pub fn told(&self, most: usize) -> Vec<SlowRequest> {
        /// So much of a request is told.
        const TOLD: usize = 200;
        let told = |entry: &Entry| {
            let words: Vec<_> = entry.args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            SlowRequest {
                id: entry.id,
                at_ms: entry.time * 1000,
                took_us: entry.micros,
                command: words.join(" ").chars().take(TOLD).collect(),
                client: entry.addr.to_string(),
            }
        };
        self.entries.iter().rev().take(most).map(told).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The arguments of a request, or of those of a transaction one behind the other; none of what is not to be logged.
fn arguments(mut frames: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut args = Args::default();
    while let Ok(Step::Request { used, inline }) = Decoder::default().step(frames, &mut args, &ANY) {
        let request = args.request(frames, used, inline);
        if !is_hidden(&request) {
            all.extend(shown::arguments(&request).into_iter().map(<[u8]>::to_vec));
        }
        frames = frames.get(used..).unwrap_or_default();
    }
    all
}

fn is_hidden(request: &Request<'_>) -> bool {
    let spec = command::lookup(request.name()).and_then(|spec| spec.resolve(request));
    spec.is_some_and(|spec| spec.flags.has(Flags::SKIP_SLOWLOG))
}

/// The beginning of a request, and how much there was beyond it.
fn cut(args: &[Vec<u8>]) -> Vec<Box<[u8]>> {
    let kept = if args.len() > MAX_ARGS { MAX_ARGS - 1 } else { args.len() };
    let shorten = |arg: &Vec<u8>| match arg.split_at_checked(MAX_BYTES) {
        Some((head, rest)) if !rest.is_empty() => {
            [head, format!("... ({} more bytes)", rest.len()).as_bytes()].concat().into()
        }
        _ => arg.as_slice().into(),
    };
    let mut shown: Vec<Box<[u8]>> = args.iter().take(kept).map(shorten).collect();
    if kept < args.len() {
        shown.push(format!("... ({} more arguments)", args.len() - kept).into_bytes().into());
    }
    shown
}

/// Appends the latest `most` of all workers' entries.
pub(super) fn write(mut entries: Vec<Entry>, most: usize, out: &mut Vec<u8>) {
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(most);
    encode::array(out, entries.len());
    for entry in entries {
        encode::array(out, 6);
        for number in [entry.id, entry.time, entry.micros] {
            encode::integer(out, number as i64);
        }
        encode::array(out, entry.args.len());
        entry.args.iter().for_each(|arg| encode::bulk(out, arg));
        encode::bulk(out, entry.addr.as_bytes());
        encode::bulk(out, entry.name.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Vec<Box<[u8]>> {
        cut(&arguments(format!("{line}\r\n").as_bytes()))
    }

    #[test]
    fn long_requests_are_cut_as_redis_cuts_them() {
        let many = format!("DEL {}", (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        let many = shown(&many);
        assert_eq!(many.len(), 32);
        assert_eq!(*many[30], *b"29");
        assert_eq!(*many[31], *b"... (10 more arguments)");
        let long = format!("SET k {}", "x".repeat(130));
        assert!(shown(&long)[2].ends_with(b"x... (2 more bytes)"));
        assert_eq!(shown(&format!("SET k {}", "x".repeat(128)))[2].len(), 128);
    }

    #[test]
    fn a_transaction_is_shown_as_what_it_holds() {
        let args = shown("MULTI\r\nSET k v\r\nEXEC");
        assert_eq!(args.concat(), b"MULTISETkv");
    }
}
