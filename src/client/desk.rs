//! What lies on a worker's desk: questions that concern the clients of all workers, who watches, a pause.
//!
//! Data and what can be asked of it. A session puts an [`Inquiry`] into its room and waits until its reply is out. The
//! worker asks itself and all others through their mailboxes and folds what comes back; a worker that has ended counts
//! as one without clients. `asking` has both ends of that; how letters travel is the worker's business.
//!
//! ```text
//!   session ─► Inquiry ─► own worker ─┬─ own answer ──────────────────┐
//!                                     └─ letters ─► others ─► answers ─┴─► fold ─► ticket
//! ```

use super::slow::Entry;
use crate::backend::{Millis, NodeReport};
use crate::command::{Flags, Spec};
use crate::replies::{ClientId, Ticket};
use crate::resp::Proto;
use crate::telemetry::HotReport;

/// What every worker is asked, or told.
#[derive(Clone, Debug)]
pub enum Question {
    /// `CLIENT LIST`: the lines of these clients.
    List(List),
    /// `CLIENT KILL`: end these clients.
    Kill(Filter),
    /// `CLIENT KILL addr`: the same, answered with `+OK` or an error.
    KillOne(Filter),
    /// `CLIENT PAUSE`: take no commands, or no writes, for so many milliseconds.
    Pause {
        /// For how long.
        ms: Millis,
        /// Whether reads wait, too.
        all: bool,
    },
    /// `CLIENT UNPAUSE`.
    Unpause,
    /// `CLIENT UNBLOCK`: end the wait of this client.
    Unblock {
        /// What its `CLIENT ID` answers.
        id: u64,
        /// With the error `UNBLOCKED`, or else as if its time were over.
        error: bool,
    },
    /// `MONITOR` of a client of this worker begins (or ends): show it every command.
    Watch {
        /// The worker that asks.
        worker: usize,
        /// Whether it begins.
        on: bool,
    },
    /// `SLOWLOG GET`: the latest requests that were slow, so many at most.
    SlowGet(usize),
    /// `PROXY SLOWLOG`: the same, with where the time went.
    SlowTold(usize),
    /// `SLOWLOG LEN`.
    SlowLen,
    /// `SLOWLOG RESET`.
    SlowReset,
    /// `PROXY NODES`.
    Nodes,
    /// `PROXY HOTKEYS`: the keys that most requests name, so many at most.
    HotKeys(usize),
    /// `PROXY BIGKEYS`: the keys with the largest values, so many at most.
    BigKeys(usize),
    /// `PROXY HOTKEYS ON`, `OFF` and `RESET`.
    Hot(HotOrder),
}

/// What is to be done about hot keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotOrder {
    /// Begin to look for them, anew.
    Begin,
    /// End it, and keep what was found.
    End,
    /// Forget what was found.
    Forget,
}

/// What one worker answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing to say: it is done, or there was nothing to do.
    Done,
    /// How many.
    Count(u64),
    /// Lines of clients.
    Lines(Vec<Line>),
    /// Slow requests.
    Slow(Vec<Entry>),
    /// What it has to do with each node.
    Nodes(Vec<NodeReport>),
    /// Hot keys and large values.
    Hot(Box<HotReport>),
}

/// A question with the place that its answer goes to.
#[derive(Debug)]
pub struct Inquiry {
    /// What is asked.
    pub question: Question,
    /// Whose question it is; nobody waits for the answer if there is none.
    pub asker: Option<Asker>,
}

/// Who waits for an answer.
#[derive(Debug)]
pub struct Asker {
    /// The client.
    pub client: ClientId,
    /// What its `CLIENT ID` answers.
    pub id: u64,
    pub(super) ticket: Ticket,
    pub(super) proto: Proto,
}

/// What kind of client one is, as `TYPE` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anybody else; those that watch with MONITOR, too.
    Normal,
    /// A subscriber.
    PubSub,
    /// There are none: the proxy has no primary.
    Master,
    /// There are none: nobody replicates from the proxy.
    Replica,
}

/// One client's line, with its id: the order of lines is that of ids.
pub type Line = (u64, String);

/// Which clients a `CLIENT LIST` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// All.
    All,
    /// Those of one kind.
    Of(Kind),
    /// These, in this order.
    Ids(Vec<i64>),
}

/// Which clients a `CLIENT KILL` ends: those that have all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub(super) id: Option<u64>,
    pub(super) addr: Option<Box<[u8]>>,
    pub(super) laddr: Option<Box<[u8]>>,
    pub(super) kind: Option<Kind>,
    pub(super) user: Option<Box<[u8]>>,
    /// Milliseconds that it has been there for at least.
    pub(super) age: Option<Millis>,
    /// The client to spare.
    pub(super) spared: Option<u64>,
}

/// A pause of one worker's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it is over.
    pub until: Millis,
    /// Whether reads wait, too.
    pub all: bool,
}

impl Pause {
    /// This pause and another one: as long and as strict as either.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self { until: self.until.max(other.until), all: self.all || other.all })
    }

    /// Whether a command has to wait.
    #[must_use]
    pub const fn holds(self, spec: &Spec) -> bool {
        self.all || spec.flags.has(Flags::WRITE) || spec.flags.has(Flags::MAY_REPLICATE)
    }
}

/// A watcher with so many bytes unread is closed.
pub const MAX_BEHIND: usize = 16 << 20;

/// Who watches, and what they have not been shown yet.
#[derive(Debug, Default)]
pub struct Watch {
    /// The workers of those who watch; one with several watchers is named several times.
    pub workers: Vec<usize>,
    /// Lines of this turn.
    pub lines: Vec<u8>,
}

impl Watch {
    /// Whether anybody watches.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.workers.is_empty()
    }

    /// Somebody of this worker begins to watch, or ends.
    pub fn note(&mut self, worker: usize, on: bool) {
        if on {
            self.workers.push(worker);
        } else if let Some(at) = self.workers.iter().position(|known| *known == worker) {
            self.workers.swap_remove(at);
        }
    }
}
