//! A real cluster of `redis-server` or `valkey-server` processes on loopback, for the demo and the live tests.
//!
//! [`Cluster::start`] forms it over RESP, without `redis-cli`; [`Server::start`] runs one plain server. Nodes can be
//! killed, stopped and started again, slots moved and primaries failed over. Nothing outlives the value or the
//! process that made it. Every wait has a limit. All of it blocks: call it from a thread that may.

pub mod keeper;
pub mod view;
pub mod wire;

mod forming;
mod moves;
mod node;

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::resp::value::Value;
use keeper::Keeper;
pub use moves::Move;
use node::Node;
use view::Seen;
use wire::Wire;

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;
/// How long servers may take to start, or a cluster to form.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many primaries share the slots; at least 1, and 3 for failovers to be decided.
    pub primaries: usize,
    /// How many replicas each primary has.
    pub replicas: usize,
    /// `cluster-node-timeout`.
    pub node_timeout: Duration,
    /// Asked of clients and used between the nodes.
    pub password: Option<String>,
    /// The server's program; `None` looks for `redis-server`, then `valkey-server`, on PATH.
    pub program: Option<PathBuf>,
    /// Further lines of the servers' configuration: name and value.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicas: 1,
            node_timeout: Duration::from_secs(2),
            password: None,
            program: None,
            settings: Vec::new(),
        }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server is installed.
    #[error(
        "neither redis-server nor valkey-server is on PATH; install one, for example \
         `apt-get install redis-server`, `dnf install valkey` or `brew install redis`"
    )]
    NoServer,
    /// Every port of the range is taken.
    #[error("no port from {first} to {last} is free together with its cluster bus port")]
    NoPort {
        /// The first port tried.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A server ended instead of starting.
    #[error("{program} ended while starting; its log ends with:\n{log}")]
    Ended {
        /// The program.
        program: String,
        /// The last lines of its log.
        log: String,
    },
    /// A node answered with an error.
    #[error("{addr} refused {command}: {reply}")]
    Refused {
        /// The node.
        addr: SocketAddr,
        /// The command's first words.
        command: String,
        /// The error, without its `-`.
        reply: String,
    },
    /// Something that was waited for did not come.
    #[error("waited {after:.1?} for {what}, in vain; last seen: {seen}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// The state when patience ended.
        seen: String,
    },
    /// The cluster has no such node, slot or replica at the moment.
    #[error("{0}")]
    Absent(String),
}

/// A running cluster; dropping it kills the nodes and removes their files.
///
/// Nodes are named by their number, from 0, which they keep whatever their role: at the start the first
/// `Options::primaries` are the primaries.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    password: Option<String>,
    workshop: Workshop,
}

impl Cluster {
    /// Starts the servers, forms the cluster and waits until every node knows all others, every slot is served and
    /// every replica is in sync.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let workshop = Workshop::open(options, Kind::Member)?;
        let count = options.primaries.max(1) * (1 + options.replicas);
        let nodes = (0..count).map(|_| Node::start(&workshop, options)).collect::<Result<_, _>>()?;
        let cluster = Self { nodes, password: options.password.clone(), workshop };
        cluster.form(options.primaries.max(1))?;
        Ok(cluster)
    }

    /// How many nodes there are, running or not.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node: never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The addresses of all nodes, by their number.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.addr).collect()
    }

    /// The numbers of the nodes whose process runs; a stopped one counts.
    pub fn running(&self) -> Vec<usize> {
        (0..self.len()).filter(|&at| self.nodes.get(at).is_some_and(Node::is_running)).collect()
    }

    /// The program that the nodes run.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.workshop.program
    }

    /// Opens a connection to a node.
    pub fn wire(&self, node: usize) -> Result<Wire, Error> {
        self.node(node)?.wire()
    }

    /// Asks a node one thing; an error reply is an error.
    pub fn call(&self, node: usize, command: &[&str]) -> Result<Value, Error> {
        self.wire(node)?.call(command)
    }

    /// What a node says of the cluster.
    pub fn seen_by(&self, node: usize) -> Result<Vec<Seen>, Error> {
        let reply = self.call(node, &["CLUSTER", "NODES"])?;
        Ok(view::parse(reply.text().unwrap_or_default()))
    }

    /// Kills a node with SIGKILL and waits until it is gone.
    pub fn kill(&self, node: usize) -> Result<(), Error> {
        self.node(node)?.kill()
    }

    /// Starts a killed node again, on its old port and with its old identity but without its data: a primary
    /// started again before a replica took over is an empty primary.
    pub fn restart(&self, node: usize) -> Result<(), Error> {
        let node = self.node(node)?;
        node.kill()?;
        node.run(&self.workshop)
    }

    /// Stops a node with SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self, node: usize) -> Result<(), Error> {
        self.node(node)?.signal(Signal::STOP)
    }

    /// Lets a stopped node go on.
    pub fn resume(&self, node: usize) -> Result<(), Error> {
        self.node(node)?.signal(Signal::CONT)
    }

    /// The last lines of a node's log.
    pub fn log(&self, node: usize) -> Result<String, Error> {
        Ok(self.node(node)?.log())
    }

    fn node(&self, at: usize) -> Result<&Node, Error> {
        self.nodes.get(at).ok_or_else(|| Error::Absent(format!("there is no node {at}")))
    }

    /// The number of the node with a port.
    fn at_port(&self, port: u16) -> Option<usize> {
        self.nodes.iter().position(|node| node.addr.port() == port)
    }
}

/// One plain server that knows of no cluster: what a client believes it talks to.
#[derive(Debug)]
pub struct Server {
    node: Node,
    _workshop: Workshop,
}

impl Server {
    /// Starts it; the numbers of primaries and replicas mean nothing here.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let workshop = Workshop::open(options, Kind::Plain)?;
        Ok(Self { node: Node::start(&workshop, options)?, _workshop: workshop })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.node.addr
    }
}

/// What a server is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A node of a cluster.
    Member,
    /// A server by itself.
    Plain,
}

/// What servers are started with: a program, a directory for their files, and a keeper that ends them.
#[derive(Debug)]
struct Workshop {
    kind: Kind,
    program: PathBuf,
    directory: PathBuf,
    keeper: Arc<Keeper>,
}

impl Workshop {
    /// Finds the program and makes a directory that only this user may enter and that the keeper removes.
    fn open(options: &Options, kind: Kind) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let program = program(options)?;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        let name = format!("slotway-{}-{}-{clock:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        let failed = |source| Error::Io { what: format!("create {}", directory.display()), source };
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(failed)?;
        let keeper = Keeper::new(Some(&directory)).map_err(failed)?;
        Ok(Self { kind, program, directory, keeper })
    }
}

/// The server's program.
fn program(options: &Options) -> Result<PathBuf, Error> {
    if let Some(program) = &options.program {
        return Ok(program.clone());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    let found = |name: &str| directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file());
    ["redis-server", "valkey-server"].into_iter().find_map(found).ok_or(Error::NoServer)
}
