//! MONITOR: every command that clients of the proxy send, shown to those who watch.
//!
//! While nobody watches, nothing is done. While somebody does, each worker writes a line for each command into one
//! buffer, which goes to all workers that have watchers once a turn. A watcher that does not keep up is closed.

use std::io::Write as _;

use super::desk::{Inquiry, Question};
use super::process::wall_clock;
use super::shown;
use super::state::{Room, Session};
use crate::command::Flags;
use crate::resp::request::Request;

/// Shows a request that was taken.
pub(super) fn show(session: &Session, request: &Request<'_>, room: &mut Room) {
    let hidden = Flags::SKIP_MONITOR.0 | Flags::ADMIN.0;
    if session.last_command.is_none_or(|spec| spec.flags.0 & hidden != 0) {
        return;
    }
    let now = wall_clock();
    let lines = &mut room.watch.lines;
    // Writing to a vector cannot fail.
    let _ = write!(lines, "+{}.{:06} [{} {}]", now.as_secs(), now.subsec_micros(), session.db, session.peer);
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
