//! What has changed in the cluster, in words and with its time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::shards::name;
use super::status::Change;
use crate::cluster::topology::{Node, Role, Topology, UNOWNED};
use crate::telemetry::wall_clock;

/// How many changes are kept.
const KEPT: usize = 100;
/// Moves of slots between the same two nodes within so many milliseconds are one change.
const ONE_MOVE_MS: u64 = 60_000;

/// The changes so far, the newest first.
#[derive(Default)]
pub(super) struct Changes {
    known: Option<Arc<Topology>>,
    list: VecDeque<Entry>,
}

/// One change; those that move slots say so in a way that can be added up.
struct Entry {
    change: Change,
    moved: Option<(String, String, usize)>,
}

impl Changes {
    /// Notes what is different from the map before.
    pub(super) fn learn(&mut self, map: &Arc<Topology>) {
        let known = self.known.replace(Arc::clone(map)).unwrap_or_default();
        if known.version == map.version {
            return;
        }
        if known.version == 0 {
            let primaries = map.primaries().count();
            let replicas = map.nodes.len() - primaries;
            let covered = map.covered();
            return self.note("map", format!("first map: {primaries} primaries, {replicas} replicas, {covered} slots"));
        }
        self.nodes(&known, map);
        self.slots(&known, map);
    }

    /// What has changed, the newest first.
    pub(super) fn list(&self) -> Vec<Change> {
        self.list.iter().map(|entry| entry.change.clone()).collect()
    }

    fn note(&mut self, kind: &str, text: String) {
        self.push(Entry { change: Change { at_ms: now_ms(), kind: kind.to_owned(), text }, moved: None });
    }

    fn push(&mut self, entry: Entry) {
        self.list.push_front(entry);
        self.list.truncate(KEPT);
    }

    fn nodes(&mut self, known: &Topology, map: &Topology) {
        for node in &map.nodes {
            let addr = &node.addr;
            match find(known, node) {
                None => self.note("joined", format!("{addr} joined as {}", role(node, map))),
                Some(before) => {
                    if before.online != node.online {
                        let text = if node.online { "is online again" } else { "is offline" };
                        let kind = if node.online { "online" } else { "offline" };
                        self.note(kind, format!("{addr} {text}"));
                    }
                    if before.is_linked != node.is_linked {
                        let kind = if node.is_linked { "linked" } else { "cut off" };
                        let text = if node.is_linked { "hears its primary again" } else { "does not hear its primary" };
                        self.note(kind, format!("{addr} {text}"));
                    }
                    if matches!(before.role, Role::Primary) && matches!(node.role, Role::Replica { .. }) {
                        self.note("role", format!("{addr} is now {}", role(node, map)));
                    }
                }
            }
        }
        for gone in known.nodes.iter().filter(|node| find(map, node).is_none()) {
            self.note("left", format!("{} left the cluster", gone.addr));
        }
    }

    /// Slots by the pair of their owners before and now.
    fn slots(&mut self, known: &Topology, map: &Topology) {
        let owner = |map: &Topology, index| {
            if index == UNOWNED { None } else { map.nodes.get(usize::from(index)).map(|n| n.addr.to_string()) }
        };
        let mut moved = BTreeMap::<_, usize>::new();
        for (&before, &now) in known.slots.iter().zip(&map.slots) {
            let pair = (before, now);
            if before != UNOWNED || now != UNOWNED {
                *moved.entry(pair).or_default() += 1;
            }
        }
        for ((before, now), count) in moved {
            match (owner(known, before), owner(map, now)) {
                (Some(from), Some(to)) if from != to => {
                    let is_failover = known.nodes.get(usize::from(before)).is_some_and(|old| {
                        let new = map.nodes.get(usize::from(now)).and_then(|node| find(known, node));
                        let primary =
                            new.and_then(|new| if let Role::Replica { of } = new.role { Some(of) } else { None });
                        primary.and_then(|of| known.nodes.get(usize::from(of))).is_some_and(|of| of.addr == old.addr)
                    });
                    if is_failover {
                        self.note(
                            "failover",
                            format!("{to} took over {count} slots from {from}, whose replica it was"),
                        );
                    } else {
                        self.moved(from, to, count);
                    }
                }
                (Some(from), None) => self.note("lost", format!("{count} slots of {from} have no owner")),
                (None, Some(to)) => self.note("covered", format!("{count} slots without an owner are now at {to}")),
                _ => {}
            }
        }
    }

    fn moved(&mut self, from: String, to: String, count: usize) {
        let now = now_ms();
        let same = self.list.iter_mut().find_map(|entry| {
            let (known_from, known_to, sum) = entry.moved.as_mut()?;
            let is_same = *known_from == from && *known_to == to && now - entry.change.at_ms < ONE_MOVE_MS;
            is_same.then_some((sum, &mut entry.change))
        });
        if let Some((sum, change)) = same {
            *sum += count;
            change.at_ms = now;
            change.text = move_text(&from, &to, *sum);
            return;
        }
        let change = Change { at_ms: now, kind: "moved".to_owned(), text: move_text(&from, &to, count) };
        self.push(Entry { change, moved: Some((from, to, count)) });
    }
}

fn move_text(from: &str, to: &str, count: usize) -> String {
    format!("{count} {} moved from {from} to {to}", if count == 1 { "slot" } else { "slots" })
}

fn find<'a>(map: &'a Topology, node: &Node) -> Option<&'a Node> {
    map.nodes.iter().find(|known| name(known) == name(node))
}

fn role(node: &Node, map: &Topology) -> String {
    match node.role {
        Role::Primary => "a primary".to_owned(),
        Role::Replica { of } => {
            let primary = map.nodes.get(usize::from(of)).map_or_else(|| "?".to_owned(), |node| node.addr.to_string());
            format!("a replica of {primary}")
        }
    }
}

fn now_ms() -> u64 {
    wall_clock().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Addr;

    fn node(port: u16, role: Role) -> Node {
        Node { id: format!("id{port}"), addr: Addr::tcp("n", port), role, online: true, is_linked: true, epoch: 0 }
    }

    fn map(version: u64, nodes: Vec<Node>, slots: impl Fn(usize) -> u16) -> Arc<Topology> {
        let slots = (0..16384).map(slots).collect();
        Arc::new(Topology { version, nodes, slots, ..Topology::default() })
    }

    fn texts(changes: &Changes) -> Vec<String> {
        changes.list().into_iter().map(|change| change.text).collect()
    }

    #[test]
    fn slots_that_move_one_by_one_are_one_change() {
        let nodes = || vec![node(1, Role::Primary), node(2, Role::Primary)];
        let mut changes = Changes::default();
        for moved in 0..5 {
            changes.learn(&map(moved + 1, nodes(), |slot| u16::from(slot >= moved as usize)));
        }
        assert_eq!(
            texts(&changes),
            ["4 slots moved from n:2 to n:1", "first map: 2 primaries, 0 replicas, 16384 slots"]
        );
    }

    #[test]
    fn a_failover_is_told_as_such() {
        let mut changes = Changes::default();
        changes.learn(&map(1, vec![node(1, Role::Primary), node(2, Role::Replica { of: 0 })], |_| 0));
        changes.learn(&map(2, vec![node(1, Role::Replica { of: 1 }), node(2, Role::Primary)], |_| 1));
        let first = "first map: 1 primaries, 1 replicas, 16384 slots";
        let expected =
            ["n:2 took over 16384 slots from n:1, whose replica it was", "n:1 is now a replica of n:2", first];
        assert_eq!(texts(&changes), expected);
    }

    #[test]
    fn gaps_and_nodes_that_leave_are_told() {
        let mut changes = Changes::default();
        changes.learn(&map(1, vec![node(1, Role::Primary), node(2, Role::Primary)], |slot| u16::from(slot > 9)));
        changes.learn(&map(2, vec![node(2, Role::Primary)], |slot| if slot > 9 { 0 } else { UNOWNED }));
        assert_eq!(texts(&changes)[..2], ["10 slots of n:1 have no owner", "n:1 left the cluster"]);
    }
}
