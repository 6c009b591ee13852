//! One worker's view of the slots: who owns each, and since when.
//!
//! It follows the published map and, ahead of it, the MOVED replies that this worker has seen. Every change
//! counts the epoch on and is noted at its slot: a client that has requests under way may send to any slot that
//! has not changed since it was last quiet; for one that has, it first waits for its replies. So no two
//! requests of one client for one key are ever on their way to two nodes.

use super::Millis;
use crate::cluster::slot::SLOTS;

/// A node's place in the backend.
pub(super) type NodeId = u16;
/// Nobody owns the slot.
pub(super) const NOBODY: NodeId = NodeId::MAX;

/// How long a slot is taken to be on the move after a node said so, in milliseconds.
const MOVING_MS: Millis = 200;
/// The epoch of nobody.
const NO_EPOCH: u32 = u32::MAX;

/// Who owns which slot, as this worker knows it.
pub(super) struct View {
    owners: Box<[NodeId]>,
    /// The epoch at which each slot last changed its owner.
    changed: Box<[u32]>,
    epoch: u32,
    /// The epoch while no slot is on the move, so that one look tells a client of the present that it may send.
    settled: u32,
    /// Slots that nodes said are on the move, and until when that is believed.
    moving: Vec<(u16, Millis)>,
}

impl View {
    pub(super) fn new() -> Self {
        let slots = usize::from(SLOTS);
        Self {
            owners: vec![NOBODY; slots].into(),
            changed: vec![0; slots].into(),
            epoch: 0,
            settled: 0,
            moving: Vec::new(),
        }
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

    /// Whether a client whose requests under way were routed at `epoch` or later may send to `slot` now.
    #[inline]
    pub(super) fn may_follow(&self, slot: u16, epoch: u32) -> bool {
        epoch == self.settled || self.may_follow_a_change(slot, epoch)
    }

    #[cold]
    fn may_follow_a_change(&self, slot: u16, epoch: u32) -> bool {
        self.unchanged_since(slot, epoch) && !self.moving.iter().any(|&(moving, _)| moving == slot)
    }

    /// A node said that `slot` is on the move: for a while each client sends to it only when it is quiet, so that
    /// a request that has to be sent again finds none of its client's own in front of it.
    pub(super) fn note_moving(&mut self, slot: u16, now: Millis) {
        self.moving.retain(|&(moving, _)| moving != slot);
        self.moving.push((slot, now + MOVING_MS));
        self.settled = NO_EPOCH;
    }

    /// Forgets the moves that were believed until `now`.
    #[inline]
    pub(super) fn pass(&mut self, now: Millis) {
        if self.settled == NO_EPOCH {
            self.moving.retain(|&(_, until)| until > now);
            if self.moving.is_empty() {
                self.settled = self.epoch;
            }
        }
    }

    /// The slots of `owner` are reached over another connection from now on.
    pub(super) fn renew(&mut self, owner: NodeId) {
        self.epoch += 1;
        for (_, changed) in self.owners.iter().zip(&mut self.changed).filter(|(of, _)| **of == owner) {
            *changed = self.epoch;
        }
        if self.moving.is_empty() {
            self.settled = self.epoch;
        }
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
        if self.moving.is_empty() {
            self.settled = self.epoch;
        }
        true
    }
}
