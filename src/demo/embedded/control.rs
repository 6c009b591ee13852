//! What an operator does to a cluster: moving slots, failing over.

use super::pubsub;
use super::slot::slot;
use super::state::{Migration, Node, State};
use super::{Cluster, NodeId};

impl Cluster {
    /// Every node, primaries of the start first.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        (0..self.state().nodes.len()).map(NodeId).collect()
    }

    /// The primaries of the agreed map, in the order of their shards.
    #[must_use]
    pub fn primaries(&self) -> Vec<NodeId> {
        self.state().map.shards.iter().map(|shard| NodeId(shard.primary)).collect()
    }

    /// The other nodes of the shard that a node is in.
    #[must_use]
    pub fn siblings(&self, of: NodeId) -> Vec<NodeId> {
        let map = self.state().map.clone();
        let members = &map.shards[map.shard_of(of.0)].members;
        members.iter().filter(|&&node| node != of.0).map(|&node| NodeId(node)).collect()
    }

    /// The primary of a slot in the agreed map.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<NodeId> {
        self.state().map.primary(slot).map(NodeId)
    }

    /// The highest configuration epoch of the agreed map.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.state().map.epoch
    }

    /// Begins to move a slot to the shard of `to`: its owner answers `ASK` for keys it lacks, the target takes
    /// them after `ASKING`. Nothing happens if the slot is there already or belongs to nobody.
    pub fn begin_migration(&self, slot: u16, to: NodeId) {
        let mut state = self.state();
        let to = state.map.shard_of(to.0);
        if let Some(from) = state.map.owner(slot).filter(|&from| from != to) {
            state.migrations.insert(slot, Migration { from, to });
        }
    }

    /// Moves one key of a slot that is being moved; false if there is no such key there.
    pub fn migrate_key(&self, key: &[u8]) -> bool {
        let mut state = self.state();
        let Some(migration) = state.migrations.get(&slot(key)).copied() else { return false };
        carry(&mut state, key, migration)
    }

    /// Moves up to `n` keys of a slot that is being moved; how many they were.
    pub fn migrate_some(&self, slot: u16, n: usize) -> usize {
        let mut state = self.state();
        let Some(migration) = state.migrations.get(&slot).copied() else { return 0 };
        let keys: Vec<Vec<u8>> = state.dbs[migration.from].keys_in(slot).take(n).cloned().collect();
        keys.iter().filter(|key| carry(&mut state, key, migration)).count()
    }

    /// Ends the move of a slot: what keys remain go too, and the target owns it, with a new epoch.
    pub fn finish_migration(&self, slot: u16) {
        self.migrate_some(slot, usize::MAX);
        let mut state = self.state();
        if let Some(migration) = state.migrations.remove(&slot) {
            state.map_mut().assign(slot, Some(migration.to));
            state.map_mut().bump(migration.to);
            state.nodes.iter().for_each(Node::wake_blocked);
            pubsub::slot_left(&mut state, slot);
        }
    }

    /// Moves a slot with all its keys at once.
    pub fn move_slot(&self, slot: u16, to: NodeId) {
        self.begin_migration(slot, to);
        self.finish_migration(slot);
    }

    /// Takes a slot away from whoever owns it; its keys stay where they are, out of reach.
    pub fn unassign(&self, slot: u16) {
        let mut state = self.state();
        state.migrations.remove(&slot);
        state.map_mut().assign(slot, None);
    }

    /// Gives a slot that nobody owns to the shard of `to`.
    pub fn assign(&self, slot: u16, to: NodeId) {
        let mut state = self.state();
        let shard = state.map.shard_of(to.0);
        state.map_mut().assign(slot, Some(shard));
    }

    /// The replica takes the place of its primary, which becomes its replica, with a new epoch. If the old
    /// primary is dead the others now know; if it was isolated it goes on as before, on its own.
    ///
    /// A slot on the move stays on the move, as in newer servers; a 7.0 one would forget. Nothing happens if
    /// the node is the primary or is dead.
    pub fn failover(&self, replica: NodeId) {
        let mut state = self.state();
        let shard = state.map.shard_of(replica.0);
        let old = state.map.shards[shard].primary;
        if old == replica.0 || !state.nodes[replica.0].alive {
            return;
        }
        let gone = !state.nodes[old].alive || state.nodes[old].old_map.is_some();
        let map = state.map_mut();
        map.shards[shard].primary = replica.0;
        map.bump(shard);
        if gone {
            map.failed.insert(old);
        }
        state.nodes.iter().for_each(Node::wake_blocked);
    }

    /// The others give the node up: it is marked as failed, and if it is a primary its slots are lost, until it
    /// is revived or replaced.
    pub fn declare_failed(&self, node: NodeId) {
        self.state().map_mut().failed.insert(node.0);
    }
}

/// Takes a key from one shard to another.
fn carry(state: &mut State, key: &[u8], migration: Migration) -> bool {
    let Some(entry) = state.dbs[migration.from].remove(key) else { return false };
    state.dbs[migration.to].insert(key, entry);
    true
}
