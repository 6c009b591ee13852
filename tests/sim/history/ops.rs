//! What clients ask for, in the bytes of the wire, and how a reply is read.

use std::collections::BTreeSet;
use std::fmt;

use sha1::{Digest as _, Sha1};
use slotway::demo::embedded::Random;

use crate::client::frame;

/// Clients at the same time.
pub(super) const CLIENTS: u64 = 6;
/// Keys of each client.
pub(super) const KEYS: u64 = 4;
/// Counters, lists, pools and channels, of each so many for all.
pub(super) const SHARED: u64 = 3;

pub(super) fn own_key(client: u64, key: u64) -> String {
    // Two of the keys share a slot, so that some requests of several keys are not split.
    if key < 2 { format!("{{c{client}}}k{key}") } else { format!("c{client}:k{key}") }
}

/// Every key's name whose slot may move, one of each slot.
pub(super) fn names() -> impl Iterator<Item = String> {
    let own = (0..CLIENTS).flat_map(|client| (0..KEYS).map(move |key| own_key(client, key)));
    let kinds = ["counter", "list", "pool", "news", "gazette"];
    own.chain((0..SHARED).flat_map(move |n| kinds.map(|kind| format!("{kind}{n}"))))
}

/// What a client asks for. Writes carry a number that is never used twice.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Get(u64),
    Mget(Vec<u64>),
    Set(Vec<u64>, u64),
    Del(Vec<u64>),
    Exists(Vec<u64>),
    /// Another client's key.
    Peek(u64, u64),
    Incr(u64),
    /// The same by a script, or by its name.
    Script(u64, bool),
    Push(u64, u64),
    Range(u64),
    /// A transaction that counts on, sets one key and reads the other.
    Multi(u64, u64),
    /// The same kind of thing, of a client that watches the key.
    Watched(u64, u64),
    /// Pushes to a queue of its own and waits for it there.
    Queue(u64),
    /// Puts something into a pool.
    Feed(u64, u64),
    /// Waits for something out of a pool.
    Take(u64),
    /// Tells subscribers something, on a shard channel or not.
    Publish(u64, u64, bool),
}

impl Op {
    pub(super) fn draw(random: &mut Random, number: u64) -> Self {
        let key = random.below(KEYS);
        let some: BTreeSet<u64> = (0..3).map(|_| random.below(KEYS)).collect();
        let some: Vec<u64> = some.into_iter().collect();
        let shared = random.below(SHARED);
        match random.below(24) {
            0..=3 => Self::Get(key),
            4 | 5 => Self::Mget(some),
            6..=8 => Self::Set(vec![key], number),
            9 | 10 => Self::Set(some, number),
            11 if random.one_in(2) => Self::Del(some),
            11 => Self::Exists(some),
            12 => Self::Peek(random.below(CLIENTS), key),
            13 => Self::Incr(shared),
            14 => Self::Script(shared, random.one_in(2)),
            15 => Self::Push(shared, number),
            16 => Self::Range(shared),
            17 | 18 => Self::Multi(key % 2, number),
            19 => Self::Watched(key % 2, number),
            20 => Self::Queue(number),
            21 => Self::Feed(shared, number),
            22 => Self::Take(shared),
            _ => Self::Publish(shared, number, random.one_in(2)),
        }
    }

    /// How many replies there will be.
    pub(super) const fn replies(&self) -> usize {
        match self {
            Self::Multi(..) | Self::Watched(..) => 5,
            Self::Queue(_) => 2,
            _ => 1,
        }
    }

    pub(super) fn bytes(&self, client: u64) -> Vec<u8> {
        let key = |key: &u64| own_key(client, *key);
        let keys = |keys: &[u64]| keys.iter().map(|key| own_key(client, *key)).collect::<Vec<_>>().join(" ");
        let value = |key: &u64, number: &u64| format!("{}={number}", own_key(client, *key));
        let text = match self {
            Self::Get(of) => format!("GET {}", key(of)),
            Self::Mget(some) => format!("MGET {}", keys(some)),
            Self::Set(some, number) => {
                let pairs: Vec<String> = some.iter().map(|of| format!("{} {}", key(of), value(of, number))).collect();
                format!("{} {}", if some.len() == 1 { "SET" } else { "MSET" }, pairs.join(" "))
            }
            Self::Del(some) => format!("DEL {}", keys(some)),
            Self::Exists(some) => format!("EXISTS {}", keys(some)),
            Self::Peek(other, of) => format!("GET {}", own_key(*other, *of)),
            Self::Incr(counter) => format!("INCR counter{counter}"),
            Self::Script(counter, false) => format!("EVAL {SCRIPT} 1 counter{counter}"),
            Self::Script(counter, true) => format!("EVALSHA {} 1 counter{counter}", name_of(SCRIPT)),
            Self::Push(list, number) => format!("RPUSH list{list} {client}.{number}"),
            Self::Range(list) => format!("LRANGE list{list} 0 -1"),
            Self::Multi(of, number) => {
                let (set, read) = (key(of), key(&(1 - of)));
                format!("MULTI; INCR {{c{client}}}steps; SET {set} {}; GET {read}; EXEC", value(of, number))
            }
            Self::Watched(of, number) => {
                format!("WATCH {}; GET {}; MULTI; SET {} {}; EXEC", key(of), key(of), key(of), value(of, number))
            }
            Self::Queue(number) => {
                let queue = format!("{{c{client}}}q{number}");
                format!("RPUSH {queue} {client}.{number}; BLPOP {queue} 1")
            }
            Self::Feed(pool, number) => format!("RPUSH pool{pool} {client}.{number}"),
            Self::Take(pool) => format!("BLPOP pool{pool} 0.1"),
            Self::Publish(channel, number, false) => format!("PUBLISH news{channel} {client}.{number}"),
            Self::Publish(channel, number, true) => format!("SPUBLISH gazette{channel} {client}.{number}"),
        };
        let line = |line: &str| frame(&line.split_ascii_whitespace().map(str::as_bytes).collect::<Vec<_>>());
        text.split(';').flat_map(line).collect()
    }

    /// The keys that it writes, and what.
    pub(super) fn writes(&self) -> Vec<(u64, Option<u64>)> {
        match self {
            Self::Set(keys, number) => keys.iter().map(|key| (*key, Some(*number))).collect(),
            Self::Multi(key, number) | Self::Watched(key, number) => vec![(*key, Some(*number))],
            Self::Del(keys) => keys.iter().map(|key| (*key, None)).collect(),
            _ => Vec::new(),
        }
    }

    /// The shared counter that it counts on.
    pub(super) const fn counter(&self) -> Option<u64> {
        match self {
            Self::Incr(counter) | Self::Script(counter, _) => Some(*counter),
            _ => None,
        }
    }

    /// Whether a part of it may have run where another was refused.
    const fn is_split(&self) -> bool {
        matches!(self, Self::Set(keys, _) | Self::Del(keys) if keys.len() > 1)
    }
}

/// Counts on, in one word.
pub(super) const SCRIPT: &str = "return(redis.call('incr',KEYS[1]))";

/// By which name nodes know a script.
fn name_of(script: &str) -> String {
    Sha1::digest(script).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a request ended.
pub(super) enum End {
    Reply(Vec<u8>),
    NotRun,
    /// Not run because its node missed the script, and a later request for the key was run before it could be sent again.
    Missing,
    Unknown,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => write!(f, "{}", reply.escape_ascii()),
            Self::NotRun => f.write_str("not run"),
            Self::Missing => f.write_str("NOSCRIPT"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl End {
    /// Reads a reply; an error that nobody should see fails the scenario.
    pub(super) fn of(reply: Vec<u8>, op: &Op) -> Self {
        let text = String::from_utf8_lossy(&reply).into_owned();
        let Some(error) = text.strip_prefix('-') else { return Self::Reply(reply) };
        // A transaction says so if its node could not run it in time.
        let error = error.strip_prefix("EXECABORT Transaction discarded because of: ").unwrap_or(error);
        match error.split(' ').next().unwrap_or_default() {
            "PROXYUNKNOWN" => Self::Unknown,
            "PROXYUNSENT" | "CLUSTERDOWN" | "TRYAGAIN" | "LOADING" | "READONLY" | "MASTERDOWN" if op.is_split() => {
                Self::Unknown
            }
            "PROXYUNSENT" | "CLUSTERDOWN" | "TRYAGAIN" | "LOADING" | "READONLY" | "MASTERDOWN" => Self::NotRun,
            "NOSCRIPT" if matches!(op, Op::Script(_, true)) => Self::Missing,
            _ => panic!("{text:?} to {op:?}"),
        }
    }
}

/// The parts of a flat reply: bulk strings, `None` for nulls, and other lines as they are.
pub(super) fn parts(reply: &[u8]) -> Vec<Option<String>> {
    let text = String::from_utf8_lossy(reply).into_owned();
    let mut lines = text.split("\r\n");
    let mut out = Vec::new();
    while let Some(line) = lines.next() {
        match line.chars().next() {
            None | Some('*' | '>') if line != "*-1" => {}
            _ if matches!(line, "$-1" | "_" | "*-1") => out.push(None),
            Some('$') => out.push(lines.next().map(ToOwned::to_owned)),
            _ => out.push(Some(line.to_owned())),
        }
    }
    out
}

pub(super) fn integer(reply: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(reply);
    text.trim().strip_prefix(':').and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no integer: {text:?}"))
}
