//! INFO: the proxy as one Redis would describe itself, and a `# Proxy` section of its own.
//!
//! Clients look at a few fields before they start (`redis_version`, `loading`, `maxmemory_policy`); version and
//! policy are those of the nodes. Sums over the nodes' data are not here.

use std::fmt::Write as _;

use super::state::{Flow, Room, Session, say};
use crate::cluster::topology::Topology;
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;

/// A section's name and what writes it.
type Section = (&'static str, fn(&Room, &Topology, &mut String));

const SECTIONS: &[Section] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
    ("Proxy", proxy),
];

/// `INFO [section …]`.
pub(super) fn answer(session: &Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let wanted: Vec<&[u8]> = request.args().skip(1).collect();
    let everything =
        |name: &&[u8]| [&b"all"[..], b"default", b"everything"].iter().any(|word| name.eq_ignore_ascii_case(word));
    let all = wanted.is_empty() || wanted.iter().any(everything);
    let map = room.process.map.load_full();
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if all || wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            write(room, &map, &mut text);
        }
    }
    let proto = session.proto;
    say(client, room, |out| encode::text(out, &text, proto))
}

/// Appends `name:value` lines. Writing to a string cannot fail.
macro_rules! lines {
    ($out:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $(let _ = write!($out, "{}:{}\r\n", $name, $value);)+
    };
}

fn server(room: &Room, map: &Topology, out: &mut String) {
    let uptime = room.process.uptime().as_secs();
    lines!(out,
        "redis_version": map.facts.version,
        "redis_mode": "standalone",
        "os": std::env::consts::OS,
        "arch_bits": usize::BITS,
        "process_id": std::process::id(),
        "run_id": room.process.run_id,
        "tcp_port": room.process.port,
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / 86_400,
    );
}

fn clients(room: &Room, _: &Topology, out: &mut String) {
    lines!(out,
        "connected_clients": room.process.clients(),
        "maxclients": room.process.max_clients,
        "blocked_clients": room.process.blocked.load(std::sync::atomic::Ordering::Relaxed),
    );
}

fn memory(_: &Room, map: &Topology, out: &mut String) {
    let resident = resident_bytes();
    lines!(out,
        "used_memory": resident,
        "used_memory_rss": resident,
        "maxmemory": 0,
        "maxmemory_policy": map.facts.maxmemory_policy,
    );
}

/// What the system counts as this process's memory; 0 where it does not tell.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

fn persistence(_: &Room, _: &Topology, out: &mut String) {
    lines!(out, "loading": 0, "async_loading": 0);
}

fn stats(room: &Room, _: &Topology, out: &mut String) {
    use std::sync::atomic::Ordering;
    let [channels, patterns, shards] = room.pubsub.registry().heard();
    lines!(out,
        "total_connections_received": room.process.accepted.load(Ordering::Relaxed),
        "total_commands_processed": room.process.total(|tally| &tally.commands),
        "pubsub_channels": channels,
        "pubsub_patterns": patterns,
        "pubsubshard_channels": shards,
        "rejected_connections": room.process.refused.load(Ordering::Relaxed),
    );
}

fn replication(room: &Room, _: &Topology, out: &mut String) {
    lines!(out,
        "role": "master",
        "connected_slaves": 0,
        "master_replid": room.process.run_id,
        "master_repl_offset": 0,
    );
}

fn cluster(_: &Room, _: &Topology, out: &mut String) {
    lines!(out, "cluster_enabled": 0);
}

fn keyspace(_: &Room, _: &Topology, _: &mut String) {}

fn proxy(room: &Room, map: &Topology, out: &mut String) {
    let process = &room.process;
    let primaries = map.primaries().count();
    lines!(out,
        "slotway_version": env!("CARGO_PKG_VERSION"),
        "workers": process.tallies.len(),
        "primaries": primaries,
        "replicas": map.nodes.len() - primaries,
        "slots_covered": map.covered(),
        "topology_version": map.version,
        "topology_convergence_seconds": format_args!("{:.3}", map.convergence.as_secs_f64()),
        "redirects": process.total(|tally| &tally.redirects),
        "retries": process.total(|tally| &tally.put_off),
        "node_connections_lost": process.total(|tally| &tally.lost),
        "unasked_replies": process.total(|tally| &tally.unasked),
        "slow_subscribers": process.total(|tally| &tally.slow),
        "timed_out": process.total(|tally| &tally.timed_out),
        "failed_fast": process.total(|tally| &tally.failed_fast),
        "out_of_step": process.total(|tally| &tally.out_of_step),
    );
}
