//! One node: where it is, the connections to it, and who else has its data.

use std::sync::Arc;

use super::dedicated::Pool;
use super::view::NodeId;
use super::{Millis, PipelineId};
use crate::net::Addr;
use crate::resp::Proto;
use crate::telemetry::NodeTally;

/// One node that requests are sent to.
pub(super) struct Node {
    pub(super) addr: Addr,
    /// The shared pipelines, by [`place`].
    pub(super) pipes: [Option<PipelineId>; 4],
    pub(super) tally: Arc<NodeTally>,
    /// Those that are not shared.
    pub(super) pool: Pool,
    /// Its replicas that can be read from, as the map that was adopted last tells them.
    pub(super) replicas: Vec<NodeId>,
    /// Those that do not hear it: read from when nobody else can answer.
    pub(super) cut_off: Vec<NodeId>,
    /// Until when it is not read from as a replica, because it said that it cannot answer now.
    pub(super) refused_until: Millis,
    /// Whether the map that was adopted last names it.
    pub(super) listed: bool,
    /// Connections to it that broke or could not be made.
    pub(super) lost: u64,
}

/// Where the pipeline of a protocol stands among those of a node: reads at a replica have one of their own, since a
/// node has to be told what that connection is for.
#[inline]
pub(super) const fn place(proto: Proto, reads: bool) -> usize {
    proto as usize + if reads { 2 } else { 0 }
}

impl Node {
    /// A node without connections.
    pub(super) fn new(addr: Addr, tally: Arc<NodeTally>, listed: bool) -> Self {
        Self {
            addr,
            pipes: [None; 4],
            tally,
            pool: Pool::default(),
            replicas: Vec::new(),
            cut_off: Vec::new(),
            refused_until: 0,
            listed,
            lost: 0,
        }
    }

    /// Whether `node` is one of its replicas, whatever is known of that one.
    pub(super) fn is_followed_by(&self, node: NodeId) -> bool {
        self.replicas.contains(&node) || self.cut_off.contains(&node)
    }

    /// Whether it left the map and nothing leads to it any longer.
    pub(super) fn is_unused(&self) -> bool {
        !self.listed && self.pipes == [None; 4] && self.pool.open == 0
    }
}
