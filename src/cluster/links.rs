//! Whether replicas hear their primaries, asked of each of them once a second as long as somebody reads from replicas.
//!
//! The cluster's map does not tell: a replica that was cut off from its primary alone counts as healthy, and answers
//! with the data of back then. One that cannot be asked is judged by those who have connections to it, not here.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::asking::Asker;
use super::dial::{ConnectError, Conversation};
use super::reading;
use super::topology::{Role, Topology};
use crate::net::{Addr, LocalFuture};

/// How often a replica is asked.
const EVERY: Duration = Duration::from_secs(1);
/// So many replicas are asked at most; those of a larger cluster are taken to be linked.
const MOST: usize = 512;

/// The questions to the replicas, and what came of them.
#[derive(Default)]
pub(super) struct Links {
    is_on: bool,
    asked: Vec<(Addr, LocalFuture<'static, bool>)>,
    cut_off: Vec<Addr>,
}

impl Links {
    /// Somebody reads from replicas: from now on they are asked.
    pub(super) fn begin(&mut self, map: &Topology, asker: &Asker) {
        if !self.is_on {
            self.is_on = true;
            self.follow(map, asker);
        }
    }

    /// Adapts to a new map.
    pub(super) fn follow(&mut self, map: &Topology, asker: &Asker) {
        if !self.is_on {
            return;
        }
        let is_replica = |addr: &Addr| map.nodes.iter().any(|n| n.addr == *addr && n.role != Role::Primary && n.online);
        self.asked.retain(|(addr, _)| is_replica(addr));
        self.cut_off.retain(|addr| is_replica(addr));
        for node in map.nodes.iter().filter(|node| node.role != Role::Primary && node.online).take(MOST) {
            if !self.asked.iter().any(|(asked, _)| *asked == node.addr) {
                self.ask(&node.addr, asker);
            }
        }
    }

    fn ask(&mut self, addr: &Addr, asker: &Asker) {
        let (asker, of, known) = (asker.clone(), addr.clone(), !self.cut_off.contains(addr));
        self.asked.push((addr.clone(), Box::pin(async move { changed(&asker, &of, known).await })));
    }

    /// Notes in a map who is known to be cut off.
    pub(super) fn mark(&self, map: &mut Topology) {
        for node in &mut map.nodes {
            node.is_linked = !self.cut_off.contains(&node.addr);
        }
    }

    /// Waits until a replica says something else than before. It is not asked again until the next [`Self::follow`].
    pub(super) async fn changed(&mut self) {
        let (addr, is_linked) = poll_fn(|cx| {
            for at in 0..self.asked.len() {
                let Some((_, asking)) = self.asked.get_mut(at) else { break };
                if let Poll::Ready(is_linked) = Pin::new(asking).poll(cx) {
                    return Poll::Ready((self.asked.swap_remove(at).0, is_linked));
                }
            }
            Poll::Pending
        })
        .await;
        if is_linked {
            tracing::info!("replica {addr} hears its primary again");
            self.cut_off.retain(|known| *known != addr);
        } else {
            tracing::warn!("replica {addr} does not hear its primary");
            self.cut_off.push(addr);
        }
    }
}

/// Asks one replica again and again until it says something else than what is `known`.
async fn changed(asker: &Asker, addr: &Addr, known: bool) -> bool {
    loop {
        if let Ok(is_linked) = ask_until_changed(asker, addr, known).await {
            return is_linked;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn ask_until_changed(asker: &Asker, addr: &Addr, known: bool) -> Result<bool, ConnectError> {
    let mut node: Conversation = asker.open(addr).await?;
    loop {
        let role = tokio::time::timeout(asker.timeout, node.ask(&[b"ROLE"])).await;
        let role = role.map_err(|_| ConnectError::TimedOut(asker.timeout))??;
        // Who does not tell, or is a primary by now, is not cut off.
        let is_linked = reading::link(&role).is_none_or(|state| state == "connected");
        if is_linked != known {
            return Ok(is_linked);
        }
        tokio::time::sleep(EVERY).await;
    }
}
