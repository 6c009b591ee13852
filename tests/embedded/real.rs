//! Real servers in cluster mode, on free loopback ports, gone when they go out of scope.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use slotway::net::{Addr, Net as _, tcp::Tcp};

use crate::client::Client;

/// How long real servers may take to start or to agree.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running redis-server.
pub(crate) struct Server {
    pub(crate) port: u16,
    child: Child,
    directory: PathBuf,
}

impl Server {
    /// Starts a server in cluster mode that owns no slots yet.
    pub(crate) async fn start() -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("slotway-embedded-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of its own");
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--cluster-enabled", "yes"])
            .args(["--cluster-node-timeout", "5000", "--save", "", "--appendonly", "no"])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server does not start ({error}); install it, e.g. `apt-get install redis-server`")
            });
        let server = Self { port, child, directory };
        let deadline = Instant::now() + PATIENCE;
        while Tcp.connect(&server.addr()).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server on port {port} never answered");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Where it is.
    pub(crate) fn addr(&self) -> Addr {
        Addr::tcp("127.0.0.1", self.port)
    }

    /// A new connection.
    pub(crate) async fn client(&self) -> Client {
        Client::over(Tcp.connect(&self.addr()).await.expect("a running server"))
    }

    /// Waits until the server's `CLUSTER INFO` contains every one of `facts`.
    pub(crate) async fn until(&self, facts: &[&str]) {
        let mut client = self.client().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = client.say("CLUSTER INFO").await;
            if facts.iter().all(|fact| info.contains(fact)) {
                return;
            }
            assert!(Instant::now() < deadline, "no {facts:?} in {info}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whether it ended by itself does not matter any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A port that is free, and whose cluster bus port, 10000 above, is free too.
fn free_port() -> u16 {
    loop {
        let probe = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = probe.local_addr().expect("a bound socket").port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// One server that owns every slot.
pub(crate) async fn single() -> Server {
    let server = Server::start().await;
    let reply = server.client().await.say("CLUSTER ADDSLOTSRANGE 0 16383").await;
    assert_eq!(reply, r"+OK\r\n", "a server from 7.0 on is needed");
    server.until(&["cluster_state:ok"]).await;
    server
}

/// Three servers that share the slots as an embedded cluster of three does.
pub(crate) async fn three() -> [Server; 3] {
    let servers = [Server::start().await, Server::start().await, Server::start().await];
    let shares = ["0 5460", "5461 10922", "10923 16383"];
    for (i, (server, share)) in servers.iter().zip(shares).enumerate() {
        let mut client = server.client().await;
        assert_eq!(client.say(&format!("CLUSTER SET-CONFIG-EPOCH {}", i + 1)).await, r"+OK\r\n");
        assert_eq!(client.say(&format!("CLUSTER ADDSLOTSRANGE {share}")).await, r"+OK\r\n");
        assert_eq!(client.say(&format!("CLUSTER MEET 127.0.0.1 {}", servers[0].port)).await, r"+OK\r\n");
    }
    for server in &servers {
        server.until(&["cluster_state:ok", "cluster_known_nodes:3", "cluster_current_epoch:3"]).await;
    }
    servers
}
