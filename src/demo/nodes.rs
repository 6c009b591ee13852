//! The nodes of the demo, real or embedded, and what chaos does to them.
//!
//! What is known of the cluster is asked of the nodes over their sockets in either case, never of the proxy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::embedded::{Cluster as Embedded, NodeId};
use super::servers::view::{Seen, parse};
use super::servers::wire::Wire;
use super::servers::{Cluster, Error, Move, Options, SLOTS};

/// How long one answer of a node may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How often nodes that are waited for are asked.
const POLL: Duration = Duration::from_millis(20);
/// How long the embedded nodes take to elect: about as long as real ones whose timeout is a second.
const EMBEDDED_ELECTION: Duration = Duration::from_millis(1500);

/// A cluster of three primaries with a replica each. Nodes are named by their number, which they keep.
#[derive(Debug)]
pub(super) enum Nodes {
    /// Processes of `redis-server` or `valkey-server`.
    Servers(Cluster),
    /// The stand-in in this process.
    Embedded(Aside),
}

/// A slot on its way from one primary to another.
#[derive(Debug)]
pub(super) enum Moving {
    /// Between real servers.
    Servers(Move),
    /// Between embedded nodes.
    Embedded(u16),
}

impl Nodes {
    /// Starts real servers, or embedded nodes if those are wished for or no server is installed.
    pub(super) fn start(embedded: bool) -> Result<Self, Error> {
        if embedded {
            return Aside::start().map(Self::Embedded);
        }
        match Cluster::start(&Options::default()) {
            Err(Error::NoServer) => Aside::start().map(Self::Embedded),
            started => started.map(Self::Servers),
        }
    }

    /// Where the nodes are, by their number.
    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        match self {
            Self::Servers(cluster) => cluster.addrs(),
            Self::Embedded(aside) => aside.addrs().to_vec(),
        }
    }

    /// What each running node says of itself; of others it may not have heard the latest yet.
    pub(super) fn seen(&self) -> Result<Vec<Seen>, Error> {
        let views = self.running()?.into_iter().map(seen_by).collect::<Result<Vec<_>, _>>()?;
        Ok(views.into_iter().flatten().filter(|node| node.myself).collect())
    }

    /// The number of a node that has been described.
    pub(super) fn number(&self, seen: &Seen) -> Option<usize> {
        self.addrs().iter().position(|addr| addr.port() == seen.port)
    }

    /// Waits until every running node says that the cluster is well and that each slot belongs to a primary that
    /// runs.
    pub(super) fn wait_served(&self, limit: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let amiss = match self.served() {
                Ok(None) => return Ok(()),
                Ok(Some(amiss)) => amiss,
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > limit {
                let what = "every slot to be served".to_owned();
                return Err(Error::Late { what, after: begun.elapsed(), seen: amiss });
            }
            std::thread::sleep(POLL);
        }
    }

    /// What is amiss, if anything.
    fn served(&self) -> Result<Option<String>, Error> {
        let running = self.running()?;
        let runs = |seen: &Seen| running.iter().any(|addr| addr.port() == seen.port);
        for &addr in &running {
            let info = Wire::open(addr, None, CALL_LIMIT)?.call(&["CLUSTER", "INFO"])?;
            if !info.text().unwrap_or_default().contains("cluster_state:ok") {
                return Ok(Some(format!("{addr} says that the cluster fails")));
            }
            let seen = seen_by(addr)?;
            let owners = seen.iter().filter(|node| node.primary && node.healthy && runs(node));
            let served: u32 = owners.flat_map(|node| &node.slots).map(|(a, b)| u32::from(b - a) + 1).sum();
            if served != u32::from(SLOTS) {
                return Ok(Some(format!("{addr} sees {served} of {SLOTS} slots served")));
            }
        }
        Ok(None)
    }

    /// Waits until the cluster is whole again, replicas included.
    pub(super) fn wait_settled(&self, limit: Duration) -> Result<(), Error> {
        match self {
            Self::Servers(cluster) => cluster.wait_settled(limit),
            Self::Embedded(_) => self.wait_served(limit),
        }
    }

    fn running(&self) -> Result<Vec<SocketAddr>, Error> {
        let addrs = self.addrs();
        let numbers = match self {
            Self::Servers(cluster) => cluster.running(),
            Self::Embedded(aside) => aside.order(|cluster| {
                let alive = |(_, id): &(usize, NodeId)| cluster.is_alive(*id);
                cluster.nodes().into_iter().enumerate().filter(alive).map(|(number, _)| number).collect()
            })?,
        };
        Ok(numbers.into_iter().filter_map(|number| addrs.get(number).copied()).collect())
    }

    /// Begins to move a slot to the primary `to`; `None` if it is there already.
    pub(super) fn begin_move(&self, slot: u16, to: usize) -> Result<Option<Moving>, Error> {
        match self {
            Self::Servers(cluster) => Ok(cluster.begin_move(slot, to)?.map(Moving::Servers)),
            Self::Embedded(aside) => {
                on(aside, to, move |cluster, to| cluster.begin_migration(slot, to))?;
                Ok(Some(Moving::Embedded(slot)))
            }
        }
    }

    /// Moves up to `most` keys of a slot; how many they were.
    pub(super) fn carry_keys(&self, moving: &Moving, most: usize) -> Result<usize, Error> {
        match (self, moving) {
            (Self::Servers(cluster), Moving::Servers(moving)) => cluster.carry_keys(moving, most),
            (Self::Embedded(aside), &Moving::Embedded(slot)) => {
                aside.order(move |cluster| cluster.migrate_some(slot, most))
            }
            _ => Ok(0),
        }
    }

    /// Ends the move of a slot that has no keys left at its old owner.
    pub(super) fn end_move(&self, moving: &Moving) -> Result<(), Error> {
        match (self, moving) {
            (Self::Servers(cluster), Moving::Servers(moving)) => cluster.end_move(moving),
            (Self::Embedded(aside), &Moving::Embedded(slot)) => {
                aside.order(move |cluster| cluster.finish_migration(slot))
            }
            _ => Ok(()),
        }
    }

    /// A planned failover: the replica takes over, and no write is lost.
    pub(super) fn fail_over(&self, replica: usize, limit: Duration) -> Result<(), Error> {
        match self {
            Self::Servers(cluster) => cluster.fail_over(replica, limit),
            Self::Embedded(aside) => on(aside, replica, Embedded::failover),
        }
    }

    /// Kills a node as SIGKILL does.
    pub(super) fn kill(&self, node: usize) -> Result<(), Error> {
        match self {
            Self::Servers(cluster) => cluster.kill(node),
            Self::Embedded(aside) => on(aside, node, Embedded::kill),
        }
    }

    /// Waits until a replica of the killed primary has been elected and every slot is served again. Real servers
    /// elect by themselves; for embedded ones a pause stands for the vote.
    pub(super) fn wait_elected(&self, killed: usize, limit: Duration) -> Result<(), Error> {
        if let Self::Embedded(aside) = self {
            std::thread::sleep(EMBEDDED_ELECTION);
            on(aside, killed, |cluster, killed| {
                cluster.declare_failed(killed);
                if let Some(&heir) = cluster.siblings(killed).iter().find(|&&node| cluster.is_alive(node)) {
                    cluster.failover(heir);
                }
            })?;
        }
        self.wait_served(limit)
    }

    /// Starts a killed node again.
    pub(super) fn restart(&self, node: usize) -> Result<(), Error> {
        match self {
            Self::Servers(cluster) => cluster.restart(node),
            Self::Embedded(aside) => on(aside, node, Embedded::revive),
        }
    }
}

/// Does something to one embedded node.
fn on(aside: &Aside, number: usize, what: impl FnOnce(&Embedded, NodeId) + Send + 'static) -> Result<(), Error> {
    let node = move |cluster: &Embedded| cluster.nodes().get(number).copied();
    let known = aside.order(move |cluster| node(cluster).map(|node| what(cluster, node)))?;
    known.ok_or_else(|| Error::Absent(format!("there is no node {number}")))
}

fn seen_by(addr: SocketAddr) -> Result<Vec<Seen>, Error> {
    let nodes = Wire::open(addr, None, CALL_LIMIT)?.call(&["CLUSTER", "NODES"])?;
    Ok(parse(nodes.text().unwrap_or_default()))
}
