//! slotway: one RESP endpoint in front of a Redis Cluster.

pub mod backend;
pub mod client;
pub mod cluster;
pub mod command;
pub mod config;
pub mod demo;
pub mod net;
pub mod resp;
pub mod worker;

use std::future::Future;
use std::sync::Arc;

/// Why the proxy could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listening address could not be bound.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: net::Addr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread or its runtime could not be started, or a worker ended before its time.
    #[error("{0}")]
    Worker(String),
}

/// Binds the listeners of `config`, serves clients until `shutdown` completes, drains, and returns.
///
/// `ready` is called once with the bound addresses as soon as connections are accepted.
pub async fn run(
    config: config::Config,
    net: Arc<dyn net::Net>,
    ready: impl FnOnce(&[net::Addr]),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let _ = (config, net, ready, shutdown);
    Ok(())
}
