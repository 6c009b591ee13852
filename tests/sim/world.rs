//! A world to run a scenario in: one thread, time that stands still until all wait, a cluster, a network, and
//! the thing in front of the cluster that is to be tested.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use slotway::demo::embedded::{Cluster, Options, Random};
use slotway::net::{Addr, Net};
use tokio::runtime::{Builder, LocalOptions};

use crate::client::Client;
use crate::net::MemoryNet;

/// What a scenario has to hand.
pub(crate) struct World {
    /// The nodes.
    pub(crate) cluster: Cluster,
    /// The network between all that is here.
    pub(crate) net: MemoryNet,
    /// The address of the thing in front.
    pub(crate) front: Addr,
    /// For what the scenario draws by lot.
    pub(crate) random: Random,
}

impl World {
    /// A new client of the thing in front.
    pub(crate) async fn client(&self) -> Client {
        let front = &self.front;
        Client::over(self.net.dial(front).await.unwrap_or_else(|e| panic!("a client cannot connect to {front}: {e}")))
    }
}

/// What the thing in front is started with.
pub(crate) struct Stage {
    /// Where it connects and listens.
    pub(crate) net: Arc<dyn Net>,
    /// The cluster's nodes.
    pub(crate) seeds: Vec<Addr>,
    /// Where it should listen; port 0, so the network chooses.
    pub(crate) listen: Addr,
}

/// How long a scenario may take on its own clock. One that hangs gets here in an instant, since time passes at
/// once when all wait.
const LIMIT: Duration = Duration::from_hours(1);

/// Runs a scenario. `front` starts what stands in front of the cluster, on this same thread, and gives the address
/// where clients reach it. Framing towards the nodes that is not canonical fails the scenario. A panic names the seed.
pub(crate) fn world(
    seed: u64,
    options: Options,
    front: impl AsyncFnOnce(Stage) -> Addr,
    scenario: impl AsyncFnOnce(World),
) {
    let run = || {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build_local(LocalOptions::default());
        runtime.expect("a runtime without drivers").block_on(async {
            let cluster = Cluster::new(Options { seed, ..options });
            let net = MemoryNet::new(seed, cluster.clone());
            let seeds = cluster.nodes().into_iter().map(|node| cluster.addr(node)).collect();
            let stage = Stage { net: Arc::new(net.clone()), seeds, listen: Addr::tcp("127.0.0.1", 0) };
            let front = front(stage).await;
            let nodes = cluster.clone();
            let world = World { cluster, net, front, random: Random::new(!seed) };
            tokio::time::timeout(LIMIT, scenario(world)).await.expect("the scenario hangs");
            assert!(nodes.violations().is_empty(), "framing that is not canonical: {:?}", nodes.violations());
        });
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        match text {
            Some(text) => panic!("seed {seed} ({SEED}={seed} repeats it): {text}"),
            None => resume_unwind(panic),
        }
    }
}

/// The variable that replaces the seeds of every scenario by one.
const SEED: &str = "SLOTWAY_SEED";
/// The variable that gives every scenario so many seeds, for long runs.
const SEEDS: &str = "SLOTWAY_SEEDS";

/// The number that a variable of the environment asks for.
pub(crate) fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name} is not a number: {error}")))
}

/// The seeds to run a scenario with: `count` of them, or what the environment asks for.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match asked(SEED) {
        Some(seed) => vec![seed],
        None => (1..=asked(SEEDS).unwrap_or(count)).collect(),
    }
}
