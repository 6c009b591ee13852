//! Makes one cluster of servers that do not know each other yet, and waits until all of them agree.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::view::Seen;
use super::{Cluster, Error, SLOTS, START_LIMIT};

/// How often the nodes are asked while they are waited for.
const POLL: Duration = Duration::from_millis(25);

impl Cluster {
    /// Gives the first `primaries` nodes their slots, introduces all nodes to each other and attaches the replicas.
    pub(super) fn form(&self, primaries: usize) -> Result<(), Error> {
        for node in 0..self.len() {
            // Different epochs from the start spare the nodes a quarrel about them.
            self.call(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(node + 1).to_string()])?;
        }
        for node in 0..primaries {
            let share = |at: usize| (usize::from(SLOTS) * at / primaries) as u16;
            self.add_slots(node, share(node), share(node + 1) - 1)?;
        }
        self.introduce()?;
        self.attach(primaries)?;
        self.wait_settled(START_LIMIT)
    }

    /// Servers before 7.0 know no ranges.
    fn add_slots(&self, node: usize, first: u16, last: u16) -> Result<(), Error> {
        let mut wire = self.wire(node)?;
        let range = ["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()];
        if wire.ask(&range)?.error().is_none() {
            return Ok(());
        }
        let slots: Vec<_> = (first..=last).map(|slot| slot.to_string()).collect();
        let command: Vec<_> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        wire.call(&command).map(drop)
    }

    /// Every node meets every other, which is faster than to wait for gossip.
    fn introduce(&self) -> Result<(), Error> {
        for node in 0..self.len() {
            let mut wire = self.wire(node)?;
            for addr in self.nodes.iter().skip(node + 1).map(|other| other.addr) {
                wire.call(&["CLUSTER", "MEET", &addr.ip().to_string(), &addr.port().to_string()])?;
            }
        }
        wait("all nodes to know each other", START_LIMIT, || {
            for node in 0..self.len() {
                let seen = self.seen_by(node)?;
                if seen.len() != self.len() || !seen.iter().all(|other| other.healthy) {
                    return Ok(Err(format!("node {node} sees {}", shown(&seen))));
                }
            }
            Ok(Ok(()))
        })
    }

    /// Node `primaries + n` replicates primary `n`, and so on round.
    fn attach(&self, primaries: usize) -> Result<(), Error> {
        for node in primaries..self.len() {
            let id = self.id(node % primaries)?;
            self.call(node, &["CLUSTER", "REPLICATE", &id])?;
        }
        Ok(())
    }

    /// Waits until every running node says that the cluster is well, all agree on the owner of each slot and on
    /// every role, and each running replica is in sync with its primary. Slots that a primary has lost are given back
    /// to it.
    pub fn wait_settled(&self, limit: Duration) -> Result<(), Error> {
        wait("the cluster to settle", limit, || {
            let settled = self.settled()?;
            if settled.is_err() {
                self.give_back_slots()?;
            }
            Ok(settled)
        })
    }

    /// Whether all is well; if not, why.
    fn settled(&self) -> Result<Result<(), String>, Error> {
        let mut first = None;
        for node in self.running() {
            let mut wire = self.wire(node)?;
            let info = wire.call(&["CLUSTER", "INFO"])?;
            if !info.text().unwrap_or_default().contains("cluster_state:ok") {
                return Ok(Err(format!(
                    "node {node} says that the cluster fails; its log ends with:\n{}",
                    self.log(node)?
                )));
            }
            let seen = self.seen_by(node)?;
            if let Some(why) = self.unwell(&seen) {
                return Ok(Err(format!("node {node} sees {why}")));
            }
            let map = ownership(&seen);
            if *first.get_or_insert_with(|| map.clone()) != map {
                return Ok(Err(format!("node {node} sees other owners or roles than the first")));
            }
            let replication = wire.call(&["INFO", "replication"])?;
            let text = replication.text().unwrap_or_default();
            if text.contains("role:slave") && !text.contains("master_link_status:up") {
                return Ok(Err(format!("replica {node} is not in sync")));
            }
            if text.lines().any(|line| line.starts_with("slave") && line.contains("state=") && !line.contains("online"))
            {
                return Ok(Err(format!("primary {node} has a replica that is not in sync")));
            }
        }
        Ok(Ok(()))
    }

    /// What is wrong in one node's view: a running node thought ill, or a slot without a running owner.
    fn unwell(&self, seen: &[Seen]) -> Option<String> {
        let running = |port| self.at_port(port).is_some_and(|at| self.running().contains(&at));
        if let Some(ill) = seen.iter().find(|other| running(other.port) && !other.healthy) {
            return Some(format!("node {} ill", ill.port));
        }
        let served = seen.iter().filter(|other| running(other.port) && other.primary).flat_map(|other| &other.slots);
        let served: u32 = served.map(|&(first, last)| u32::from(last - first) + 1).sum();
        (served != u32::from(SLOTS)).then(|| format!("{served} of {SLOTS} slots served"))
    }

    /// The id of a node.
    pub(super) fn id(&self, node: usize) -> Result<String, Error> {
        let reply = self.call(node, &["CLUSTER", "MYID"])?;
        Ok(reply.text().unwrap_or_default().to_owned())
    }
}

/// Asks `done` again and again; it says what is still amiss. An error counts as amiss, too: nodes come and go.
pub(super) fn wait(
    what: &str,
    limit: Duration,
    done: impl Fn() -> Result<Result<(), String>, Error>,
) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        let seen = match done() {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(amiss)) => amiss,
            Err(error) => error.to_string(),
        };
        if begun.elapsed() > limit {
            return Err(Error::Late { what: what.to_owned(), after: begun.elapsed(), seen });
        }
        std::thread::sleep(POLL);
    }
}

/// A node's port, its primary's id if it is a replica, and its slots.
type Role = (u16, Option<String>, Vec<(u16, u16)>);

/// Who owns what and who follows whom, in an order that does not depend on who was asked.
fn ownership(seen: &[Seen]) -> Vec<Role> {
    let mut map: Vec<_> = seen
        .iter()
        .filter(|other| other.healthy)
        .map(|other| (other.port, other.primary_id.clone(), other.slots.clone()))
        .collect();
    map.sort();
    map
}

/// A view in a few words.
fn shown(seen: &[Seen]) -> String {
    let mut text = format!("{} nodes:", seen.len());
    for other in seen {
        let _ = write!(text, " {}{}", other.port, if other.healthy { "" } else { "?" });
    }
    text
}
