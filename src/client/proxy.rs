//! PROXY: what slotway tells of itself, its nodes and the map, and what it would do with a command.

use super::desk::Question;
use super::nodes::{count, pair};
use super::state::{Flow, Room, Session, refuse, say};
use super::{asking, helps, info, learning};
use crate::backend::ReadFrom;
use crate::cluster::slot::slot;
use crate::cluster::topology::{Role, Topology, UNOWNED};
use crate::command::{Spec, keys};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};
use crate::route::{self, Parts, Route};

/// `PROXY …`.
pub(super) fn answer(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let proto = session.proto;
    match spec.name {
        "info" => {
            let text = info::alone(room);
            say(client, room, |out| encode::text(out, &text, proto))
        }
        "nodes" => asking::ask(session, client, Question::Nodes, room),
        "topology" => {
            let map = room.process.map.load_full();
            say(client, room, |out| topology(&map, proto, out))
        }
        "keyslot" => {
            let slot = slot(request.arg(2).unwrap_or_default());
            say(client, room, |out| encode::integer(out, i64::from(slot)))
        }
        "explain" => explain(session, client, request, proto, room),
        "config" => {
            let text = room.process.effective.clone();
            say(client, room, |out| encode::text(out, &text, proto))
        }
        "help" => say(client, room, |out| helps::write("PROXY", helps::PROXY, out)),
        "hotkeys" | "bigkeys" => {
            let text = format!("ERR 'proxy|{}' is not supported by this version of slotway yet", spec.name);
            refuse(client, &text, room)
        }
        _ => refuse(client, "ERR wrong number of arguments for 'proxy' command", room),
    }
}

/// Appends the ranges of slots with their owners.
fn topology(map: &Topology, proto: Proto, out: &mut Vec<u8>) {
    encode::map(out, 4, proto);
    count(out, "version", map.version);
    count(out, "cluster-epoch", map.cluster_epoch);
    count(out, "slots-covered", map.covered() as u64);
    encode::bulk(out, b"ranges");
    let ranges: Vec<&[u16]> = map.slots.chunk_by(|a, b| a == b).collect();
    let owned = ranges.iter().filter(|range| range.first() != Some(&UNOWNED)).count();
    encode::array(out, owned);
    let mut first = 0;
    for range in ranges {
        let owner = range.first().and_then(|owner| map.nodes.get(usize::from(*owner)));
        if let Some(owner) = owner {
            encode::array(out, 3);
            encode::integer(out, first as i64);
            encode::integer(out, (first + range.len()) as i64 - 1);
            encode::bulk(out, owner.addr.to_string().as_bytes());
        }
        first += range.len();
    }
}

/// The nodes of a slot that a request goes to when all are well.
fn readers(map: &Topology, slot: u16, from: ReadFrom) -> Vec<String> {
    let owner = map.slots.get(usize::from(slot)).copied().unwrap_or(UNOWNED);
    let replicas =
        map.nodes.iter().filter(|node| node.role == Role::Replica { of: owner } && node.online && node.is_linked);
    let mut nodes: Vec<String> = match from {
        ReadFrom::Primary | ReadFrom::PreferPrimary => Vec::new(),
        ReadFrom::PreferReplica | ReadFrom::Replica | ReadFrom::Any => replicas.map(|n| n.addr.to_string()).collect(),
    };
    let alone = nodes.is_empty() && from != ReadFrom::Replica;
    if alone || from == ReadFrom::Any {
        nodes.extend(map.node(owner).map(|node| node.addr.to_string()));
    }
    nodes
}

/// `PROXY EXPLAIN command …`: the way that it would take, without taking it.
fn explain(session: &Session, client: ClientId, request: &Request<'_>, proto: Proto, room: &mut Room) -> Flow {
    let Some(inner) = request.skip(2) else { return refuse(client, "ERR Invalid command specified", room) };
    let Some(spec) = learning::known(&inner, room) else {
        return refuse(client, "ERR Invalid command specified", room);
    };
    if !spec.arity_ok(inner.argc()) {
        return refuse(client, "ERR Invalid number of arguments specified for command", room);
    }
    let mut parts = Parts::default();
    let way = match route::route(spec, &inner, &mut parts) {
        _ if room.rights.denies(spec) => Err(super::rights::refusal(spec)),
        other => other.map_err(|refused| refused.to_string()),
    };
    let mut found: Vec<&[u8]> = Vec::new();
    // Keys that cannot be told are the reason for the refusal, which is shown.
    let _ = keys::each_key(spec, &inner, |at| found.extend(inner.arg(at)));
    let mut slots: Vec<u16> = found.iter().map(|key| slot(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    let map = room.process.map.load_full();
    let spread = session.spread(spec).unwrap_or_default();
    let mut nodes: Vec<String> = match way {
        Ok(Route::Slot(_) | Route::Split(_)) => slots.iter().flat_map(|&slot| readers(&map, slot, spread)).collect(),
        Ok(Route::Pin(_)) => slots.iter().flat_map(|&slot| readers(&map, slot, ReadFrom::Primary)).collect(),
        Ok(Route::Any | Route::Everywhere(_)) => map.primaries().map(|(_, node)| node.addr.to_string()).collect(),
        _ => Vec::new(),
    };
    nodes.sort_unstable();
    nodes.dedup();
    let (plan, refusal) = match &way {
        Ok(Route::Slot(_)) if nodes.len() > 1 => ("one of the nodes", ""),
        Ok(Route::Slot(_)) => ("one node", ""),
        Ok(Route::Any) => ("any one of the nodes", ""),
        Ok(Route::Split(_)) => ("split by slot", ""),
        Ok(Route::Pin(_)) => ("one node, on a connection of its own if need be", ""),
        Ok(Route::Everywhere(_)) => ("all of the nodes", ""),
        Ok(Route::Subscribe | Route::Publish(_)) => ("by the shared subscriptions and their nodes", ""),
        Ok(Route::Local) => ("answered by slotway", ""),
        Err(text) => ("refused", text.as_str()),
    };
    say(client, room, |out| {
        encode::map(out, 6, proto);
        pair(out, "command", &spec.full_name());
        pair(out, "plan", plan);
        encode::bulk(out, b"keys");
        encode::array(out, found.len());
        for key in &found {
            encode::bulk(out, key);
        }
        encode::bulk(out, b"slots");
        encode::array(out, slots.len());
        for slot in &slots {
            encode::integer(out, i64::from(*slot));
        }
        encode::bulk(out, b"nodes");
        encode::array(out, nodes.len());
        for node in &nodes {
            encode::bulk(out, node.as_bytes());
        }
        pair(out, "refusal", refusal);
    })
}
