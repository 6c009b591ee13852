//! `slotway doctor`: what stands between an application and the cluster, each with what to do about it.
//!
//! ```text
//!   seeds ─► reach ─► roster ─► node (every node by its announced address) ─► whole (do they agree?)
//! ```
//!
//! It looks and changes nothing: commands that could write are tried on a key that does not exist and in a way that
//! makes none. It uses the same handshake as the proxy, so what works here works there.

mod finding;
mod node;
mod reach;
mod whole;

use std::time::Duration;

use crate::cluster::dial::Credentials;
use crate::net::{Addr, Net};
use finding::Findings;
pub use finding::{Finding, Grade};

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes to ask first.
    pub seeds: Vec<Addr>,
    /// Who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// How long a connection and an answer may take.
    pub timeout: Duration,
    /// Whether nodes are spoken to by TLS.
    pub tls: bool,
}

/// Looks at the cluster; `tell` gets each finding as soon as there is one. Gives all of them.
pub async fn examine(net: &dyn Net, options: &Options, tell: &mut dyn FnMut(&Finding)) -> Vec<Finding> {
    let mut findings = Findings::new(tell);
    if let Some(entry) = reach::first_seed(net, options, &mut findings).await {
        let mut seen = Vec::new();
        for member in &entry.members {
            if let Some(view) = node::examine(net, options, &entry, member, &mut findings).await {
                seen.push(view);
            }
        }
        whole::judge(&entry, &seen, &mut findings);
    }
    findings.list
}
