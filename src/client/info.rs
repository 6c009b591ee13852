//! INFO: the cluster as one Redis would describe itself, and a `# Proxy` section of its own.
//!
//! All primaries are asked, and their sections are folded into one (`fold`); what concerns clients and the server
//! itself is the proxy's own. Sections that are the proxy's alone are answered without asking anybody.

mod fold;

use std::fmt::Write as _;

use super::ClusterView;
use super::errands;
use super::state::{Flow, Room, Session, say};
use crate::cluster::topology::Topology;
use crate::merge::errand::{Answers, Around, Asks, Errand, Outcome, To};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::value::Value;
use crate::resp::{Proto, encode};
use fold::Section;

/// The sections, in the order of Redis, and whether `INFO` alone gives them.
const SECTIONS: &[(&str, bool)] = &[
    ("Server", true),
    ("Clients", true),
    ("Memory", true),
    ("Persistence", true),
    ("Stats", true),
    ("Replication", true),
    ("CPU", true),
    ("Modules", true),
    ("Commandstats", false),
    ("Errorstats", true),
    ("Latencystats", false),
    ("Cluster", true),
    ("Keyspace", true),
    ("Proxy", true),
];

/// Sections that no node is asked for.
const OWN: &[&str] = &["Clients", "Replication", "Cluster", "Proxy"];

/// `INFO [section …]`.
pub(super) fn answer(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let wanted = wanted(request);
    let map = room.process.map.load_full();
    let ours: Vec<Section> = SECTIONS.iter().map(|(name, _)| own(name, session, room, &map)).collect();
    let described = Described { proto: session.proto, wanted, ours, answers: Answers::default() };
    let needs_nodes = described.wanted.iter().any(|name| !OWN.contains(name));
    if needs_nodes && !room.backend.primaries().is_empty() {
        return errands::begin(session, client, Box::new(described), request.frame().len(), room);
    }
    say(client, room, |out| described.write(out))
}

/// The sections that are asked for.
fn wanted(request: &Request<'_>) -> Vec<&'static str> {
    let named = |name: &str| request.args().skip(1).any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let (all, default) = (named("all") || named("everything"), request.argc() == 1 || named("default"));
    let is_wanted = |&&(name, by_default): &&(&str, bool)| all || (default && by_default) || named(name);
    SECTIONS.iter().filter(is_wanted).map(|(name, _)| *name).collect()
}

/// An INFO that waits for the nodes.
#[derive(Debug)]
struct Described {
    proto: Proto,
    wanted: Vec<&'static str>,
    /// What the proxy says, section by section; it overrules the nodes.
    ours: Vec<Section>,
    answers: Answers,
}

impl Errand for Described {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, around: Around<'_>, asks: &mut Asks) {
        let by_default = |name: &&str| SECTIONS.iter().any(|(known, default)| known == name && *default);
        let all = !self.wanted.iter().all(by_default);
        for &slot in around.slots {
            asks.add(To::Owner(slot), if all { &[b"INFO", b"everything"] } else { &[b"INFO"] });
        }
    }

    fn add(&mut self, part: u32, reply: &[u8]) {
        self.answers.put(part, reply);
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        self.write(out);
        Outcome::Done
    }
}

impl Described {
    fn write(&self, out: &mut Vec<u8>) {
        // A node that could not be asked is left out.
        let nodes: Vec<Vec<Section>> = self
            .answers
            .iter()
            .filter_map(|reply| Value::read(reply, self.proto, usize::MAX >> 8).ok()?)
            .filter_map(|(value, _)| value.text().map(fold::read))
            .collect();
        let folded = fold::fold(&nodes);
        let mut text = String::new();
        for name in &self.wanted {
            let theirs = folded.iter().find(|section| section.name == *name && !OWN.contains(name));
            let mut section = theirs.cloned().unwrap_or_default();
            for (field, value) in self.ours.iter().filter(|own| own.name == *name).flat_map(|own| &own.fields) {
                section.set(field, value.clone());
            }
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            for (field, value) in &section.fields {
                let _ = write!(text, "{field}:{value}\r\n");
            }
        }
        encode::text(out, &text, self.proto);
    }
}

/// The `# Proxy` section alone.
pub(super) fn alone(room: &Room) -> String {
    let map = room.process.map.load_full();
    let mut text = "# Proxy\r\n".to_owned();
    for (field, value) in proxy(room, &map) {
        let _ = write!(text, "{field}:{value}\r\n");
    }
    text
}

/// What the proxy itself says in a section.
fn own(name: &str, session: &Session, room: &Room, map: &Topology) -> Section {
    let fields = match name {
        "Server" => server(session, room, map),
        "Clients" => clients(session, room),
        "Memory" => lines(&[("maxmemory_policy", &map.facts.maxmemory_policy)]),
        "Persistence" => lines(&[("loading", &0), ("async_loading", &0)]),
        "Stats" => stats(room),
        "Replication" => replication(room),
        "Cluster" => lines(&[("cluster_enabled", &u8::from(is_single(session)))]),
        "Proxy" => proxy(room, map),
        _ => Vec::new(),
    };
    Section { name: name.to_owned(), fields }
}

/// Whether clients are shown a cluster of one node.
fn is_single(session: &Session) -> bool {
    session.terms.options.cluster == ClusterView::Single
}

type Fields = Vec<(String, String)>;

fn lines(of: &[(&str, &dyn std::fmt::Display)]) -> Fields {
    of.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect()
}

fn server(session: &Session, room: &Room, map: &Topology) -> Fields {
    let uptime = room.process.uptime().as_secs();
    let micros = super::process::wall_clock().as_micros();
    lines(&[
        ("redis_version", &map.facts.version),
        ("redis_mode", &if is_single(session) { "cluster" } else { "standalone" }),
        ("os", &std::env::consts::OS),
        ("arch_bits", &usize::BITS),
        ("process_id", &std::process::id()),
        ("run_id", &room.process.run_id),
        ("tcp_port", &room.process.port),
        ("server_time_usec", &micros),
        ("uptime_in_seconds", &uptime),
        ("uptime_in_days", &(uptime / 86_400)),
        ("executable", &""),
        ("config_file", &""),
    ])
}

fn clients(session: &Session, room: &Room) -> Fields {
    lines(&[
        ("connected_clients", &room.process.clients()),
        ("cluster_connections", &0),
        ("maxclients", &room.process.door(session.door()).max_clients()),
        ("client_recent_max_input_buffer", &0),
        ("client_recent_max_output_buffer", &0),
        ("blocked_clients", &room.process.blocked.load(std::sync::atomic::Ordering::Relaxed)),
        ("tracking_clients", &0),
        ("clients_in_timeout_table", &0),
    ])
}

fn stats(room: &Room) -> Fields {
    use std::sync::atomic::Ordering;
    let [channels, patterns, shards] = room.pubsub.registry().heard();
    lines(&[
        ("total_connections_received", &room.process.accepted.load(Ordering::Relaxed)),
        ("rejected_connections", &room.process.refused.load(Ordering::Relaxed)),
        ("pubsub_channels", &channels),
        ("pubsub_patterns", &patterns),
        ("pubsubshard_channels", &shards),
    ])
}

fn replication(room: &Room) -> Fields {
    lines(&[
        ("role", &"master"),
        ("connected_slaves", &0),
        ("master_failover_state", &"no-failover"),
        ("master_replid", &room.process.run_id),
        ("master_replid2", &"0".repeat(40)),
        ("master_repl_offset", &0),
        ("second_repl_offset", &-1),
        ("repl_backlog_active", &0),
        ("repl_backlog_size", &(1 << 20)),
        ("repl_backlog_first_byte_offset", &0),
        ("repl_backlog_histlen", &0),
    ])
}

fn proxy(room: &Room, map: &Topology) -> Fields {
    let process = &room.process;
    let primaries = map.primaries().count();
    lines(&[
        ("slotway_version", &env!("CARGO_PKG_VERSION")),
        ("workers", &process.tallies.len()),
        ("proxy_memory_rss", &resident_bytes()),
        ("proxy_commands_processed", &process.total(|tally| &tally.commands)),
        ("primaries", &primaries),
        ("replicas", &(map.nodes.len() - primaries)),
        ("slots_covered", &map.covered()),
        ("topology_version", &map.version),
        ("topology_convergence_seconds", &format_args!("{:.3}", map.convergence.as_secs_f64())),
        ("redirects", &process.total(|tally| &tally.redirects)),
        ("retries", &process.total(|tally| &tally.put_off)),
        ("node_connections_lost", &process.total(|tally| &tally.lost)),
        ("unasked_replies", &process.total(|tally| &tally.unasked)),
        ("slow_subscribers", &process.total(|tally| &tally.slow)),
        ("timed_out", &process.total(|tally| &tally.timed_out)),
        ("failed_fast", &process.total(|tally| &tally.failed_fast)),
        ("out_of_step", &process.total(|tally| &tally.out_of_step)),
    ])
}

/// What the system counts as this process's memory; 0 where it does not tell.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
