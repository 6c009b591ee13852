//! The nodes as PROXY NODES tells of them, and the pairs of names and values that such answers are made of.

use crate::backend::NodeReport;
use crate::cluster::topology::{Role, Topology};
use crate::resp::{Proto, encode};

/// Appends a name and a text.
pub(super) fn pair(out: &mut Vec<u8>, name: &str, value: &str) {
    encode::bulk(out, name.as_bytes());
    encode::bulk(out, value.as_bytes());
}

/// Appends a name and a number.
pub(super) fn count(out: &mut Vec<u8>, name: &str, value: u64) {
    encode::bulk(out, name.as_bytes());
    encode::integer(out, value as i64);
}

/// Appends one entry a node of the map: what it is, and what all workers have to do with it.
pub(super) fn nodes(reports: &[NodeReport], map: &Topology, proto: Proto, out: &mut Vec<u8>) {
    encode::array(out, map.nodes.len());
    for (index, node) in (0..).zip(&map.nodes) {
        let addr = node.addr.to_string();
        let (role, shard) = match node.role {
            Role::Primary => ("master", index),
            Role::Replica { of } => ("replica", of),
        };
        let shard = map.nodes.get(usize::from(shard)).map_or("", |primary| &primary.id);
        let own: Vec<&NodeReport> = reports.iter().filter(|report| report.addr == addr).collect();
        let sum = |field: fn(&NodeReport) -> u64| own.iter().map(|report| field(report)).sum::<u64>();
        encode::map(out, 9, proto);
        pair(out, "addr", &addr);
        pair(out, "id", &node.id);
        pair(out, "role", role);
        pair(out, "shard", shard);
        let health = match (node.online, node.is_linked) {
            (true, true) => "online",
            (true, false) => "cut-off",
            (false, _) => "offline",
        };
        pair(out, "health", health);
        count(out, "slots", map.slots.iter().filter(|owner| **owner == index).count() as u64);
        count(out, "connections", sum(|report| report.connections));
        count(out, "in-flight", sum(|report| report.in_flight));
        count(out, "lost", sum(|report| report.lost));
    }
}
