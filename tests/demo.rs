//! `slotway demo` as a user starts it: it comes up, answers, says what it does, and leaves nothing behind.
//!
//! Ports and processes are those that the demo itself names in its output; a test kills only what it started.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use slotway::demo::servers::wire::Wire;
use slotway::demo::servers::{Cluster, Options};
use slotway::resp::value::Value;

/// How long the demo may take for anything but chaos.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running demo; killed at the end of a test that has not ended it.
struct Demo {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    /// What it has said so far.
    said: String,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotway"));
        command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "off"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, said: String::new() }
    }

    /// A demo with real servers.
    fn with_servers() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        assert!(
            is_there("redis-server") || is_there("valkey-server"),
            "this test needs redis-server or valkey-server on PATH; install one (apt-get install redis-server)"
        );
        let mut demo = Self::start(&[]);
        demo.read_until("Ctrl-C");
        assert!(!demo.said.contains("stand-in"), "{}", demo.said);
        demo
    }

    /// Reads its output up to a line with `word`. A demo that ends before is a failure.
    #[track_caller]
    fn read_until(&mut self, word: &str) {
        let before = self.said.len();
        while !self.said[before..].contains(word) {
            if self.out.read_line(&mut self.said).unwrap() == 0 {
                let mut errors = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("the demo ended before it said '{word}'; it said:\n{}\n{errors}", self.said);
            }
        }
    }

    /// The addresses in its lines that begin with `what`.
    fn addrs(&self, what: &str) -> Vec<SocketAddr> {
        let lines = self.said.lines().filter(|line| line.trim_start().starts_with(what));
        lines.flat_map(|line| line.split_whitespace().filter_map(|word| word.parse().ok())).collect()
    }

    fn proxy(&self) -> SocketAddr {
        self.addrs("proxy")[0]
    }

    /// Every address that it has named.
    fn all_addrs(&self) -> Vec<SocketAddr> {
        [self.addrs("proxy"), self.addrs("primary")].concat()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; the exit code, and all that it said.
    fn wait(mut self, limit: Duration) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < limit, "the demo has not ended after {limit:?}:\n{}", self.said);
            std::thread::sleep(Duration::from_millis(10));
        };
        self.out.read_to_string(&mut self.said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut self.said).unwrap();
        (status.code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Perhaps it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks through a fresh connection.
fn ask(addr: SocketAddr, words: &[&str]) -> Value {
    Wire::open(addr, None, Duration::from_secs(10)).unwrap().call(words).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

/// Keys of several nodes work as if there were only one server.
#[track_caller]
fn works(proxy: SocketAddr) {
    assert_eq!(ask(proxy, &["SET", "greeting", "hello"]), text("OK"));
    assert_eq!(ask(proxy, &["GET", "greeting"]), text("hello"));
    assert_eq!(ask(proxy, &["MSET", "apple", "red", "lemon", "yellow", "pear", "dark"]), text("OK"));
    let all = [text("red"), text("yellow"), text("dark"), Value::Null];
    assert_eq!(ask(proxy, &["MGET", "apple", "lemon", "pear", "none"]), Value::Array(all.to_vec()));
    assert!(ask(proxy, &["INFO", "proxy"]).text().unwrap().contains("slots_covered:16384"));
}

/// The process ids of the nodes behind a demo.
fn processes(demo: &Demo) -> Vec<Pid> {
    let id = |addr: SocketAddr| {
        let info = ask(addr, &["INFO", "server"]);
        let id = info.text().unwrap().lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
        Pid::from_raw(id.trim().parse().unwrap()).unwrap()
    };
    demo.addrs("primary").into_iter().map(id).collect()
}

/// Waits until `gone` holds.
#[track_caller]
fn soon(what: &str, gone: impl Fn() -> bool) {
    let begun = Instant::now();
    while !gone() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn nothing_listens(addrs: &[SocketAddr]) {
    assert!(addrs.len() >= 7, "a proxy, three primaries and their replicas: {addrs:?}");
    soon(&format!("something still listens on one of {addrs:?}"), || {
        addrs.iter().all(|addr| TcpStream::connect(addr).is_err())
    });
}

/// The folders of servers that a process with this id has made and not removed.
fn folders(of: u32) -> Vec<std::ffi::OsString> {
    let names = std::fs::read_dir(std::env::temp_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(&format!("slotway-{of}-"))).collect()
}

#[test]
fn the_embedded_demo_works_and_ends_on_sigterm() {
    let mut demo = Demo::start(&["--embedded"]);
    demo.read_until("Ctrl-C");
    assert!(demo.said.contains("a stand-in, not Redis"), "{}", demo.said);
    works(demo.proxy());
    let addrs = demo.all_addrs();
    demo.signal(Signal::TERM);
    let (code, said) = demo.wait(PATIENCE);
    assert_eq!(code, Some(0), "{said}");
    nothing_listens(&addrs);
}

#[test]
fn the_lines_to_paste_name_the_port() {
    let mut demo = Demo::start(&["--embedded"]);
    demo.read_until("Ctrl-C");
    let port = demo.proxy().port();
    let lines = demo.said.lines().filter(|line| line.starts_with(&format!("  redis-cli -p {port} ")));
    assert_eq!(lines.count(), 3, "{}", demo.said);
}

#[test]
fn the_demo_with_servers_works_and_takes_them_along_when_it_ends() {
    let demo = Demo::with_servers();
    works(demo.proxy());
    let (addrs, servers, id) = (demo.all_addrs(), processes(&demo), demo.child.id());
    assert_eq!(servers.len(), 6, "{servers:?}");
    assert_eq!(folders(id).len(), 1);
    demo.signal(Signal::INT);
    let (code, said) = demo.wait(PATIENCE);
    assert_eq!(code, Some(0), "{said}");
    nothing_listens(&addrs);
    let left: Vec<_> = servers.iter().filter(|&&server| test_kill_process(server).is_ok()).collect();
    assert!(left.is_empty(), "servers still run: {left:?}");
    soon("its folder is left", || folders(id).is_empty());
}

#[test]
fn servers_die_with_a_demo_that_is_killed() {
    let demo = Demo::with_servers();
    let (addrs, servers) = (demo.all_addrs(), processes(&demo));
    demo.signal(Signal::KILL);
    let (code, _) = demo.wait(PATIENCE);
    assert_eq!(code, None);
    nothing_listens(&addrs);
    // Their parent is gone: whoever has taken them in must have had the time to see that they ended.
    soon("a server still runs", || servers.iter().all(|&server| is_over(server)));
}

/// Whether a process is gone, or has ended and only waits to be noticed.
fn is_over(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(process).is_err() || stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
}

#[test]
fn a_slot_that_its_server_has_lost_is_given_back() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    assert_eq!(cluster.give_back_slots().unwrap(), 0);
    cluster.call(1, &["CLUSTER", "DELSLOTS", "9000"]).unwrap();
    assert!(!cluster.seen_by(1).unwrap().iter().any(|node| node.owns(9000)));
    assert_eq!(cluster.give_back_slots().unwrap(), 1);
    assert_eq!(cluster.owner(9000, 1).unwrap(), Some(1));
    cluster.wait_settled(PATIENCE).unwrap();
}

#[test]
fn a_taken_port_is_told_at_once_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output =
        Command::new(env!("CARGO_BIN_EXE_slotway")).args(["demo", "--embedded", "--listen", &addr]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&addr) && errors.contains("--listen"), "{errors}");
    assert!(output.stdout.is_empty(), "nothing is started before");
}

#[test]
fn chaos_on_embedded_nodes_shows_clients_no_error() {
    let demo = Demo::start(&["--embedded", "--chaos", "5"]);
    let (code, said) = demo.wait(PATIENCE);
    assert_eq!(code, Some(0), "{said}");
    let row =
        |name: &str| said.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{said}"));
    assert!(row("wrong").contains(" 0 replies"), "{said}");
    assert!(row("errors").contains(" 0 outside elections"), "{said}");
    let chaos = row("chaos ");
    assert!(
        !chaos.contains(" 0 slots") && !chaos.contains(" 0 planned") && chaos.contains(" 1 primaries killed"),
        "{said}"
    );
    assert!(!row("redirects").trim_start().starts_with("redirects  0 "), "{said}");
    assert!(said.lines().filter(|line| line.contains(" ops/s ")).count() >= 4, "{said}");
}
