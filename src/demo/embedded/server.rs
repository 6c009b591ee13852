//! Commands about the node as a server: what it is, what it can, and what a stand-in refuses.

use super::command::{Answer, Command, Fault, NOT_INT, other};
use super::glob;
use super::node::Turn;
use super::number::int;
use super::options::Options;
use super::reply::Reply;

pub(super) const COMMANDS: &[Command] = &[
    other("time", 1, time),
    other("info", -1, info),
    other("role", 1, role),
    other("config", -2, config),
    other("wait", 3, wait),
    other("eval", -3, scripting),
    other("evalsha", -3, scripting),
    other("fcall", -3, scripting),
    other("script", -2, scripting),
    other("function", -2, scripting),
];

/// The version whose behaviour the nodes imitate.
pub(super) const fn version(options: &Options) -> &'static str {
    if options.slot_tables { "7.4.0" } else { "7.0.15" }
}

fn scripting(_: &mut Turn<'_>) -> Answer {
    Err(Fault("ERR scripts are not served by the embedded stand-in: start a real redis-server for them".into()))
}

/// Replicas lag behind by nothing here, so that nobody waits.
fn wait(turn: &mut Turn<'_>) -> Answer {
    int(turn.arg(1)).ok_or(NOT_INT)?;
    int(turn.arg(2)).ok_or(NOT_INT)?;
    let view = turn.state.view(turn.node);
    let others = view.shards[view.shard_of(turn.node)].members.iter().filter(|&&node| node != turn.node);
    Ok(Reply::count(others.filter(|&&node| turn.state.nodes[node].alive && !turn.state.nodes[node].paused).count()))
}

fn time(turn: &mut Turn<'_>) -> Answer {
    let now_ms = turn.state.now_ms();
    Ok(Reply::strings([(now_ms / 1000).to_string(), (now_ms % 1000 * 1000).to_string()]))
}

fn role(turn: &mut Turn<'_>) -> Answer {
    let view = turn.state.view(turn.node);
    let shard = &view.shards[view.shard_of(turn.node)];
    let nodes = &turn.state.nodes;
    if shard.primary != turn.node {
        let primary = &nodes[shard.primary];
        let cut_off = nodes[turn.node].unlinked || view.failed.contains(&shard.primary);
        let state = if cut_off { "connect" } else { "connected" };
        let fields = [Reply::bulk("slave"), Reply::bulk(&primary.host), Reply::Int(i64::from(primary.port))];
        return Ok(Reply::Array(fields.into_iter().chain([Reply::bulk(state), Reply::Int(0)]).collect()));
    }
    let replicas = shard.members.iter().filter(|&&member| member != turn.node && nodes[member].alive);
    let replicas = replicas
        .map(|&member| Reply::strings([nodes[member].host.clone(), nodes[member].port.to_string(), "0".to_owned()]));
    Ok(Reply::Array(vec![Reply::bulk("master"), Reply::Int(0), Reply::Array(replicas.collect())]))
}

/// The sections of `INFO` that a client could ask for.
const SECTIONS: [&str; 7] = ["server", "clients", "memory", "stats", "replication", "cluster", "keyspace"];

fn info(turn: &mut Turn<'_>) -> Answer {
    let asked: Vec<String> =
        turn.args.iter().skip(1).map(|a| String::from_utf8_lossy(a).to_ascii_lowercase()).collect();
    let everything = asked.is_empty() || asked.iter().any(|a| matches!(a.as_str(), "all" | "default" | "everything"));
    let wanted = SECTIONS.into_iter().filter(|section| everything || asked.iter().any(|a| a == section));
    Ok(Reply::Text(wanted.map(|name| section(turn, name)).collect::<Vec<_>>().join("\r\n")))
}

fn section(turn: &Turn<'_>, name: &str) -> String {
    let state = &*turn.state;
    let node = &state.nodes[turn.node];
    let counts = state.observer.counts(turn.node);
    match name {
        "server" => format!(
            "# Server\r\nredis_version:{}\r\nredis_mode:cluster\r\nrun_id:{}\r\nexecutable:slotway, embedded stand-in, not \
             Redis\r\ntcp_port:{}\r\n",
            version(&state.options),
            node.id,
            node.port
        ),
        "clients" => format!("# Clients\r\nconnected_clients:{}\r\n", node.lines.len()),
        "memory" => "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n".to_owned(),
        "stats" => format!(
            "# Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\n",
            counts.connections, counts.commands
        ),
        "replication" => replication(turn),
        "cluster" => "# Cluster\r\ncluster_enabled:1\r\n".to_owned(),
        _ => match state.dbs[node.db].len() {
            0 => "# Keyspace\r\n".to_owned(),
            keys => format!("# Keyspace\r\ndb0:keys={keys},expires=0,avg_ttl=0\r\n"),
        },
    }
}

fn replication(turn: &Turn<'_>) -> String {
    let view = turn.state.view(turn.node);
    let shard = &view.shards[view.shard_of(turn.node)];
    if shard.primary == turn.node {
        return format!("# Replication\r\nrole:master\r\nconnected_slaves:{}\r\n", shard.members.len() - 1);
    }
    let primary = &turn.state.nodes[shard.primary];
    let cut_off = turn.state.nodes[turn.node].unlinked || view.failed.contains(&shard.primary);
    let link = if cut_off { "down" } else { "up" };
    format!(
        "# Replication\r\nrole:slave\r\nmaster_host:{}\r\nmaster_port:{}\r\nmaster_link_status:{link}\r\n",
        primary.host, primary.port
    )
}

/// The settings that can be asked for.
const SETTINGS: [(&str, &str); 3] = [("maxmemory-policy", "noeviction"), ("save", ""), ("appendonly", "no")];

fn config(turn: &mut Turn<'_>) -> Answer {
    if !turn.arg(1).eq_ignore_ascii_case(b"get") {
        return Err(turn.unknown_subcommand());
    }
    if turn.args.len() < 3 {
        return Err(Fault::arity("config|get"));
    }
    let patterns: Vec<Vec<u8>> = turn.args.iter().skip(2).map(|pattern| pattern.to_ascii_lowercase()).collect();
    let found = SETTINGS.into_iter().filter(|(name, _)| patterns.iter().any(|p| glob::matches(p, name.as_bytes())));
    Ok(Reply::Map(found.map(|(name, value)| (Reply::bulk(name), Reply::bulk(value))).collect()))
}

/// A whole number from 0 to `most`.
pub(super) fn bounded(text: &[u8], most: i64) -> Result<Option<u16>, Fault> {
    let number = int(text).ok_or(NOT_INT)?;
    Ok(if (0..=most).contains(&number) { u16::try_from(number).ok() } else { None })
}
