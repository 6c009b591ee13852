//! What the proxy knows of every command: one row each, and all else derived from it.
//!
//! [`table`] holds the rows. Looking a name up costs one hash of at most 16 of its bytes and one comparison;
//! [`keys`] finds where a request's keys stand. Where a request then goes is `route`'s business.

pub mod keys;
pub mod table;

/// One command, or one subcommand of a container such as `CLIENT`.
#[derive(Debug)]
pub struct Spec {
    /// Lower-case name; for a subcommand only its own word (`setname`).
    pub name: &'static str,
    /// As in Redis: the exact number of arguments with the name, or the least number when negative. For a
    /// subcommand the container's name counts too.
    pub arity: i8,
    /// Where the keys stand; empty when there are none.
    pub keys: &'static [Keys],
    /// What the command is like, as `COMMAND INFO` tells.
    pub flags: Flags,
    /// What the proxy does with it.
    pub plan: Plan,
    /// Subcommands, for a container.
    pub subs: &'static [Spec],
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
    },
    /// After the word `STREAMS`, the first half of what follows.
    Streams {
        /// Where the search for the word begins.
        from: u8,
    },
    /// The one argument after each occurrence of `word`.
    After {
        /// The word, in upper case.
        word: &'static str,
        /// Where the search for the word begins.
        from: u8,
    },
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
    /// `+OK` when every part is.
    AllOk,
    /// The least integer.
    Min,
    /// Arrays of 0 and 1, folded place by place with AND.
    And,
    /// The first answer that is no error.
    OneOk,
}

/// Why a command needs a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.
    Transaction,
    /// It may wait for data.
    Blocking,
    /// It turns the connection into a subscriber.
    Subscribe,
}

/// Why a command is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It would act on one server, and the client cannot know which.
    Admin,
    /// It needs a part of the proxy that does not exist yet.
    NotBuilt,
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
}
