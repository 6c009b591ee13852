//! What is known of the cluster: slots, nodes, and how that knowledge is kept fresh.

pub mod address;
mod asking;
mod belief;
pub mod dial;
pub mod discovery;
pub mod learning;
pub mod lore;
mod reading;
pub mod roster;
pub mod slot;
pub mod topology;
mod watch;

use std::time::Duration;

use crate::net::Addr;
use crate::net::tls::NodeOptions;

/// Where the cluster is and how often to look at it. Each field is a key of `[cluster]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `seeds`: nodes to ask first; any one that answers is enough.
    pub seeds: Vec<Addr>,
    /// `refresh_interval`: how old the map may become without a reason to ask (jittered by a tenth).
    pub refresh_interval: Duration,
    /// `tls` and what belongs to it: how nodes are spoken to.
    pub tls: NodeOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self { seeds: Vec::new(), refresh_interval: Duration::from_secs(10), tls: NodeOptions::default() }
    }
}

/// Why a worker thinks that the map is out of date. Hints may be dropped: they are hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A node answered MOVED, or named a node that is not in the map.
    Moved,
    /// A connection to this node failed, or it did not answer in time.
    Unreachable(Addr),
    /// A slot has no owner, or its node said that the cluster is down.
    Unowned,
    /// A primary turned out to be a replica.
    Stale,
}
