//! Asks the primaries what they run, and for their `COMMAND` where that is new: the only writer of [`Lore`].
//!
//! One task for the whole process, beside discovery, which it never holds up. A node is asked when a new map names it
//! or names it with another epoch, and all of them at intervals and when a client sends a name that nobody knows. What
//! a node runs is told by its version, its modules and the number of its commands; only one that was not met before is
//! worth the whole list.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Access;
use super::asking::Asker;
use super::dial::{ConnectError, Conversation};
use super::discovery::Discovery;
use super::lore::Lore;
use super::reading;
use super::topology::Topology;
use crate::command::learned::{self, Learned, Row};
use crate::net::{Addr, LocalFuture, Net};
use crate::resp::value::Value;

/// So many nodes are asked at the same time.
const AT_ONCE: usize = 16;
/// A node that could not be asked is asked again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// The task, with what it needs.
pub struct Learning {
    asker: Asker,
    net: Arc<dyn Net>,
    /// How nodes are asked, and how often.
    access: watch::Receiver<Access>,
    map: Arc<ArcSwap<Topology>>,
    lore: Arc<Lore>,
    told: Box<dyn Fn()>,
}

/// What a node runs.
type Source = String;

/// What one node tells: what it runs, and its commands if that was not met before.
struct Telling {
    source: Source,
    rows: Option<Vec<&'static Row>>,
}

/// What is remembered from one round to the next.
#[derive(Default)]
struct Memory {
    /// What each primary runs, and the epoch in which it was asked.
    nodes: HashMap<Addr, (u64, Source)>,
    /// The commands of what the nodes run, the latest first.
    sources: Vec<(Source, Vec<&'static Row>)>,
}

impl Learning {
    /// A task that asks as discovery does. `told` is called when those who wait for an answer may look again.
    #[must_use]
    pub fn beside(discovery: &Discovery, lore: Arc<Lore>, told: Box<dyn Fn()>) -> Self {
        let (net, access) = (Arc::clone(&discovery.net), discovery.access.clone());
        Self { asker: discovery.asker(), net, access, map: Arc::clone(&discovery.map), lore, told }
    }

    /// Runs until its task is dropped.
    pub async fn run(mut self) {
        let mut memory = Memory::default();
        let mut next = Instant::now() + self.every();
        loop {
            tokio::select! {
                () = self.lore.bell.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            if self.access.has_changed().is_ok_and(|changed| changed) {
                self.asker = Asker::new(&self.net, &self.access.borrow_and_update());
            }
            let began = Instant::now();
            let everybody = self.lore.is_wanted() || Instant::now() >= next;
            let complete = self.round(everybody, &mut memory).await;
            if everybody {
                next = Instant::now() + self.every();
            }
            if !complete {
                next = next.min(Instant::now() + AGAIN);
            }
            if everybody {
                self.lore.answered(began);
                (self.told)();
            }
        }
    }

    /// How often all nodes are asked.
    fn every(&self) -> Duration {
        self.access.borrow().options.refresh_interval
    }

    /// Asks every primary, or only those that are new. True if all of them answered.
    async fn round(&self, everybody: bool, memory: &mut Memory) -> bool {
        let map = self.map.load_full();
        let primaries: Vec<(&Addr, u64)> = map.owners().map(|node| (&node.addr, node.epoch)).collect();
        memory.nodes.retain(|addr, _| primaries.iter().any(|(known, _)| *known == addr));
        let is_asked = |(addr, epoch): &&(&Addr, u64)| {
            everybody || memory.nodes.get(*addr).is_none_or(|(known, _)| known != epoch)
        };
        let asked: Vec<(&Addr, u64)> = primaries.iter().filter(is_asked).copied().collect();
        let mut complete = true;
        for some in asked.chunks(AT_ONCE) {
            let met: Vec<&Source> = memory.sources.iter().map(|(source, _)| source).collect();
            let tellings = all(some.iter().map(|(addr, _)| self.ask(addr, &met)).collect()).await;
            for (&(addr, epoch), telling) in some.iter().zip(tellings) {
                match telling {
                    Some(telling) => memory.take(addr, epoch, telling),
                    None => complete = false,
                }
            }
        }
        let learned = memory.learned();
        let count = learned.rows().count();
        if self.lore.learn(learned) {
            tracing::info!("{count} commands were learned from the nodes");
        }
        complete
    }

    fn ask<'a>(&'a self, addr: &'a Addr, met: &'a [&'a Source]) -> LocalFuture<'a, Option<Telling>> {
        Box::pin(async move {
            let asking = async {
                let mut node = self.asker.open(addr).await?;
                tell(&mut node, met).await
            };
            match tokio::time::timeout(self.asker.timeout, asking).await {
                Ok(Ok(telling)) => Some(telling),
                Ok(Err(error)) => {
                    tracing::debug!("{addr} does not tell its commands: {error}");
                    None
                }
                Err(_) => None,
            }
        })
    }
}

/// What a node runs, and its commands if that is not among what was `met`. One that may not be asked has none.
async fn tell(node: &mut Conversation, met: &[&Source]) -> Result<Telling, ConnectError> {
    let server = node.ask(&[b"INFO", b"server"]).await?;
    let count = node.ask(&[b"COMMAND", b"COUNT"]).await?.int().unwrap_or(0);
    let modules = node.ask(&[b"MODULE", b"LIST"]).await?;
    let field = |name| reading::info_field(&server, name).unwrap_or_default();
    let mut source = format!("{} {} {count}", field("redis_version"), field("valkey_version"));
    for module in modules.array().unwrap_or_default() {
        let version = module.field("ver").and_then(Value::int).unwrap_or(0);
        // Writing to a string cannot fail.
        let _ = write!(source, " {}={version}", module.field("name").and_then(Value::text).unwrap_or("?"));
    }
    if met.contains(&&source) {
        return Ok(Telling { source, rows: None });
    }
    let rows = learned::beyond_the_table(&node.ask(&[b"COMMAND"]).await?);
    Ok(Telling { source, rows: Some(rows) })
}

impl Memory {
    fn take(&mut self, addr: &Addr, epoch: u64, telling: Telling) {
        if let Some(rows) = telling.rows
            && !self.sources.iter().any(|(source, _)| *source == telling.source)
        {
            self.sources.insert(0, (telling.source.clone(), rows));
        }
        self.nodes.insert(addr.clone(), (epoch, telling.source));
    }

    /// What is known of all that the nodes run; what none of them runs any more is forgotten.
    fn learned(&mut self) -> Learned {
        let Self { nodes, sources } = self;
        sources.retain(|(source, _)| nodes.values().any(|(_, run)| run == source));
        Learned::new(sources.iter().map(|(_, rows)| rows.clone()))
    }
}

/// Waits for all of them.
async fn all<T>(mut futures: Vec<LocalFuture<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = Pin::new(future).poll(cx) {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(source: &str) -> Telling {
        Telling { source: source.to_owned(), rows: Some(Vec::new()) }
    }

    #[test]
    fn what_no_node_runs_any_more_is_forgotten() {
        let mut memory = Memory::default();
        let (a, b) = (Addr::tcp("a", 1), Addr::tcp("b", 1));
        memory.take(&a, 1, telling("7.0"));
        memory.take(&b, 1, Telling { source: "7.0".to_owned(), rows: None });
        memory.take(&a, 2, telling("7.2"));
        memory.learned();
        assert_eq!(memory.sources.iter().map(|(source, _)| source.as_str()).collect::<Vec<_>>(), ["7.2", "7.0"]);
        memory.take(&b, 2, Telling { source: "7.2".to_owned(), rows: None });
        memory.learned();
        assert_eq!(memory.sources.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_waited_for_in_their_order() {
        let after = |ms| -> LocalFuture<'static, u64> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                ms
            })
        };
        assert_eq!(all(vec![after(30), after(10), after(20)]).await, [30, 10, 20]);
        assert_eq!(all(Vec::<LocalFuture<'static, u64>>::new()).await, [0; 0]);
    }
}
