//! What a backend tells of its nodes to operators.

use super::Backend;
use super::pipeline::{Pipeline, State};
use crate::net::Addr;

/// One worker's connections to one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// The node's address.
    pub addr: String,
    /// Connections that are in use.
    pub connections: u64,
    /// Requests that wait to be sent or answered.
    pub in_flight: u64,
    /// Connections that broke or could not be made since the node is known.
    pub lost: u64,
}

impl Backend {
    /// The node that owns `slot`, as this worker knows it.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<&Addr> {
        self.nodes.get(usize::from(self.view.owner(slot))).map(|node| &node.addr)
    }

    /// A slot of each primary, for requests to all of them.
    #[must_use]
    pub fn primaries(&self) -> &[u16] {
        &self.primaries
    }

    /// Whether both slots belong to one node.
    #[must_use]
    pub fn share_a_node(&self, one: u16, other: u16) -> bool {
        self.view.owner(one) == self.view.owner(other)
    }

    /// A report of each node.
    #[must_use]
    pub fn report(&self) -> Vec<NodeReport> {
        let pipes = |node: &super::Node| -> Vec<&Pipeline> {
            node.pipes.iter().flatten().filter_map(|pipe| self.pipelines.get(*pipe as usize)).collect()
        };
        let report = |node: &super::Node| {
            let pipes = pipes(node);
            let open = pipes.iter().filter(|pipe| matches!(pipe.state, State::Ready(_) | State::Draining(_)));
            NodeReport {
                addr: node.addr.to_string(),
                connections: open.count() as u64,
                in_flight: pipes.iter().map(|pipe| pipe.in_flight() as u64).sum(),
                lost: node.lost,
            }
        };
        self.nodes.iter().map(|(_, node)| report(node)).collect()
    }
}
