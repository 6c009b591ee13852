//! Publish/subscribe towards the nodes: one subscription a channel, pattern or shard channel, however many clients.
//!
//! [`Subscriptions`] belongs to one worker. It knows which client wants to hear what ([`members`]), keeps one
//! connection to each node that it needs for that ([`feed`]), decides which node a name is subscribed at and moves
//! it when slots move ([`place`]), and hands each message to its clients ([`incoming`]). What commands say is the
//! client room's business; the map comes from discovery through the worker.
//!
//! ```text
//!   SUBSCRIBE ─► members ─► topic ─► place ─► feed ─► node
//!                  ▲                            │
//!   client ◄─ replies::push ◄──── incoming ◄────┘      registry: the same counts for the whole process
//! ```
//!
//! A name is subscribed at the node that owns its slot, also when it is no shard channel: PUBLISH goes to that node
//! too, through whatever proxy, and its count is that of all. Keyspace notifications are told by each node for its
//! own keys, so names that can match them are subscribed at every primary.

mod feed;
mod handover;
mod incoming;
mod members;
mod own;
mod pattern;
mod place;
pub mod registry;
mod tend;
mod topic;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::sync::mpsc;

use crate::cluster::Hint;
use crate::cluster::dial::Credentials;
use crate::cluster::topology::Topology;
use crate::net::{Addr, Net, Ready, Token};
use crate::replies::ClientId;
use feed::{Dialed, Feed};
use members::Member;
pub use pattern::matches;
pub use registry::Registry;
use topic::Topic;

/// Milliseconds since the worker began; read once a turn.
pub type Millis = u64;
/// The place of a connection in its worker.
type FeedId = u32;
/// The place of a topic in its worker.
type TopicId = u32;
/// Nothing waits for a time.
const NEVER: Millis = Millis::MAX;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A channel, by its name.
    Channel,
    /// All channels whose names match.
    Pattern,
    /// A channel of one slot.
    Shard,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];

    /// The command that begins a subscription.
    const fn begin(self) -> &'static [u8] {
        match self {
            Self::Channel => b"subscribe",
            Self::Pattern => b"psubscribe",
            Self::Shard => b"ssubscribe",
        }
    }

    /// The command that ends one.
    const fn end(self) -> &'static [u8] {
        match self {
            Self::Channel => b"unsubscribe",
            Self::Pattern => b"punsubscribe",
            Self::Shard => b"sunsubscribe",
        }
    }
}

/// What subscriptions need from outside.
pub struct Surroundings {
    /// Where connections come from.
    pub net: Arc<dyn Net>,
    /// The worker's ready list.
    pub ready: Arc<Ready>,
    /// The token of each connection is its number with these bits set.
    pub token: Token,
    /// Pushed on the ready list when a dialling task has ended.
    pub dialed: Token,
    /// To discovery; when it is full a hint is dropped: the next one will do.
    pub hints: mpsc::Sender<Hint>,
    /// Who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// Dial and handshake together.
    pub connect_timeout: Duration,
    /// How long a node may take to confirm, and a client's SUBSCRIBE to be confirmed.
    pub answer_timeout: Duration,
    /// The largest message, in bytes.
    pub max_message: usize,
    /// How many bytes may wait for a client before it is too slow to be a subscriber.
    pub max_output: usize,
    /// What the whole process is subscribed to.
    pub registry: Arc<Registry>,
}

/// The subscriptions of one worker and its connections for them.
pub struct Subscriptions {
    around: Surroundings,
    feeds: Slab<Feed>,
    by_addr: HashMap<Addr, FeedId>,
    topics: Slab<Topic>,
    /// The topics of each kind by name.
    names: [HashMap<Rc<[u8]>, TopicId>; 3],
    members: HashMap<ClientId, Member>,
    /// Members whose SUBSCRIBE is not confirmed.
    waiters: BTreeSet<ClientId>,
    /// Topics on their way from one node to another.
    handing: BTreeSet<TopicId>,
    /// What is to be asked again, and when.
    later: BTreeSet<(Millis, TopicId, FeedId)>,
    map: Arc<Topology>,
    /// The primaries that own slots.
    primaries: Vec<Addr>,
    dialed: Rc<RefCell<Vec<Dialed>>>,
    /// Counts connections and questions, so that none is taken for another.
    count: u64,
    /// Clients that do not take their messages.
    slow: Vec<ClientId>,
    now: Millis,
    wake_at: Millis,
    jitter: u32,
}

impl Subscriptions {
    /// None yet.
    #[must_use]
    pub fn new(around: Surroundings, seed: u32) -> Self {
        Self {
            around,
            feeds: Slab::new(),
            by_addr: HashMap::new(),
            topics: Slab::new(),
            names: Default::default(),
            members: HashMap::new(),
            waiters: BTreeSet::new(),
            handing: BTreeSet::new(),
            later: BTreeSet::new(),
            map: Arc::default(),
            primaries: Vec::new(),
            dialed: Rc::default(),
            count: 0,
            slow: Vec::new(),
            now: 0,
            wake_at: NEVER,
            jitter: seed | 1,
        }
    }

    /// Whether there is nothing to tend.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.feeds.is_empty() && self.topics.is_empty()
    }

    /// Tells the time of this turn.
    #[inline]
    pub const fn set_now(&mut self, now: Millis) {
        self.now = now;
    }

    /// When [`tend`](Self::tend) wants to be called, if at all.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Millis> {
        if self.wake_at == NEVER { None } else { Some(self.wake_at) }
    }

    const fn wake_by(&mut self, at: Millis) {
        if at < self.wake_at {
            self.wake_at = at;
        }
    }

    /// What it needs from outside, to be changed. Connections that are there keep what they were made with.
    pub const fn surroundings(&mut self) -> &mut Surroundings {
        &mut self.around
    }

    /// Clients whose messages piled up, and are to be closed if they still do; asking forgets them.
    pub fn take_slow(&mut self) -> Vec<ClientId> {
        for client in &self.slow {
            if let Some(member) = self.members.get_mut(client) {
                member.slow = false;
            }
        }
        std::mem::take(&mut self.slow)
    }

    /// Tickets of SUBSCRIBEs that are not confirmed.
    #[must_use]
    pub fn tickets(&self) -> u64 {
        self.waiters.len() as u64
    }

    /// What the whole process is subscribed to.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.around.registry
    }

    const fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn hint(&self, hint: Hint) {
        // Full means that discovery has plenty of reasons to look already.
        let _ = self.around.hints.try_send(hint);
    }

    const fn answer_ms(&self) -> Millis {
        self.around.answer_timeout.as_millis() as Millis
    }
}
