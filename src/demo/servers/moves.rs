//! What operators do to a cluster: move slots between primaries, and let replicas take over.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::forming::wait;
use super::view::Seen;
use super::{Cluster, Error, SLOTS};
use crate::resp::value::Value;

/// So many keys move in one step; a step blocks both nodes.
const KEYS_A_STEP: usize = 50;
/// How long one step may take, in milliseconds.
const STEP_LIMIT_MS: &str = "5000";
/// The nodes give a planned failover up after 5 s.
const ATTEMPT: Duration = Duration::from_millis(5500);

/// How long the news of a move is waited for.
const SPREAD: Duration = Duration::from_secs(3);

/// A slot on its way from one primary to another.
#[derive(Clone, Debug)]
pub struct Move {
    /// The slot's number, as nodes are told.
    slot: String,
    from: usize,
    to: usize,
    /// The id of `to`.
    id: String,
}

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
        let Some(moving) = self.begin_move(slot, to)? else { return Ok(()) };
        loop {
            match self.carry_keys(&moving, KEYS_A_STEP) {
                Ok(0) => {
                    self.end_move(&moving)?;
                    self.let_it_spread(slot, to);
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => {
                    self.abandon_move(&moving);
                    return Err(error);
                }
            }
        }
    }

    /// Waits until all running nodes have heard of a slot's new owner, or for some time.
    ///
    /// A node that gets a slot takes the next epoch after those that it knows. Had it not heard of the last move, two
    /// primaries would claim slots under one epoch; when servers settle that, one's old claims become newer than the
    /// other's new ones, and two nodes can send clients to each other for ever.
    fn let_it_spread(&self, slot: u16, to: usize) {
        let heard = || {
            for node in self.running() {
                if self.owner(slot, node)? != Some(to) {
                    return Ok(Err(format!("node {node} has not heard who owns slot {slot}")));
                }
            }
            Ok(Ok(()))
        };
        // The slot has moved whether they have heard or not.
        let _ = wait("a move to spread", SPREAD, heard);
    }

    /// Begins to move a slot to the primary `to`: from now on its owner answers `ASK` for keys that it lacks.
    /// `None` if the slot is there already.
    pub fn begin_move(&self, slot: u16, to: usize) -> Result<Option<Move>, Error> {
        let Some(from) = self.keeper_of(slot)? else {
            return Err(Error::Absent(format!("nobody owns slot {slot}")));
        };
        if from == to {
            return Ok(None);
        }
        let moving = Move { slot: slot.to_string(), from, to, id: self.id(to)? };
        let begun = self
            .call(to, &["CLUSTER", "SETSLOT", &moving.slot, "IMPORTING", &self.id(from)?])
            .and_then(|_| self.call(from, &["CLUSTER", "SETSLOT", &moving.slot, "MIGRATING", &moving.id]));
        if let Err(error) = begun {
            self.abandon_move(&moving);
            return Err(error);
        }
        Ok(Some(moving))
    }

    /// The number of the primary that says of itself that it owns `slot`; others may not have heard of it yet.
    fn keeper_of(&self, slot: u16) -> Result<Option<usize>, Error> {
        for node in self.running() {
            if self.seen_by(node)?.iter().any(|seen| seen.myself && seen.primary && seen.owns(slot)) {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Moves up to `most` keys of a slot; how many were found. None means that the move can be ended.
    pub fn carry_keys(&self, moving: &Move, most: usize) -> Result<usize, Error> {
        let mut source = self.wire(moving.from)?;
        let target = self.node(moving.to)?.addr;
        let (host, port) = (target.ip().to_string(), target.port().to_string());
        let found = source.call(&["CLUSTER", "GETKEYSINSLOT", &moving.slot, &most.to_string()])?;
        let keys: Vec<&[u8]> = found.array().unwrap_or_default().iter().filter_map(name).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        let mut command: Vec<&[u8]> = vec![b"MIGRATE", host.as_bytes(), port.as_bytes(), b"", b"0"];
        command.push(STEP_LIMIT_MS.as_bytes());
        if let Some(password) = &self.password {
            command.extend([b"AUTH".as_slice(), password.as_bytes()]);
        }
        command.push(b"KEYS");
        command.extend(&keys);
        source.call(&command)?;
        Ok(keys.len())
    }

    /// Ends the move of a slot that has no keys left at its old owner.
    pub fn end_move(&self, moving: &Move) -> Result<(), Error> {
        self.hand_over(&moving.slot, &moving.id, moving.from, moving.to)
    }

    /// Leaves a slot where it is, as far as the nodes still answer.
    fn abandon_move(&self, moving: &Move) {
        for node in [moving.from, moving.to] {
            // The error that led here is the one to tell.
            let _ = self.call(node, &["CLUSTER", "SETSLOT", &moving.slot, "STABLE"]);
        }
    }

    /// Makes the new owner known: first to itself, so that at no time nobody owns the slot, then to the old owner.
    ///
    /// The others hear of it from the new owner at once. They are not told as well: servers of 7.0 that are told
    /// what they would have heard go on to doubt the slot's owner, believe an old claim of another one later, and
    /// lose the slot when that one becomes a replica.
    fn hand_over(&self, slot: &str, id: &str, from: usize, to: usize) -> Result<(), Error> {
        for node in [to, from] {
            self.call(node, &["CLUSTER", "SETSLOT", slot, "NODE", id])?;
        }
        Ok(())
    }

    /// Gives slots back to primaries that have lost them though all others go on sending clients there; how many
    /// they were. `redis-cli --cluster fix` does the same.
    ///
    /// It is servers of 7.0 that lose them. When a node's reply overtakes the news of a slot that it has got, they
    /// doubt the slot's owner from then on; the replica that later takes over from it then believes one more old
    /// claim of its former primary, and drops the slot when that one becomes its replica.
    pub fn give_back_slots(&self) -> Result<usize, Error> {
        let views = self.running().into_iter().map(|node| Ok((node, self.seen_by(node)?)));
        let views = views.collect::<Result<Vec<_>, Error>>()?;
        let mut given = 0;
        for (node, own) in &views {
            let Some(myself) = own.iter().find(|seen| seen.myself && seen.primary) else { continue };
            let others = views.iter().filter(|(other, _)| other != node);
            let theirs: Vec<&Seen> =
                others.filter_map(|(_, view)| view.iter().find(|seen| seen.id == myself.id)).collect();
            let nobodys = (0..SLOTS).filter(|&slot| !own.iter().any(|seen| seen.owns(slot)));
            for slot in nobodys.filter(|&slot| theirs.iter().all(|seen| seen.owns(slot))) {
                self.call(*node, &["CLUSTER", "ADDSLOTS", &slot.to_string()])?;
                given += 1;
            }
        }
        Ok(given)
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
