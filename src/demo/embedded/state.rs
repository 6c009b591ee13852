//! All that a cluster is: its map, its nodes, their keys, and what is going on between them.
//!
//! One value behind one `RefCell`: everything happens on one thread, and a command runs to its end before
//! anything else does. Connections are tasks elsewhere; here they are only mailboxes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::command::Table;
use super::db::Db;
use super::faults::Script;
use super::map::Map;
use super::observer::Observer;
use super::options::{Endpoint, Options};
use super::pubsub::Subscriber;
use super::random::Random;

/// A slot on its way from one shard to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The end of a connection that the cluster can reach at any time.
#[derive(Default)]
pub(super) struct Line {
    /// Bytes to send without having been asked.
    pub(super) unasked: RefCell<Vec<u8>>,
    /// Whether to hang up.
    pub(super) cut: Cell<bool>,
    /// Whether its client waits for data.
    pub(super) blocked: Cell<bool>,
    /// How its waiting is to end, if somebody said so: with an error or without.
    pub(super) unblock: Cell<Option<bool>>,
    /// Rung after a change of the above, or of the node's own state.
    pub(super) bell: Notify,
}

impl Line {
    /// Hangs up.
    pub(super) fn hang_up(&self) {
        self.cut.set(true);
        self.bell.notify_one();
    }
}

/// One node.
pub(super) struct Node {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) alive: bool,
    pub(super) paused: bool,
    /// Whether it, as a replica, says that it does not hear its primary.
    pub(super) unlinked: bool,
    /// How long each batch of replies is held back.
    pub(super) delay: Duration,
    /// How much later it hears what is published at other nodes.
    pub(super) lag: Duration,
    /// The map that a node cut off from the others still believes in.
    pub(super) old_map: Option<Rc<Map>>,
    /// Which of the state's key spaces it works on.
    pub(super) db: usize,
    pub(super) scripts: VecDeque<Script>,
    pub(super) lines: BTreeMap<u64, Rc<Line>>,
    /// Tells the task that listens for this node that the node died or came back.
    pub(super) doorbell: Rc<Notify>,
}

impl Node {
    /// Wakes every connection whose client waits, so that it looks at its keys again.
    pub(super) fn wake_blocked(&self) {
        for line in self.lines.values().filter(|line| line.blocked.get()) {
            line.bell.notify_one();
        }
    }

    /// Wakes every connection, so that it looks at the node again.
    pub(super) fn wake(&self) {
        for line in self.lines.values() {
            line.bell.notify_one();
        }
    }
}

/// The whole cluster.
pub(super) struct State {
    pub(super) options: Options,
    pub(super) map: Rc<Map>,
    pub(super) nodes: Vec<Node>,
    /// One key space a shard; behind those, the forks of nodes that were cut off.
    pub(super) dbs: Vec<Db>,
    pub(super) migrations: BTreeMap<u16, Migration>,
    pub(super) commands: Rc<Table>,
    /// The version of the module that is loaded; 0 if none is.
    pub(super) module: u8,
    pub(super) random: Random,
    pub(super) observer: Observer,
    pub(super) next_connection: u64,
    /// Connections with subscriptions.
    pub(super) subscribers: BTreeMap<u64, Subscriber>,
    /// Itself, for what happens later.
    pub(super) me: Weak<RefCell<Self>>,
    started: Instant,
}

impl State {
    /// A new cluster, all of whose nodes are up and agree.
    pub(super) fn new(mut options: Options) -> Self {
        options.primaries = options.primaries.clamp(1, 1000);
        let map = Map::new(options.primaries, options.replicas);
        let mut random = Random::new(options.seed);
        let count = options.primaries * (1 + options.replicas);
        let nodes = (0..count).map(|i| Node {
            id: random.node_id(),
            host: options.host.clone(),
            port: options.base_port.wrapping_add(i as u16),
            alive: true,
            paused: false,
            unlinked: false,
            delay: Duration::ZERO,
            lag: Duration::ZERO,
            old_map: None,
            db: map.shard_of(i),
            scripts: VecDeque::new(),
            lines: BTreeMap::new(),
            doorbell: Rc::new(Notify::new()),
        });
        Self {
            nodes: nodes.collect(),
            dbs: vec![Db::default(); options.primaries],
            map: Rc::new(map),
            migrations: BTreeMap::new(),
            commands: Rc::new(Table::new()),
            module: 0,
            random,
            observer: Observer::default(),
            next_connection: 1,
            subscribers: BTreeMap::new(),
            me: Weak::new(),
            started: Instant::now(),
            options,
        }
    }

    /// Milliseconds since 1970, as far as the nodes know. Stands still where tokio's time does.
    pub(super) fn now_ms(&self) -> u64 {
        self.options.unix_ms + self.started.elapsed().as_millis() as u64
    }

    /// The map that a node believes in.
    pub(super) fn view(&self, node: usize) -> Rc<Map> {
        self.nodes[node].old_map.as_ref().unwrap_or(&self.map).clone()
    }

    /// The agreed map, to change it.
    pub(super) fn map_mut(&mut self) -> &mut Map {
        Rc::make_mut(&mut self.map)
    }

    /// The host name of a node, if nodes have one.
    pub(super) fn hostname(&self, node: usize) -> Option<String> {
        (self.options.endpoint == Endpoint::Hostname).then(|| format!("node-{node}.embedded"))
    }

    /// What a node is called in redirects and maps.
    pub(super) fn endpoint(&self, node: usize) -> String {
        match self.options.endpoint {
            Endpoint::Ip => self.nodes[node].host.clone(),
            Endpoint::Hostname => self.hostname(node).unwrap_or_default(),
            Endpoint::Question => "?".to_owned(),
            Endpoint::Empty => String::new(),
        }
    }
}
