//! What the nodes saw: counters always, a log of requests when asked for, and every breach of canonical framing.

use std::collections::VecDeque;

use super::NodeId;

/// A request that reached a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, in milliseconds of the nodes' clock.
    pub at_ms: u64,
    /// The node that it reached.
    pub node: NodeId,
    /// The connection that carried it; never the same for two connections of a cluster.
    pub connection: u64,
    /// The request, command name first.
    pub args: Vec<Vec<u8>>,
    /// Whether the node ran it; false if it was redirected, refused, or a fault kept it from running.
    pub ran: bool,
    /// The first line of the reply that it earned, without the line end.
    pub reply: String,
}

/// How much a node has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were opened.
    pub connections: u64,
    /// Requests that came, whatever became of them.
    pub commands: u64,
    /// Requests that were answered with `MOVED` or `ASK`.
    pub redirects: u64,
}

/// The cluster's memory of what happened.
#[derive(Debug, Default)]
pub(super) struct Observer {
    counts: Vec<Counts>,
    log: VecDeque<Seen>,
    /// How many requests to remember; none by default.
    capacity: usize,
    violations: Vec<String>,
}

/// How many violations are kept; one is enough to fail a test.
const MAX_VIOLATIONS: usize = 100;

impl Observer {
    /// Remembers the last `capacity` requests from now on.
    pub(super) fn keep(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.log.clear();
    }

    /// Takes what was remembered.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        self.log.drain(..).collect()
    }

    /// Whether requests are remembered.
    pub(super) fn is_keeping(&self) -> bool {
        self.capacity > 0
    }

    /// Remembers a request.
    pub(super) fn push(&mut self, seen: Seen) {
        if self.log.len() == self.capacity {
            self.log.pop_front();
        }
        self.log.push_back(seen);
    }

    /// The counters of a node.
    pub(super) fn counts(&self, node: usize) -> Counts {
        self.counts.get(node).copied().unwrap_or_default()
    }

    /// The counters of a node, to count on.
    pub(super) fn counts_mut(&mut self, node: usize) -> &mut Counts {
        if self.counts.len() <= node {
            self.counts.resize(node + 1, Counts::default());
        }
        &mut self.counts[node]
    }

    /// Records bytes that no proxy may send.
    pub(super) fn violation(&mut self, node: usize, connection: u64, what: &str) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(format!("node {node}, connection {connection}: {what}"));
        }
    }

    /// What was recorded.
    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }
}
