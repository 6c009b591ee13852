//! A cluster of real servers that speak nothing but TLS, also with each other.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use slotway::demo::servers::keeper::{Keeper, Kept};

use super::client::Sealed;
use crate::harness::PATIENCE;

/// The bus of a node is so far above its port.
const BUS: u16 = 1;

/// The nodes, primaries first.
pub(super) struct SealedNodes {
    nodes: Vec<(u16, Option<Kept>)>,
    cert: PathBuf,
    key: PathBuf,
    _keeper: Arc<Keeper>,
}

impl SealedNodes {
    /// Starts and introduces them; `ca` signs what they show and what is to be shown to them.
    pub(super) fn start(
        primaries: usize,
        replicas: usize,
        ca: &Path,
        node: &(PathBuf, PathBuf),
        client: &(PathBuf, PathBuf),
    ) -> Self {
        let (cert, key) = super::pair(node);
        let keeper = Keeper::new(None).unwrap();
        let start = |_| {
            let port = free_port();
            let folder = ca.with_file_name(format!("node-{port}"));
            std::fs::create_dir_all(&folder).unwrap();
            let settings = format!(
                "port 0\ntls-port {port}\ncluster-port {}\nbind 127.0.0.1\nsave \"\"\nappendonly no\ndir {}\nlogfile log\n\
                 tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients yes\ntls-cluster yes\n\
                 tls-replication yes\ncluster-enabled yes\ncluster-node-timeout 3000\nrepl-diskless-sync-delay 0\n",
                port + BUS,
                folder.display(),
                cert.display(),
                key.display(),
                ca.display()
            );
            std::fs::write(folder.join("redis.conf"), settings).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(folder.join("redis.conf")).stdin(Stdio::null()).stdout(Stdio::null());
            let kept = keeper.spawn(&mut command).unwrap_or_else(|error| panic!("redis-server: {error}"));
            (port, Some(kept))
        };
        let nodes = (0..primaries * (1 + replicas)).map(start).collect();
        let this = Self { nodes, cert: cert.to_owned(), key: key.to_owned(), _keeper: keeper };
        this.form(primaries, ca, client);
        this
    }

    fn form(&self, primaries: usize, ca: &Path, client: &(PathBuf, PathBuf)) {
        let mut wires: Vec<Sealed> = self.addrs().into_iter().map(|addr| patiently(addr, ca, client)).collect();
        let mut ids = Vec::new();
        for (at, wire) in wires.iter_mut().enumerate() {
            wire.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]).ok();
            ids.push(String::from_utf8(wire.call(&["CLUSTER", "MYID"]).bulk().unwrap().to_vec()).unwrap());
            if at < primaries {
                let share = |at: usize| 16384 * at / primaries;
                let (first, last) = (share(at).to_string(), (share(at + 1) - 1).to_string());
                wire.call(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).ok();
            }
            for (port, _) in &self.nodes {
                wire.call(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &(port + BUS).to_string()]).ok();
            }
        }
        for (at, wire) in wires.iter_mut().enumerate().skip(primaries) {
            until("a primary is known", || {
                wire.call(&["CLUSTER", "REPLICATE", &ids[at % primaries]]).error().is_none()
            });
        }
        for (at, wire) in wires.iter_mut().enumerate() {
            until("the cluster is well", || {
                let info = wire.call(&["CLUSTER", "INFO"]).text();
                let nodes = wire.call(&["CLUSTER", "NODES"]).text();
                info.contains("cluster_state:ok")
                    && !nodes.contains("handshake")
                    && nodes.matches("slave").count() == ids.len() - primaries
            });
            if at >= primaries {
                until("a replica is in step", || {
                    wire.call(&["INFO", "replication"]).text().contains("master_link_status:up")
                });
            }
        }
    }

    /// Where they are.
    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|(port, _)| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect()
    }

    /// Ends one without a word.
    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].1.take().unwrap().kill().unwrap();
    }

    /// Lets all of them read their certificates anew.
    pub(super) fn reload(&self, ca: &Path, client: &(PathBuf, PathBuf)) {
        let (cert, key) = (self.cert.display().to_string(), self.key.display().to_string());
        for addr in self.addrs() {
            let mut wire = patiently(addr, ca, client);
            wire.call(&["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key]).ok();
        }
    }
}

/// Connects to a server that is about to listen.
fn patiently(addr: SocketAddr, ca: &Path, client: &(PathBuf, PathBuf)) -> Sealed {
    let mut found = None;
    until("a node answers", || {
        found = Sealed::connect(addr, ca, client).ok();
        found.is_some()
    });
    found.unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port on which nobody listens, nor on the one above it; below those that systems draw from.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first = 23_000 + (std::process::id() % 3000) as u16 * 2;
    loop {
        let port = first + NEXT.fetch_add(2, Ordering::Relaxed) % 3000;
        if free(port) && free(port + BUS) {
            return port;
        }
    }
}
