//! The cluster as one immutable value: which node owns which slot, and who the nodes are.
//!
//! Made by `discovery` alone, published through an `ArcSwap`, read by every worker. It holds what the nodes
//! said and no state of connections.

use std::time::Duration;

use super::slot::SLOTS;
use crate::net::Addr;

/// A node's place in [`Topology::nodes`].
pub type NodeIndex = u16;
/// In [`Topology::slots`]: nobody owns the slot.
pub const UNOWNED: NodeIndex = NodeIndex::MAX;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Owns slots, takes writes.
    Primary,
    /// Follows the primary of this index.
    Replica {
        /// Its primary's place in [`Topology::nodes`].
        of: NodeIndex,
    },
}

/// One node as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The 40 hexadecimal digits that name it, empty from servers that do not tell.
    pub id: String,
    /// Where it answers clients.
    pub addr: Addr,
    /// What it does.
    pub role: Role,
    /// Whether it says that it can serve.
    pub online: bool,
    /// Whether it hears its primary, if it is a replica that was asked; else its data is of some time ago.
    pub is_linked: bool,
    /// The configuration epoch of its claims on slots; 0 for replicas, and from servers that do not tell.
    pub epoch: u64,
}

/// What the nodes say of themselves that clients ask the proxy for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `redis_version`, the lowest among the nodes asked.
    pub version: String,
    /// `maxmemory_policy`.
    pub maxmemory_policy: String,
}

impl Default for Facts {
    fn default() -> Self {
        Self { version: "0.0.0".to_owned(), maxmemory_policy: "noeviction".to_owned() }
    }
}

/// Who owns what, at one time.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Counts the maps that this process has published; 0 is the empty one before the first.
    pub version: u64,
    /// `cluster_current_epoch` as the node that was asked told it.
    pub cluster_epoch: u64,
    /// How long it took from the first sign that the map before it was out of date.
    pub convergence: Duration,
    /// Primaries and replicas.
    pub nodes: Vec<Node>,
    /// For each of the 16384 slots its primary in `nodes`, or [`UNOWNED`].
    pub slots: Box<[NodeIndex]>,
    /// What the nodes say of themselves.
    pub facts: Facts,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            version: 0,
            cluster_epoch: 0,
            convergence: Duration::ZERO,
            nodes: Vec::new(),
            slots: vec![UNOWNED; usize::from(SLOTS)].into(),
            facts: Facts::default(),
        }
    }
}

impl Topology {
    /// How many slots have an owner.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.slots.iter().filter(|&&owner| owner != UNOWNED).count()
    }

    /// The primaries with their places.
    pub fn primaries(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        (0..).zip(&self.nodes).filter(|(_, node)| node.role == Role::Primary)
    }

    /// The node at a place.
    #[must_use]
    pub fn node(&self, at: NodeIndex) -> Option<&Node> {
        self.nodes.get(usize::from(at))
    }

    /// The nodes that own slots.
    pub fn owners(&self) -> impl Iterator<Item = &Node> {
        let mut owns = vec![false; self.nodes.len()];
        for &owner in &self.slots {
            if let Some(owns) = owns.get_mut(usize::from(owner)) {
                *owns = true;
            }
        }
        self.nodes.iter().zip(owns).filter(|(_, owns)| *owns).map(|(node, _)| node)
    }

    /// Whether both maps say the same of slots and nodes.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.slots == other.slots && self.nodes == other.nodes && self.facts == other.facts
    }
}
