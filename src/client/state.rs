//! What a session is: the client's side of it, and the rooms that it sends into.
//!
//! Data and what can be asked of it; `session` makes it move, `local` and its kin answer from it.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use super::desk::{Inquiry, Pause, Watch};
use super::pinned::Pinned;
use super::rights::Rights;
use super::slow::Ring;
use super::uploading::Uploading;
use super::{Options, Process, Split, Transactions, auth};
use crate::backend::{Backend, Millis};
use crate::command::{Flags, Spec};
use crate::pubsub::Subscriptions;
use crate::replies::{ClientId, Replies};
use crate::resp::request::Decoder;
use crate::resp::{Proto, encode};
use crate::route::Parts;
use crate::telemetry::Tally;

/// The rooms that a session sends into: those of its worker.
pub struct Room {
    /// To the nodes.
    pub backend: Backend,
    /// What clients hear of one another.
    pub pubsub: Subscriptions,
    /// To the clients.
    pub replies: Replies,
    /// What the process shares.
    pub process: Arc<Process>,
    /// The same as in `process`, without a pointer to follow.
    pub options: Rc<Options>,
    /// This turn's time.
    pub now: Millis,
    /// Requests taken so far.
    pub commands: u64,
    /// What this worker counts.
    pub tally: Arc<Tally>,
    /// Which worker it is, from 0.
    pub worker: usize,
    /// Questions to all workers that have not been asked.
    pub inquiries: Vec<Inquiry>,
    /// Who watches with MONITOR.
    pub watch: Watch,
    /// Whether commands wait because of `CLIENT PAUSE`.
    pub pause: Option<Pause>,
    /// When to go back to those who wait for nodes to tell what they know.
    pub lore_until: Option<Millis>,
    /// What operators forbid and allow.
    pub rights: Rights,
    /// The latest slow requests.
    pub slow: Ring,
    /// Tells the worker that there is a question or something to be shown.
    desk: Waker,
    pub(super) parts: Parts,
    pub(super) frame: Vec<u8>,
}

impl Room {
    /// The rooms of one worker, which `desk` wakes when there is a question to all workers or something to be shown.
    #[must_use]
    pub fn new(backend: Backend, pubsub: Subscriptions, process: Arc<Process>, worker: usize, desk: Waker) -> Self {
        let options = Rc::new(process.options.clone());
        let rights = Rights::new(&options.deny, &options.allow);
        Self {
            backend,
            pubsub,
            replies: Replies::counting_in(Arc::clone(process.tally(worker))),
            tally: Arc::clone(process.tally(worker)),
            slow: Ring::new(Arc::clone(&process)),
            process,
            options,
            now: 0,
            commands: 0,
            worker,
            inquiries: Vec::new(),
            watch: Watch::default(),
            pause: None,
            lore_until: None,
            rights,
            desk,
            parts: Parts::default(),
            frame: Vec::new(),
        }
    }

    /// Tells the worker that there is something at the desk.
    pub(super) fn call(&self) {
        self.desk.wake_by_ref();
    }

    /// Has all workers asked.
    pub fn put_question(&mut self, inquiry: Inquiry) {
        self.inquiries.push(inquiry);
        self.call();
    }

    /// Whether requests have to be looked at one by one before they are taken.
    pub(super) const fn is_alert(&self) -> bool {
        self.watch.is_on() || self.pause.is_some() || self.rights.deny_something()
    }

    /// Whether the operator lets commands like this one be split.
    pub(super) fn may_split(&self, spec: &Spec) -> bool {
        match self.options.split {
            Split::All => true,
            Split::Reads => spec.flags.has(Flags::READONLY),
            Split::Off => false,
        }
    }

    /// Whether transactions are dealt to the slots of their keys.
    pub(super) fn deals(&self) -> bool {
        self.options.transactions == Transactions::PerSlot
    }

    /// Whether there is a user of this name.
    pub(super) fn is_user(&self, name: &[u8]) -> bool {
        let users = &self.options.users;
        let known = users.iter().any(|user| user.name.as_bytes() == name);
        known || (users.is_empty() && name == auth::DEFAULT.as_bytes())
    }
}

/// What a session waits for before it takes the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Every reply so far.
    Quiet,
    /// The same, which may take as long as the client said: it is blocked.
    Blocked,
    /// Replies to go out: too many bytes or requests are held for this client.
    Output,
    /// The pipeline to the owner of this slot to have room.
    Node(u16),
    /// `CLIENT PAUSE` to be over.
    Pause,
    /// Nodes to tell which commands they know.
    Lore,
    /// The connection of a large request to be found, or to take more of it.
    Lane,
}

/// Which replies a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hears {
    /// All.
    #[default]
    All,
    /// All but that to the next request.
    NotNext,
    /// None.
    Nothing,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Taken: on its way to one node.
    Sent,
    /// Taken in another way: answered, or on its way in parts.
    Taken,
    /// Not taken: to be read again when every reply so far is out of the nodes.
    Quiet,
    /// Not taken: to be read again when this slot's node has room.
    Node(u16),
    /// Not taken: to be read again when a pause is over.
    Pause,
    /// Not taken: to be read again when nodes have told which commands they know.
    Lore,
    /// Taken, and the next one is read when its reply is there.
    Bound,
    /// The same, and the client is blocked meanwhile.
    Blocked,
    /// Taken, and the last one.
    Close,
}

impl Flow {
    /// Whether the request was taken.
    pub(super) const fn is_taken(self) -> bool {
        !matches!(self, Self::Quiet | Self::Node(_) | Self::Pause | Self::Lore)
    }
}

/// What a client said of itself.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
}

/// One client's session.
pub struct Session {
    /// What `CLIENT ID` answers.
    pub(super) id: u64,
    pub(super) proto: Proto,
    /// Which of the configured users it is; with no users, everybody is.
    pub(super) user: Option<usize>,
    pub(super) introduction: Introduction,
    /// The client's address, and the one that it connected to.
    pub(super) peer: Box<str>,
    pub(super) local: Box<str>,
    pub(super) since: Millis,
    pub(super) last_command: Option<&'static Spec>,
    pub(super) decoder: Decoder,
    pub(super) inbox: Vec<u8>,
    /// How much of the inbox was taken.
    pub(super) taken: usize,
    /// A request that goes to its node while it comes.
    pub(super) upload: Option<Box<Uploading>>,
    /// The view of the slots by which the requests under way were routed.
    pub(super) epoch: u32,
    pub(super) wait: Option<Wait>,
    /// Whether it watches with MONITOR.
    pub(super) is_monitor: bool,
    pub(super) hears: Hears,
    /// Whether its requests need no look at who it is and what it has begun; see [`Session::guard`].
    pub(super) ordinary: bool,
    pub(super) pinned: Option<Box<Pinned>>,
    /// The database of its keyspace, if its keys live in one.
    pub(super) db: u16,
    pub(super) closing: bool,
    /// When the last bytes came.
    pub(super) active: Millis,
}

impl Session {
    /// A session that begins.
    #[must_use]
    pub fn new(id: u64, peer: &str, local: &str, now: Millis) -> Self {
        Self {
            id,
            proto: Proto::Resp2,
            user: None,
            introduction: Introduction::default(),
            peer: peer.into(),
            local: local.into(),
            since: now,
            last_command: None,
            decoder: Decoder::default(),
            inbox: Vec::new(),
            taken: 0,
            upload: None,
            epoch: 0,
            wait: None,
            is_monitor: false,
            hears: Hears::All,
            ordinary: false,
            pinned: None,
            db: 0,
            closing: false,
            active: now,
        }
    }

    /// Whether there are requests that were received and not taken because of a limit or a change under way.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.wait.is_some()
    }

    /// Whether more may be read from the client.
    #[must_use]
    pub fn may_read(&self, options: &Options) -> bool {
        let may_upload = self.upload.is_none() || self.wait.is_none();
        !self.closing && may_upload && (self.wait.is_none() || self.inbox.len() - self.taken < options.max_input_bytes)
    }

    /// Whether the client takes its leave: nothing more is read.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether it watches with MONITOR.
    #[must_use]
    pub const fn is_monitor(&self) -> bool {
        self.is_monitor
    }

    /// It begins to watch: from now on every command is shown to it.
    pub const fn begin_to_watch(&mut self) {
        self.is_monitor = true;
    }

    /// Milliseconds since the client last sent something.
    #[must_use]
    pub const fn idle_ms(&self, now: Millis) -> Millis {
        now.saturating_sub(self.active)
    }

    /// Takes no further request; what is owed is still answered.
    pub fn close(&mut self) {
        self.closing = true;
        self.wait = None;
        self.upload = None;
        self.inbox = Vec::new();
        self.taken = 0;
    }

    /// Whether the client need not authenticate, or has.
    #[inline]
    pub(super) fn is_trusted(&self, room: &Room) -> bool {
        self.user.is_some() || room.options.users.is_empty()
    }
}

/// What is said when nobody is there to be asked.
pub(super) const NO_PRIMARY: &str = "CLUSTERDOWN no primary of the cluster is known yet";

/// Answers with an error.
#[cold]
pub(super) fn refuse(client: ClientId, text: &str, room: &mut Room) -> Flow {
    room.tally.errors.count(text.as_bytes());
    room.replies.answer(client, |out| encode::error(out, text));
    Flow::Taken
}

/// Answers that the number of arguments is wrong, as Redis words it.
#[cold]
pub(super) fn wrong_arity(client: ClientId, spec: &Spec, room: &mut Room) -> Flow {
    // Whether anything was begun or not.
    let code = if spec.name == "exec" { "EXECABORT Transaction discarded because of:" } else { "ERR" };
    refuse(client, &format!("{code} wrong number of arguments for '{}' command", spec.full_name()), room)
}

/// Appends an answer.
pub(super) fn say(client: ClientId, room: &mut Room, write: impl FnOnce(&mut Vec<u8>)) -> Flow {
    room.replies.answer(client, write);
    Flow::Taken
}

/// `+OK`.
pub(super) fn ok(client: ClientId, room: &mut Room) -> Flow {
    say(client, room, |out| encode::simple(out, "OK"))
}
