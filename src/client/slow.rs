//! The slow log: requests that took long, from their arrival to their reply, with their beginning and their client.
//!
//! Each worker keeps the latest of its own. That a request was slow is noticed by the backend, which looks at the
//! turn's clock only; times are whole milliseconds therefore, shown in microseconds as Redis shows them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::asking::{self, Question};
use super::process::{Process, wall_clock};
use super::state::{Flow, Room, Session, refuse, say};
use super::{helps, shown};
use crate::backend::Millis;
use crate::command::{Flags, Spec, keys};
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;

/// How many arguments of a request are kept, and how many bytes of each, as Redis keeps them.
const MAX_ARGS: usize = 32;
const MAX_BYTES: usize = 128;
/// What `SLOWLOG GET` gives when it is not told how many.
const USUAL: usize = 10;

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
    process: Arc<Process>,
}

impl Ring {
    pub(super) const fn new(process: Arc<Process>) -> Self {
        Self { entries: VecDeque::new(), process }
    }

    /// Keeps a request that took `ms` milliseconds; its client may be gone.
    pub fn note(&mut self, request: &Request<'_>, ms: Millis, addr: &str, name: &str) {
        let hidden = crate::command::lookup(request.name()).and_then(|spec| spec.resolve(request));
        if hidden.is_some_and(|spec| spec.flags.has(Flags::SKIP_SLOWLOG)) || self.most() == 0 {
            return;
        }
        if self.entries.len() >= self.most() {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            id: self.process.slow.fetch_add(1, Ordering::Relaxed),
            time: wall_clock().as_secs(),
            micros: ms * 1000,
            args: cut(request),
            addr: addr.into(),
            name: name.into(),
        });
    }

    fn most(&self) -> usize {
        self.process.options.slow_entries
    }

    /// The latest, so many at most.
    #[must_use]
    pub fn latest(&self, most: usize) -> Vec<Entry> {
        self.entries.iter().rev().take(most).cloned().collect()
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

/// The beginning of a request, and how much there was beyond it.
fn cut(request: &Request<'_>) -> Vec<Box<[u8]>> {
    let args = shown::arguments(request);
    let kept = if args.len() > MAX_ARGS { MAX_ARGS - 1 } else { args.len() };
    let shorten = |arg: &&[u8]| match arg.split_at_checked(MAX_BYTES) {
        Some((head, rest)) if !rest.is_empty() => {
            [head, format!("... ({} more bytes)", rest.len()).as_bytes()].concat().into()
        }
        _ => Box::from(*arg),
    };
    let mut shown: Vec<Box<[u8]>> = args.iter().take(kept).map(shorten).collect();
    if kept < args.len() {
        shown.push(format!("... ({} more arguments)", args.len() - kept).into_bytes().into());
    }
    shown
}

/// `SLOWLOG …`.
pub(super) fn slowlog(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let most = room.options.slow_entries;
    match (spec.name, request.arg(2), request.argc()) {
        ("get", None, _) => asking::ask(session, client, Question::SlowGet(USUAL.min(most)), room),
        ("get", Some(count), 3) => match keys::integer(count).filter(|count| *count >= -1) {
            None => refuse(client, "ERR count should be greater than or equal to -1", room),
            Some(count) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(most);
                asking::ask(session, client, Question::SlowGet(count), room)
            }
        },
        ("len", ..) => asking::ask(session, client, Question::SlowLen, room),
        ("reset", ..) => asking::ask(session, client, Question::SlowReset, room),
        ("help", ..) => say(client, room, |out| helps::write("SLOWLOG", helps::SLOWLOG, out)),
        _ => {
            let name = String::from_utf8_lossy(request.arg(1).unwrap_or_default()).into_owned();
            let text = format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try SLOWLOG HELP.");
            refuse(client, &text, room)
        }
    }
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
    use super::super::shown::tests::with_line;
    use super::*;

    #[test]
    fn long_requests_are_cut_as_redis_cuts_them() {
        let many = format!("DEL {}", (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        let shown = with_line(&many, cut);
        assert_eq!(shown.len(), 32);
        assert_eq!(*shown[30], *b"29");
        assert_eq!(*shown[31], *b"... (10 more arguments)");
        let long = format!("SET k {}", "x".repeat(130));
        assert!(with_line(&long, cut)[2].ends_with(b"x... (2 more bytes)"));
        assert_eq!(with_line(&format!("SET k {}", "x".repeat(128)), cut)[2].len(), 128);
    }
}
