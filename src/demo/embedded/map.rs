//! Who owns what: slots, shards, primaries, epochs.
//!
//! There is one agreed map; a node that is cut off from the others keeps the one it had. Slots belong to shards
//! and not to nodes, so that a failover changes one field.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::slot::SLOTS;

/// A group of nodes with the same keys.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    /// The node that takes writes.
    pub(super) primary: usize,
    /// All its nodes, the primary included, in order.
    pub(super) members: Vec<usize>,
    /// The configuration epoch of the primary.
    pub(super) epoch: u64,
}

/// A snapshot of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Map {
    slots: Vec<Option<usize>>,
    /// How many of them somebody owns; asked before every command, so it is counted once.
    assigned: usize,
    pub(super) shards: Vec<Shard>,
    /// Nodes that the cluster has given up.
    pub(super) failed: BTreeSet<usize>,
    /// The highest epoch that anyone has used.
    pub(super) epoch: u64,
}

impl Map {
    /// `primaries` shards with an even share of the slots each; replicas are numbered after all primaries.
    pub(super) fn new(primaries: usize, replicas: usize) -> Self {
        let shard = |i: usize| Shard {
            primary: i,
            members: std::iter::once(i).chain((0..replicas).map(|r| primaries + i * replicas + r)).collect(),
            epoch: i as u64 + 1,
        };
        // The cut points that redis-cli chooses: rounded, so that three get 5461, 5462 and 5461.
        let cut = |i: usize| (i * usize::from(SLOTS) + primaries / 2) / primaries;
        let mut slots = vec![None; usize::from(SLOTS)];
        for i in 0..primaries {
            slots[cut(i)..cut(i + 1)].fill(Some(i));
        }
        Self {
            slots,
            assigned: usize::from(SLOTS),
            shards: (0..primaries).map(shard).collect(),
            failed: BTreeSet::new(),
            epoch: primaries as u64,
        }
    }

    /// The shard that owns a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<usize> {
        self.slots.get(usize::from(slot)).copied().flatten()
    }

    /// The node that takes writes for a slot.
    pub(super) fn primary(&self, slot: u16) -> Option<usize> {
        self.owner(slot).map(|shard| self.shards[shard].primary)
    }

    /// Gives a slot to a shard, or to nobody.
    pub(super) fn assign(&mut self, slot: u16, shard: Option<usize>) {
        let before = std::mem::replace(&mut self.slots[usize::from(slot)], shard);
        self.assigned = self.assigned - usize::from(before.is_some()) + usize::from(shard.is_some());
    }

    /// The shard that a node is in.
    pub(super) fn shard_of(&self, node: usize) -> usize {
        // Every node is put in a shard when the map is made and stays there.
        self.shards.iter().position(|shard| shard.members.contains(&node)).unwrap_or(0)
    }

    /// Whether the node takes writes.
    pub(super) fn is_primary(&self, node: usize) -> bool {
        self.shards[self.shard_of(node)].primary == node
    }

    /// A shard gets an epoch above all others, as after a failover or a moved slot.
    pub(super) fn bump(&mut self, shard: usize) {
        self.epoch += 1;
        self.shards[shard].epoch = self.epoch;
    }

    /// Neighbouring slots with the same owner, in order, unowned ones left out.
    pub(super) fn ranges(&self) -> Vec<(RangeInclusive<u16>, usize)> {
        let mut ranges: Vec<(RangeInclusive<u16>, usize)> = Vec::new();
        for (slot, owner) in (0..SLOTS).zip(&self.slots) {
            let Some(shard) = *owner else { continue };
            match ranges.last_mut() {
                Some((range, of)) if *of == shard && range.end() + 1 == slot => *range = *range.start()..=slot,
                _ => ranges.push((slot..=slot, shard)),
            }
        }
        ranges
    }

    /// How many slots somebody owns.
    pub(super) fn assigned(&self) -> usize {
        self.assigned
    }

    /// How many owned slots have lost their primary.
    pub(super) fn lost(&self) -> usize {
        if self.failed.is_empty() {
            return 0;
        }
        self.slots.iter().flatten().filter(|&&shard| self.failed.contains(&self.shards[shard].primary)).count()
    }

    /// How many shards own slots.
    pub(super) fn size(&self) -> usize {
        self.slots.iter().flatten().collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_shards_get_the_usual_ranges() {
        let map = Map::new(3, 1);
        assert_eq!(map.ranges(), [(0..=5460, 0), (5461..=10922, 1), (10923..=16383, 2)]);
        assert_eq!(map.shards[1].members, [1, 4]);
        assert!(map.is_primary(2) && !map.is_primary(3));
    }

    #[test]
    fn a_slot_without_owner_splits_a_range() {
        let mut map = Map::new(1, 0);
        map.assign(100, None);
        assert_eq!(map.ranges(), [(0..=99, 0), (101..=16383, 0)]);
        assert_eq!(map.assigned(), 16383);
    }
}
