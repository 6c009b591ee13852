//! Asks nodes for their map, one after the other; the next one a little sooner when one is slow to answer.
//!
//! Whether an answer is believed is decided in `belief`, who is asked and when in `discovery`.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::address::Addresses;
use super::dial::{ConnectError, Conversation, Credentials};
use super::reading;
use super::topology::{Facts, Topology};
use crate::net::{Addr, LocalFuture, Net};
use crate::resp::Proto;

/// A node that takes longer is not waited for any more: the next one is asked beside it.
const SLOW: Duration = Duration::from_millis(60);
/// So many are asked at the same time at most.
const AT_ONCE: usize = 3;

/// Why a node's answer is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("it answered CLUSTER SLOTS with: {0}")]
    Refused(String),
    #[error("its map makes no sense")]
    Nonsense,
    #[error("its map changed while it told it")]
    Changing,
    #[error("it knows of no slots")]
    Empty,
    #[error("its map goes back behind the one held")]
    Older,
}

/// How nodes are asked.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) net: Arc<dyn Net>,
    pub(super) credentials: Option<Credentials>,
    /// Limit for a connection, and for all that is asked on it.
    pub(super) timeout: Duration,
    pub(super) addresses: Addresses,
}

impl Asker {
    /// Connects and authenticates.
    pub(super) async fn open(&self, addr: &Addr) -> Result<Conversation, ConnectError> {
        Conversation::open(&*self.net, addr, self.credentials.as_ref(), Proto::Resp2, self.timeout).await
    }

    /// What a node says of the cluster, and of itself if nothing is known of that yet.
    pub(super) async fn map(&self, addr: &Addr, facts: Option<&Facts>) -> Result<Topology, Unusable> {
        let mut node = self.open(addr).await?;
        let asking = async {
            let info = node.ask(&[b"CLUSTER", b"INFO"]).await?;
            let epoch = reading::info_field(&info, "cluster_current_epoch").and_then(|text| text.parse().ok());
            let nodes = node.ask(&[b"CLUSTER", b"NODES"]).await?;
            let shards = node.ask(&[b"CLUSTER", b"SHARDS"]).await?;
            let map = if shards.error().is_some() {
                let slots = node.ask(&[b"CLUSTER", b"SLOTS"]).await?;
                if let Some(error) = slots.error() {
                    return Err(Unusable::Refused(error.to_owned()));
                }
                reading::slots(&slots, addr)
            } else {
                reading::shards(&shards, addr, node.is_sealed())
            };
            let map = map.filter(reading::is_sound).ok_or(Unusable::Nonsense)?;
            let map = reading::with_epochs(map, &nodes).ok_or(Unusable::Changing)?;
            let facts = match facts {
                Some(facts) => facts.clone(),
                None => tell_facts(&mut node).await?,
            };
            Ok(Topology { cluster_epoch: epoch.unwrap_or(0), facts, ..map })
        };
        let mut map = tokio::time::timeout(self.timeout, asking).await.map_err(|_| self.too_late())??;
        if map.covered() == 0 {
            return Err(Unusable::Empty);
        }
        for node in &mut map.nodes {
            node.addr = self.addresses.outside(node.addr.clone());
        }
        Ok(map)
    }

    /// What a node says of itself.
    pub(super) async fn facts(&self, addr: &Addr) -> Result<Facts, ConnectError> {
        let asking = async { tell_facts(&mut self.open(addr).await?).await };
        tokio::time::timeout(self.timeout, asking).await.map_err(|_| self.too_late())?
    }

    const fn too_late(&self) -> ConnectError {
        ConnectError::TimedOut(self.timeout)
    }
}

async fn tell_facts(node: &mut Conversation) -> Result<Facts, ConnectError> {
    let server = node.ask(&[b"INFO", b"server"]).await?;
    let memory = node.ask(&[b"INFO", b"memory"]).await?;
    let unknown = Facts::default();
    let field = |reply, name| reading::info_field(reply, name).map(str::to_owned);
    Ok(Facts {
        version: field(&server, "redis_version").unwrap_or(unknown.version),
        maxmemory_policy: field(&memory, "maxmemory_policy").unwrap_or(unknown.maxmemory_policy),
    })
}

/// What came of asking one node.
type Answer = Result<Topology, Unusable>;

/// A round of questions: each node is asked once, a slow one does not hold up the others.
pub(super) struct Round<'a> {
    asker: &'a Asker,
    facts: Option<&'a Facts>,
    waiting: VecDeque<Addr>,
    known: Vec<Addr>,
    asked: Vec<(Addr, LocalFuture<'a, Answer>)>,
}

impl<'a> Round<'a> {
    /// A round that asks nobody yet.
    pub(super) const fn new(asker: &'a Asker, facts: Option<&'a Facts>) -> Self {
        Self { asker, facts, waiting: VecDeque::new(), known: Vec::new(), asked: Vec::new() }
    }

    /// Adds a node, unless it is one already.
    pub(super) fn add(&mut self, addr: &Addr) {
        if !self.known.contains(addr) {
            self.known.push(addr.clone());
            self.waiting.push_back(addr.clone());
        }
    }

    /// The next answer; `None` when everybody has answered or failed to.
    pub(super) async fn next(&mut self) -> Option<(Addr, Answer)> {
        loop {
            if self.asked.is_empty() && !self.begin_one() {
                return None;
            }
            let patience = Instant::now() + SLOW;
            if let Ok(answer) = tokio::time::timeout_at(patience, self.first_answer()).await {
                return Some(answer);
            }
            if (self.asked.len() >= AT_ONCE || !self.begin_one()) && !self.asked.is_empty() {
                return Some(self.first_answer().await);
            }
        }
    }

    fn begin_one(&mut self) -> bool {
        let Some(addr) = self.waiting.pop_front() else { return false };
        let (asker, facts, of) = (self.asker, self.facts, addr.clone());
        self.asked.push((addr, Box::pin(async move { asker.map(&of, facts).await })));
        true
    }

    /// Waits for whoever answers first.
    async fn first_answer(&mut self) -> (Addr, Answer) {
        poll_fn(|cx| {
            for at in 0..self.asked.len() {
                let Some((_, asking)) = self.asked.get_mut(at) else { break };
                if let Poll::Ready(answer) = Pin::new(asking).poll(cx) {
                    let (addr, _) = self.asked.swap_remove(at);
                    return Poll::Ready((addr, answer));
                }
            }
            Poll::Pending
        })
        .await
    }
}
