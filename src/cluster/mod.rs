//! What is known of the cluster: slots, nodes, and how that knowledge is kept fresh.

pub mod slot;
pub mod topology;

use std::time::Duration;

use crate::net::Addr;

/// Where the cluster is and how often to look at it. Each field is a key of `[cluster]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `seeds`: nodes to ask first; any one that answers is enough.
    pub seeds: Vec<Addr>,
    /// `refresh_interval`: how old the map may become without a reason to ask (jittered by a tenth).
    pub refresh_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { seeds: Vec::new(), refresh_interval: Duration::from_secs(10) }
    }
}
