//! Small commands that ask nodes and say something of their own: RANDOMKEY, CONFIG GET.

use std::hash::{BuildHasher as _, RandomState};

use super::errands;
use super::state::{Flow, Room, Session, say};
use crate::command::Spec;
use crate::keyspace::DATABASES;
use crate::merge::errand::{Answers, Around, Asks, Errand, Outcome, To};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::value::Value;
use crate::resp::{Proto, encode, reply};
use crate::scan::glob;

/// `RANDOMKEY`: each primary draws one of its keys, and one of these is drawn by how many keys its node has.
pub(super) fn random_key(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    // A hasher of its own seed is random enough for a draw.
    let lot = RandomState::new().hash_one(room.commands);
    let draw = Draw { proto: session.proto, lot, answers: Answers::default() };
    errands::begin(session, client, Box::new(draw), request.frame().len(), room)
}

#[derive(Debug)]
struct Draw {
    proto: Proto,
    lot: u64,
    answers: Answers,
}

impl Errand for Draw {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, around: Around<'_>, asks: &mut Asks) {
        for &slot in around.slots {
            asks.add(To::Slot(slot), &[b"DBSIZE"]);
            asks.add(To::Slot(slot), &[b"RANDOMKEY"]);
        }
    }

    fn add(&mut self, part: u32, reply: &[u8]) {
        self.answers.put(part, reply);
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        let answers: Vec<&[u8]> = self.answers.iter().collect();
        if let Some(error) = answers.iter().find(|answer| answer.starts_with(b"-")) {
            out.extend_from_slice(error);
            return Outcome::Done;
        }
        let drawn: Vec<(u64, &[u8])> = answers
            .chunks_exact(2)
            .filter_map(|pair| Some((u64::try_from(reply::integer(pair.first()?)?).ok()?, *pair.get(1)?)))
            .filter(|(keys, key)| *keys > 0 && key.starts_with(b"$") && !key.starts_with(b"$-"))
            .collect();
        let all: u64 = drawn.iter().map(|(keys, _)| keys).sum();
        let mut lot = self.lot.checked_rem(all).unwrap_or(0);
        for (keys, key) in drawn {
            if lot < keys {
                out.extend_from_slice(key);
                return Outcome::Done;
            }
            lot -= keys;
        }
        encode::null(out, self.proto);
        Outcome::Done
    }
}

/// The parameters that any client may read from a node: no secret, no path.
const SAFE: &[&str] = &[
    "active-expire-effort",
    "activedefrag",
    "activerehashing",
    "appendfsync",
    "appendonly",
    "busy-reply-threshold",
    "client-query-buffer-limit",
    "close-on-replica-write",
    "databases",
    "dynamic-hz",
    "hash-max-listpack-entries",
    "hash-max-listpack-value",
    "hash-max-ziplist-entries",
    "hash-max-ziplist-value",
    "hll-sparse-max-bytes",
    "hz",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-user-flush",
    "lfu-decay-time",
    "lfu-log-factor",
    "list-compress-depth",
    "list-max-listpack-size",
    "list-max-ziplist-size",
    "lua-time-limit",
    "maxclients",
    "maxmemory",
    "maxmemory-clients",
    "maxmemory-eviction-tenacity",
    "maxmemory-policy",
    "maxmemory-samples",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "no-appendfsync-on-rewrite",
    "notify-keyspace-events",
    "proto-max-bulk-len",
    "replica-lazy-flush",
    "replica-read-only",
    "replica-serve-stale-data",
    "save",
    "set-max-intset-entries",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    "slave-read-only",
    "stop-writes-on-bgsave-error",
    "stream-node-max-bytes",
    "stream-node-max-entries",
    "tcp-keepalive",
    "timeout",
    "zset-max-listpack-entries",
    "zset-max-listpack-value",
    "zset-max-ziplist-entries",
    "zset-max-ziplist-value",
];

/// Whether a request is a `CONFIG GET` of parameters that a node may be asked for as it is, within a transaction.
pub(super) fn is_for_a_node(spec: &Spec, request: &Request<'_>) -> bool {
    let is_safe = |name: &[u8]| SAFE.iter().any(|safe| safe.as_bytes().eq_ignore_ascii_case(name));
    spec.parent == Some("config") && spec.name == "get" && request.args().skip(2).all(is_safe)
}

/// `CONFIG GET pattern …`: what one node says of the parameters that clients may see; those that are the proxy's own
/// business with its own values.
pub(super) fn config_get(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let patterns: Vec<Vec<u8>> = request.args().skip(2).map(<[u8]>::to_ascii_lowercase).collect();
    let is_asked = |name: &&&str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let names: Vec<&'static str> = SAFE.iter().filter(is_asked).copied().collect();
    let proto = session.proto;
    if names.is_empty() {
        return say(client, room, |out| encode::map(out, 0, proto));
    }
    let databases = if session.terms.options.keyspace.is_some() { DATABASES } else { 1 };
    let own = vec![
        ("databases", databases.to_string()),
        ("maxclients", room.process.door(session.door()).max_clients().to_string()),
        ("timeout", session.terms.options.idle_timeout.as_secs().to_string()),
        ("proto-max-bulk-len", session.terms.options.max_bulk_bytes.to_string()),
    ];
    let slot = room.backend.any_slot();
    let parameters = Parameters { proto, names, own, slot, reply: Vec::new() };
    errands::begin(session, client, Box::new(parameters), request.frame().len(), room)
}

#[derive(Debug)]
struct Parameters {
    proto: Proto,
    names: Vec<&'static str>,
    own: Vec<(&'static str, String)>,
    slot: u16,
    reply: Vec<u8>,
}

impl Errand for Parameters {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, _: Around<'_>, asks: &mut Asks) {
        let words: Vec<&[u8]> =
            [b"CONFIG".as_slice(), b"GET"].into_iter().chain(self.names.iter().map(|name| name.as_bytes())).collect();
        asks.add(To::Slot(self.slot), &words);
    }

    fn add(&mut self, _: u32, reply: &[u8]) {
        self.reply = reply.to_vec();
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        let Ok(Some((Value::Array(parts), _))) = Value::read(&self.reply, self.proto, usize::MAX >> 8) else {
            out.extend_from_slice(&self.reply);
            return Outcome::Done;
        };
        encode::map(out, parts.len() / 2, self.proto);
        for pair in parts.chunks_exact(2) {
            let [Value::Text(name), Value::Text(value)] = pair else { continue };
            encode::bulk(out, name);
            match self.own.iter().find(|(own, _)| own.as_bytes() == name.as_slice()) {
                Some((_, own)) => encode::bulk(out, own.as_bytes()),
                None => encode::bulk(out, value),
            }
        }
        Outcome::Done
    }
}
