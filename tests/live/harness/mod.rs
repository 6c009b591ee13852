//! What the live tests stand on: real servers, the real binary in front of them, and a client that keeps raw bytes.
//!
//! Servers and one proxy are shared by the tests that only use them; tests that break something start their own.
//! `LIVE_BIN` names another binary to test. `LIVE_DIRECT=1` puts a plain server where the proxy would
//! be: with it the tests that compare the proxy with a plain server check themselves.

mod client;
mod load;
mod proxy;
mod random;
mod reply;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use slotway::demo::servers::{Cluster, Options, Server};

pub(crate) use client::{Client, frame, words};
pub(crate) use load::{Load, Outcome, Plan};
pub(crate) use proxy::{Lent, Proxy};
pub(crate) use random::Random;
pub(crate) use reply::{Reply, Value, parse};

/// How long the servers, the proxy or a failover may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The 3 + 3 cluster that tests share: they may use it, not break it. Its nodes have so much patience with each other
/// that a busy machine starts no failover.
pub(crate) fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let options = || Options { node_timeout: Duration::from_secs(20), ..Options::default() };
    shared(SHARED.get_or_init(|| Cluster::start(&options()).map_err(|error| error.to_string())))
}

/// The plain server that tests share, to compare with.
pub(crate) fn plain() -> &'static Server {
    static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
    shared(SHARED.get_or_init(|| Server::start(&Options::default()).map_err(|error| error.to_string())))
}

/// The proxy in front of the shared cluster; its log is shown if the test fails.
pub(crate) fn proxy() -> Lent {
    static SHARED: OnceLock<Result<Proxy, String>> = OnceLock::new();
    Lent::new(shared(SHARED.get_or_init(|| Proxy::try_start(&cluster().addrs(), &[], &[]))))
}

fn shared<T>(started: &'static Result<T, String>) -> &'static T {
    started.as_ref().unwrap_or_else(|why| panic!("{why}"))
}

/// A cluster of a test's own, to be broken.
pub(crate) fn own_cluster(options: &Options) -> Cluster {
    Cluster::start(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Held by tests that keep every core busy or must not be slowed down by such: one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a plain server stands where the proxy would be.
pub(crate) fn direct() -> bool {
    std::env::var_os("LIVE_DIRECT").is_some()
}

/// Whether the tests may take long.
pub(crate) fn long() -> bool {
    std::env::var_os("LIVE_LONG").is_some()
}

/// Says something about a test that passes; shown by `--nocapture`.
#[expect(clippy::print_stderr, reason = "a test's own report")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// The slot of a key: bit by bit, as the specification has it.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|&byte| byte == b'}').filter(|&len| len > 0).map(|len| &rest[..len])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    crc % slotway::demo::servers::SLOTS
}

#[test]
fn slots_are_those_of_the_specification() {
    assert_eq!(slot(b"123456789"), 0x31c3);
    assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
    let mut client = Client::connect(plain().addr());
    for key in ["foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}", "{", "}{", "", "a{b"] {
        // A plain server has no CLUSTER KEYSLOT, so a node of the cluster is asked.
        let asked = cluster().call(0, &["CLUSTER", "KEYSLOT", key]).unwrap();
        assert_eq!(asked.int(), Some(i64::from(slot(key.as_bytes()))), "{key:?}");
    }
    assert_eq!(client.line("PING").text(), "+PONG\r\n");
}
