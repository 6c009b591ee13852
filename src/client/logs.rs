//! SLOWLOG and LATENCY: what took long.

use super::desk::Question;
use super::state::{Flow, Room, Session, refuse, say};
use super::{asking, helps};
use crate::command::{Spec, keys};
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;

/// What `SLOWLOG GET` gives when it is not told how many.
const USUAL: usize = 10;

/// `SLOWLOG …`.
pub(super) fn slowlog(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let most = session.terms.options.slow_entries;
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

/// `LATENCY …`: a server's events (forks, expiry cycles) do not happen here, so there are none to tell of.
pub(super) fn latency(
    session: &Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let proto = session.proto;
    match spec.name {
        "latest" | "history" => say(client, room, |out| encode::array(out, 0)),
        "reset" => say(client, room, |out| encode::integer(out, 0)),
        "histogram" => say(client, room, |out| encode::map(out, 0, proto)),
        "graph" => {
            let event = String::from_utf8_lossy(request.arg(2).unwrap_or_default()).into_owned();
            refuse(client, &format!("ERR No samples available for event '{event}'"), room)
        }
        "doctor" => {
            let text = "slotway records no latency events: they happen on the nodes. SLOWLOG GET tells of requests \
                        that took long, as clients of slotway see them.\n";
            say(client, room, |out| encode::text(out, text, proto))
        }
        "help" => say(client, room, |out| helps::write("LATENCY", helps::LATENCY, out)),
        _ => refuse(client, "ERR wrong number of arguments for 'latency' command", room),
    }
}
