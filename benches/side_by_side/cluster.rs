//! The servers behind the proxies: a real cluster of three primaries, three plain ones, and one alone; and two more
//! clusters while growth is measured, one of thirty primaries and one whose slots are dealt out one by one.
//!
//! Also a tiny blocking client for what is asked once (is it up, who owns which slot). The load itself is `load`'s.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::child::{self, Child, free_port, local};

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// How long anything may take to come up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One redis-server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens on loopback.
    pub(crate) port: u16,
}

impl Server {
    fn start(program: &Path, directory: &Path, clustered: bool) -> Result<Self> {
        let port = free_port()?;
        let home = directory.join(format!("redis-{port}"));
        std::fs::create_dir_all(&home)?;
        let yes = if clustered { "yes" } else { "no" };
        let words = format!(
            "--port {port} --bind 127.0.0.1 --dir {} --appendonly no --loglevel warning --cluster-enabled {yes} \
             --maxclients 15000",
            home.display()
        );
        let mut args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        args.extend(["--save".to_owned(), String::new()]);
        let mut child = Child::spawn(program, &args, &directory.join(format!("redis-{port}.log")))?;
        wait_for(&mut child, local(port), &["PING"], "+PONG")?;
        Ok(Self { child, port })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Tells it to do something, which it must acknowledge.
    fn order<W: AsRef<str>>(&self, words: &[W]) -> Result<()> {
        let reply = ask(local(self.port), words)?;
        if reply == "+OK" { Ok(()) } else { Err(format!("a server of the cluster said {reply}").into()) }
    }
}

/// Which servers stand behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The cluster.
    Cluster,
    /// Three servers that know nothing of each other.
    Three,
    /// A single one.
    One,
    /// The cluster of thirty.
    Thirty,
    /// The cluster whose slots lie scattered.
    Scattered,
}

/// Servers that form a cluster.
#[derive(Debug, Default)]
struct Cluster {
    servers: Vec<Server>,
    /// For each slot the index of the server that owns it.
    owners: Vec<u8>,
}

/// All servers of the run.
#[derive(Debug)]
pub(crate) struct Servers {
    usual: Cluster,
    three: Vec<Server>,
    one: Vec<Server>,
    thirty: Cluster,
    scattered: Cluster,
}

impl Servers {
    /// Starts the usual ones.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let usual = Cluster::form(directory, 3, in_ranges)?;
        let plain = |count| (0..count).map(|_| Server::start(&program()?, directory, false)).collect::<Result<_>>();
        let (three, one) = (plain(3)?, plain(1)?);
        Ok(Self { usual, three, one, thirty: Cluster::default(), scattered: Cluster::default() })
    }

    /// Starts those with which growth is measured.
    pub(crate) fn grow(&mut self, directory: &Path) -> Result<()> {
        self.thirty = Cluster::form(directory, 30, in_ranges)?;
        self.scattered = Cluster::form(directory, 3, in_turn)?;
        Ok(())
    }

    /// Ends them.
    pub(crate) fn shrink(&mut self) {
        self.thirty = Cluster::default();
        self.scattered = Cluster::default();
    }

    /// The servers of one ground.
    pub(crate) fn on(&self, ground: Ground) -> &[Server] {
        match ground {
            Ground::Cluster => &self.usual.servers,
            Ground::Three => &self.three,
            Ground::One => &self.one,
            Ground::Thirty => &self.thirty.servers,
            Ground::Scattered => &self.scattered.servers,
        }
    }

    /// For each slot the index of the server that owns it, on the grounds that are clusters.
    pub(crate) fn owners(&self, ground: Ground) -> &[u8] {
        match ground {
            Ground::Cluster => &self.usual.owners,
            Ground::Thirty => &self.thirty.owners,
            Ground::Scattered => &self.scattered.owners,
            Ground::Three | Ground::One => &[],
        }
    }
}

fn program() -> Result<PathBuf> {
    child::on_path("redis-server")
        .ok_or_else(|| "redis-server is missing: install the package redis-server (or redis)".into())
}

/// One range of slots for each server.
fn in_ranges(slot: u16, servers: usize) -> usize {
    usize::from(slot) * servers / usize::from(SLOTS)
}

/// Every slot is a range of its own.
fn in_turn(slot: u16, servers: usize) -> usize {
    usize::from(slot) % servers
}

impl Cluster {
    /// Starts so many servers, deals the slots out, and waits until each says that it is well.
    fn form(directory: &Path, count: usize, owner: fn(u16, usize) -> usize) -> Result<Self> {
        let program = program()?;
        let servers: Vec<_> = (0..count).map(|_| Server::start(&program, directory, true)).collect::<Result<_>>()?;
        let first = servers.first().ok_or("no servers")?.port.to_string();
        for (index, server) in servers.iter().enumerate() {
            let slots = (0..SLOTS).filter(|slot| owner(*slot, count) == index).map(|slot| slot.to_string());
            let words: Vec<String> = ["CLUSTER", "ADDSLOTS"].map(str::to_owned).into_iter().chain(slots).collect();
            let epoch = (index + 1).to_string();
            server.order(&words)?;
            server.order(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
            if index > 0 {
                server.order(&["CLUSTER", "MEET", "127.0.0.1", &first])?;
            }
        }
        let deadline = Instant::now() + PATIENCE * 3;
        let all = format!("cluster_known_nodes:{count}\r\n");
        for server in &servers {
            let is_well = |text: String| text.contains("cluster_state:ok") && text.contains(&all);
            while !is_well(ask(local(server.port), &["CLUSTER", "INFO"])?) {
                if Instant::now() > deadline {
                    return Err("the cluster did not form".into());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(Self { servers, owners: (0..SLOTS).map(|slot| owner(slot, count) as u8).collect() })
    }
}

/// Asks one question on a connection of its own; a bulk reply is given without its header, others as they came.
pub(crate) fn ask<W: AsRef<str>>(address: SocketAddr, words: &[W]) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    write!(request, "*{}\r\n", words.len())?;
    for word in words.iter().map(AsRef::as_ref) {
        write!(request, "${}\r\n{word}\r\n", word.len())?;
    }
    stream.write_all(&request)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(length) = line.strip_prefix('$').and_then(|length| length.trim_end().parse::<usize>().ok()) else {
        return Ok(line.trim_end().to_owned());
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Asks again and again until the reply begins as it should; says what came instead when patience or the child ends.
pub(crate) fn wait_for(child: &mut Child, address: SocketAddr, words: &[&str], wanted: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let got = match ask(address, words) {
            Ok(reply) if reply.starts_with(wanted) => return Ok(()),
            Ok(reply) => format!("answered {reply:?}"),
            Err(error) => error.to_string(),
        };
        if let Some(status) = child.ended()? {
            return Err(format!("ended with {status} before it answered: {}", child.last_words()).into());
        }
        if Instant::now() > deadline {
            let last = child.last_words();
            return Err(format!("no {wanted} to {} within {PATIENCE:?}: {got}; {last}", words.join(" ")).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
