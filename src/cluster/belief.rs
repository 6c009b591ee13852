//! Which map is believed when nodes do not say the same.
//!
//! Every claim on a slot carries its owner's configuration epoch, and the higher one wins: that is how the nodes
//! themselves settle it. A map that goes back behind the one held in any slot is doubted, and the next node is asked.
//! It is taken nevertheless when most of its primaries say the same, each asked itself: a cluster that was made anew
//! begins with low epochs, while a minority that was cut off never has a majority behind it.

use super::topology::{Node, NodeIndex, Topology};
use crate::net::Addr;

/// Maps that were heard in one refresh and are not believed yet.
#[derive(Default)]
pub(super) struct Doubts {
    heard: Vec<(Addr, Topology)>,
}

impl Doubts {
    /// Weighs what the node at `from` said; the map to take, if one can be taken now.
    pub(super) fn weigh(&mut self, from: &Addr, map: Topology, held: &Topology) -> Option<Topology> {
        if held.version > 0 && !is_older(&map, held) {
            return Some(map);
        }
        let agreed = if held.version > 0 {
            self.most_primaries_say(from, &map)
        } else {
            self.heard.iter().any(|(_, other)| says_the_same(other, &map))
        };
        if agreed {
            return Some(map);
        }
        self.heard.push((from.clone(), map));
        None
    }

    /// The newest of what was heard, for a proxy that has no map at all and has asked everybody.
    pub(super) fn newest(self) -> Option<Topology> {
        self.heard.into_iter().map(|(_, map)| map).reduce(|best, map| if is_older(&best, &map) { map } else { best })
    }

    /// Whether more than half of the primaries of `map` have told it, the one at `from` included.
    fn most_primaries_say(&self, from: &Addr, map: &Topology) -> bool {
        let owners: Vec<&Node> = map.owners().collect();
        let tell = |owner: &&&Node| {
            owner.addr == *from
                || self.heard.iter().any(|(addr, other)| *addr == owner.addr && says_the_same(other, map))
        };
        owners.iter().filter(tell).count() * 2 > owners.len()
    }
}

/// Whether `map` goes back behind `held` in any slot.
pub(super) fn is_older(map: &Topology, held: &Topology) -> bool {
    let same = counterparts(map, held);
    let is_older_slot = |(&new, &old): (&NodeIndex, &NodeIndex)| match (map.node(new), held.node(old)) {
        (Some(owner), Some(former)) => {
            owner.epoch < former.epoch
                || (map.cluster_epoch < held.cluster_epoch && same.get(usize::from(new)) != Some(&Some(old)))
        }
        // A slot without owner is no claim: a single server may have lost it.
        (None, Some(_)) => true,
        (_, None) => false,
    };
    map.slots.iter().zip(&held.slots).any(is_older_slot)
}

/// Whether both maps give each slot to the same node.
fn says_the_same(one: &Topology, other: &Topology) -> bool {
    let same = counterparts(one, other);
    one.slots.iter().zip(&other.slots).all(|(&a, &b)| match (one.node(a), other.node(b)) {
        (Some(_), Some(_)) => same.get(usize::from(a)) == Some(&Some(b)),
        (None, None) => true,
        _ => false,
    })
}

/// For each node of `map` its place in `other`. A node is known by its id; without one by its address.
fn counterparts(map: &Topology, other: &Topology) -> Vec<Option<NodeIndex>> {
    let is_same = |a: &Node, b: &Node| if a.id.is_empty() { a.addr == b.addr } else { a.id == b.id };
    let place = |node: &Node| other.nodes.iter().position(|known| is_same(node, known)).map(|at| at as NodeIndex);
    map.nodes.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::super::topology::Role;
    use super::*;

    /// Primaries by name and epoch, each with an even share of the slots.
    fn map(version: u64, cluster_epoch: u64, owners: &[(&str, u64)]) -> Topology {
        let node = |&(id, epoch): &(&str, u64)| Node {
            id: id.to_owned(),
            addr: Addr::tcp(id, 1),
            role: Role::Primary,
            online: true,
            is_linked: true,
            epoch,
        };
        let mut map =
            Topology { version, cluster_epoch, nodes: owners.iter().map(node).collect(), ..Topology::default() };
        let share = map.slots.len().div_ceil(owners.len());
        for (slot, owner) in map.slots.iter_mut().enumerate() {
            *owner = (slot / share) as NodeIndex;
        }
        map
    }

    #[test]
    fn the_higher_epoch_wins() {
        let held = map(1, 7, &[("a", 1), ("b", 2), ("new", 7)]);
        let old = map(0, 3, &[("a", 1), ("b", 2), ("c", 3)]);
        assert!(is_older(&old, &held) && !is_older(&held, &old));
        assert!(!is_older(&map(0, 7, &[("a", 1), ("b", 2), ("new", 7)]), &held), "the same is not older");
        let mut behind = held.clone();
        behind.cluster_epoch = 6;
        assert!(!is_older(&behind, &held), "the same slots, though the node has not heard of the epoch");
        let mut lost = held.clone();
        lost.slots[5] = super::super::topology::UNOWNED;
        assert!(is_older(&lost, &held) && !is_older(&held, &lost));
    }

    #[test]
    fn an_older_map_needs_most_of_its_primaries() {
        let held = map(1, 9, &[("a", 8), ("b", 9), ("c", 7)]);
        let anew = map(0, 3, &[("x", 1), ("y", 2), ("z", 3)]);
        let mut doubts = Doubts::default();
        let hear = |doubts: &mut Doubts, from: &str| doubts.weigh(&Addr::tcp(from, 1), anew.clone(), &held);
        assert!(hear(&mut doubts, "x").is_none());
        assert!(hear(&mut doubts, "x").is_none(), "one primary counts once");
        assert!(hear(&mut doubts, "replica").is_none(), "replicas do not count");
        assert!(hear(&mut doubts, "z").is_some(), "two of three");
    }

    #[test]
    fn the_first_map_is_one_that_two_nodes_tell_or_the_newest() {
        let (old, new) = (map(0, 3, &[("a", 1), ("b", 3)]), map(0, 5, &[("a", 1), ("c", 5)]));
        let none = Topology::default();
        let mut doubts = Doubts::default();
        assert!(doubts.weigh(&Addr::tcp("b", 1), old, &none).is_none());
        assert!(doubts.weigh(&Addr::tcp("a", 1), new.clone(), &none).is_none());
        assert!(doubts.weigh(&Addr::tcp("c", 1), new.clone(), &none).is_some());
        assert!(says_the_same(&doubts.newest().unwrap(), &new));
    }
}
