//! Hot keys and large values: which keys a request names, and PROXY HOTKEYS and BIGKEYS, which tell what was found.
//!
//! What is counted and how is told by `telemetry::Hot`, one a worker. Here the requests that it looks at are taken
//! apart, and what all workers have found is put together as a reply.

use super::asking;
use super::desk::{HotOrder, Question};
use super::learning;
use super::nodes::{count, pair};
use super::process::wall_clock;
use super::state::{Flow, Room, Session, refuse};
use crate::backend::BigReply;
use crate::cluster::slot::slot;
use crate::cluster::topology::Topology;
use crate::command::{Flags, Keys, Merge, Plan, Spec, keys};
use crate::keyspace::Keyspace;
use crate::replies::ClientId;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};
use crate::resp::{Proto, encode};
use crate::telemetry::{Big, HotReport, heavy};

/// So many keys of one request are looked at; the first of more stand for them.
const MOST_KEYS: usize = 256;
/// How many keys are told when nobody says how many.
const USUAL: usize = 20;
/// What came from a client was let in before: it needs no limit here.
const ANY: Limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };

/// Looks at the keys of a request, for those that many requests name.
#[cold]
#[inline(never)]
pub(super) fn look(session: &Session, spec: &Spec, request: &Request<'_>, room: &mut Room) {
    room.hot.draw(room.now, room.commands);
    if !session.is_trusted(room) || spec.flags.has(Flags::PUBSUB) {
        return;
    }
    let mut left = MOST_KEYS;
    // A request whose keys cannot be told was refused.
    let _ = keys::each_key(spec, request, |at| {
        if left > 0
            && let Some(key) = request.arg(at)
        {
            left -= 1;
            room.hot.see(key);
        }
    });
}

/// Notes a large request. Of one that sets several keys, the largest value counts.
pub(super) fn note_request(spec: &Spec, request: &Request<'_>, room: &mut Room) {
    if spec.flags.has(Flags::PUBSUB) {
        return;
    }
    let pairs = matches!(spec.keys, [Keys::Range { last: -1, step: 2, .. }]);
    let mut largest: Option<(usize, usize)> = None;
    let _ = keys::each_key(spec, request, |at| {
        let bytes = if pairs { request.arg(at + 1).map_or(0, <[u8]>::len) } else { request.frame().len() };
        if largest.is_none_or(|(_, known)| known < bytes) {
            largest = Some((at, bytes));
        }
    });
    if let Some((at, bytes)) = largest.filter(|(_, bytes)| *bytes > room.hot.big_above) {
        let key = request.arg(at).unwrap_or_default();
        room.hot.see_big(Big { request_bytes: bytes as u64, ..big(spec, key) });
    }
}

/// Notes a large reply. That of `MGET` is taken apart: the largest value counts.
pub fn note_reply(reply: &BigReply, room: &mut Room) {
    let mut args = Args::default();
    let Ok(Step::Request { used, inline }) = Decoder::default().step(&reply.frame, &mut args, &ANY) else { return };
    let request = args.request(&reply.frame, used, inline);
    let Some(spec) = learning::known(&request, room) else { return };
    let (number, bytes) = match (spec.plan, reply.largest) {
        (Plan::Split(Merge::Concat), Some((number, bytes))) => (number, bytes),
        (Plan::Split(_), _) => return,
        _ => (0, reply.bytes),
    };
    let mut place = None;
    let mut seen = 0;
    let _ = keys::each_key(spec, &request, |at| {
        if seen == number {
            place = Some(at);
        }
        seen += 1;
    });
    if let Some(key) = place.and_then(|at| request.arg(at)).filter(|_| bytes > room.hot.big_above) {
        room.hot.see_big(Big { reply_bytes: bytes as u64, ..big(spec, key) });
    }
}

fn big(spec: &Spec, key: &[u8]) -> Big {
    Big {
        key: key.get(..heavy::KEPT).unwrap_or(key).into(),
        command: spec.full_name().into(),
        times: 1,
        at_ms: wall_clock().as_millis() as u64,
        ..Big::default()
    }
}

/// `PROXY HOTKEYS [count|ON|OFF|RESET]`, `PROXY BIGKEYS [count]`.
pub(super) fn answer(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let is_hot = spec.name == "hotkeys";
    let order = match (request.arg(2), request.argc()) {
        (None, _) => Ok(USUAL),
        (Some(word), 3) if is_hot && word.eq_ignore_ascii_case(b"ON") => Err(HotOrder::Begin),
        (Some(word), 3) if is_hot && word.eq_ignore_ascii_case(b"OFF") => Err(HotOrder::End),
        (Some(word), 3) if is_hot && word.eq_ignore_ascii_case(b"RESET") => Err(HotOrder::Forget),
        (Some(number), 3) => match keys::integer(number).and_then(|number| usize::try_from(number).ok()) {
            Some(most) => Ok(most),
            None if is_hot => return refuse(client, "ERR write a number, ON, OFF or RESET", room),
            None => return refuse(client, "ERR write a number; PROXY HOTKEYS ON begins to look at keys", room),
        },
        _ => return refuse(client, &format!("ERR wrong number of arguments for '{}' command", spec.full_name()), room),
    };
    let question = match order {
        Ok(most) if is_hot => Question::HotKeys(most),
        Ok(most) => Question::BigKeys(most),
        Err(order) => Question::Hot(order),
    };
    asking::ask(session, client, question, room)
}

/// Appends what all workers have found: of hot keys, or of large values.
pub(super) fn write(question: &Question, report: &HotReport, proto: Proto, room: &Room, out: &mut Vec<u8>) {
    let map = room.process.map.load();
    let place = |key: &[u8]| place(key, room.options.keyspace.as_ref(), &map);
    let state = if report.on { "on" } else { "off; PROXY HOTKEYS ON begins" };
    encode::map(out, 4, proto);
    pair(out, "state", state);
    pair(out, "seconds", &format!("{:.1}", report.seconds));
    count(out, "requests-looked-at", report.sampled);
    encode::bulk(out, b"keys");
    match question {
        Question::BigKeys(most) => {
            encode::array(out, report.big.len().min(*most));
            for big in report.big.iter().take(*most) {
                let (slot, node) = place(&big.key);
                encode::map(out, 7, proto);
                encode::bulk(out, b"key");
                encode::bulk(out, &big.key);
                count(out, "largest-request", big.request_bytes);
                count(out, "largest-reply", big.reply_bytes);
                count(out, "times", big.times);
                pair(out, "command", &big.command);
                count(out, "slot", u64::from(slot));
                pair(out, "node", &node);
            }
        }
        Question::HotKeys(most) => {
            encode::array(out, report.keys.things.len().min(*most));
            for thing in report.keys.things.iter().take(*most) {
                let (slot, node) = place(&thing.name);
                encode::map(out, 6, proto);
                encode::bulk(out, b"key");
                encode::bulk(out, &thing.name);
                pair(out, "requests-per-second", &format!("{:.1}", report.per_second(thing.weight)));
                pair(out, "percent", &format!("{:.2}", 100.0 * report.share(thing.weight)));
                pair(out, "percent-too-much-at-most", &format!("{:.2}", 100.0 * report.share(thing.error)));
                count(out, "slot", u64::from(slot));
                pair(out, "node", &node);
            }
        }
        _ => encode::array(out, 0),
    }
}

/// The slot of a key and the node that owns it.
fn place(key: &[u8], keyspace: Option<&Keyspace>, map: &Topology) -> (u16, String) {
    let slot = keyspace.map_or_else(|| slot(key), Keyspace::slot);
    let owner = map.slots.get(usize::from(slot)).and_then(|owner| map.node(*owner));
    (slot, owner.map_or_else(String::new, |node| node.addr.to_string()))
}
