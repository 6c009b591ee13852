//! CLIENT PAUSE: for a while no command is taken, or none that changes anything.
//!
//! Each worker holds its own pause and counts its own milliseconds. What has been sent to nodes goes on.

use super::asking;
use super::desk::Question;
use super::state::{Flow, Room, Session, refuse};
use crate::backend::Millis;
use crate::command::keys;
use crate::replies::ClientId;
use crate::resp::request::Request;

/// `CLIENT PAUSE ms [WRITE|ALL]`.
pub(super) fn pause(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let is = |name: &str| request.arg(3).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let all = match request.argc() {
        3 => true,
        4 if is("ALL") => true,
        4 if is("WRITE") => false,
        4 => return refuse(client, "ERR CLIENT PAUSE mode must be WRITE or ALL", room),
        _ => {
            let name = String::from_utf8_lossy(request.arg(1).unwrap_or_default()).into_owned();
            let text = format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP.");
            return refuse(client, &text, room);
        }
    };
    match keys::integer(request.arg(2).unwrap_or_default()) {
        None => refuse(client, "ERR timeout is not an integer or out of range", room),
        Some(ms) if ms < 0 => refuse(client, "ERR timeout is negative", room),
        // Centuries are as good as longer.
        Some(ms) => {
            let ms = (ms as Millis).min(Millis::from(u32::MAX) * 1000);
            asking::ask(session, client, Question::Pause { ms, all }, room)
        }
    }
}
