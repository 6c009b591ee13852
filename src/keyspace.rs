//! The keys of one application, all in one slot: what its clients call `user:1` is `{app}0:user:1` in the cluster.
//!
//! [`Keyspace::dress`] puts the prefix in front of each key of a request, and turns commands about the whole keyspace
//! into ones about these keys; [`undress`] takes it from the key names in a reply. With every key in one slot a
//! cluster does all that one server does: transactions, scripts and commands over any keys, blocking pops. What it
//! gives up is the spreading: one application's keys stand on one shard. Who sends and what for is left to others.

use crate::cluster::slot::slot;
use crate::command::keys::{self, KeysError};
use crate::command::{Flags, Spec};
use crate::resp::reply::Scanner;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

mod channels;
mod whole;

pub use whole::database;

/// The longest name of a keyspace, in bytes: it stands in front of every key.
pub const LONGEST: usize = 64;
/// No reply is limited here: the node's connection did that.
const ANY_SIZE: usize = usize::MAX >> 8;
/// How many databases there are, as on a server by default.
pub const DATABASES: u16 = 16;

/// Where an application's keys stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// The hash tag, with its braces.
    tag: Box<str>,
    slot: u16,
    /// Whether its channels are its own, too.
    own_channels: bool,
}

/// Where key names stand in a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Nowhere.
    #[default]
    Nowhere,
    /// The reply is one.
    Whole,
    /// Each element is one: `KEYS`.
    Elements,
    /// The first element is one: `BLPOP`, `LMPOP`.
    First,
    /// Each element of the second element is one: `SCAN`.
    Scan,
    /// Each stream's name is one: `XREAD`.
    Streams,
    /// Each second element, from the first on: `PUBSUB NUMSUB`.
    Pairs,
    /// Every string that begins like one, however deep: what scripts make of the names that they were given.
    Anywhere,
}

impl Keyspace {
    /// The keyspace `name`: 1 to [`LONGEST`] letters, digits, `.`, `-` and `_`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let tag: Box<str> = format!("{{{name}}}").into();
        let slot = slot(tag.as_bytes());
        ((1..=LONGEST).contains(&name.len()) && name.bytes().all(is_fine)).then_some(Self {
            tag,
            slot,
            own_channels: false,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tag.trim_start_matches('{').trim_end_matches('}')
    }

    /// The slot of all its keys.
    #[must_use]
    pub const fn slot(&self) -> u16 {
        self.slot
    }

    /// What stands in front of each key of database `db`.
    #[must_use]
    pub fn prefix(&self, db: u16) -> Vec<u8> {
        format!("{}{db}:", self.tag).into_bytes()
    }

    /// Appends the canonical frame of the request that a node is to run for `request`, one of `spec`, in database
    /// `db`.
    pub fn dress(&self, db: u16, spec: &'static Spec, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Worn, Unfit> {
        if let Some(worn) = self.dress_whole(db, spec, request, out) {
            return worn;
        }
        if let Some(worn) = self.dress_channels(spec, request, out) {
            return worn;
        }
        let prefix = self.prefix(db);
        // Channels of shards are no keys.
        let mut dressed = Vec::new();
        if !spec.flags.has(Flags::PUBSUB) {
            keys::each_key(spec, request, |at| dressed.push(at))?;
        }
        also_keys(spec, request, &mut dressed);
        encode::array(out, request.argc());
        for (at, arg) in request.args().enumerate() {
            if dressed.contains(&at) {
                encode::bulk(out, &[&prefix, arg].concat());
            } else {
                encode::bulk(out, arg);
            }
        }
        Ok(Worn { shape: shape(spec), spec, prefix })
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Worn {
    /// Where its reply names keys.
    pub shape: Shape,
    /// The row of what it is now.
    pub spec: &'static Spec,
    /// What those names begin with.
    pub prefix: Vec<u8>,
}

/// Why a request cannot be dressed; worded as the client gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its keys cannot be told.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// Its arguments are not as they must be.
    #[error("{0}")]
    Wrong(&'static str),
}

/// The arguments that name keys beside those of the command's row: patterns above all.
fn also_keys(spec: &Spec, request: &Request<'_>, found: &mut Vec<usize>) {
    match (spec.parent, spec.name) {
        (None, "keys") => found.push(1),
        (None, "debug") if request.arg(1).is_some_and(|word| word.eq_ignore_ascii_case(b"OBJECT")) => found.push(2),
        (None, "sort" | "sort_ro") => {
            let is = |at: usize, word: &[u8]| request.arg(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word));
            let mut at = 2;
            while let Some(next) = request.arg(at + 1) {
                let names_keys = (is(at, b"GET") && next != b"#") || (is(at, b"BY") && next.contains(&b'*'));
                if names_keys {
                    found.push(at + 1);
                }
                at += match () {
                    () if is(at, b"LIMIT") => 3,
                    () if is(at, b"GET") || is(at, b"BY") || is(at, b"STORE") => 2,
                    () => 1,
                };
            }
        }
        _ => {}
    }
}

fn shape(spec: &Spec) -> Shape {
    match (spec.parent, spec.name) {
        (None, "keys") => Shape::Elements,
        (None, "xread" | "xreadgroup") => Shape::Streams,
        (None, "eval" | "evalsha" | "eval_ro" | "evalsha_ro" | "fcall" | "fcall_ro") => Shape::Anywhere,
        (None, "blpop" | "brpop" | "bzpopmin" | "bzpopmax" | "lmpop" | "blmpop" | "zmpop" | "bzmpop") => Shape::First,
        _ => Shape::Nowhere,
    }
}

/// Appends `reply`, one whole reply, without `prefix` where `shape` says that key names stand; errors name keys too.
pub fn undress(shape: Shape, prefix: &[u8], reply: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let done = match reply.first() {
        Some(b'-') => {
            remove_all(prefix, reply, out);
            Some(())
        }
        // RESP3 holds all that RESP2 has.
        _ => rewrite(shape, prefix, reply, Proto::Resp3, out),
    };
    if done.is_none() {
        // Not of the expected form: as it is.
        out.truncate(start);
        out.extend_from_slice(reply);
    }
}

/// The same for the reply to EXEC, whose elements have these shapes and prefixes.
pub fn undress_each(wear: &[(Shape, Vec<u8>)], reply: &[u8], out: &mut Vec<u8>) {
    match items(reply, Proto::Resp3) {
        Some((header, each)) if each.len() == wear.len() => {
            out.extend_from_slice(header);
            for (item, (shape, prefix)) in each.into_iter().zip(wear) {
                undress(*shape, prefix, item, out);
            }
        }
        _ => out.extend_from_slice(reply),
    }
}

fn remove_all(prefix: &[u8], reply: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    for found in memchr::memmem::find_iter(reply, prefix) {
        out.extend_from_slice(reply.get(at..found).unwrap_or_default());
        at = found + prefix.len();
    }
    out.extend_from_slice(reply.get(at..).unwrap_or_default());
}

fn rewrite(shape: Shape, prefix: &[u8], reply: &[u8], proto: Proto, out: &mut Vec<u8>) -> Option<()> {
    if shape == Shape::Nowhere {
        out.extend_from_slice(reply);
        return Some(());
    }
    let is_one = shape == Shape::Whole || (shape == Shape::Anywhere && reply.first() == Some(&b'$'));
    if is_one {
        return name(prefix, reply, out);
    }
    let is_map = reply.first() == Some(&b'%');
    let (header, items) = items(reply, proto)?;
    out.extend_from_slice(header);
    for (at, item) in items.into_iter().enumerate() {
        match shape {
            Shape::Elements => name(prefix, item, out)?,
            Shape::Anywhere => rewrite(shape, prefix, item, proto, out)?,
            Shape::First if at == 0 => name(prefix, item, out)?,
            Shape::Scan if at == 1 => rewrite(Shape::Elements, prefix, item, proto, out)?,
            Shape::Streams if !is_map => rewrite(Shape::First, prefix, item, proto, out)?,
            Shape::Pairs | Shape::Streams if at % 2 == 0 => name(prefix, item, out)?,
            _ => out.extend_from_slice(item),
        }
    }
    Some(())
}

/// A bulk string that is a key name; nulls stay.
fn name(prefix: &[u8], item: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let line = memchr::memchr(b'\n', item)? + 1;
    let text = item.get(line..).and_then(|rest| rest.strip_suffix(b"\r\n"));
    match text.and_then(|text| text.strip_prefix(prefix)) {
        Some(rest) if item.first() == Some(&b'$') => encode::bulk(out, rest),
        _ => out.extend_from_slice(item),
    }
    Some(())
}

/// Header and items of an array, or of a map, whose keys and values are items in turn.
fn items(reply: &[u8], proto: Proto) -> Option<(&[u8], Vec<&[u8]>)> {
    let values = match reply.first()? {
        b'*' | b'>' | b'~' => 1,
        b'%' => 2,
        // A null of either protocol has none.
        _ => return Some((reply, Vec::new())),
    };
    let line = memchr::memchr(b'\n', reply)? + 1;
    let (header, mut rest) = reply.split_at_checked(line)?;
    let count: i64 = std::str::from_utf8(header.get(1..line - 2)?).ok()?.parse().ok()?;
    let mut scanner = Scanner::new(proto, ANY_SIZE);
    let mut found = Vec::new();
    for _ in 0..count.max(0) * values {
        let end = scanner.end(rest).ok()??;
        let (item, behind) = rest.split_at_checked(end)?;
        found.push(item);
        rest = behind;
    }
    Some((header, found))
}

#[cfg(test)]
mod tests;
