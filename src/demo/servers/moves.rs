//! What operators do to a cluster: move slots between primaries, and let replicas take over.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::forming::wait;
use super::view::Seen;
use super::wire::Wire;
use super::{Cluster, Error};
use crate::resp::value::Value;

/// So many keys move in one step; a step blocks both nodes.
const KEYS_A_STEP: &str = "50";
/// How long one step may take, in milliseconds.
const STEP_LIMIT_MS: &str = "5000";
/// The nodes give a planned failover up after 5 s.
const ATTEMPT: Duration = Duration::from_millis(5500);

impl Cluster {
    /// The numbers of the primaries that own slots, as the first running node that answers sees them.
    pub fn primaries(&self) -> Result<Vec<usize>, Error> {
        let seen = self.seen()?;
        Ok(self.numbers(&seen, |node| node.primary && !node.slots.is_empty()))
    }

    /// The numbers of a primary's replicas, as the first running node that answers sees them.
    pub fn replicas_of(&self, primary: usize) -> Result<Vec<usize>, Error> {
        let port = self.node(primary)?.addr.port();
        let seen = self.seen()?;
        let id = seen.iter().find(|node| node.port == port).map(|node| node.id.clone());
        Ok(self.numbers(&seen, |node| node.primary_id.is_some() && node.primary_id == id))
    }

    /// The number of the primary that owns `slot` in the eyes of the node `asked`.
    pub fn owner(&self, slot: u16, asked: usize) -> Result<Option<usize>, Error> {
        let seen = self.seen_by(asked)?;
        Ok(seen.iter().find(|node| node.owns(slot)).and_then(|node| self.at_port(node.port)))
    }

    /// A planned failover: `replica` takes over from its primary without losing a write. Returns when every running
    /// node follows it. Asks again when the nodes let an attempt lapse: they vote for one primary's replicas only
    /// once in two node timeouts.
    pub fn fail_over(&self, replica: usize, limit: Duration) -> Result<(), Error> {
        let port = self.node(replica)?.addr.port();
        let leads = |seen: &Seen| seen.port == port && seen.primary && !seen.slots.is_empty();
        let asked = Cell::new(None::<Instant>);
        wait(&format!("node {replica} to take over"), limit, || {
            if asked.get().is_none_or(|at| at.elapsed() > ATTEMPT) && !self.seen_by(replica)?.iter().any(leads) {
                self.call(replica, &["CLUSTER", "FAILOVER"])?;
                asked.set(Some(Instant::now()));
            }
            for node in self.running() {
                if !self.seen_by(node)?.iter().any(leads) {
                    return Ok(Err(format!("node {node} still follows its primary")));
                }
            }
            Ok(Ok(()))
        })
    }

    /// Moves a slot with all its keys to the primary `to` while clients go on working. On an error the slot is
    /// left where it is, if the nodes still answer.
    pub fn move_slot(&self, slot: u16, to: usize) -> Result<(), Error> {
        let asked = self.running().into_iter().next().unwrap_or_default();
        let Some(from) = self.owner(slot, asked)? else {
            return Err(Error::Absent(format!("nobody owns slot {slot}")));
        };
        if from == to {
            return Ok(());
        }
        let ids = (self.id(from)?, self.id(to)?);
        let (mut source, mut target) = (self.wire(from)?, self.wire(to)?);
        let number = slot.to_string();
        let moved = target
            .call(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &ids.0])
            .and_then(|_| source.call(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &ids.1]))
            .and_then(|_| self.move_keys(&mut source, &number, to));
        if let Err(error) = moved {
            for wire in [&mut source, &mut target] {
                // The first error is the one to tell.
                let _ = wire.ask(&["CLUSTER", "SETSLOT", &number, "STABLE"]);
            }
            return Err(error);
        }
        self.hand_over(&number, &ids.1, from, to)
    }

    /// Moves the keys of a slot, step by step, until none is left.
    fn move_keys(&self, source: &mut Wire, slot: &str, to: usize) -> Result<(), Error> {
        let target = self.node(to)?.addr;
        let (host, port) = (target.ip().to_string(), target.port().to_string());
        loop {
            let found = source.call(&["CLUSTER", "GETKEYSINSLOT", slot, KEYS_A_STEP])?;
            let keys: Vec<&[u8]> = found.array().unwrap_or_default().iter().filter_map(name).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let mut command: Vec<&[u8]> = vec![b"MIGRATE", host.as_bytes(), port.as_bytes(), b"", b"0"];
            command.push(STEP_LIMIT_MS.as_bytes());
            if let Some(password) = &self.password {
                command.extend([b"AUTH".as_slice(), password.as_bytes()]);
            }
            command.push(b"KEYS");
            command.extend(keys);
            source.call(&command)?;
        }
    }

    /// Makes the new owner known: first to itself, so that at no time nobody owns the slot, then to the old owner,
    /// then to the other primaries.
    fn hand_over(&self, slot: &str, id: &str, from: usize, to: usize) -> Result<(), Error> {
        let others = self.primaries()?.into_iter().filter(|node| ![from, to].contains(node));
        for node in [to, from].into_iter().chain(others) {
            self.call(node, &["CLUSTER", "SETSLOT", slot, "NODE", id])?;
        }
        Ok(())
    }

    /// The numbers of the healthy nodes of a view that `which` chooses, in order.
    fn numbers(&self, seen: &[Seen], which: impl Fn(&Seen) -> bool) -> Vec<usize> {
        let chosen = seen.iter().filter(|node| node.healthy && which(node));
        let mut numbers: Vec<_> = chosen.filter_map(|node| self.at_port(node.port)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The view of the first running node that answers.
    fn seen(&self) -> Result<Vec<Seen>, Error> {
        let mut last = Error::Absent("no node runs".to_owned());
        for node in self.running() {
            match self.seen_by(node) {
                Ok(seen) => return Ok(seen),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A key's name.
const fn name(value: &Value) -> Option<&[u8]> {
    if let Value::Text(bytes) = value { Some(bytes.as_slice()) } else { None }
}
