//! The proxy in front of the embedded cluster: the whole of it, on the scenario's own thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use slotway::config::Config;
use slotway::demo::embedded::{NodeId, Options, slot};
use slotway::net::Addr;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::world::{Stage, World, world};

/// Starts a proxy with the defaults of every option.
pub(crate) async fn start_proxy(stage: Stage) -> Addr {
    start(stage, |_| {}, std::future::pending()).await
}

/// Starts a proxy whose options `change` has seen, and that drains when `shutdown` completes.
async fn start(stage: Stage, change: impl FnOnce(&mut Config), shutdown: impl Future<Output = ()> + 'static) -> Addr {
    let mut config = Config::default();
    config.worker.addr = stage.listen;
    config.admin.addr = None;
    config.cluster.seeds = stage.seeds;
    change(&mut config);
    let (bound, addrs) = oneshot::channel();
    tokio::task::spawn_local(async move {
        let ready = |addrs: &[Addr]| bound.send(addrs[0].clone()).expect("the scenario waits for the address");
        slotway::run_local(config, stage.net, ready, shutdown).await.expect("the proxy runs");
    });
    addrs.await.expect("the proxy starts")
}

/// Starts a proxy whose options `change` has seen.
pub(crate) async fn start_with(stage: Stage, change: impl FnOnce(&mut Config)) -> Addr {
    start(stage, change, std::future::pending()).await
}

/// Runs a scenario with a proxy of default options in front of a cluster of 3 + 3.
pub(crate) fn proxied(seed: u64, scenario: impl AsyncFnOnce(World)) {
    world(seed, Options::default(), start_proxy, scenario);
}

/// Runs a scenario with a proxy whose options `change` has seen.
pub(crate) fn proxied_with(
    seed: u64,
    options: Options,
    change: impl FnOnce(&mut Config),
    scenario: impl AsyncFnOnce(World),
) {
    world(seed, options, async |stage: Stage| start(stage, change, std::future::pending()).await, scenario);
}

/// What ends a proxy, as SIGTERM does.
pub(crate) struct Shutdown(Rc<RefCell<Option<oneshot::Sender<()>>>>);

impl Shutdown {
    /// Begins to drain.
    pub(crate) fn begin(&self) {
        let sender = self.0.borrow_mut().take().expect("ended once");
        sender.send(()).expect("the proxy runs");
    }
}

/// Runs a scenario that shuts the proxy down.
pub(crate) fn drained(seed: u64, change: impl FnOnce(&mut Config), scenario: impl AsyncFnOnce(World, Shutdown)) {
    let (sender, receiver) = oneshot::channel();
    let shutdown = Shutdown(Rc::new(RefCell::new(Some(sender))));
    // A sender that is dropped is no signal.
    let signal = async {
        if receiver.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let front = async |stage: Stage| start(stage, change, signal).await;
    world(seed, Options::default(), front, async |world| scenario(world, shutdown).await);
}

impl World {
    /// The `n`th key of its kind that this node owns now.
    pub(crate) fn key_of(&self, node: NodeId, n: usize) -> String {
        let keys = (0..).map(|i| format!("key-{i}"));
        keys.filter(|key| self.cluster.owner(slot(key.as_bytes())) == Some(node)).nth(n).expect("keys without end")
    }

    /// A key of each primary.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.cluster.primaries().into_iter().map(|node| self.key_of(node, 0)).collect()
    }

    /// A number of the `INFO` of the proxy.
    pub(crate) async fn counted(&self, field: &str) -> u64 {
        let info = self.client().await.say("INFO proxy clients").await;
        let number = info.split(&format!("\\n{field}:")).nth(1).and_then(|rest| rest.split('\\').next());
        number.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {field} in {info}"))
    }

    /// Adds up how often a command ran on the nodes, by what they logged since the last look.
    pub(crate) fn ran(&self, args: &[&str]) -> usize {
        let is_it = |seen: &&slotway::demo::embedded::Seen| {
            seen.ran && seen.args.iter().map(Vec::as_slice).eq(args.iter().map(|arg| arg.as_bytes()))
        };
        self.cluster.take_log().iter().filter(is_it).count()
    }
}

/// Lets the scenario's clock run on.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Milliseconds, for brevity.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Client {
    /// Sends one request of words without waiting.
    pub(crate) async fn tell(&mut self, words: &str) {
        let words: Vec<&[u8]> = words.split_ascii_whitespace().map(str::as_bytes).collect();
        self.send(&crate::client::frame(&words)).await.expect("the proxy reads");
    }

    /// The next reply, escaped.
    pub(crate) async fn hear(&mut self) -> String {
        match self.reply().await {
            Ok(reply) => reply.escape_ascii().to_string(),
            Err(error) => format!("({})", error.kind()),
        }
    }
}

/// A bulk string as `say` and `hear` show it.
pub(crate) fn bulk(text: &str) -> String {
    format!(r"${}\r\n{text}\r\n", text.len())
}
