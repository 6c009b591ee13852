//! Errors by kind: the codes that replies begin with, and what can go wrong with a node itself.
//!
//! Kinds are few and fixed, so that no client can make up series. Of each the last one is kept as a sample.

use std::sync::{Mutex, PoisonError};

use super::{Counter, wall_clock};

/// The codes that are counted apart; every other one counts as the last.
pub const CODES: [&str; 26] = [
    "ERR",
    "WRONGTYPE",
    "CROSSSLOT",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "NOSCRIPT",
    "EXECABORT",
    "BUSYGROUP",
    "NOGROUP",
    "BUSYKEY",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "LOADING",
    "READONLY",
    "OOM",
    "MISCONF",
    "BUSY",
    "NOREPLICAS",
    "PROXYUNSENT",
    "PROXYUNKNOWN",
    "UNBLOCKED",
    "other",
];

/// What can go wrong with a node, beside its error replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection could not be made.
    Connect,
    /// A connection broke.
    Lost,
    /// A request that it did not answer in time.
    Timeout,
    /// It sent what is no reply, or one that nobody asked for.
    Protocol,
}

/// The names of [`Fault`], in its order.
pub const FAULTS: [&str; 4] = ["connect", "lost", "timeout", "protocol"];

/// So much of an error and of a command is kept.
const KEPT: usize = 200;

/// The last error of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorSample {
    /// When it was, in milliseconds since 1970; 0 is never.
    pub at_ms: u64,
    /// What the client was told.
    pub text: String,
    /// The beginning of its request, where that is known.
    pub command: String,
}

/// Error replies by their code; one writer.
#[derive(Debug, Default)]
pub struct Errors {
    counts: [Counter; CODES.len()],
    samples: Mutex<[ErrorSample; CODES.len()]>,
}

impl Errors {
    /// Counts an error reply, with its `-` or without.
    #[cold]
    pub fn count(&self, reply: &[u8]) {
        let at = kind(reply);
        if let Some(counter) = self.counts.get(at) {
            counter.add(1);
        }
        self.keep(at, |sample| {
            sample.at_ms = wall_clock().as_millis() as u64;
            let text = reply.strip_prefix(b"-").unwrap_or(reply).trim_ascii_end();
            put(&mut sample.text, text);
            sample.command.clear();
        });
    }

    /// Tells which request the last error, which was this one, was the reply to; as a canonical frame.
    #[cold]
    pub fn was_for(&self, reply: &[u8], frame: &[u8]) {
        // Of a frame each other line is an argument.
        let mut args = frame.split(|byte| *byte == b'\n').skip(2).step_by(2).map(<[u8]>::trim_ascii_end);
        let (name, first) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        self.keep(kind(reply), |sample| put(&mut sample.command, [name, b" ", first].concat().trim_ascii()));
    }

    fn keep(&self, at: usize, change: impl FnOnce(&mut ErrorSample)) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sample) = samples.get_mut(at) {
            change(sample);
        }
    }

    /// The last error of each kind, in the order of the codes.
    #[must_use]
    pub fn samples(&self) -> [ErrorSample; CODES.len()] {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Each code with how often it came.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.into_iter().zip(self.counts.iter().map(Counter::value))
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(Counter::value).sum()
    }
}

/// Which of the codes an error has.
fn kind(reply: &[u8]) -> usize {
    let reply = reply.strip_prefix(b"-").unwrap_or(reply);
    let code = reply.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    CODES.iter().position(|known| known.as_bytes() == code).unwrap_or(CODES.len() - 1)
}

/// Takes the beginning of a text.
fn put(text: &mut String, bytes: &[u8]) {
    text.clear();
    text.push_str(&String::from_utf8_lossy(bytes.get(..KEPT).unwrap_or(bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let errors = Errors::default();
        for reply in ["-WRONGTYPE Operation against\r\n", "OOM no\r\n", "-MYCODE text\r\n", "-", "-OOM\r\n"] {
            errors.count(reply.as_bytes());
        }
        let counted: Vec<_> = errors.each().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("WRONGTYPE", 1), ("OOM", 2), ("other", 2)]);
        assert_eq!(errors.total(), 5);
        errors.was_for(b"-OOM\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
        let samples = errors.samples();
        let of = |code: &str| samples[CODES.iter().position(|known| *known == code).unwrap()].clone();
        assert_eq!((of("OOM").text.as_str(), of("OOM").command.as_str()), ("OOM", "SET k"));
        assert_eq!(of("other").text, "");
        assert_eq!((of("WRONGTYPE").text.as_str(), of("ERR").at_ms), ("WRONGTYPE Operation against", 0));
    }
}
