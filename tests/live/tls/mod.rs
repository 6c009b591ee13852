//! TLS with real servers and tools: a cluster that speaks nothing else, certificates asked for on both sides, and
//! certificates that are replaced under load.

mod client;
mod nodes;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Proxy, Value, alone, direct, frame, tell};
use crate::pki::{Authority, Folder};
use client::Sealed;
use nodes::SealedNodes;

/// Everything that is needed: a cluster, a proxy before it, and who trusts whom.
struct Stage {
    folder: Folder,
    authority: Authority,
    ca: PathBuf,
    /// What clients show.
    client: (PathBuf, PathBuf),
    nodes: SealedNodes,
}

impl Stage {
    fn new(name: &str, replicas: usize) -> Self {
        let folder = Folder::new(name);
        let authority = Authority::new("everybody");
        let ca = folder.write("ca.crt", &authority.pem);
        let node = folder.write_pair("node", &authority.issue(&["127.0.0.1"]));
        let client = folder.write_pair("client", &authority.issue(&["client.example"]));
        let nodes = SealedNodes::start(3, replicas, &ca, &node, &client);
        folder.write_pair("proxy", &authority.issue(&["127.0.0.1", "localhost"]));
        Self { folder, authority, ca, client, nodes }
    }

    fn path(&self, name: &str) -> String {
        self.ca.with_file_name(name).display().to_string()
    }

    /// A proxy that asks its clients for certificates and shows one to its nodes.
    fn proxy(&self, args: &[&str]) -> Proxy {
        let env = [
            ("SLOTWAY__LISTEN__TLS_CERT_FILE", self.path("proxy.crt")),
            ("SLOTWAY__LISTEN__TLS_KEY_FILE", self.path("proxy.key")),
            ("SLOTWAY__LISTEN__TLS_CLIENT_CA_FILE", self.path("ca.crt")),
            ("SLOTWAY__CLUSTER__TLS", "on".to_owned()),
            ("SLOTWAY__CLUSTER__TLS_CA_FILE", self.path("ca.crt")),
            ("SLOTWAY__CLUSTER__TLS_CERT_FILE", self.path("client.crt")),
            ("SLOTWAY__CLUSTER__TLS_KEY_FILE", self.path("client.key")),
        ];
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Proxy::start(&self.nodes.addrs(), args, &env)
    }

    /// A client of the proxy.
    fn connect(&self, proxy: &Proxy) -> Sealed {
        Sealed::connect(proxy.addr(), &self.ca, &self.client).unwrap_or_else(|why| panic!("{why}"))
    }

    /// What `redis-cli` says.
    fn cli(&self, proxy: &Proxy, args: &[&str], input: &[u8]) -> String {
        let (port, ca, cert, key) =
            (proxy.port(), self.path("ca.crt"), self.path("client.crt"), self.path("client.key"));
        let tls = ["-p", &port, "--tls", "--cacert", &ca, "--cert", &cert, "--key", &key];
        run(Command::new("redis-cli").args(tls).args(args), input).0
    }

    /// Runs the binary against the nodes; what it said, and whether it was content.
    fn slotway(&self, args: &[&str], env: &[(&str, String)]) -> (String, bool) {
        let seeds = self.nodes.addrs().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotway"));
        command.args(args).args(["--seeds", &seeds]).envs(env.iter().map(|(name, value)| (name, value)));
        run(&mut command, b"")
    }
}

fn run(command: &mut Command, input: &[u8]) -> (String, bool) {
    use std::io::Write as _;
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // Who does not read its input may be gone before the end of it.
    let _ = writer.join().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (text, output.status.success())
}

#[test]
fn everything_works_through_tls_on_both_sides() {
    if direct() {
        return;
    }
    let stage = Stage::new("live-tls", 1);
    let proxy = stage.proxy(&["--workers", "2"]);
    assert_eq!(stage.cli(&proxy, &["SET", "a", "1"], b""), "OK\n");
    assert_eq!(stage.cli(&proxy, &["MGET", "a", "b", "c"], b""), "1\n\n\n");
    let many: Vec<u8> = (0..20_000).flat_map(|n| frame(&["SET", &format!("k{n}"), &n.to_string()])).collect();
    let told = stage.cli(&proxy, &["--pipe"], &many);
    assert!(told.contains("errors: 0, replies: 20000"), "{told}");

    // Large values, there and back.
    let mut client = stage.connect(&proxy);
    let big: Vec<u8> = (0..10_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    client.send(&frame(&[b"SET".as_slice(), b"big", &big]));
    assert_eq!(client.read().text(), "+OK\r\n");
    for _ in 0..3 {
        client.send(&frame(&["GET", "big"]));
    }
    for _ in 0..3 {
        assert!(client.read().bulk() == Some(big.as_slice()), "ten megabytes come back as they went");
    }

    // A deep pipeline, written as a whole before anything is read.
    let depth = 5_000;
    client.send(&(0..depth).flat_map(|n| frame(&["GET", &format!("k{n}")])).collect::<Vec<u8>>());
    for n in 0..depth {
        assert_eq!(client.read().bulk(), Some(n.to_string().as_bytes()));
    }

    // Commands that wait, and messages.
    let (mut waiting, mut listening) = (stage.connect(&proxy), stage.connect(&proxy));
    waiting.send(&frame(&["BLPOP", "list", "10"]));
    listening.send(&frame(&["SUBSCRIBE", "news"]));
    assert_eq!(listening.read().many().len(), 3);
    assert_eq!(client.call(&["RPUSH", "list", "x"]).int(), 1);
    assert!(waiting.read().text().contains("x\r\n"));
    client.send(&frame(&[b"PUBLISH".as_slice(), b"news", &big]));
    assert_eq!(client.read().int(), 1);
    assert!(matches!(listening.read().many(), [_, _, Value::Bulk(message)] if *message == big));

    // Nobody gets in without a certificate, nor without TLS.
    let refused = Sealed::connect(proxy.addr(), &stage.ca, &stage.client_of_a_stranger());
    assert!(refused.is_err_and(|why| why.contains("alert")), "a certificate that nobody knows");
    let told = run(Command::new("redis-cli").args(["-p", &proxy.port(), "PING"]), b"").0;
    assert!(!told.contains("PONG"), "{told}");
}

impl Stage {
    fn client_of_a_stranger(&self) -> (PathBuf, PathBuf) {
        self.folder.write_pair("stranger", &Authority::new("nobody").issue(&["client.example"]))
    }
}

#[test]
fn a_failover_is_followed_by_tls() {
    if direct() {
        return;
    }
    let _alone = alone();
    let mut stage = Stage::new("live-tls-failover", 1);
    let proxy = stage.proxy(&[]);
    let mut client = stage.connect(&proxy);
    let keys: Vec<String> = (0..50).map(|n| format!("key{n}")).collect();
    for key in &keys {
        client.call(&["SET", key, "1"]).ok();
    }
    stage.nodes.kill(0);
    let begun = Instant::now();
    for key in &keys {
        loop {
            let reply = client.call(&["INCR", key]);
            if reply.error().is_none() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{reply:?}");
        }
    }
}

#[test]
fn the_doctor_looks_through_tls() {
    if direct() {
        return;
    }
    let stage = Stage::new("live-tls-doctor", 0);
    let paper = [
        ("SLOTWAY__CLUSTER__TLS", "on".to_owned()),
        ("SLOTWAY__CLUSTER__TLS_CA_FILE", stage.path("ca.crt")),
        ("SLOTWAY__CLUSTER__TLS_CERT_FILE", stage.path("client.crt")),
        ("SLOTWAY__CLUSTER__TLS_KEY_FILE", stage.path("client.key")),
    ];
    let (told, content) = stage.slotway(&["doctor"], &paper);
    assert!(content && told.matches("speaks TLS; its certificate is good for").count() == 3, "{told}");
    for (env, part) in [
        (&paper[..0], "is it TLS (cluster.tls, rediss://)"),
        (&paper[..2], "it wants a certificate from slotway"),
        (&paper[2..], "means nothing without"),
    ] {
        let (told, content) = stage.slotway(&["doctor"], env);
        // What is no mistake is told by check.
        let (told, content) =
            if part.contains("means") { (stage.slotway(&["check"], env).0, false) } else { (told, content) };
        assert!(!content && told.contains(part), "{part}: {told}");
    }
    let other = stage.folder.write("other.crt", &Authority::new("nobody").pem);
    let strange = [&paper[..1], &[("SLOTWAY__CLUSTER__TLS_CA_FILE", other.display().to_string())]].concat();
    let (told, content) = stage.slotway(&["doctor"], &strange);
    assert!(!content && told.contains("not signed by anybody") && told.contains("cluster.tls_ca_file"), "{told}");
}

#[test]
fn certificates_are_replaced_under_load() {
    if direct() {
        return;
    }
    let _alone = alone();
    let stage = Stage::new("live-tls-rotation", 0);
    let admin = free_addr();
    let proxy = stage.proxy(&["--admin", &admin]);
    let (stop, requests, connections) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let seen = std::thread::scope(|scope| {
        for thread in 0..8 {
            let (stage, proxy, stop, requests, connections) = (&stage, &proxy, &stop, &requests, &connections);
            scope.spawn(move || {
                // Half of them stay, half of them come anew all the time.
                let mut client = stage.connect(proxy);
                for turn in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if thread % 2 == 0 && turn % 20 == 0 {
                        client = stage.connect(proxy);
                        connections.fetch_add(1, Ordering::Relaxed);
                    }
                    let (key, value) = (format!("rotated:{thread}:{}", turn % 100), turn.to_string());
                    assert_eq!(client.call(&["SET", &key, &value]).text(), "+OK\r\n");
                    assert_eq!(client.call(&["GET", &key]).bulk(), Some(value.as_bytes()));
                    requests.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        let seen = rotate(&stage, &proxy);
        stop.store(true, Ordering::Relaxed);
        seen
    });
    let told = metrics(&admin);
    let count = |line: &str| {
        let found = told.lines().find_map(|told| told.strip_prefix(line)?.trim().parse::<u64>().ok());
        found.unwrap_or_else(|| panic!("no {line} in {told}"))
    };
    let of = |name: &str| {
        format!("slotway_tls_certificate_reloads_total{{file=\"{}\",result=\"{name}\"}}", stage.path("proxy.crt"))
    };
    assert!(count(&of("ok")) >= 2 && count(&of("failed")) >= 1, "{told}");
    assert_eq!(count("slotway_client_tls_handshakes_total{result=\"failed\"}"), 0);
    let expiry = format!("slotway_tls_certificate_expiry_timestamp_seconds{{file=\"{}\"}}", stage.path("proxy.crt"));
    assert_eq!(count(&expiry), 4_102_444_800);
    tell(&format!(
        "T23 certificates replaced {seen} times under {} requests and {} handshakes: 0 failed",
        requests.load(Ordering::Relaxed),
        connections.load(Ordering::Relaxed)
    ));
}

/// Gives the proxy new certificates for clients and nodes, bad ones in between, and the nodes new ones too. How many
/// different ones clients have seen.
fn rotate(stage: &Stage, proxy: &Proxy) -> usize {
    let mut seen = vec![stage.connect(proxy).certificate()];
    for round in 0..3 {
        if round == 1 {
            stage.folder.write("proxy.crt", "this is no certificate");
            std::thread::sleep(Duration::from_secs(7));
            assert_eq!(Some(&stage.connect(proxy).certificate()), seen.last(), "a bad file keeps the old one");
        }
        stage.folder.write_pair("client", &stage.authority.issue(&["client.example"]));
        stage.folder.write_pair("proxy", &stage.authority.issue(&["127.0.0.1"]));
        stage.folder.write_pair("node", &stage.authority.issue(&["127.0.0.1"]));
        stage.nodes.reload(&stage.ca, &stage.client);
        let begun = Instant::now();
        while seen.contains(&stage.connect(proxy).certificate()) {
            assert!(begun.elapsed() < PATIENCE, "the new certificate is not seen");
            std::thread::sleep(Duration::from_millis(200));
        }
        seen.push(stage.connect(proxy).certificate());
        // A connection to a node that is made with the new ones.
        let mut waiting = stage.connect(proxy);
        assert!(waiting.call(&["BLPOP", &format!("nothing:{round}"), "0.1"]).error().is_none());
    }
    seen.len() - 1
}

/// An address that is free now.
fn free_addr() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn metrics(admin: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A pair as arguments of tools want it.
fn pair(pair: &(PathBuf, PathBuf)) -> (&Path, &Path) {
    (&pair.0, &pair.1)
}
