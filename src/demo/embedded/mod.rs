//! A small Redis Cluster inside the process: a stand-in, not Redis.
//!
//! `slotway demo` falls back on it where there is no `redis-server`, and the tests put the proxy in front of it,
//! because it can be made to fail at will and, with tokio's time paused, always in the same way. The nodes speak
//! RESP2 and RESP3, redirect, move slots and fail over as a 7.0 cluster does, and know the common commands on the
//! five types, transactions, the waiting of lists, publish/subscribe; streams and scripts are left to real servers.
//!
//! ```text
//!   connect / serve_tcp ─► wire (one task a connection) ─► request ─► node ─► redirect ─► data
//!                             │ faults                                 └─► connection, server, cluster_replies
//!   control, faults ─► state (one RefCell: map, nodes, keys)
//! ```
//!
//! Everything is on one thread. Replicas hold the keys of their primary, with no lag and nothing lost; only a
//! node that was isolated goes its own way.

mod cluster_replies;
mod command;
#[expect(clippy::unnecessary_wraps, reason = "the rows of the table share one signature")]
mod connection;
mod control;
#[expect(clippy::unnecessary_wraps, reason = "the rows of the table share one signature")]
mod data;
mod db;
mod faults;
mod glob;
mod map;
mod multi;
mod node;
mod number;
mod observer;
#[expect(clippy::unnecessary_wraps, reason = "the rows of the table share one signature")]
mod odd;
mod options;
#[expect(clippy::unnecessary_wraps, reason = "the rows of the table share one signature")]
mod pubsub;
mod random;
mod redirect;
mod reply;
mod request;
mod scripts;
#[expect(clippy::unnecessary_wraps, reason = "the rows of the table share one signature")]
mod server;
mod slot;
mod state;
mod tcp;
mod value;
mod wire;

use std::cell::{RefCell, RefMut};
use std::io;
use std::rc::Rc;

pub use faults::Script;
pub use observer::{Counts, Seen};
pub use options::{Auth, Endpoint, Options};
pub use random::Random;
pub use slot::{SLOTS, slot};

use crate::net::{Addr, Stream};
use state::State;

/// One node of a cluster, by its number. Only of use with the cluster that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// A handle on an embedded cluster; clones are of the same cluster.
#[derive(Clone)]
pub struct Cluster(Rc<RefCell<State>>);

/// How many bytes a pipe in memory holds each way, as a socket's buffer would.
const PIPE: usize = 64 * 1024;

impl Cluster {
    /// Starts a cluster, all of whose nodes are up. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self(Rc::new(RefCell::new(State::new(options)))).introduce()
    }

    /// Connects to the node at `addr` by a pipe in memory. Must be called where local tasks can be spawned.
    pub fn connect(&self, addr: &Addr) -> io::Result<Stream> {
        let node = self.at(addr).filter(|&node| self.is_alive(node)).ok_or(io::ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::task::spawn_local(wire::serve(self.clone(), node.0, Stream::Other(Box::new(ours))));
        Ok(Stream::Other(Box::new(theirs)))
    }

    /// Where a node is.
    #[must_use]
    pub fn addr(&self, node: NodeId) -> Addr {
        let state = self.state();
        Addr::tcp(&state.nodes[node.0].host, state.nodes[node.0].port)
    }

    /// The node at an address, by IP address or host name.
    #[must_use]
    pub fn at(&self, addr: &Addr) -> Option<NodeId> {
        let state = self.state();
        let is_it = |(i, node): &(usize, &state::Node)| {
            let named = state.hostname(*i).is_some_and(|name| name == addr.host());
            node.port == addr.port() && (named || node.host == addr.host())
        };
        state.nodes.iter().enumerate().find(is_it).map(|(i, _)| NodeId(i))
    }

    /// Remembers the last `capacity` requests from now on, for [`Cluster::take_log`].
    pub fn log(&self, capacity: usize) {
        self.state().observer.keep(capacity);
    }

    /// Takes the requests that were remembered, in the order in which they ran.
    #[must_use]
    pub fn take_log(&self) -> Vec<Seen> {
        self.state().observer.take()
    }

    /// What a node has seen so far.
    #[must_use]
    pub fn counts(&self, node: NodeId) -> Counts {
        self.state().observer.counts(node.0)
    }

    /// How many connections a node has now.
    #[must_use]
    pub fn connections(&self, node: NodeId) -> usize {
        self.state().nodes[node.0].lines.len()
    }

    /// Requests that were not framed canonically, each with what was wrong; a good proxy causes none.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state().observer.violations().to_vec()
    }

    /// The state. Never held across an `await`, nor while another method of the handle is called.
    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}
