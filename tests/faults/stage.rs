//! What a test of faults stands on: a real cluster, a relay in front of each node, the proxy in front of the relays.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{Client, PATIENCE, Proxy, own_cluster, slot};
use crate::injector::Injector;

/// Two tests that wait more than they work run at the same time; one that measures, or works hard, runs alone.
static LANES: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];

fn lock(lane: &'static Mutex<()>) -> MutexGuard<'static, ()> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held by tests that measure or work hard.
pub(crate) fn alone() -> [MutexGuard<'static, ()>; 2] {
    LANES.each_ref().map(lock)
}

/// Held by the others.
pub(crate) fn together() -> MutexGuard<'static, ()> {
    match LANES[1].try_lock() {
        Ok(lane) => lane,
        _ => lock(&LANES[0]),
    }
}

/// Cluster, relays, proxy.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    pub(crate) injector: Injector,
    pub(crate) cluster: Cluster,
}

/// How long the proxy gives a request in these tests, unless they say otherwise.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

impl Stage {
    /// A cluster of three primaries with a replica each, and a proxy with more environment variables.
    pub(crate) fn start(env: &[(&str, &str)]) -> Self {
        Self::before(own_cluster(&Options::default()), env)
    }

    /// A proxy before this cluster.
    pub(crate) fn before(cluster: Cluster, env: &[(&str, &str)]) -> Self {
        let injector = Injector::start(&cluster.addrs());
        let map = injector.address_map();
        let env: Vec<_> =
            [("SLOTWAY__CLUSTER__ADDRESS_MAP", map.as_str())].into_iter().chain(env.iter().copied()).collect();
        let proxy = Proxy::start(&injector.addrs(), &[], &env);
        Self { proxy, injector, cluster }
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.proxy.addr()
    }

    /// A new client.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr())
    }

    /// The `n`th key of its kind in a slot that this node owns, as it says itself.
    pub(crate) fn key_of(&self, node: usize, n: usize) -> String {
        let seen = self.cluster.seen_by(node).unwrap();
        let own = seen.into_iter().find(|seen| seen.myself).unwrap();
        (0..).map(|i| format!("key-{i}")).filter(|key| own.owns(slot(key.as_bytes()))).nth(n).unwrap()
    }

    /// A number of the proxy's own `INFO`.
    pub(crate) fn counted(&self, field: &str) -> f64 {
        let info = self.client().call(&["INFO", "proxy"]);
        let text = info.text();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in {text}"))
    }

    /// Waits until the cluster is whole; slots that servers of 7.0 lose by themselves are given back.
    pub(crate) fn settle(&self) {
        settle(&self.cluster);
    }

    /// Waits until the proxy serves every slot.
    pub(crate) fn wait_served(&self) {
        let (mut client, begun) = (self.client(), Instant::now());
        for n in 0..300 {
            while client.call(&["SET", &format!("served:{n}"), "x"]).error().is_some() {
                assert!(begun.elapsed() < PATIENCE, "the proxy does not serve every slot");
            }
        }
    }
}

/// Waits until the cluster is whole, and mends what servers of 7.0 break by themselves.
pub(crate) fn settle(cluster: &Cluster) {
    let begun = Instant::now();
    while let Err(why) = cluster.wait_settled(Duration::from_millis(500)) {
        assert!(begun.elapsed() < PATIENCE * 2, "{why}");
        // Nodes that come and go are asked again soon.
        let _ = cluster.give_back_slots();
    }
}

/// The resident memory of the process that has this id, in bytes.
pub(crate) fn resident(pid: u64) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * 4096
}
