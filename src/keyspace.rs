//! The keys of one application, all in one slot: what its clients call `user:1` is `{app}0:user:1` in the cluster.
//!
//! [`Keyspace::dress`] puts the prefix in front of each key of a request, and turns commands about the whole keyspace
//! into ones about these keys; [`undress`] takes it from the key names in a reply. With every key in one slot a
//! cluster does all that one server does: transactions, scripts and commands over any keys, blocking pops. What it
//! gives up is the spreading: one application's keys stand on one shard. Who sends and what for is left to others.

use crate::cluster::slot::slot;
use crate::command::keys::{self, KeysError};
use crate::command::{self, Flags, Spec};
use crate::resp::reply::Scanner;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

/// The longest name of a keyspace, in bytes: it stands in front of every key.
pub const LONGEST: usize = 64;
/// No reply is limited here: the node's connection did that.
const ANY_SIZE: usize = usize::MAX >> 8;

/// Counts the keys of `ARGV[1]`'s slot that begin with `ARGV[2]`.
const COUNT: &str = "local s=ARGV[1] local n=0 \
    for _,k in ipairs(redis.call('CLUSTER','GETKEYSINSLOT',s,redis.call('CLUSTER','COUNTKEYSINSLOT',s))) do \
    if string.sub(k,1,#ARGV[2])==ARGV[2] then n=n+1 end end return n";

/// One of the keys that [`COUNT`] counts, another one each time, or null.
const PICK: &str = "local s=ARGV[1] local own={} \
    for _,k in ipairs(redis.call('CLUSTER','GETKEYSINSLOT',s,redis.call('CLUSTER','COUNTKEYSINSLOT',s))) do \
    if string.sub(k,1,#ARGV[2])==ARGV[2] then own[#own+1]=k end end \
    if #own==0 then return false end return own[1+redis.call('TIME')[2]%#own]";

/// Removes the keys whose rest behind `ARGV[2]` is like the pattern `ARGV[3]`.
const REMOVE: &str = "local s=ARGV[1] \
    for _,k in ipairs(redis.call('CLUSTER','GETKEYSINSLOT',s,redis.call('CLUSTER','COUNTKEYSINSLOT',s))) do \
    if string.sub(k,1,#ARGV[2])==ARGV[2] and string.find(string.sub(k,#ARGV[2]+1),ARGV[3]) then \
    redis.call('UNLINK',k) end end return redis.status_reply('OK')";

/// Where an application's keys stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// The hash tag, with its braces.
    tag: Box<str>,
    slot: u16,
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
}

impl Keyspace {
    /// The keyspace `name`: 1 to [`LONGEST`] letters, digits, `.`, `-` and `_`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let tag: Box<str> = format!("{{{name}}}").into();
        let slot = slot(tag.as_bytes());
        ((1..=LONGEST).contains(&name.len()) && name.bytes().all(is_fine)).then_some(Self { tag, slot })
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
    /// `db`; gives where its reply holds key names.
    pub fn dress(&self, db: u16, spec: &Spec, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Shape, KeysError> {
        let prefix = self.prefix(db);
        match (spec.parent, spec.name) {
            (None, "dbsize") => return Ok(self.script(COUNT, &[&prefix], Shape::Nowhere, out)),
            (None, "randomkey") => return Ok(self.script(PICK, &[&prefix], Shape::Whole, out)),
            (None, "flushdb") => return Ok(self.script(REMOVE, &[&prefix, b"^"], Shape::Nowhere, out)),
            (None, "flushall") => {
                return Ok(self.script(REMOVE, &[self.tag.as_bytes(), b"^%d+:"], Shape::Nowhere, out));
            }
            (None, "scan") => return Ok(scan(&prefix, request, out)),
            _ => {}
        }
        // Channels of shards are no keys.
        let mut dressed = Vec::new();
        if !spec.flags.has(Flags::PUBSUB) {
            keys::each_key(spec, request, |at| dressed.push(at))?;
        }
        patterns(spec, request, &mut dressed);
        encode::array(out, request.argc());
        for (at, arg) in request.args().enumerate() {
            if dressed.contains(&at) {
                encode::bulk(out, &[&prefix, arg].concat());
            } else {
                encode::bulk(out, arg);
            }
        }
        Ok(shape(spec))
    }

    fn script(&self, text: &str, args: &[&[u8]], shape: Shape, out: &mut Vec<u8>) -> Shape {
        let slot = self.slot.to_string();
        let mut all: Vec<&[u8]> = vec![b"EVAL", text.as_bytes(), b"1", self.tag.as_bytes(), slot.as_bytes()];
        all.extend(args);
        encode::request(out, &all);
        shape
    }
}

/// The arguments that are patterns of keys.
fn patterns(spec: &Spec, request: &Request<'_>, found: &mut Vec<usize>) {
    match (spec.parent, spec.name) {
        (None, "keys") => found.push(1),
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

/// `SCAN` of these keys alone: the prefix goes into `MATCH`, which is added where it is missing.
fn scan(prefix: &[u8], request: &Request<'_>, out: &mut Vec<u8>) -> Shape {
    let is_match = |at: usize| request.arg(at).is_some_and(|arg| arg.eq_ignore_ascii_case(b"MATCH"));
    let pattern = (2..request.argc()).step_by(2).find(|&at| is_match(at)).map(|at| at + 1);
    encode::array(out, request.argc() + if pattern.is_some() { 0 } else { 2 });
    for (at, arg) in request.args().enumerate() {
        if Some(at) == pattern {
            encode::bulk(out, &[prefix, arg].concat());
        } else {
            encode::bulk(out, arg);
        }
    }
    if pattern.is_none() {
        encode::bulk(out, b"MATCH");
        encode::bulk(out, &[prefix, b"*"].concat());
    }
    Shape::Scan
}

fn shape(spec: &Spec) -> Shape {
    match (spec.parent, spec.name) {
        (None, "keys") => Shape::Elements,
        (None, "xread" | "xreadgroup") => Shape::Streams,
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

/// The same for the reply to EXEC, whose elements have these shapes.
pub fn undress_each(shapes: &[Shape], prefix: &[u8], reply: &[u8], out: &mut Vec<u8>) {
    match items(reply, Proto::Resp3) {
        Some((header, each)) if each.len() == shapes.len() => {
            out.extend_from_slice(header);
            for (item, shape) in each.into_iter().zip(shapes) {
                undress(*shape, prefix, item, out);
            }
        }
        _ => undress(Shape::Nowhere, prefix, reply, out),
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
    if shape == Shape::Whole {
        return name(prefix, reply, out);
    }
    let is_map = reply.first() == Some(&b'%');
    let (header, items) = items(reply, proto)?;
    out.extend_from_slice(header);
    for (at, item) in items.into_iter().enumerate() {
        match shape {
            Shape::Elements => name(prefix, item, out)?,
            Shape::First if at == 0 => name(prefix, item, out)?,
            Shape::Scan if at == 1 => rewrite(Shape::Elements, prefix, item, proto, out)?,
            Shape::Streams if !is_map => rewrite(Shape::First, prefix, item, proto, out)?,
            Shape::Streams if at % 2 == 0 => name(prefix, item, out)?,
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
        b'*' | b'>' => 1,
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

/// The row of `EVAL`, which the commands about the whole keyspace become.
#[must_use]
pub fn becomes(spec: &'static Spec) -> &'static Spec {
    let is_script = spec.parent.is_none() && matches!(spec.name, "dbsize" | "randomkey" | "flushdb" | "flushall");
    if is_script { command::lookup(b"eval").unwrap_or(spec) } else { spec }
}

#[cfg(test)]
mod tests;
