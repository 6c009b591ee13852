//! The replies in front of the one that counts: those to MULTI and to each queued command, before that of EXEC.
//!
//! Only what they mean for the whole is kept: whether the node refused something that the proxy can mend, and
//! whether something ran that was to be queued.

use super::record::{ASKING, Traits};
use super::redirect::{self, Verdict};

/// What a transaction begins with.
pub const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
/// What a transaction ends with.
pub const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// What EXEC says of a transaction with a command that was refused when it was queued.
const ABORTED: &[u8] = b"-EXECABORT ";
/// What EXEC says when it is refused itself; the refusal follows.
const ABORTED_NOW: &[u8] = b"-EXECABORT Transaction discarded because of: ";

/// What came in front of a reply.
#[derive(Debug, Default)]
pub(super) struct Prelude {
    /// Replies that are still to come before the one that counts.
    left: usize,
    /// How many of them are for MULTI and the ASKING in front of it.
    head: usize,
    /// The first error that the proxy can do something about.
    refusal: Option<Box<[u8]>>,
    /// Whether a command of a transaction was run at once: the node did not take up MULTI.
    ran: bool,
}

impl Prelude {
    /// For the canonical frames of several requests, the last of which counts.
    pub(super) fn of(frames: &[u8]) -> Self {
        let head = if frames.starts_with(ASKING) { 2 } else { 1 };
        Self { left: requests(frames).saturating_sub(1), head, ..Self::default() }
    }

    /// Takes a reply; false if it is the one that counts.
    pub(super) fn skip(&mut self, reply: &[u8], traits: Traits) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let is_head = self.head > 0;
        self.head = self.head.saturating_sub(1);
        if reply.first() == Some(&b'-') {
            if self.refusal.is_none() && redirect::read(reply) != Verdict::Pass {
                self.refusal = Some(reply.into());
            }
        } else if traits.is_unit() && !is_head {
            self.ran |= reply != b"+QUEUED\r\n";
        }
        true
    }

    /// Whether commands were run that were to be queued.
    pub(super) const fn ran(&self) -> bool {
        self.ran
    }

    /// What the error reply of EXEC asks of the proxy, and how to word it for the client if it comes to nothing.
    pub(super) fn verdict(self, reply: &[u8]) -> (Verdict, Box<[u8]>) {
        if let Some(why) = reply.strip_prefix(ABORTED_NOW) {
            return (redirect::read(why), reply.into());
        }
        match self.refusal {
            Some(refusal) if reply.starts_with(ABORTED) => (redirect::read(&refusal), aborted(&refusal)),
            _ => (redirect::read(reply), aborted(reply)),
        }
    }
}

/// The error that EXEC would answer if `refusal` had met itself and not an earlier command.
fn aborted(refusal: &[u8]) -> Box<[u8]> {
    let why = refusal.strip_prefix(b"-").unwrap_or(refusal);
    if refusal.starts_with(ABORTED) { refusal.into() } else { [ABORTED_NOW, why].concat().into() }
}

/// How many requests these canonical frames are.
fn requests(frames: &[u8]) -> usize {
    let mut rest = frames;
    let mut count = 0;
    while let Some((args, mut behind)) = header(rest, b'*') {
        for _ in 0..args {
            let Some((len, argument)) = header(behind, b'$') else { return count };
            behind = argument.get(len + 2..).unwrap_or_default();
        }
        count += 1;
        rest = behind;
    }
    count
}

/// The number behind `kind`, and what follows its line.
fn header(bytes: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    let line = bytes.strip_prefix(&[kind])?;
    let end = memchr::memchr(b'\r', line)?;
    let number = std::str::from_utf8(line.get(..end)?).ok()?.parse().ok()?;
    Some((number, line.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n*1\r\n\r\n";

    fn after(replies: &[&str]) -> Prelude {
        let mut prelude = Prelude::of(&[MULTI, SET, SET, EXEC].concat());
        for reply in replies {
            assert!(prelude.skip(reply.as_bytes(), Traits::WriteUnit), "{reply}");
        }
        assert!(!prelude.skip(b"*0\r\n", Traits::WriteUnit));
        prelude
    }

    #[test]
    fn requests_are_counted_whatever_their_arguments_look_like() {
        assert_eq!(requests(&[MULTI, SET, SET, EXEC].concat()), 4);
        assert_eq!(requests(&[ASKING, SET].concat()), 2);
        assert_eq!(requests(b""), 0);
    }

    #[test]
    fn a_refused_command_decides_about_an_aborted_transaction() {
        let moved = after(&["+OK\r\n", "+QUEUED\r\n", "-MOVED 1 h:1\r\n"]);
        let (verdict, text) = moved.verdict(b"-EXECABORT Transaction discarded because of previous errors.\r\n");
        assert!(matches!(verdict, Verdict::Moved(_)));
        assert_eq!(&*text, b"-EXECABORT Transaction discarded because of: MOVED 1 h:1\r\n");
        let full = after(&["+OK\r\n", "-OOM command not allowed\r\n", "+QUEUED\r\n"]);
        let (verdict, _) = full.verdict(b"-EXECABORT Transaction discarded because of previous errors.\r\n");
        assert_eq!(verdict, Verdict::Pass);
    }

    #[test]
    fn exec_may_be_refused_itself() {
        let fine = || after(&["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"]);
        assert!(matches!(fine().verdict(b"-ASK 1 h:1\r\n").0, Verdict::Ask(_)));
        let stale = b"-EXECABORT Transaction discarded because of: READONLY You can't write.\r\n";
        let (verdict, text) = fine().verdict(stale);
        assert_eq!((verdict, &*text), (Verdict::Stale, &stale[..]));
    }

    #[test]
    fn a_command_that_was_run_and_not_queued_is_noticed() {
        assert!(!after(&["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"]).ran());
        assert!(after(&["-NOPERM no MULTI\r\n", "+OK\r\n", "-ERR\r\n"]).ran());
    }
}
