//! The `CLUSTER` command: what a node says of the cluster, in the formats of a 7.0 server.

use super::command::{Answer, Command, Fault, NOT_INT, other};
use super::map::Map;
use super::node::Turn;
use super::number::int;
use super::options::Endpoint;
use super::redirect;
use super::reply::Reply;
use super::server::bounded;
use super::slot::{SLOTS, slot};

pub(super) const COMMANDS: &[Command] = &[other("cluster", -2, cluster)];

fn cluster(turn: &mut Turn<'_>) -> Answer {
    let name = String::from_utf8_lossy(turn.arg(1)).to_ascii_lowercase();
    let full_name = format!("cluster|{name}");
    let args = match name.as_str() {
        "myid" | "info" | "nodes" | "slots" => 2,
        "shards" if turn.state.options.cluster_shards_supported => 2,
        "keyslot" | "countkeysinslot" => 3,
        "getkeysinslot" => 4,
        _ => return Err(unknown(turn)),
    };
    turn.exactly(args, &full_name)?;
    match name.as_str() {
        "myid" => Ok(Reply::bulk(&turn.state.nodes[turn.node].id)),
        "info" => Ok(Reply::Text(info(turn))),
        "nodes" => Ok(Reply::Text(nodes(turn))),
        "slots" => Ok(slots(turn)),
        "shards" => Ok(shards(turn)),
        "keyslot" => Ok(Reply::Int(i64::from(slot(turn.arg(2))))),
        "countkeysinslot" => {
            let slot = the_slot(turn)?.ok_or(Fault("ERR Invalid slot".into()))?;
            Ok(Reply::count(turn.state.dbs[turn.state.nodes[turn.node].db].keys_in(slot).count()))
        }
        _ => get_keys_in_slot(turn),
    }
}

fn unknown(turn: &Turn<'_>) -> Fault {
    if turn.state.options.cluster_shards_supported {
        return turn.unknown_subcommand();
    }
    let name = String::from_utf8_lossy(turn.arg(1));
    Fault::new(format!("ERR Unknown subcommand or wrong number of arguments for '{name}'. Try CLUSTER HELP."))
}

fn the_slot(turn: &Turn<'_>) -> Result<Option<u16>, Fault> {
    bounded(turn.arg(2), i64::from(SLOTS) - 1)
}

fn get_keys_in_slot(turn: &Turn<'_>) -> Answer {
    let slot = the_slot(turn)?;
    let most = int(turn.arg(3)).ok_or(NOT_INT)?;
    let (Some(slot), Ok(most)) = (slot, usize::try_from(most)) else {
        return Err(Fault("ERR Invalid slot or number of keys".into()));
    };
    let db = &turn.state.dbs[turn.state.nodes[turn.node].db];
    Ok(Reply::strings(db.keys_in(slot).take(most)))
}

fn info(turn: &Turn<'_>) -> String {
    let view = turn.state.view(turn.node);
    let (assigned, lost) = (view.assigned(), view.lost());
    let down = redirect::is_down(&view, turn.state.options.full_coverage);
    let lines = [
        ("cluster_state", if down { "fail" } else { "ok" }.to_owned()),
        ("cluster_slots_assigned", assigned.to_string()),
        ("cluster_slots_ok", (assigned - lost).to_string()),
        ("cluster_slots_pfail", "0".to_owned()),
        ("cluster_slots_fail", lost.to_string()),
        ("cluster_known_nodes", turn.state.nodes.len().to_string()),
        ("cluster_size", view.size().to_string()),
        ("cluster_current_epoch", view.epoch.to_string()),
        ("cluster_my_epoch", view.shards[view.shard_of(turn.node)].epoch.to_string()),
        ("cluster_stats_messages_sent", "0".to_owned()),
        ("cluster_stats_messages_received", "0".to_owned()),
        ("total_cluster_links_buffer_limit_exceeded", "0".to_owned()),
    ];
    lines.into_iter().fold(String::new(), |text, (name, value)| text + name + ":" + &value + "\r\n")
}

fn nodes(turn: &Turn<'_>) -> String {
    let view = turn.state.view(turn.node);
    let ranges = view.ranges();
    (0..turn.state.nodes.len()).map(|node| node_line(turn, &view, &ranges, node)).collect()
}

type Ranges = [(std::ops::RangeInclusive<u16>, usize)];

fn node_line(turn: &Turn<'_>, view: &Map, ranges: &Ranges, node: usize) -> String {
    let state = &*turn.state;
    let this = &state.nodes[node];
    let shard = view.shard_of(node);
    let primary = view.shards[shard].primary;
    let mut flags = vec![if primary == node { "master" } else { "slave" }];
    if node == turn.node {
        flags.insert(0, "myself");
    }
    if view.failed.contains(&node) {
        flags.push("fail");
    }
    let hostname = state.hostname(node).map_or_else(String::new, |name| format!(",{name}"));
    let of = if primary == node { "-" } else { &state.nodes[primary].id };
    let link = if view.failed.contains(&node) { "disconnected" } else { "connected" };
    let mut line = format!(
        "{} {}:{}@{}{hostname} {} {of} 0 {} {} {link}",
        this.id,
        this.host,
        this.port,
        u32::from(this.port) + 10_000,
        flags.join(","),
        state.now_ms(),
        view.shards[shard].epoch,
    );
    if primary == node {
        for (range, _) in ranges.iter().filter(|(_, of)| *of == shard) {
            let (first, last) = (range.start(), range.end());
            line.push(' ');
            line += &first.to_string();
            if first != last {
                line.push('-');
                line += &last.to_string();
            }
        }
    }
    if primary == node && node == turn.node {
        line += &moving_slots(turn, view, shard);
    }
    line + "\n"
}

/// The slots that come and go, which a node tells of itself only.
fn moving_slots(turn: &Turn<'_>, view: &Map, shard: usize) -> String {
    let id = |of: usize| &turn.state.nodes[view.shards[of].primary].id;
    let each = turn.state.migrations.iter().map(|(slot, migration)| match migration {
        m if m.from == shard => format!(" [{slot}->-{}]", id(m.to)),
        m if m.to == shard => format!(" [{slot}-<-{}]", id(m.from)),
        _ => String::new(),
    });
    each.collect()
}

fn slots(turn: &Turn<'_>) -> Reply {
    let view = turn.state.view(turn.node);
    let entry = |(range, shard): (std::ops::RangeInclusive<u16>, usize)| {
        let shard = &view.shards[shard];
        let replicas = shard.members.iter().filter(|&&node| node != shard.primary && !view.failed.contains(&node));
        let nodes = std::iter::once(&shard.primary).chain(replicas).map(|&node| slots_node(turn, node));
        let bounds = [range.start(), range.end()].map(|&slot| Reply::Int(i64::from(slot)));
        Reply::Array(bounds.into_iter().chain(nodes).collect())
    };
    Reply::Array(view.ranges().into_iter().map(entry).collect())
}

/// A node in `CLUSTER SLOTS`: where it is, its id, and the names by which it was not called.
fn slots_node(turn: &Turn<'_>, node: usize) -> Reply {
    let options = &turn.state.options;
    let this = &turn.state.nodes[node];
    let endpoint = match options.endpoint {
        Endpoint::Empty => Reply::Null,
        _ => Reply::bulk(turn.state.endpoint(node)),
    };
    let mut fields = vec![endpoint, Reply::Int(i64::from(this.port)), Reply::bulk(&this.id)];
    if options.cluster_shards_supported {
        let ip = (Reply::bulk("ip"), Reply::bulk(&this.host));
        fields.push(Reply::Map(if options.endpoint == Endpoint::Ip { Vec::new() } else { vec![ip] }));
    }
    Reply::Array(fields)
}

fn shards(turn: &Turn<'_>) -> Reply {
    let view = turn.state.view(turn.node);
    let ranges = view.ranges();
    let shard = |index: usize| {
        let mine = ranges.iter().filter(|(_, of)| *of == index);
        let bounds = mine.flat_map(|(range, _)| [range.start(), range.end()]).map(|&slot| Reply::Int(i64::from(slot)));
        let shard = &view.shards[index];
        let replicas = shard.members.iter().filter(|&&node| node != shard.primary);
        let nodes = std::iter::once(&shard.primary).chain(replicas).map(|&node| shards_node(turn, &view, node));
        Reply::Map(vec![
            (Reply::bulk("slots"), Reply::Array(bounds.collect())),
            (Reply::bulk("nodes"), Reply::Array(nodes.collect())),
        ])
    };
    Reply::Array((0..view.shards.len()).map(shard).collect())
}

fn shards_node(turn: &Turn<'_>, view: &Map, node: usize) -> Reply {
    let this = &turn.state.nodes[node];
    let text = |name: &str, value: &str| (Reply::bulk(name), Reply::bulk(value));
    let mut fields = vec![
        text("id", &this.id),
        (Reply::bulk("port"), Reply::Int(i64::from(this.port))),
        text("ip", &this.host),
        text("endpoint", &turn.state.endpoint(node)),
    ];
    if let Some(hostname) = turn.state.hostname(node) {
        fields.push(text("hostname", &hostname));
    }
    fields.push(text("role", if view.is_primary(node) { "master" } else { "replica" }));
    fields.push((Reply::bulk("replication-offset"), Reply::Int(0)));
    fields.push(text("health", if view.failed.contains(&node) { "fail" } else { "online" }));
    Reply::Map(fields)
}
