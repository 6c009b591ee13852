//! What the proxy knows of every command: one row each, and all else derived from it.
//!
//! [`table`] holds the rows. [`lookup`] finds one for the price of a hash of at most 16 bytes and one comparison;
//! [`keys`] finds where a request's keys stand. Where a request then goes is `route`'s business.

pub mod keys;
pub mod learned;
mod lookup;
pub mod table;
pub mod told;

use crate::resp::request::Request;

pub use lookup::lookup;
pub use table::{COUNT, TOTAL, all};

/// One command, or one subcommand of a container such as `CLIENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Lower-case name; for a subcommand only its own word (`setname`).
    pub name: &'static str,
    /// The container's name, for a subcommand.
    pub parent: Option<&'static str>,
    /// As in Redis: the exact number of arguments with the name, or the least number when negative. For a
    /// subcommand the container's name counts too.
    pub arity: i8,
    /// Where the keys stand; empty when there are none. The channels of `SPUBLISH` and its kin count as keys here.
    pub keys: &'static [Keys],
    /// What the command is like, as `COMMAND INFO` tells.
    pub flags: Flags,
    /// What the proxy does with it; [`Spec::plan_for`] looks at the request too.
    pub plan: Plan,
    /// Subcommands, for a container.
    pub subs: &'static [Spec],
    /// Its own number: commands from 0 to [`COUNT`], subcommands from there to [`TOTAL`], without gaps.
    pub index: u16,
}

impl Spec {
    /// A row without subcommands that stands in no table yet.
    pub(crate) const fn row(name: &'static str, arity: i8, keys: &'static [Keys], flags: Flags, plan: Plan) -> Self {
        Self { name, parent: None, arity, keys, flags, plan, subs: &[], index: 0 }
    }

    /// The same row as a container of `subs`.
    pub(crate) const fn holding(self, subs: &'static [Self]) -> Self {
        Self { subs, ..self }
    }

    /// The subcommand that `word` names, in any case.
    #[must_use]
    pub fn sub(&self, word: &[u8]) -> Option<&'static Self> {
        self.subs.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(word))
    }

    /// The row that decides about `request`: that of its subcommand when it has one, else this one.
    ///
    /// `None` when this is a container that does not know the subcommand.
    #[inline]
    #[must_use]
    pub fn resolve(&'static self, request: &Request<'_>) -> Option<&'static Self> {
        match request.arg(1) {
            Some(word) if !self.subs.is_empty() => self.sub(word),
            _ => Some(self),
        }
    }

    /// Whether a request of `argc` arguments, the name included, has as many as the command takes.
    #[inline]
    #[must_use]
    pub const fn arity_ok(&self, argc: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { argc >= wanted } else { argc == wanted }
    }

    /// Whether it was learned from a node and stands in no table.
    #[must_use]
    pub const fn is_learned(&self) -> bool {
        self.index as usize >= TOTAL
    }

    /// What to do with `request`: [`Spec::plan`], except that a command which waits only when it is told to
    /// (`XREAD` with the option `BLOCK`) then needs a connection of its own.
    #[inline]
    #[must_use]
    pub fn plan_for(&self, request: &Request<'_>) -> Plan {
        let may_wait = self.plan == Plan::ByKey && self.flags.has(Flags::BLOCKING);
        if may_wait && keys::block_option(request) { Plan::Pin(Pin::Blocking) } else { self.plan }
    }

    /// Whether its only key is the first argument, as with most commands.
    #[inline]
    #[must_use]
    pub const fn has_sole_key(&self) -> bool {
        matches!(self.keys, [Keys::Range { first: 1, last: 1, .. }])
    }

    /// First key, last key and step as `COMMAND INFO` shows them; zeros when no fixed position holds a key.
    #[must_use]
    pub const fn legacy_keys(&self) -> (i64, i64, i64) {
        match self.keys {
            [Keys::Range { first, last, step }, ..] => (*first as i64, *last as i64, *step as i64),
            _ => (0, 0, 0),
        }
    }

    /// The name as Redis writes it in errors and lists: `get`, `client|setname`.
    #[must_use]
    pub fn full_name(&self) -> String {
        self.parent.map_or_else(|| self.name.to_owned(), |parent| format!("{parent}|{}", self.name))
    }
}

/// One rule that says which arguments are keys. Positions count the command's name as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// From `first` to `last` by `step`; a negative `last` counts from the end (-1 is the last argument).
    Range {
        /// Position of the first key.
        first: u8,
        /// Position of the last key, or counted from the end.
        last: i8,
        /// Distance from one key to the next.
        step: u8,
    },
    /// Argument `at` says how many keys follow it.
    Counted {
        /// Position of the count.
        at: u8,
        /// How the server words a bad count.
        wording: Wording,
    },
    /// After the word `STREAMS`, the first half of what follows, as `XREAD` takes it.
    Streams,
    /// As a server tells it of a command that the table does not know.
    Told {
        /// Where the search begins.
        begin: told::Begin,
        /// How the keys are found from there.
        find: told::Find,
    },
    /// The argument after the last of some words; without them, none.
    After {
        /// The words, in upper case.
        words: &'static [&'static str],
        /// Where the search begins.
        from: u8,
        /// Options to step over, in upper case, and how many arguments each has: these may look like one of the words.
        options: &'static [(&'static str, usize)],
    },
}

/// How the server words a bad count of keys; it differs from family to family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// `EVAL` and its kin; no key is allowed.
    Script,
    /// `FCALL` and its kin; no key is allowed.
    Function,
    /// `ZUNION` and its kin.
    SortedSets,
    /// `SINTERCARD`.
    Sets,
    /// `LMPOP` and its kin.
    Pop,
}

/// What the proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// To the node that owns the slot of its keys, all of which must be in one slot.
    ByKey,
    /// One sub-command a slot, and the answers folded into one.
    Split(Merge),
    /// To every primary, and the answers folded into one.
    Primaries(Merge),
    /// To every node, replicas too, and the answers folded into one.
    AllNodes(Merge),
    /// To any one primary.
    AnyNode,
    /// Answered by the proxy itself.
    Local,
    /// A message to subscribers: to the node that owns the slot of its channel.
    Publish,
    /// Needs a connection of its own.
    Pin(Pin),
    /// Not offered.
    Refuse(Refusal),
}

/// How the answers of several nodes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Arrays, in the order of the caller's keys for a split and of the nodes otherwise.
    Concat,
    /// Integers, added.
    Sum,
    /// The first error when a part fails; otherwise the answer that all share (`+OK`, or what was loaded).
    AllOk,
    /// The least integer.
    Min,
    /// The largest integer.
    Max,
    /// 0 or 1, or arrays of them folded place by place, with AND.
    And,
    /// The first answer that is no error, or else the first error that is not `NOTBUSY`.
    OneOk,
    /// Integers, added to a correction that the proxy knows; never below 0.
    Receivers,
    /// Arrays, each element once.
    Union,
    /// Arrays of name, count, name, count …: the counts added, to a correction that the proxy knows.
    Pairs,
}

/// Why a command needs a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.
    Transaction,
    /// It may wait for data.
    Blocking,
    /// It waits for replicas to have what the client wrote.
    Replicas,
    /// It turns the connection into a subscriber.
    Subscribe,
}

/// Why a command is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It would act on one server, and the client cannot know which.
    Admin,
}

/// A set of properties of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

macro_rules! flags {
    ($($name:ident = $bit:expr, $text:literal, $doc:literal;)*) => {
        impl Flags {
            $(#[doc = $doc] pub const $name: Self = Self(1 << $bit);)*
            /// Every flag with its name in `COMMAND INFO`.
            pub const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }
    };
}

flags! {
    WRITE = 0, "write", "May change the keyspace.";
    READONLY = 1, "readonly", "Never changes the keyspace.";
    DENYOOM = 2, "denyoom", "Refused by a node that is out of memory.";
    ADMIN = 3, "admin", "For operators.";
    PUBSUB = 4, "pubsub", "Part of publish/subscribe.";
    NOSCRIPT = 5, "noscript", "Not allowed in scripts.";
    BLOCKING = 6, "blocking", "May wait for data.";
    LOADING = 7, "loading", "Allowed while a node loads its data.";
    STALE = 8, "stale", "Allowed on a replica whose data is stale.";
    SKIP_MONITOR = 9, "skip_monitor", "Not shown by `MONITOR`.";
    SKIP_SLOWLOG = 10, "skip_slowlog", "Not put in the slow log.";
    ASKING = 11, "asking", "Accepted in a slot that is being imported.";
    FAST = 12, "fast", "Constant or logarithmic time.";
    NO_AUTH = 13, "no_auth", "Allowed before authentication.";
    MAY_REPLICATE = 14, "may_replicate", "May be replicated.";
    NO_MANDATORY_KEYS = 15, "no_mandatory_keys", "Its keys may be absent.";
    NO_ASYNC_LOADING = 16, "no_async_loading", "Refused during an asynchronous load.";
    NO_MULTI = 17, "no_multi", "Not allowed in a transaction.";
    MOVABLEKEYS = 18, "movablekeys", "Key positions depend on the arguments.";
    ALLOW_BUSY = 19, "allow_busy", "Allowed while a script runs too long.";
}

impl Flags {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Both sets together; usable in constants.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names in `COMMAND INFO`, in the server's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(words: &[&str]) -> Plan {
        let (frame, spans) = keys::tests::frame(words);
        let request = Request::new(&frame, &spans);
        lookup(request.name()).expect("a known command").plan_for(&request)
    }

    #[test]
    fn reading_a_stream_needs_its_own_connection_only_with_the_option_block() {
        assert_eq!(plan_of(&["XREAD", "COUNT", "2", "STREAMS", "s", "0"]), Plan::ByKey);
        assert_eq!(plan_of(&["XREAD", "block", "0", "STREAMS", "s", "$"]), Plan::Pin(Pin::Blocking));
        assert_eq!(plan_of(&["XREADGROUP", "GROUP", "g", "block", "STREAMS", "block", ">"]), Plan::ByKey);
        assert_eq!(plan_of(&["GET", "block"]), Plan::ByKey);
    }

    #[test]
    fn a_request_of_a_container_resolves_to_its_subcommand() {
        let resolve = |words: &[&str]| {
            let (frame, spans) = keys::tests::frame(words);
            let request = Request::new(&frame, &spans);
            lookup(request.name()).and_then(|spec| spec.resolve(&request)).map(Spec::full_name)
        };
        assert_eq!(resolve(&["Client", "SETNAME", "x"]).as_deref(), Some("client|setname"));
        assert_eq!(resolve(&["client", "nothing"]), None);
        assert_eq!(resolve(&["client"]).as_deref(), Some("client"));
        assert_eq!(resolve(&["COMMAND"]).as_deref(), Some("command"));
        assert_eq!(resolve(&["get", "setname"]).as_deref(), Some("get"));
    }

    #[test]
    fn the_legacy_positions_are_those_of_the_first_range() {
        let legacy = |name: &[u8]| lookup(name).expect("a known command").legacy_keys();
        assert_eq!(legacy(b"blpop"), (1, -2, 1));
        assert_eq!(legacy(b"mset"), (1, -1, 2));
        assert_eq!(legacy(b"zunionstore"), (1, 1, 1));
        assert_eq!(legacy(b"eval"), (0, 0, 0));
    }
}
