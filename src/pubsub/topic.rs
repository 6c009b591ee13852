//! One name that clients are subscribed to: who hears it, and from which nodes.

use std::rc::Rc;

use super::handover::Handover;
use super::{FeedId, Kind, pattern};
use crate::replies::ClientId;

/// A client that hears it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) client: ClientId,
    /// Whether it has been told so, and gets messages.
    pub(super) told: bool,
}

/// How far the subscription at one node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// To be asked for.
    Wanted,
    /// Asked for, by the question of this number.
    Asked(u64),
    /// The node has confirmed it.
    Confirmed,
}

/// A node at which it is subscribed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) feed: FeedId,
    pub(super) standing: Standing,
    /// Kept only until those that are to take its place have confirmed.
    pub(super) leaving: bool,
}

/// A channel, pattern or shard channel.
///
/// ```text
///            place                 node confirms               the slot has another owner
///   Wanted ─────────► Asked ───────────────────► Confirmed ──────────────────► leaving ─► gone
///      ▲                │ refused: later, or elsewhere │ connection lost
///      └────────────────┴──────────────────────────────┘
/// ```
pub(super) struct Topic {
    pub(super) kind: Kind,
    pub(super) name: Rc<[u8]>,
    /// At whose owner it is subscribed.
    pub(super) slot: u16,
    /// Whether keyspace notifications can match, which every primary tells for itself.
    pub(super) spread: bool,
    pub(super) seats: Vec<Seat>,
    /// How many of the seats have not been told.
    pub(super) untold: usize,
    /// What the registry was told: clients, and how many of them are served.
    pub(super) counted: (i64, i64),
    pub(super) homes: Vec<Home>,
    /// The node from which ordinary messages are taken; those of others would be the same ones again.
    pub(super) source: Option<FeedId>,
    /// The node that is to be the source.
    pub(super) target: Option<FeedId>,
    /// From the source to the target, while both are there.
    pub(super) handover: Option<Handover>,
    /// Times in a row that a node named another.
    pub(super) hops: u8,
}

impl Topic {
    pub(super) fn new(kind: Kind, name: &[u8], slot: u16) -> Self {
        Self {
            kind,
            name: name.into(),
            slot,
            spread: pattern::meets_keyspace(kind, name),
            seats: Vec::new(),
            untold: 0,
            counted: (0, 0),
            homes: Vec::new(),
            source: None,
            target: None,
            handover: None,
            hops: 0,
        }
    }

    pub(super) fn home(&self, feed: FeedId) -> Option<&Home> {
        self.homes.iter().find(|home| home.feed == feed)
    }

    pub(super) fn home_mut(&mut self, feed: FeedId) -> Option<&mut Home> {
        self.homes.iter_mut().find(|home| home.feed == feed)
    }

    /// Whether the node of `feed` has confirmed.
    pub(super) fn stands_at(&self, feed: Option<FeedId>) -> bool {
        feed.and_then(|feed| self.home(feed)).is_some_and(|home| home.standing == Standing::Confirmed)
    }
}
