//! CLUSTER with `[compat] cluster = "single"`: one virtual node, which is this proxy and owns every slot.
//!
//! Clients of a cluster then work through one endpoint. What counts or lists keys of a slot is asked of its owner.

use super::state::{Flow, Room, Session, refuse, say};
use super::{helps, process::Process};
use crate::cluster::slot::SLOTS;
use crate::command::{Spec, keys};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

/// The host and port that this client connected to.
fn endpoint<'a>(session: &'a Session, process: &Process) -> (&'a str, u16) {
    let (host, port) = session.local.rsplit_once(':').unwrap_or(("", ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port.parse().unwrap_or(process.port))
}

/// `CLUSTER …`.
pub(super) fn answer(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let proto = session.proto;
    let id = room.process.run_id.clone();
    let (host, port) = endpoint(session, &room.process);
    let bulk = |out: &mut Vec<u8>, text: &str| encode::bulk(out, text.as_bytes());
    match spec.name {
        "myid" => say(client, room, |out| bulk(out, &id)),
        "info" => {
            let text = info(room);
            say(client, room, |out| encode::text(out, &text, proto))
        }
        "nodes" => {
            let last = SLOTS - 1;
            let text = format!("{id} {host}:{port}@{} myself,master - 0 0 1 connected 0-{last}\n", bus(port));
            say(client, room, |out| encode::text(out, &text, proto))
        }
        "slots" => say(client, room, |out| {
            encode::array(out, 1);
            encode::array(out, 3);
            encode::integer(out, 0);
            encode::integer(out, i64::from(SLOTS) - 1);
            encode::array(out, 4);
            bulk(out, host);
            encode::integer(out, i64::from(port));
            bulk(out, &id);
            encode::array(out, 0);
        }),
        "shards" => say(client, room, |out| shards(&id, host, port, proto, out)),
        "links" => say(client, room, |out| encode::array(out, 0)),
        "replicas" | "slaves" | "count-failure-reports" if request.arg(2) != Some(id.as_bytes()) => {
            let name = String::from_utf8_lossy(request.arg(2).unwrap_or_default()).into_owned();
            refuse(client, &format!("ERR Unknown node {name}"), room)
        }
        "replicas" | "slaves" => say(client, room, |out| encode::array(out, 0)),
        "count-failure-reports" => say(client, room, |out| encode::integer(out, 0)),
        "countkeysinslot" | "getkeysinslot" => of_slot(session, client, spec, request, room),
        "help" => say(client, room, |out| helps::write("CLUSTER", helps::CLUSTER, out)),
        _ => refuse(client, "ERR wrong number of arguments for 'cluster' command", room),
    }
}

/// The port of a bus that nobody shall dial, as servers choose theirs.
fn bus(port: u16) -> u32 {
    u32::from(port) + 10_000
}

/// Asks the slot's owner.
fn of_slot(session: &mut Session, client: ClientId, spec: &Spec, request: &Request<'_>, room: &mut Room) -> Flow {
    let number = |at: usize| keys::integer(request.arg(at).unwrap_or_default());
    match (number(2), spec.name == "getkeysinslot" && number(3).is_none()) {
        (None, _) | (_, true) => refuse(client, "ERR value is not an integer or out of range", room),
        (Some(slot), _) => match u16::try_from(slot).ok().filter(|slot| *slot < SLOTS) {
            None if spec.name == "getkeysinslot" => refuse(client, "ERR Invalid slot or number of keys", room),
            None => refuse(client, "ERR Invalid slot", room),
            Some(slot) => session.forward(client, spec, request, slot, room),
        },
    }
}

fn info(room: &Room) -> String {
    let map = room.process.map.load();
    let covered = map.covered();
    let state = if covered == usize::from(SLOTS) { "ok" } else { "fail" };
    let lines = [
        ("cluster_state", state.to_owned()),
        ("cluster_slots_assigned", covered.to_string()),
        ("cluster_slots_ok", covered.to_string()),
        ("cluster_slots_pfail", "0".to_owned()),
        ("cluster_slots_fail", "0".to_owned()),
        ("cluster_known_nodes", "1".to_owned()),
        ("cluster_size", "1".to_owned()),
        ("cluster_current_epoch", "1".to_owned()),
        ("cluster_my_epoch", "1".to_owned()),
        ("cluster_stats_messages_sent", "0".to_owned()),
        ("cluster_stats_messages_received", "0".to_owned()),
        ("total_cluster_links_buffer_limit_exceeded", "0".to_owned()),
    ];
    lines.map(|(name, value)| format!("{name}:{value}\r\n")).concat()
}

fn shards(id: &str, host: &str, port: u16, proto: Proto, out: &mut Vec<u8>) {
    let text = |out: &mut Vec<u8>, name: &str, value: &str| {
        encode::bulk(out, name.as_bytes());
        encode::bulk(out, value.as_bytes());
    };
    encode::array(out, 1);
    encode::map(out, 2, proto);
    encode::bulk(out, b"slots");
    encode::array(out, 2);
    encode::integer(out, 0);
    encode::integer(out, i64::from(SLOTS) - 1);
    encode::bulk(out, b"nodes");
    encode::array(out, 1);
    encode::map(out, 7, proto);
    text(out, "id", id);
    encode::bulk(out, b"port");
    encode::integer(out, i64::from(port));
    text(out, "ip", host);
    text(out, "endpoint", host);
    text(out, "role", "master");
    encode::bulk(out, b"replication-offset");
    encode::integer(out, 0);
    text(out, "health", "online");
}
