//! Asks the nodes themselves, every ten milliseconds and past the proxy, who owns a slot: what the cluster needs for
//! its own election is not charged to the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slotway::demo::servers::Cluster;
use slotway::demo::servers::view::parse;
use slotway::demo::servers::wire::Wire;

/// How often each node is asked.
const EVERY: Duration = Duration::from_millis(10);

/// A running observer of one slot.
pub(crate) struct Observer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<Instant>>,
}

impl Observer {
    /// Looks for the moment in which a node says of itself that it owns `slot`, and serves, other than `former`.
    pub(crate) fn of(cluster: &Cluster, slot: u16, former: usize) -> Self {
        let nodes: Vec<Wire> =
            (0..cluster.len()).filter(|&node| node != former).filter_map(|node| cluster.wire(node).ok()).collect();
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(nodes, slot, &stopped));
        Self { stop, thread }
    }

    /// When a new owner was seen; `None` if none was by now.
    pub(crate) fn finish(self) -> Option<Instant> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the observer ends")
    }

    /// Whether a new owner was seen.
    pub(crate) fn has_seen(&self) -> bool {
        self.thread.is_finished()
    }
}

fn watch(mut nodes: Vec<Wire>, slot: u16, stop: &AtomicBool) -> Option<Instant> {
    loop {
        // Looks once more when it is told to stop: the proxy may have been the faster one.
        let (is_last, begun) = (stop.load(Ordering::Relaxed), Instant::now());
        for node in &mut nodes {
            let Ok(reply) = node.call(&["CLUSTER", "NODES"]) else { continue };
            let seen = parse(reply.text().unwrap_or_default());
            if seen.iter().any(|seen| seen.myself && seen.primary && seen.owns(slot)) {
                return Some(Instant::now());
            }
        }
        if is_last {
            return None;
        }
        std::thread::sleep(EVERY.saturating_sub(begun.elapsed()));
    }
}
