//! What is counted for each node, by each worker that has connections to it.
//!
//! A worker joins when it first hears of a node and leaves when it forgets it. What all workers have forgotten is
//! gone: its series end, and a node that comes back begins anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CODES, Counter, Distribution, Errors, FAULTS, Fault, Histogram, wall_clock};

/// The last thing that went wrong with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What it was.
    pub text: String,
}

/// What one worker counts for one node.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct NodeTally {
    /// From the arrival of a request at the proxy to its reply, by the node that gave it; counts the requests too.
    pub durations: Histogram,
    /// Connections that were made.
    pub connected: Counter,
    /// Connections that could not be made.
    pub refused: Counter,
    /// MOVED that it answered.
    pub moved: Counter,
    /// ASK that it answered.
    pub asked: Counter,
    /// Error replies of it that were given to clients.
    pub errors: Errors,
    /// What else went wrong, by [`Fault`].
    pub faults: [Counter; FAULTS.len()],
    /// Connections that are open, when the worker was last asked.
    pub connections: Counter,
    /// Requests under way, when the worker was last asked.
    pub in_flight: Counter,
    /// Bytes of requests that wait for it, when the worker was last asked.
    pub queued: Counter,
    last_error: Mutex<Option<LastError>>,
}

impl NodeTally {
    /// Notes that something went wrong with the node.
    #[cold]
    pub fn fault(&self, fault: Fault, why: &str) {
        self.count(fault);
        self.note(why);
    }

    /// Counts what went wrong, when what there is to say of it is said elsewhere.
    #[cold]
    pub fn count(&self, fault: Fault) {
        if let Some(counter) = self.faults.get(fault as usize) {
            counter.add(1);
        }
    }

    /// Counts an error reply that a client is given.
    #[cold]
    pub fn error(&self, reply: &[u8]) {
        self.errors.count(reply);
        self.note(String::from_utf8_lossy(reply).trim_start_matches('-').trim_end());
    }

    /// Keeps what went wrong last.
    #[cold]
    pub fn note(&self, text: &str) {
        /// So much of an error is kept.
        const KEPT: usize = 200;
        let text = text.chars().take(KEPT).collect();
        let error = LastError { at_ms: wall_clock().as_millis() as u64, text };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Every kind of error that happened, with how often.
    pub fn each_error(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAULTS.into_iter().zip(self.faults.iter().map(Counter::value)).chain(self.errors.each())
    }

    /// What went wrong last.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One node as all workers together have counted it.
#[derive(Clone, Debug, Default)]
pub struct NodeTotals {
    /// See [`NodeTally`]; the same names.
    pub durations: Distribution,
    /// Connections that were made.
    pub connected: u64,
    /// Connections that could not be made.
    pub refused: u64,
    /// MOVED that it answered.
    pub moved: u64,
    /// ASK that it answered.
    pub asked: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Bytes of requests that wait for it.
    pub queued: u64,
    /// Every kind of error, with how often it happened.
    pub errors: Vec<(&'static str, u64)>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
}

impl NodeTotals {
    fn add(&mut self, tally: &NodeTally) {
        self.durations.add(&tally.durations);
        for (sum, counter) in [
            (&mut self.connected, &tally.connected),
            (&mut self.refused, &tally.refused),
            (&mut self.moved, &tally.moved),
            (&mut self.asked, &tally.asked),
            (&mut self.connections, &tally.connections),
            (&mut self.in_flight, &tally.in_flight),
            (&mut self.queued, &tally.queued),
        ] {
            *sum += counter.value();
        }
        self.errors.resize(FAULTS.len() + CODES.len(), ("", 0));
        for (sum, (kind, count)) in self.errors.iter_mut().zip(tally.each_error()) {
            *sum = (kind, sum.1 + count);
        }
        if let Some(error) = tally.last_error()
            && self.last_error.as_ref().is_none_or(|known| known.at_ms < error.at_ms)
        {
            self.last_error = Some(error);
        }
    }

    /// How often this went wrong.
    #[must_use]
    pub fn faults(&self, fault: Fault) -> u64 {
        self.errors.get(fault as usize).map_or(0, |(_, count)| *count)
    }

    /// How many errors there were.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }
}

/// Worker and what it counts.
type Members = Vec<(usize, Arc<NodeTally>)>;

/// All nodes that some worker knows, by address.
#[derive(Debug, Default)]
pub struct Nodes(Mutex<BTreeMap<String, Members>>);

impl Nodes {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Members>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `worker` counts for the node at `addr`, for as long as it keeps what it gets.
    #[must_use]
    pub fn join(&self, addr: &str, worker: usize) -> Arc<NodeTally> {
        let mut nodes = self.lock();
        let members = nodes.entry(addr.to_owned()).or_default();
        if is_forgotten(members) {
            members.clear();
        }
        if let Some((_, tally)) = members.iter().find(|(member, _)| *member == worker) {
            return Arc::clone(tally);
        }
        let tally = Arc::<NodeTally>::default();
        members.push((worker, Arc::clone(&tally)));
        tally
    }

    /// Every node that a worker still knows, in the order of the addresses.
    #[must_use]
    pub fn totals(&self) -> Vec<(String, NodeTotals)> {
        let mut nodes = self.lock();
        // A sum must not shrink while one worker knows the node: parts of it stay until the last has forgotten.
        nodes.retain(|_, members| !is_forgotten(members));
        let sum = |members: &Members| {
            let mut totals = NodeTotals::default();
            for (_, tally) in members {
                totals.add(tally);
            }
            totals
        };
        nodes.iter().map(|(addr, members)| (addr.clone(), sum(members))).collect()
    }
}

fn is_forgotten(members: &Members) -> bool {
    members.iter().all(|(_, tally)| Arc::strong_count(tally) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_counts_until_the_last_worker_has_forgotten_it() {
        let nodes = Nodes::default();
        let (one, two) = (nodes.join("a:1", 0), nodes.join("a:1", 1));
        one.moved.add(2);
        two.moved.add(3);
        two.fault(Fault::Timeout, "no answer");
        drop(one);
        let totals = nodes.totals();
        assert_eq!((totals.len(), totals[0].1.moved), (1, 5));
        assert_eq!(totals[0].1.error_count(), 1);
        assert_eq!(totals[0].1.last_error.as_ref().unwrap().text, "no answer");
        assert_eq!(nodes.join("a:1", 0).moved.value(), 2, "it goes on where it was");
        drop(two);
        assert!(nodes.totals().is_empty());
        assert_eq!(nodes.join("a:1", 0).moved.value(), 0, "it begins anew");
    }
}
