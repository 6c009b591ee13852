//! The embedded cluster by itself: redirects, moving slots, failures, and the comparison with a real server.
//!
//! What stands in front of it elsewhere is only as well tested as this cluster is true to life.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "embedded/against_redis.rs"]
mod against_redis;
#[path = "sim/client.rs"]
mod client;
#[path = "embedded/failures.rs"]
mod failures;
#[path = "embedded/real.rs"]
mod real;
#[path = "embedded/redirects.rs"]
mod redirects;

use slotway::demo::embedded::{Cluster, NodeId, Options};
use tokio::runtime::{Builder, LocalOptions};

use client::Client;

/// Runs a test with a cluster, on one thread and with time that passes when all wait.
fn with(options: Options, test: impl AsyncFnOnce(Cluster)) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime without drivers").block_on(async {
        let cluster = Cluster::new(options);
        let limit = std::time::Duration::from_hours(24);
        tokio::time::timeout(limit, test(cluster.clone())).await.expect("the test hangs");
        assert!(cluster.violations().is_empty(), "{:?}", cluster.violations());
    });
}

/// Three primaries with a replica each: nodes 0, 1, 2 and 3, 4, 5.
fn three(test: impl AsyncFnOnce(Cluster, [NodeId; 6])) {
    with(Options::default(), async |cluster| {
        let nodes = cluster.nodes().try_into().expect("six nodes");
        test(cluster, nodes).await;
    });
}

/// A client of one node.
fn client(cluster: &Cluster, node: NodeId) -> Client {
    Client::over(cluster.connect(&cluster.addr(node)).expect("a living node"))
}
