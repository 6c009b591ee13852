//! A new configuration for the real binary: by a signal and by a POST, under load, and a bad one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::{Client, Load, PATIENCE, Plan, Proxy, cluster, direct};

/// A configuration file of a test's own.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let file = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.toml", std::process::id())));
        file.write(text);
        file
    }

    /// Replaces it as a whole, as one should.
    fn write(&self, text: &str) {
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, &self.0).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A port that is free for the moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Sends SIGHUP to the proxy.
fn hang_up(proxy: &Proxy) {
    let status = std::process::Command::new("kill").args(["-HUP", &proxy.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Asks the admin port.
fn http(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nHost: {addr}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until a line of the log has `part`.
#[track_caller]
fn logged(proxy: &Proxy, part: &str) {
    let end = Instant::now() + PATIENCE;
    while !proxy.log().iter().any(|line| line.contains(part)) {
        assert!(Instant::now() < end, "no line with {part:?} in\n{}", proxy.log().join("\n"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_changes_the_configuration_under_load() {
    if direct() {
        return;
    }
    let file = File::new("reload", "[limits]\nclient_in_flight = 100\n");
    let proxy = Proxy::start(&cluster().addrs(), &["--config", file.path(), "--workers", "2"], &[]);
    let mut watcher = Client::connect(proxy.addr());
    assert_eq!(watcher.line("PING").text(), "+PONG\r\n");
    let plan = Plan { workers: 8, loose_keys: 4, ..Plan::default() };
    let load = Load::start(proxy.addr(), &plan, 7);
    load.wait_for(2000, PATIENCE);
    let steps = ["client_in_flight = 2", "client_output = \"64kb\"", "node_queue = \"16kb\"", "args = 5000"];
    for (turn, step) in steps.iter().cycle().take(24).enumerate() {
        file.write(&format!("[limits]\n{step}\n[slowlog]\nmax_len = {}\n[log]\nlevel = \"info\"\n", turn + 1));
        hang_up(&proxy);
        let end = Instant::now() + PATIENCE;
        while !watcher.line("PROXY CONFIG").text().contains(&format!("max_len = {}\n", turn + 1)) {
            assert!(Instant::now() < end, "not taken up:\n{}", proxy.log().join("\n"));
            std::thread::sleep(Duration::from_millis(5));
        }
        load.wait_for(200, PATIENCE);
    }
    let outcome = load.stop();
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert_eq!(outcome.errors, 0);
    logged(&proxy, "SIGHUP: the configuration was read again; changed: ");
}

#[test]
fn a_bad_file_keeps_the_old_configuration_and_says_why() {
    if direct() {
        return;
    }
    let admin = free();
    let users = "[[auth.users]]\nname = \"ann\"\npassword = \"a\"\n[[auth.users]]\nname = \"ben\"\npassword = \"b\"\n";
    let file = File::new("bad", users);
    let args = ["--config", file.path(), "--workers", "1", "--admin", &admin.to_string()];
    let proxy = Proxy::start(&cluster().addrs(), &args, &[]);
    let (mut ann, mut ben) = (Client::connect(proxy.addr()), Client::connect(proxy.addr()));
    ann.line("AUTH ann a").ok();
    ben.line("AUTH ben b").ok();

    file.write("[limits]\nargs = 1\n[slowlog]\ntreshold = \"1s\"\n");
    hang_up(&proxy);
    logged(&proxy, "SIGHUP: the configuration is bad, and the one from before stays in use");
    logged(&proxy, "did you mean threshold?");
    let metrics = http(admin, "GET /metrics");
    assert!(metrics.contains("slotway_config_last_reload_successful 0"), "{metrics}");
    assert!(metrics.contains("slotway_config_reloads_total{result=\"failed\"} 1"), "{metrics}");
    let told = http(admin, "POST /reload");
    assert!(told.starts_with("HTTP/1.0 422") && told.contains("limits.args: 1 is out of range"), "{told}");
    ben.line("PING").ok();

    assert!(http(admin, "GET /reload").starts_with("HTTP/1.0 405"));
    file.write("workers = 3\n[[auth.users]]\nname = \"ann\"\npassword = \"new\"\n[log]\nformat = \"json\"\n");
    let told = http(admin, "POST /reload");
    assert!(told.starts_with("HTTP/1.0 200"), "{told}");
    assert!(told.contains("changed: auth.users, log.format"), "{told}");
    assert!(!told.contains("workers"), "the argument goes before the file: {told}");
    ann.line("PING").ok();
    let left = ben.read_to_end().unwrap();
    assert!(left.is_empty(), "closed without a word: {left:?}");
    logged(&proxy, "{\"timestamp\"");
    let mut late = Client::connect(proxy.addr());
    assert!(late.line("AUTH ann a").text().starts_with("-WRONGPASS"));
    late.line("AUTH ann new").ok();
    assert!(http(admin, "GET /metrics").contains("slotway_config_last_reload_successful 1"));

    file.write(
        "[listen]\nunix_socket = \"/tmp/slotway-none.sock\"\n[[auth.users]]\nname = \"ann\"\npassword = \"new\"\n",
    );
    let told = http(admin, "POST /reload");
    assert!(told.contains("needs a restart: listen.unix_socket"), "{told}");
}

#[test]
fn listeners_and_headers_of_balancers_work_on_real_sockets() {
    if direct() {
        return;
    }
    let (reads, balanced) = (free(), free());
    let text = format!(
        "[listeners.reads]\naddr = \"{reads}\"\ndeny = [\"@write\"]\n\
         [listeners.balanced]\naddr = \"{balanced}\"\nproxy_protocol = \"on\"\n"
    );
    let file = File::new("listeners", &text);
    let proxy = Proxy::start(&cluster().addrs(), &["--config", file.path()], &[]);
    let mut all = Client::connect(proxy.addr());
    all.line("SET listeners:a 1").ok();
    let mut reads = Client::connect(reads);
    assert_eq!(reads.line("GET listeners:a").text(), "$1\r\n1\r\n");
    assert!(reads.line("SET listeners:a 2").text().starts_with("-NOPERM"));
    let headers: [(&[u8], &str); 2] = [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 5555 6379\r\n", "addr=192.0.2.7:5555 "),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\x15\xb3\x18\xeb", "addr=192.0.2.8:5555 "),
    ];
    for (header, addr) in headers {
        // Every place at which it may be cut.
        for cut in 0..=header.len() {
            let mut client = Client::connect(balanced);
            client.send(&header[..cut]);
            std::thread::sleep(Duration::from_millis(1));
            client.send(&header[cut..]);
            let info = client.line("CLIENT INFO").text();
            assert!(info.contains(addr) && info.contains("listener=balanced"), "{cut}: {info}");
        }
    }
    let mut stranger = Client::connect(balanced);
    stranger.send(b"PING\r\n");
    assert!(stranger.read_to_end().unwrap().is_empty());
    logged(&proxy, "to the listener balanced is refused: it does not begin with a header");
}
