//! The commands that the proxy answers itself.
//!
//! Those that shape the session are in `setup`, those that describe things in `about` and `info`.

use super::desk::Question;
use super::process::wall_clock;
use super::state::{Flow, Room, Session, ok, refuse, say};
use super::{ClusterView, Select, about, asking, draws, errands, info, logs, proxy, publish, setup, single};
use crate::cluster::slot::slot;
use crate::command::{Flags, Spec, keys};
use crate::keyspace::{DATABASES, Keyspace};
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;
use crate::route::Refused;

/// Flags of commands that a client which watches with MONITOR may not use.
pub(super) const KEYSPACE: u32 = Flags::WRITE.0 | Flags::READONLY.0 | Flags::MAY_REPLICATE.0;

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
        ("", "select") => select(session, client, request, room),
        ("", "time") => time(client, room),
        ("", "role") => role(client, room),
        ("", "info") => info::answer(session, client, request, room),
        ("", "command") | ("command", _) => about::commands(session, client, spec, request, room),
        ("", "debug") => debug(session, client, spec, request, room),
        ("", "randomkey") => draws::random_key(session, client, request, room),
        ("config", "get") => draws::config_get(session, client, request, room),
        ("", "scan") => scan(session, client, request, room),
        ("", "monitor") => monitor(session, client, room),
        ("slowlog", _) => logs::slowlog(session, client, spec, request, room),
        ("latency", _) => logs::latency(session, client, spec, request, room),
        ("pubsub", _) => publish::pubsub(session, client, spec, request, room),
        ("client", _) => setup::client(session, client, spec, request, room),
        ("cluster", "keyslot") => {
            let slot = slot(request.arg(2).unwrap_or_default());
            say(client, room, |out| encode::integer(out, i64::from(slot)))
        }
        ("cluster", _) if room.options.cluster == ClusterView::Single => {
            single::answer(session, client, spec, request, room)
        }
        ("proxy", _) => proxy::answer(session, client, spec, request, room),
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

fn ping(client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    match (request.argc(), request.arg(1)) {
        (1, _) => say(client, room, |out| out.extend_from_slice(b"+PONG\r\n")),
        (2, Some(text)) => say(client, room, |out| encode::bulk(out, text)),
        _ => refuse(client, "ERR wrong number of arguments for 'ping' command", room),
    }
}

/// `DEBUG OBJECT key` describes a key; everything else of DEBUG acts on one server.
fn debug(session: &mut Session, client: ClientId, spec: &'static Spec, request: &Request<'_>, room: &mut Room) -> Flow {
    match (request.arg(1), request.arg(2), request.argc()) {
        (Some(word), Some(key), 3) if word.eq_ignore_ascii_case(b"OBJECT") => {
            session.forward(client, spec, request, slot(key), room)
        }
        _ => refuse(client, &Refused::Admin(spec).to_string(), room),
    }
}

fn scan(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let only = room.options.keyspace.as_ref().map(Keyspace::slot);
    match crate::scan::begin(request, session.proto, only) {
        Ok(page) => errands::begin(session, client, Box::new(page), request.frame().len(), room),
        Err(text) => refuse(client, text, room),
    }
}

fn select(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    match request.arg(1).and_then(keys::integer) {
        None => refuse(client, "ERR value is not an integer or out of range", room),
        Some(0) => {
            session.db = 0;
            ok(client, room)
        }
        Some(n) if i32::try_from(n).is_err() => {
            let text = "ERR value is out of range, value must between -2147483648 and 2147483647";
            refuse(client, text, room)
        }
        Some(n) if n < 0 => refuse(client, "ERR DB index is out of range", room),
        // Each database of a keyspace has a prefix of its own.
        Some(n) if room.options.keyspace.is_some() => match u16::try_from(n).ok().filter(|&db| db < DATABASES) {
            Some(db) => {
                session.db = db;
                ok(client, room)
            }
            None => refuse(client, "ERR DB index is out of range", room),
        },
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

/// Every command of every client is shown to this one from now on; one that watches already gets no answer, as in
/// Redis.
fn monitor(session: &mut Session, client: ClientId, room: &mut Room) -> Flow {
    if session.is_monitor {
        return Flow::Taken;
    }
    if room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0) {
        return Flow::Quiet;
    }
    asking::ask(session, client, Question::Watch { worker: room.worker, on: true }, room)
}
