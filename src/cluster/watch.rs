//! Watches the replicas of a primary that cannot be reached, to learn at once which of them was elected.
//!
//! A full map is asked for at most ten times a second; a promoted replica would be noticed only after a while. While
//! a primary is out of reach, each of its replicas is asked for its role on a connection of its own, which is a few
//! bytes. That ends when somebody else owns the slots, or when nobody has asked for the primary for some time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::asking::Asker;
use super::dial::{ConnectError, Conversation};
use super::reading;
use super::topology::{Role, Topology};
use crate::net::{Addr, LocalFuture};

/// How often a replica is asked.
const EVERY: Duration = Duration::from_millis(20);
/// How long it is to the next try when a replica cannot be asked.
const AGAIN: Duration = Duration::from_millis(100);
/// A primary that nobody has missed for so long is not watched for any more.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many primaries are watched for at most; more are found by asking for the map.
const MOST: usize = 32;

/// The primaries that are out of reach, and the questions to their replicas.
#[derive(Default)]
pub(super) struct Watch {
    missed: Vec<(Addr, Instant)>,
    asked: Vec<(Addr, LocalFuture<'static, ()>)>,
}

impl Watch {
    /// A node could not be reached: its replicas are watched if it owns slots.
    pub(super) fn miss(&mut self, addr: &Addr, map: &Topology, asker: &Asker) {
        if let Some(known) = self.missed.iter_mut().find(|(missed, _)| missed == addr) {
            known.1 = Instant::now();
        } else if self.missed.len() < MOST && map.owners().any(|node| node.addr == *addr) {
            self.missed.push((addr.clone(), Instant::now()));
        }
        self.follow(map, asker);
    }

    /// Adapts to a new map: primaries that were replaced or came to own nothing are not missed any more.
    pub(super) fn follow(&mut self, map: &Topology, asker: &Asker) {
        self.missed.retain(|(missed, when)| when.elapsed() < PATIENCE && map.owners().any(|node| node.addr == *missed));
        let missed = |of: u16| map.node(of).is_some_and(|node| self.missed.iter().any(|(addr, _)| *addr == node.addr));
        let is_heir = |role: Role| matches!(role, Role::Replica { of } if missed(of));
        let heirs: Vec<&Addr> = map.nodes.iter().filter(|node| is_heir(node.role)).map(|node| &node.addr).collect();
        self.asked.retain(|(addr, _)| heirs.contains(&addr));
        for addr in heirs {
            if !self.asked.iter().any(|(asked, _)| asked == addr) {
                let (asker, of) = (asker.clone(), addr.clone());
                self.asked.push((addr.clone(), Box::pin(async move { elected(&asker, &of).await })));
            }
        }
    }

    /// Whether anybody is watched.
    pub(super) fn is_on(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Waits until a replica says that it is a primary now; it is not asked again until the next [`Self::follow`].
    pub(super) async fn elected(&mut self) -> Addr {
        poll_fn(|cx| {
            for at in 0..self.asked.len() {
                let Some((_, asking)) = self.asked.get_mut(at) else { break };
                if Pin::new(asking).poll(cx).is_ready() {
                    return Poll::Ready(self.asked.swap_remove(at).0);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Asks one replica again and again until it is a primary.
async fn elected(asker: &Asker, addr: &Addr) {
    loop {
        if ask_until_elected(asker, addr).await.is_ok() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn ask_until_elected(asker: &Asker, addr: &Addr) -> Result<(), ConnectError> {
    let mut node: Conversation = asker.open(addr).await?;
    loop {
        let role = tokio::time::timeout(asker.timeout, node.ask(&[b"ROLE"])).await;
        if reading::is_primary(&role.map_err(|_| ConnectError::TimedOut(asker.timeout))??) {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
}
