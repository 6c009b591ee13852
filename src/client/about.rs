//! What clients may ask about commands and about themselves: COMMAND, CLIENT INFO, names for CONFIG GET.

use super::state::{Flow, Room, Session, refuse, say};
use crate::command::keys;
use crate::command::{self, Spec};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

/// The parameters that any client may read from a node: no secret, no path.
pub(super) const SAFE_PARAMETERS: &[&str] = &[
    "appendfsync",
    "appendonly",
    "databases",
    "maxmemory",
    "maxmemory-policy",
    "notify-keyspace-events",
    "proto-max-bulk-len",
    "replica-read-only",
    "save",
    "slave-read-only",
    "timeout",
];

impl Session {
    /// The line that CLIENT INFO gives, with the fields of Redis 7.0 that mean something here.
    pub(super) fn describe(&self, client: ClientId, room: &Room) -> String {
        let (in_flight, held) = room.replies.queue(client).map_or((0, 0), |queue| (queue.in_flight(), queue.held()));
        let seconds = |ms: u64| ms / 1000;
        let said = &self.introduction;
        let [channels, patterns, shards] = room.pubsub.counts(client);
        let flags = if room.pubsub.has(client) { "P" } else { "N" };
        format!(
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db=0 sub={channels} psub={patterns} ssub={shards} multi=-1 \
             qbuf=0 qbuf-free=0 obl=0 oll={in_flight} omem={held} events=r cmd={} user={} redir=-1 resp={} \
             lib-name={} lib-ver={}\n",
            self.id,
            self.peer,
            self.local,
            said.name,
            seconds(room.now.saturating_sub(self.since)),
            seconds(self.idle_ms(room.now)),
            self.last_command.map_or_else(|| "NULL".to_owned(), Spec::full_name),
            self.user_name(room),
            if self.proto == Proto::Resp3 { 3 } else { 2 },
            said.library,
            said.library_version,
        )
    }
}

/// `COMMAND …`, from the table.
pub(super) fn commands(
    session: &Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let proto = session.proto;
    match spec.name {
        "command" => say(client, room, |out| {
            encode::array(out, command::COUNT);
            command::all().for_each(|spec| row(spec, proto, out));
        }),
        "count" => say(client, room, |out| encode::integer(out, command::COUNT as i64)),
        "info" if request.argc() == 2 => say(client, room, |out| {
            encode::array(out, command::COUNT);
            command::all().for_each(|spec| row(spec, proto, out));
        }),
        "info" => say(client, room, |out| {
            encode::array(out, request.argc() - 2);
            for name in request.args().skip(2) {
                match named(name) {
                    Some(spec) => row(spec, proto, out),
                    None => encode::null(out, proto),
                }
            }
        }),
        "list" if request.argc() == 2 => say(client, room, |out| {
            encode::array(out, command::COUNT);
            command::all().for_each(|spec| encode::bulk(out, spec.name.as_bytes()));
        }),
        "docs" => say(client, room, |out| docs(request, proto, out)),
        "getkeys" => get_keys(client, request, room),
        _ => {
            let text = format!("ERR 'command|{}' is not supported by this version of slotway yet", spec.name);
            refuse(client, &text, room)
        }
    }
}

/// `get`, `client|id`.
fn named(name: &[u8]) -> Option<&'static Spec> {
    match memchr::memchr(b'|', name) {
        None => command::lookup(name),
        Some(bar) => command::lookup(name.get(..bar)?)?.sub(name.get(bar + 1..)?),
    }
}

/// One row as COMMAND gives it: ten elements since Redis 7.0, of which tips and key specifications are empty.
fn row(spec: &Spec, proto: Proto, out: &mut Vec<u8>) {
    encode::array(out, 10);
    encode::bulk(out, spec.full_name().as_bytes());
    encode::integer(out, i64::from(spec.arity));
    let flags: Vec<&str> = spec.flags.names().collect();
    encode::set(out, flags.len(), proto);
    for flag in flags {
        encode::simple(out, flag);
    }
    let (first, last, step) = spec.legacy_keys();
    for number in [first, last, step] {
        encode::integer(out, number);
    }
    encode::set(out, 0, proto);
    encode::array(out, 0);
    encode::array(out, 0);
    encode::array(out, spec.subs.len());
    spec.subs.iter().for_each(|sub| row(sub, proto, out));
}

/// What there is to tell of a command without its manual: its name.
fn docs(request: &Request<'_>, proto: Proto, out: &mut Vec<u8>) {
    let asked: Vec<&Spec> = match request.argc() {
        2 => command::all().collect(),
        _ => request.args().skip(2).filter_map(named).collect(),
    };
    encode::map(out, asked.len(), proto);
    for spec in asked {
        encode::bulk(out, spec.full_name().as_bytes());
        encode::map(out, 0, proto);
    }
}

/// `COMMAND GETKEYS command …`.
fn get_keys(client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let Some(inner) = request.skip(2) else { return refuse(client, "ERR Invalid command specified", room) };
    let Some(spec) = command::lookup(inner.name()).and_then(|spec| spec.resolve(&inner)) else {
        return refuse(client, "ERR Invalid command specified", room);
    };
    if spec.keys.is_empty() {
        return refuse(client, "ERR The command has no key arguments", room);
    }
    if !spec.arity_ok(inner.argc()) {
        return refuse(client, "ERR Invalid number of arguments specified for command", room);
    }
    let mut found = Vec::new();
    match keys::each_key(spec, &inner, |at| found.push(at)) {
        Err(_) => refuse(client, "ERR Invalid arguments specified for command", room),
        Ok(()) if found.is_empty() => refuse(client, "ERR The command has no key arguments", room),
        Ok(()) => say(client, room, |out| {
            encode::array(out, found.len());
            for at in found {
                encode::bulk(out, inner.arg(at).unwrap_or_default());
            }
        }),
    }
}
