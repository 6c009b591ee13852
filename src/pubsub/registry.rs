//! What the whole process is subscribed to: how many clients there are for a name, and how many of its workers are
//! subscribed to it at which node.
//!
//! With it the counts of nodes, for whom a worker is one subscriber, become those that one server would give.
//! Written when subscriptions begin and end; PUBLISH and PUBSUB read it, and only while there are subscribers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Kind, pattern};
use crate::net::Addr;

/// The counts for one name.
#[derive(Debug, Default)]
struct Entry {
    /// Clients of this process.
    clients: i64,
    /// Those of them whose worker gets the messages now.
    served: i64,
    /// Workers that are subscribed, by node.
    workers: Vec<(Addr, i64)>,
}

impl Entry {
    fn at(&self, node: &Addr) -> i64 {
        self.workers.iter().find(|(addr, _)| addr == node).map_or(0, |(_, count)| *count)
    }

    /// How a node's count differs from that of one server.
    fn correction(&self, node: &Addr) -> i64 {
        self.served - self.at(node)
    }
}

type Names = HashMap<Box<[u8]>, Entry>;

/// The counts of a process.
#[derive(Debug, Default)]
pub struct Registry {
    names: Mutex<[Names; 3]>,
    /// How many names there are.
    len: AtomicUsize,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, [Names; 3]> {
        // Each change is one step, so a poisoned map is still whole.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, kind: Kind, name: &[u8], change: impl FnOnce(&mut Entry)) {
        let mut names = self.lock();
        let [channels, patterns, shards] = &mut *names;
        let of_kind = match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        };
        let entry = of_kind.entry(name.into()).or_default();
        change(entry);
        entry.workers.retain(|(_, count)| *count != 0);
        if entry.clients == 0 && entry.served == 0 && entry.workers.is_empty() {
            of_kind.remove(name);
        }
        let len = names.iter().map(HashMap::len).sum();
        self.len.store(len, Ordering::Release);
    }

    /// So many clients more or less, and so many that are served.
    pub(super) fn clients(&self, kind: Kind, name: &[u8], clients: i64, served: i64) {
        self.change(kind, name, |entry| {
            entry.clients += clients;
            entry.served += served;
        });
    }

    /// A worker more or less is subscribed at `node`.
    pub(super) fn workers(&self, kind: Kind, name: &[u8], node: &Addr, by: i64) {
        self.change(kind, name, |entry| match entry.workers.iter_mut().find(|(addr, _)| addr == node) {
            Some((_, count)) => *count += by,
            None => entry.workers.push((node.clone(), by)),
        });
    }

    /// Whether nobody is subscribed to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// What is to be added to the count with which `node` answers a PUBLISH to `channel`, or an SPUBLISH.
    #[must_use]
    pub fn receivers(&self, channel: &[u8], shard: bool, node: &Addr) -> i64 {
        if self.is_empty() {
            return 0;
        }
        let names = self.lock();
        let [channels, patterns, shards] = &*names;
        if shard {
            // It may be answered by another node than the one that was asked; each worker counts at one of them.
            let most = |entry: &Entry| entry.workers.iter().map(|(_, count)| *count).max().unwrap_or(0);
            return shards.get(channel).map_or(0, |entry| entry.served - most(entry));
        }
        let named = |of_kind: &Names| of_kind.get(channel).map_or(0, |entry| entry.correction(node));
        let matching = patterns.iter().filter(|(name, _)| pattern::matches(name, channel));
        named(channels) + matching.map(|(_, entry)| entry.correction(node)).sum::<i64>()
    }

    /// What is to be added to the sum of all nodes' counts of subscribers to a channel or shard channel.
    #[must_use]
    pub fn subscribers(&self, name: &[u8], shard: bool) -> i64 {
        let [channels, _, shards] = &*self.lock();
        let entry = if shard { shards } else { channels }.get(name);
        entry.map_or(0, |entry| entry.clients - entry.workers.iter().map(|(_, count)| count).sum::<i64>())
    }

    /// What is to be added to the sum of all nodes' counts of patterns: for a node a pattern counts once, however
    /// many of this process's workers have it.
    #[must_use]
    pub fn patterns(&self) -> i64 {
        let [_, patterns, _] = &*self.lock();
        patterns.values().map(|entry| i64::from(entry.clients > 0) - entry.workers.len() as i64).sum()
    }

    /// How many channels, patterns and shard channels clients of this process hear.
    #[must_use]
    pub fn heard(&self) -> [usize; 3] {
        self.lock().each_ref().map(|names| names.values().filter(|entry| entry.clients > 0).count())
    }

    /// The channels or shard channels that clients of this process hear and that match `pattern`.
    #[must_use]
    pub fn channels(&self, pattern: &[u8], shard: bool) -> Vec<Box<[u8]>> {
        let [channels, _, shards] = &*self.lock();
        let of_kind = if shard { shards } else { channels };
        let heard = of_kind.iter().filter(|(name, entry)| entry.clients > 0 && pattern::matches(pattern, name));
        heard.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_one_server() {
        let (registry, one, two) = (Registry::default(), Addr::tcp("a", 1), Addr::tcp("b", 2));
        assert!(registry.is_empty());
        for (kind, name, clients) in [(Kind::Channel, &b"news"[..], 5), (Kind::Pattern, b"n*", 2)] {
            registry.clients(kind, name, clients, clients);
        }
        // Two workers at the channel's node, and the pattern at both nodes.
        registry.workers(Kind::Channel, b"news", &one, 2);
        registry.workers(Kind::Pattern, b"n*", &one, 1);
        registry.workers(Kind::Pattern, b"n*", &two, 1);
        assert_eq!(registry.receivers(b"news", false, &one), 5 - 2 + 2 - 1);
        assert_eq!(registry.receivers(b"nothing", false, &two), 2 - 1);
        assert_eq!(registry.receivers(b"news", true, &one), 0);
        assert_eq!(registry.subscribers(b"news", false), 5 - 2);
        assert_eq!(registry.patterns(), 1 - 2);
        assert_eq!(registry.channels(b"n*", false), [Box::from(&b"news"[..])]);
        registry.clients(Kind::Channel, b"news", 0, -5);
        assert_eq!(registry.receivers(b"news", false, &two), 2 - 1, "nobody is told");
        assert_eq!(registry.subscribers(b"news", false), 5 - 2);
        registry.clients(Kind::Channel, b"news", -5, 0);
        registry.workers(Kind::Channel, b"news", &one, -2);
        assert!(registry.channels(b"*", false).is_empty() && !registry.is_empty());
        registry.clients(Kind::Pattern, b"n*", -2, -2);
        registry.workers(Kind::Pattern, b"n*", &one, -1);
        registry.workers(Kind::Pattern, b"n*", &two, -1);
        assert!(registry.is_empty());
    }
}
