//! Numbers for shards that stay the same when a primary changes or slots move, so that colours do.

use std::collections::HashMap;

use crate::cluster::topology::{Node, Role, Topology};

/// Which number each node's shard has.
#[derive(Debug, Default)]
pub(super) struct Shards {
    numbers: HashMap<String, usize>,
}

/// What tells a node from others: its identifier, or its address where servers tell none.
pub(super) fn name(node: &Node) -> String {
    if node.id.is_empty() { node.addr.to_string() } else { node.id.clone() }
}

impl Shards {
    /// Gives numbers to the nodes that have none, in the order of their slots: a node has the number of its primary.
    pub(super) fn learn(&mut self, map: &Topology) {
        let first_slot = |index: u16| map.slots.iter().position(|&owner| owner == index).unwrap_or(usize::MAX);
        let mut primaries: Vec<_> = map.primaries().collect();
        primaries.sort_by_key(|&(index, _)| first_slot(index));
        for (index, primary) in primaries {
            let members = || {
                let replicas = map.nodes.iter().filter(move |node| node.role == Role::Replica { of: index });
                std::iter::once(primary).chain(replicas)
            };
            let known = members().find_map(|node| self.numbers.get(&name(node)).copied());
            let number = known.unwrap_or_else(|| self.unused());
            for member in members() {
                let is_primary = member.role == Role::Primary;
                let entry = self.numbers.entry(name(member)).or_insert(number);
                // A replica that went over to another primary belongs there now.
                if !is_primary {
                    *entry = number;
                }
            }
        }
        let present: Vec<String> = map.nodes.iter().map(name).collect();
        self.numbers.retain(|node, _| present.contains(node));
    }

    fn unused(&self) -> usize {
        (0..=self.numbers.len()).find(|number| !self.numbers.values().any(|used| used == number)).unwrap_or(0)
    }

    /// The number of a node's shard.
    pub(super) fn of(&self, node: &Node) -> Option<usize> {
        self.numbers.get(&name(node)).copied()
    }
}
