//! MONITOR: every command that clients of the proxy send, shown to those who watch.
//!
//! While nobody watches, nothing is done. While somebody does, each worker writes a line for each command into one
//! buffer, which goes to all workers that have watchers once a turn. A watcher that does not keep up is closed.

use std::io::Write as _;

use super::asking::{Inquiry, Question};
use super::process::wall_clock;
use super::shown;
use super::state::{Room, Session};
use crate::command::Flags;
use crate::resp::request::Request;

/// A watcher with so many bytes unread is closed.
pub const MAX_BEHIND: usize = 16 << 20;

/// Who watches, and what they have not been shown yet.
#[derive(Debug, Default)]
pub struct Watch {
    /// The workers of those who watch; one with several watchers is named several times.
    pub workers: Vec<usize>,
    /// Lines of this turn.
    pub lines: Vec<u8>,
}

impl Watch {
    /// Whether anybody watches.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.workers.is_empty()
    }

    /// Somebody of this worker begins to watch, or ends.
    pub fn note(&mut self, worker: usize, on: bool) {
        if on {
            self.workers.push(worker);
        } else if let Some(at) = self.workers.iter().position(|known| *known == worker) {
            self.workers.swap_remove(at);
        }
    }
}

/// Shows a request that was taken.
pub(super) fn show(session: &Session, request: &Request<'_>, room: &mut Room) {
    let hidden = Flags::SKIP_MONITOR.0 | Flags::ADMIN.0;
    if session.last_command.is_none_or(|spec| spec.flags.0 & hidden != 0) {
        return;
    }
    let now = wall_clock();
    let lines = &mut room.watch.lines;
    // Writing to a vector cannot fail.
    let _ = write!(lines, "+{}.{:06} [0 {}]", now.as_secs(), now.subsec_micros(), session.peer);
    for arg in shown::arguments(request) {
        lines.push(b' ');
        shown::quote(arg, lines);
    }
    lines.extend_from_slice(b"\r\n");
    room.call();
}

/// A session no longer watches.
pub(super) fn leave(session: &mut Session, room: &mut Room) {
    if std::mem::take(&mut session.is_monitor) {
        let question = Question::Watch { worker: room.worker, on: false };
        room.put_question(Inquiry { question, asker: None });
    }
}
