//! The commands that the proxy answers itself.
//!
//! Those that shape the session are in `setup`, those that describe things in `about` and `info`.

use super::process::wall_clock;
use super::state::{Flow, Room, Session, ok, refuse, say};
use super::{Select, about, info, publish, setup};
use crate::cluster::slot::slot;
use crate::command::Spec;
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;

/// Answers `request`, one of `spec`.
pub(super) fn answer(
    session: &mut Session,
    client: ClientId,
    spec: &'static Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    match (spec.parent.unwrap_or(""), spec.name) {
        ("", "ping") => ping(client, request, room),
        ("", "echo") => say(client, room, |out| encode::bulk(out, request.arg(1).unwrap_or_default())),
        ("", "quit") => {
            say(client, room, |out| encode::simple(out, "OK"));
            Flow::Close
        }
        ("", "hello") => setup::hello(session, client, request, room),
        ("", "auth") => setup::auth(session, client, request, room),
        ("", "reset") => setup::reset(session, client, room),
        ("", "readonly" | "readwrite") => ok(client, room),
        ("", "select") => select(client, request, room),
        ("", "time") => time(client, room),
        ("", "role") => role(client, room),
        ("", "info") => info::answer(session, client, request, room),
        ("", "command") | ("command", _) => about::commands(session, client, spec, request, room),
        ("", "lolwut") => {
            let text = format!("slotway {}\n", env!("CARGO_PKG_VERSION"));
            let proto = session.proto;
            say(client, room, |out| encode::text(out, &text, proto))
        }
        ("pubsub", _) => publish::pubsub(session, client, spec, request, room),
        ("client", _) => setup::client(session, client, spec, request, room),
        ("cluster", "keyslot") => {
            let slot = slot(request.arg(2).unwrap_or_default());
            say(client, room, |out| encode::integer(out, i64::from(slot)))
        }
        ("cluster", _) => refuse(client, "ERR This instance has cluster support disabled", room),
        ("acl", "whoami") => {
            let name = session.user_name(room).to_owned();
            say(client, room, |out| encode::bulk(out, name.as_bytes()))
        }
        (_, name) if !spec.subs.is_empty() => {
            refuse(client, &format!("ERR wrong number of arguments for '{name}' command"), room)
        }
        _ => {
            refuse(client, &format!("ERR '{}' is not supported by this version of slotway yet", spec.full_name()), room)
        }
    }
}

/// Answers a request that could go to any node but must not: `CONFIG GET` of what clients should not see.
pub(super) fn instead_of_a_node(
    session: &Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Option<Flow> {
    if is_safe_for_a_node(spec, request) {
        return None;
    }
    let proto = session.proto;
    Some(say(client, room, |out| encode::map(out, 0, proto)))
}

/// Whether a node may be asked, or the client would see what it should not.
pub(super) fn is_safe_for_a_node(spec: &Spec, request: &Request<'_>) -> bool {
    let is_config_get = spec.parent == Some("config") && spec.name == "get";
    let is_safe = |name: &[u8]| about::SAFE_PARAMETERS.iter().any(|safe| safe.as_bytes().eq_ignore_ascii_case(name));
    !is_config_get || request.args().skip(2).all(is_safe)
}

fn ping(client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    match (request.argc(), request.arg(1)) {
        (1, _) => say(client, room, |out| out.extend_from_slice(b"+PONG\r\n")),
        (2, Some(text)) => say(client, room, |out| encode::bulk(out, text)),
        _ => refuse(client, "ERR wrong number of arguments for 'ping' command", room),
    }
}

fn select(client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let number =
        request.arg(1).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse::<i64>().ok());
    match number {
        None => refuse(client, "ERR value is not an integer or out of range", room),
        Some(0) => ok(client, room),
        Some(n) if n < 0 => refuse(client, "ERR DB index is out of range", room),
        Some(_) if room.options.select == Select::Ignore => ok(client, room),
        Some(_) => {
            let text = "ERR SELECT is not possible: a cluster has only database 0 \
                        (compat.select = \"ignore\" accepts it and uses database 0)";
            refuse(client, text, room)
        }
    }
}

fn time(client: ClientId, room: &mut Room) -> Flow {
    let now = wall_clock();
    say(client, room, |out| {
        encode::array(out, 2);
        encode::bulk(out, now.as_secs().to_string().as_bytes());
        encode::bulk(out, now.subsec_micros().to_string().as_bytes());
    })
}

/// A primary without replicas: what a client must believe that it talks to.
fn role(client: ClientId, room: &mut Room) -> Flow {
    say(client, room, |out| out.extend_from_slice(b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"))
}
