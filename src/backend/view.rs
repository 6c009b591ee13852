//! One worker's view of the slots: who owns each, and since when.
//!
//! It follows the published map and, ahead of it, the MOVED replies that this worker has seen. Every change
//! counts the epoch on and is noted at its slot: a client that has requests under way may send to any slot that
//! has not changed since it was last quiet; for one that has, it first waits for its replies. So no two
//! requests of one client for one key are ever on their way to two nodes.

use crate::cluster::slot::SLOTS;

/// A node's place in the backend.
pub(super) type NodeId = u16;
/// Nobody owns the slot.
pub(super) const NOBODY: NodeId = NodeId::MAX;

/// Who owns which slot, as this worker knows it.
pub(super) struct View {
    owners: Box<[NodeId]>,
    /// The epoch at which each slot last changed its owner.
    changed: Box<[u32]>,
    epoch: u32,
}

impl View {
    pub(super) fn new() -> Self {
        Self { owners: vec![NOBODY; usize::from(SLOTS)].into(), changed: vec![0; usize::from(SLOTS)].into(), epoch: 0 }
    }

    /// Who owns `slot`.
    #[inline]
    pub(super) fn owner(&self, slot: u16) -> NodeId {
        self.owners.get(usize::from(slot)).copied().unwrap_or(NOBODY)
    }

    /// Counts the changes so far.
    #[inline]
    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether `slot` has the owner that it had at `epoch`.
    #[inline]
    pub(super) fn unchanged_since(&self, slot: u16, epoch: u32) -> bool {
        self.changed.get(usize::from(slot)).is_none_or(|&at| at <= epoch)
    }

    /// Sets the owner of `slot`. True if that is a change.
    pub(super) fn set(&mut self, slot: u16, owner: NodeId) -> bool {
        let at = usize::from(slot);
        let (Some(known), Some(changed)) = (self.owners.get_mut(at), self.changed.get_mut(at)) else { return false };
        if *known == owner {
            return false;
        }
        *known = owner;
        self.epoch += 1;
        *changed = self.epoch;
        true
    }
}
