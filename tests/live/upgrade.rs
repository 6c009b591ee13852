//! A new process takes the place of an old one under load: nobody is refused, and no request of those fails who were
//! told. Also what a service manager hands over and is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clients::installed;
use crate::harness::{Client, PATIENCE, Proxy, alone, cluster, tell};

/// A port that is free now; the next one that listens there must share it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that shares its address, and tells its clients to go there.
fn sharing(addr: &str) -> Proxy {
    let env = [
        ("SLOTWAY__LISTEN__REUSE_PORT", "true"),
        ("SLOTWAY__SHUTDOWN__DRAIN", "8s"),
        ("SLOTWAY__SHUTDOWN__ADVERTISE", addr),
    ];
    Proxy::start(&cluster().addrs(), &["--listen", addr], &env)
}

/// Clients that connect, ask one thing and go, over and over.
struct Newcomers {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Newcomers {
    fn start(addr: SocketAddr, count: usize) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let threads = (0..count)
            .map(|number| {
                let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
                std::thread::spawn(move || {
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match come_and_go(addr, number) {
                            Ok(()) => served.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                failures.push(error);
                                0
                            }
                        };
                    }
                    failures
                })
            })
            .collect();
        Self { stop, served, threads }
    }

    fn wait_for(&self, more: u64) {
        let (goal, begun) = (self.served.load(Ordering::Relaxed) + more, Instant::now());
        while self.served.load(Ordering::Relaxed) < goal {
            assert!(begun.elapsed() < PATIENCE, "nobody is served any longer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (self.served.load(Ordering::Relaxed), failures)
    }
}

fn come_and_go(addr: SocketAddr, number: usize) -> Result<(), String> {
    let mut stream = TcpStream::connect(addr).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for question in ["PING\r\n".to_owned(), format!("INCR newcomers:{number}\r\n")] {
        stream.write_all(question.as_bytes()).map_err(|error| format!("send: {error}"))?;
        let mut reply = [0; 64];
        match stream.read(&mut reply) {
            Ok(0) => return Err("closed before the reply".to_owned()),
            Ok(_) if matches!(reply[0], b'+' | b':') => {}
            Ok(count) => return Err(String::from_utf8_lossy(&reply[..count]).into_owned()),
            Err(error) => return Err(format!("read: {error}")),
        }
    }
    Ok(())
}

#[test]
fn newcomers_are_never_refused_while_a_new_process_takes_over() {
    let _alone = alone();
    let addr = format!("127.0.0.1:{}", free_port());
    let mut old = sharing(&addr);
    let newcomers = Newcomers::start(old.addr(), 8);
    newcomers.wait_for(300);
    for _ in 0..3 {
        let new = sharing(&addr);
        newcomers.wait_for(100);
        old.terminate();
        assert_eq!(old.exit_code(PATIENCE), Some(0));
        newcomers.wait_for(300);
        old = new;
    }
    let (served, failures) = newcomers.stop();
    assert!(failures.is_empty(), "{} of {served} failed: {:?}", failures.len(), &failures[..failures.len().min(5)]);
    tell(&format!("{served} connections over three upgrades, none refused"));
}

/// A script that works with many clients until it is told to stop, and says what came of it.
struct Script {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Script {
    fn start(program: &str, script: &str, path: (&str, PathBuf), port: u16, clients: usize) -> Self {
        let mut child = Command::new(program)
            .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
            .args([port.to_string(), clients.to_string()])
            .env(path.0, path.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; install it"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut script = Self { child, lines };
        assert_eq!(script.line(), "ready", "{} starts", script.name());
        script
    }

    fn name(&self) -> String {
        format!("the script of process {}", self.child.id())
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap_or_else(|| panic!("{} ended", self.child.id())).unwrap()
    }

    /// What it has to say at the end.
    fn stop(mut self) -> String {
        self.child.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        let line = self.line();
        self.child.wait().unwrap();
        line
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn clients_that_were_told_lose_no_request_in_a_rolling_upgrade() {
    let _alone = alone();
    let port = free_port();
    let addr = format!("127.0.0.1:{port}");
    let mut old = sharing(&addr);
    let python = Script::start("python3", "moving.py", ("PYTHONPATH", installed("python")), port, 100);
    let node = ("NODE_PATH", installed("node").join("node_modules"));
    let node = Script::start("node", "moving.js", node, port, 100);
    std::thread::sleep(Duration::from_secs(1));
    let mut new = sharing(&addr);
    let begun = Instant::now();
    old.terminate();
    assert_eq!(old.exit_code(PATIENCE), Some(0));
    tell(&format!("the old process ended after {:?}", begun.elapsed()));
    std::thread::sleep(Duration::from_secs(1));
    for (name, said) in [("redis-py", python.stop()), ("node-redis", node.stop())] {
        tell(&format!("{name}: {said}"));
        let number = |what: &str| -> u64 {
            let found = said.split_whitespace().find_map(|part| part.strip_prefix(what)?.strip_prefix('='));
            found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} says no {what}: {said}"))
        };
        assert_eq!((number("failed"), number("moved")), (0, 100), "{name}: {said}");
        assert!(number("requests") > 500, "{name}: {said}");
    }
    let left = Client::connect(new.addr()).line("CLIENT LIST").text().lines().count();
    assert!(left < 20, "they are gone, so are their connections");
    new.terminate();
    assert_eq!(new.exit_code(PATIENCE), Some(0));
}

/// A service manager: sockets that it keeps, and what it is told.
struct Manager {
    clients: TcpListener,
    operators: TcpListener,
    told: UnixDatagram,
    folder: PathBuf,
}

impl Manager {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("slotway-manager-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("notify");
        let _ = std::fs::remove_file(&socket);
        let told = UnixDatagram::bind(&socket).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        Self { clients: listen(), operators: listen(), told, folder }
    }

    /// Starts the service with its sockets, as descriptors 3 and 4.
    fn start(&self) -> Proxy {
        let seeds: Vec<String> = cluster().addrs().iter().map(SocketAddr::to_string).collect();
        let mut command = Command::new("/bin/sh");
        let script = "exec 3<&0 4<&1 </dev/null >/dev/null; \
                      LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=clients:admin exec \"$@\"";
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_slotway"), "run", "--seeds", &seeds.join(",")]);
        command.stdin(Stdio::from(OwnedFd::from(self.clients.try_clone().unwrap())));
        command.stdout(Stdio::from(OwnedFd::from(self.operators.try_clone().unwrap())));
        command.env("NOTIFY_SOCKET", self.folder.join("notify")).env("WATCHDOG_USEC", "900000");
        Proxy::launch(command).unwrap()
    }

    /// Reads what it is told until something has this in it.
    fn hears(&self, what: &str) {
        let begun = Instant::now();
        let mut heard = String::new();
        while !heard.contains(what) {
            assert!(begun.elapsed() < PATIENCE, "it does not hear {what}, but {heard}");
            let mut buffer = [0; 4096];
            let count = self.told.recv(&mut buffer).unwrap();
            heard += &String::from_utf8_lossy(&buffer[..count]);
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_service_manager_hands_sockets_over_is_told_and_restarts_without_a_refusal() {
    let manager = Manager::new();
    let (clients, operators) = (manager.clients.local_addr().unwrap(), manager.operators.local_addr().unwrap());
    let mut service = manager.start();
    assert_eq!(service.addr(), clients, "not the address of the configuration");
    manager.hears(&format!("READY=1\nSTATUS=listening on {clients}\n"));
    manager.hears("WATCHDOG=1");
    let mut admin = TcpStream::connect(operators).unwrap();
    admin.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    admin.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let newcomers = Newcomers::start(clients, 4);
    newcomers.wait_for(50);
    service.terminate();
    manager.hears("STOPPING=1");
    assert_eq!(service.exit_code(PATIENCE), Some(0));
    let mut service = manager.start();
    manager.hears("READY=1");
    newcomers.wait_for(50);
    let (served, failures) = newcomers.stop();
    assert!(failures.is_empty(), "{} of {served} failed: {failures:?}", failures.len());
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), Some(0));
}
