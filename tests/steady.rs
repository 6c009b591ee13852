//! A warm GET or SET allocates nothing: the whole proxy, on sockets, with three nodes, on a thread whose
//! allocations are counted.
//!
//! Only that thread is counted: discovery, acceptor and worker run on it and nothing else does. Nodes and client
//! run on other threads. That the counter counts is shown by a command that does allocate.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use allocation_counter::AllocationInfo;
use slotway::config::Config;
use slotway::demo::embedded::{Cluster, Options};
use slotway::net::tcp::Tcp;
use slotway::net::{Addr, Net};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;

/// Requests that are counted.
const REQUESTS: usize = 10_000;

fn runtime() -> LocalRuntime {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime")
}

/// Starts three nodes on a thread of their own, which ends with the process.
fn nodes() -> Vec<Addr> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async move {
            let net: Arc<dyn Net> = Arc::new(Tcp);
            let cluster = Cluster::new(Options { replicas: 0, ..Options::default() });
            tell.send(cluster.serve_tcp(&net, 0).expect("free ports")).expect("the test waits");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("the nodes listen")
}

/// What the proxy's thread is to do next.
enum Phase {
    /// Run without counting until told.
    Warm(oneshot::Receiver<()>),
    /// Run and count until told.
    Count(oneshot::Receiver<()>),
}

/// A proxy on a thread of its own.
struct Proxy {
    addr: Addr,
    phases: mpsc::Sender<Phase>,
    counted: mpsc::Receiver<AllocationInfo>,
}

impl Proxy {
    fn start() -> Self {
        let mut config = Config::default();
        config.admin.addr = None;
        config.worker.addr = Addr::tcp("127.0.0.1", 0);
        config.cluster.seeds = nodes();
        // So that deadlines are looked at again and again while requests are counted.
        config.backend.request_timeout = Duration::from_millis(500);
        // A slow request is noted, and on a busy machine some are slow.
        config.backend.slow_threshold = Duration::from_hours(1);
        // Discovery is on the same thread, and what it needs from time to time is no request's.
        config.cluster.refresh_interval = Duration::from_hours(1);
        let (phases, next) = mpsc::channel();
        let (tell, counted) = mpsc::channel();
        let (bound, addr) = mpsc::channel();
        thread::spawn(move || {
            let runtime = runtime();
            let ready = move |addrs: &[Addr]| bound.send(addrs[0].clone()).expect("the test waits");
            let net = Arc::new(Tcp);
            let mut proxy = pin!(slotway::run_local(config, net, ready, std::future::pending()));
            let mut run_until = |told: oneshot::Receiver<()>| {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        // Whoever tells may be gone, and that tells as much.
                        _ = told => {}
                        ended = &mut proxy => ended.expect("the proxy runs"),
                    }
                });
            };
            while let Ok(phase) = next.recv() {
                match phase {
                    Phase::Warm(told) => run_until(told),
                    Phase::Count(told) => {
                        tell.send(allocation_counter::measure(|| run_until(told))).expect("the test waits");
                    }
                }
            }
        });
        let (told, warm) = oneshot::channel();
        phases.send(Phase::Warm(warm)).expect("the proxy runs");
        let addr = addr.recv().expect("the proxy listens");
        told.send(()).expect("the proxy runs");
        Self { addr, phases, counted }
    }

    /// Runs `work` against the proxy, uncounted.
    fn warm(&self, work: impl FnOnce()) {
        let (told, tell) = oneshot::channel();
        self.phases.send(Phase::Warm(tell)).expect("the proxy runs");
        work();
        told.send(()).expect("the proxy runs");
    }

    /// Runs `work` against the proxy and counts what the proxy allocates meanwhile.
    fn count(&self, work: impl FnOnce()) -> u64 {
        let (told, tell) = oneshot::channel();
        self.phases.send(Phase::Count(tell)).expect("the proxy runs");
        work();
        told.send(()).expect("the proxy runs");
        self.counted.recv().expect("the proxy counts").count_total
    }
}

/// A client with its requests and their replies made beforehand.
struct Client {
    stream: TcpStream,
    batches: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Client {
    /// Batches of `depth` requests over keys of all nodes, each second one a SET.
    fn new(addr: &Addr, depth: usize) -> Self {
        let value = "v".repeat(64);
        let mut batches = vec![(Vec::new(), Vec::new()); 8];
        for (n, (requests, replies)) in batches.iter_mut().enumerate() {
            for i in 0..depth {
                let key = format!("key-{:03}", usize::midpoint(n * depth, i));
                if (n * depth + i).is_multiple_of(2) {
                    requests.extend(format!("*3\r\n$3\r\nSET\r\n$7\r\n{key}\r\n$64\r\n{value}\r\n").bytes());
                    replies.extend(b"+OK\r\n");
                } else {
                    requests.extend(format!("*2\r\n$3\r\nGET\r\n$7\r\n{key}\r\n").bytes());
                    replies.extend(format!("$64\r\n{value}\r\n").bytes());
                }
            }
        }
        let stream = TcpStream::connect((addr.host(), addr.port())).expect("the proxy accepts");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        Self { stream, batches }
    }

    /// Sends each batch in turn, until `requests` are answered.
    fn ask(&mut self, requests: usize, depth: usize) {
        let mut got = vec![0; 64 << 10];
        for (sent, expected) in self.batches.iter().cycle().take(requests.div_ceil(depth)) {
            self.stream.write_all(sent).expect("the proxy reads");
            let got = &mut got[..expected.len()];
            self.stream.read_exact(got).expect("the proxy answers");
            assert!(got == expected.as_slice(), "{}", got.escape_ascii());
        }
    }
}

fn allocates_nothing(depth: usize) {
    let proxy = Proxy::start();
    let mut client = None;
    proxy.warm(|| client.insert(Client::new(&proxy.addr, depth)).ask(REQUESTS, depth));
    let mut client = client.expect("it was made");
    let count = proxy.count(|| client.ask(REQUESTS, depth));
    assert_eq!(count, 0, "{REQUESTS} warm requests in batches of {depth} allocated");
}

#[test]
fn a_warm_get_or_set_allocates_nothing() {
    allocates_nothing(1);
}

#[test]
fn pipelines_of_warm_gets_and_sets_allocate_nothing() {
    allocates_nothing(16);
}

#[test]
fn the_counter_counts() {
    let proxy = Proxy::start();
    let count = proxy.count(|| {
        let mut client = Client::new(&proxy.addr, 1);
        client.stream.write_all(b"*1\r\n$4\r\nINFO\r\n").expect("the proxy reads");
        assert!(client.stream.read(&mut [0; 1000]).expect("a reply") > 0);
    });
    assert!(count > 10, "a new client and an INFO allocated only {count} times");
}
