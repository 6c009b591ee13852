//! How many system calls a request costs: the real binary under strace, in steps in which everything that can be shared
//! is there to be shared.
//!
//! ```text
//!   proxy stopped: every client sends ─► proxy runs until it waits ─► proxy stopped: every node answers ─► proxy runs
//! ```
//!
//! So neither the machine's speed nor its load decides what comes together, and the counts are always the same: one read
//! and one write for each client's batch and for each node's. An EAGAIN that is asked for, a second flush in a turn or a
//! reply that leaves by itself shows as one more. What remains to chance (timers that end a wait) has some room.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use slotway::demo::embedded::{Cluster, Options};
use slotway::demo::servers::keeper::{Keeper, Kept};
use slotway::net::Net;
use slotway::net::tcp::Tcp;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Steps that are counted.
const ROUNDS: usize = 20;
const NODES: usize = 3;
/// Stand in the trace where counting begins and ends.
const BEGIN: &str = "begin-to-count";
const END: &str = "count-no-more";

/// Where the trace is written; removed at the end.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left over lies among temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Three nodes that run only while they are told to, and a traced proxy that can be stopped.
struct Stage {
    nodes: LocalRuntime,
    _cluster: Cluster,
    proxy: SocketAddr,
    tracer: Kept,
    pid: Pid,
    directory: Directory,
}

impl Stage {
    fn new(name: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let nodes = runtime.expect("a runtime");
        let cluster = nodes.block_on(async { Cluster::new(Options { replicas: 0, ..Options::default() }) });
        let net: Arc<dyn Net> = Arc::new(Tcp);
        let seeds = nodes.block_on(async { cluster.serve_tcp(&net, 0).expect("free ports") });
        let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
        let directory = Directory(std::env::temp_dir().join(format!("slotway-calls-{}-{name}", std::process::id())));
        fs::create_dir_all(&directory.0).expect("a directory");
        let mut command = Command::new("strace");
        command.args(["-ff", "-qq", "-s", "64", "-o"]).arg(directory.0.join("trace"));
        command.arg(env!("CARGO_BIN_EXE_slotway")).args(["run", "--workers", "1", "--admin", "off"]);
        command.args(["--listen", "127.0.0.1:0", "--seeds", &seeds.join(",")]);
        // What is done now and then is no request's.
        command.env("SLOTWAY__CLUSTER__REFRESH_INTERVAL", "1h").env("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "10m");
        // The nodes take their time, and a slow request is noted in a turn of its own.
        command.env("SLOTWAY__SLOWLOG__THRESHOLD", "1h");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let keeper = Keeper::new(None).expect("a shell");
        let mut tracer = keeper.spawn(&mut command).expect("strace is there: install the package strace");
        let stderr = tracer.child().stderr.take().expect("it was asked for");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more once the address is known.
                let _ = tell.send(line);
            }
        });
        let mut log = Vec::new();
        let began = Instant::now();
        let proxy = loop {
            drive(&nodes);
            log.extend(told.try_iter());
            let address =
                log.iter().find_map(|line| line.split_once("listening on ")?.1.split(' ').next()?.parse().ok());
            if let Some(address) = address {
                break address;
            }
            assert!(began.elapsed() < PATIENCE, "the proxy did not begin to listen under strace: {log:?}");
        };
        let pid = only_child(tracer.id());
        Self { nodes, _cluster: cluster, proxy, tracer, pid, directory }
    }

    /// Ends a wait of the proxy's worker, with what was done while it stood still.
    fn go(&self) {
        kill_process(self.pid, Signal::CONT).expect("it lives");
        self.settle();
        kill_process(self.pid, Signal::STOP).expect("it lives");
        let stopped = |state| matches!(state, 'T' | 't');
        self.wait(|states| states.iter().all(|(_, state)| stopped(*state)), "stop");
    }

    /// Waits until every thread of the proxy waits: then it has done all that there was to do.
    fn settle(&self) {
        self.wait(|states| states.iter().all(|(_, state)| *state == 'S'), "come to rest");
    }

    fn wait(&self, wanted: impl Fn(&[(PathBuf, char)]) -> bool, what: &str) {
        let began = Instant::now();
        while !wanted(&threads(self.pid)) {
            assert!(began.elapsed() < PATIENCE, "the proxy did not {what}: {:?}", threads(self.pid));
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// One step: each client sends its batch, the nodes answer, each client has its replies.
    fn step(&self, clients: &mut [TcpStream], batch: &(Vec<u8>, Vec<u8>)) {
        for client in &mut *clients {
            client.write_all(&batch.0).expect("the proxy reads");
        }
        self.go();
        drive(&self.nodes);
        self.go();
        let mut got = vec![0; batch.1.len()];
        for client in clients {
            client.read_exact(&mut got).expect("the proxy answers");
            assert!(got == batch.1, "{}", got.escape_ascii());
        }
    }

    /// A request that the proxy answers itself, for its text to stand in the trace.
    fn mark(&self, client: &mut TcpStream, text: &str) {
        client.write_all(format!("*2\r\n$4\r\nECHO\r\n${}\r\n{text}\r\n", text.len()).as_bytes()).expect("it reads");
        self.go();
        drive(&self.nodes);
        self.go();
        let mut reply = vec![0; text.len() + 7];
        client.read_exact(&mut reply).expect("it answers");
    }

    /// Ends the proxy; the system calls of its worker between the marks, by name.
    fn counts(mut self) -> BTreeMap<String, usize> {
        kill_process(self.pid, Signal::CONT).expect("it lives");
        kill_process(self.pid, Signal::TERM).expect("it lives");
        let began = Instant::now();
        while self.tracer.ended().expect("a child").is_none() {
            assert!(began.elapsed() < PATIENCE, "the proxy did not end");
            drive(&self.nodes);
        }
        let traces = fs::read_dir(&self.directory.0).expect("the directory").map_while(Result::ok);
        let texts = traces.filter_map(|file| fs::read_to_string(file.path()).ok());
        let text = texts.into_iter().find(|text| text.contains(BEGIN)).expect("a thread read the mark");
        count(&text)
    }
}

/// What stands between the marks. A wait that a signal ended is not the proxy's, but the stopping's.
fn count(trace: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let lines = trace.lines().skip_while(|line| !line.contains(BEGIN)).take_while(|line| !line.contains(END));
    // The first line is that of the mark, which is answered by one write.
    for line in lines.skip(2).filter(|line| !line.contains("EINTR")) {
        if let Some((name, _)) =
            line.split_once('(').filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Lets the nodes do what there is to do: several times, since what is woken last is run last.
fn drive(nodes: &LocalRuntime) {
    nodes.block_on(async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

fn only_child(of: u32) -> Pid {
    let path = format!("/proc/{of}/task/{of}/children");
    let children = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let pid = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    pid.unwrap_or_else(|| panic!("strace has no child: {children:?}"))
}

/// The threads of a process and the letter of each one's state.
fn threads(pid: Pid) -> Vec<(PathBuf, char)> {
    let state = |path: &Path| {
        let text = fs::read_to_string(path.join("stat")).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    };
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).expect("it lives").map_while(Result::ok);
    tasks.filter_map(|task| Some((task.path(), state(&task.path())?))).collect()
}

/// So many requests in one batch over keys of all nodes, each second one a SET; and their replies.
fn batch(depth: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for n in 0..depth {
        let key = format!("key-{:03}", n / 2);
        if n % 2 == 0 {
            requests.extend(format!("*3\r\n$3\r\nSET\r\n$7\r\n{key}\r\n$5\r\nvalue\r\n").bytes());
            replies.extend(b"+OK\r\n");
        } else {
            requests.extend(format!("*2\r\n$3\r\nGET\r\n$7\r\n{key}\r\n").bytes());
            replies.extend(b"$5\r\nvalue\r\n");
        }
    }
    (requests, replies)
}

/// Checks what so many clients with batches of this depth cost, when they go to so many nodes.
fn costs(clients: usize, depth: usize, nodes: usize) {
    let stage = Stage::new(&format!("{clients}-{depth}"));
    let mut streams: Vec<_> = (0..clients)
        .map(|_| {
            let stream = TcpStream::connect(stage.proxy).expect("the proxy accepts");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            stream
        })
        .collect();
    let batch = batch(depth);
    // Connects the nodes, which takes steps of its own, and takes what grows once.
    for stream in &mut streams {
        stream.write_all(&batch.0).expect("the proxy reads");
    }
    let (mut got, began) = (vec![0; batch.1.len()], Instant::now());
    let answered = |stream: &TcpStream, got: &mut [u8]| {
        stream.set_nonblocking(true).expect("a socket");
        let peeked = stream.peek(got).unwrap_or(0);
        stream.set_nonblocking(false).expect("a socket");
        peeked == got.len()
    };
    while !streams.iter().all(|stream| answered(stream, &mut got)) {
        assert!(began.elapsed() < PATIENCE, "the proxy does not answer under strace");
        drive(&stage.nodes);
    }
    streams.iter_mut().for_each(|stream| stream.read_exact(&mut got).expect("it was there"));
    kill_process(stage.pid, Signal::STOP).expect("it lives");
    (0..3).for_each(|_| stage.step(&mut streams, &batch));
    let mut marker = streams.pop().expect("a client");
    stage.mark(&mut marker, BEGIN);
    streams.push(marker);
    (0..ROUNDS).for_each(|_| stage.step(&mut streams, &batch));
    let mut marker = streams.pop().expect("a client");
    stage.mark(&mut marker, END);
    let mut counts = stage.counts();
    let text = format!("{clients} clients, batches of {depth}, {ROUNDS} rounds: {counts:?}");
    let each = (clients + nodes) * ROUNDS;
    assert_eq!(counts.remove("recvfrom"), Some(each), "one read for each client's batch and each node's: {text}");
    assert_eq!(counts.remove("sendto"), Some(each), "one write for each client's batch and each node's: {text}");
    let waits = counts.remove("epoll_wait").unwrap_or(0);
    assert!(
        (2 * ROUNDS..=2 * ROUNDS + ROUNDS / 4).contains(&waits),
        "one wait for the clients and one for the nodes: {text}"
    );
    let others: usize = counts.values().sum();
    assert!(others <= ROUNDS / 4, "nothing else: {text}");
}

#[test]
fn a_request_by_itself_costs_two_reads_two_writes_and_two_waits() {
    costs(1, 1, 1);
}

#[test]
fn requests_that_come_together_share_the_calls_to_their_nodes() {
    costs(50, 1, 1);
}

#[test]
fn pipelines_of_sixteen_cost_one_read_and_one_write_each() {
    costs(50, 16, NODES);
}
