//! Errors by kind: the codes that replies begin with, and what can go wrong with a node itself.
//!
//! Kinds are few and fixed, so that no client can make up series.

use super::Counter;

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

/// Error replies by their code; one writer.
#[derive(Debug, Default)]
pub struct Errors([Counter; CODES.len()]);

impl Errors {
    /// Counts an error reply, with its `-` or without.
    #[cold]
    pub fn count(&self, reply: &[u8]) {
        let reply = reply.strip_prefix(b"-").unwrap_or(reply);
        let code = reply.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let at = CODES.iter().position(|known| known.as_bytes() == code).unwrap_or(CODES.len() - 1);
        if let Some(counter) = self.0.get(at) {
            counter.add(1);
        }
    }

    /// Each code with how often it came.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.into_iter().zip(self.0.iter().map(Counter::value))
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
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
    }
}
