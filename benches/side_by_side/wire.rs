//! The bytes of requests, and the check of each reply.
//!
//! Keys are numbers in a fixed width and values begin with their key's number, so a reply that belongs to another
//! request is noticed. No sockets here: `load` moves the bytes.

use crate::Result;
use crate::plan::{Space, Work};

/// Digits of a key's number.
const DIGITS: usize = 12;

/// Keys with values of one size.
#[derive(Debug)]
pub(crate) struct Keyspace {
    /// How many keys.
    pub(crate) count: u32,
    /// Slot of each key.
    slots: Vec<u16>,
    get: Vec<u8>,
    set: Vec<u8>,
    bulk: Vec<u8>,
    /// As `bulk`, of a key that does not exist.
    absent: Vec<u8>,
    header: Vec<u8>,
    value: usize,
    /// Bytes of a key and its value in a request.
    pair: usize,
}

/// What the next reply on a connection must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owed {
    /// The value of this key.
    Value(u32),
    /// `+OK`.
    Done,
    /// So many values, of the keys that follow from the seed.
    Many(u32, u32),
    /// `:0`.
    None,
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What was owed.
    Right,
    /// An error reply.
    Error,
    /// Anything else: the wrong type, count, length, or another key's value.
    Wrong,
}

impl Keyspace {
    /// The keyspace that every target holds.
    pub(crate) fn new(space: Space) -> Self {
        let (prefix, count, value) = space.shape();
        let zeros = "0".repeat(DIGITS);
        let bulk = format!("${}\r\n{prefix}{zeros}\r\n", prefix.len() + DIGITS);
        let header = format!("${value}\r\n");
        let filler = "x".repeat(value - DIGITS);
        let mut keys = Vec::new();
        let slots = (0..count).map(|key| {
            keys.clear();
            keys.extend_from_slice(prefix.as_bytes());
            digits(&mut keys, key);
            crc16::State::<crc16::XMODEM>::calculate(&keys) % 16_384
        });
        Self {
            count,
            slots: slots.collect(),
            get: format!("*2\r\n$3\r\nGET\r\n{bulk}").into_bytes(),
            set: format!("*3\r\n$3\r\nSET\r\n{bulk}{header}{zeros}{filler}\r\n").into_bytes(),
            absent: bulk.replace(prefix, "_no:").into_bytes(),
            pair: bulk.len() + header.len() + value + 2,
            bulk: bulk.into_bytes(),
            header: header.into_bytes(),
            value,
        }
    }

    /// The slot of a key.
    pub(crate) fn slot(&self, key: u32) -> usize {
        self.slots.get(key as usize).map_or(0, |slot| usize::from(*slot))
    }

    /// Appends `GET key`.
    pub(crate) fn encode_get(&self, out: &mut Vec<u8>, key: u32) {
        out.extend_from_slice(&self.get);
        let end = out.len() - 2;
        patch(out, end, key);
    }

    /// Appends `SET key value`.
    pub(crate) fn encode_set(&self, out: &mut Vec<u8>, key: u32) {
        out.extend_from_slice(&self.set);
        self.patch_pair(out, key);
    }

    /// Writes a key's number into the key and the value at the end.
    fn patch_pair(&self, out: &mut [u8], key: u32) {
        let number = out.len() - 2 - self.value + DIGITS;
        patch(out, number, key);
        patch(out, number - DIGITS - self.header.len() - 2, key);
    }

    /// Appends `MGET` of the keys that follow from the seed.
    pub(crate) fn encode_mget(&self, out: &mut Vec<u8>, count: u32, seed: u32) {
        out.extend_from_slice(format!("*{}\r\n$4\r\nMGET\r\n", count + 1).as_bytes());
        self.encode_keys(out, &self.bulk, count, seed);
    }

    /// Appends `DEL` of keys that do not exist.
    pub(crate) fn encode_del(&self, out: &mut Vec<u8>, count: u32, seed: u32) {
        out.extend_from_slice(format!("*{}\r\n$3\r\nDEL\r\n", count + 1).as_bytes());
        self.encode_keys(out, &self.absent, count, seed);
    }

    fn encode_keys(&self, out: &mut Vec<u8>, bulk: &[u8], count: u32, seed: u32) {
        for index in 0..count {
            out.extend_from_slice(bulk);
            let end = out.len() - 2;
            patch(out, end, self.nth(seed, index));
        }
    }

    /// Appends `MSET` of the keys that follow from the seed, each with its own value.
    pub(crate) fn encode_mset(&self, out: &mut Vec<u8>, count: u32, seed: u32) {
        out.extend_from_slice(format!("*{}\r\n$4\r\nMSET\r\n", 2 * count + 1).as_bytes());
        for index in 0..count {
            // A SET without its first line and its name.
            out.extend_from_slice(self.set.get(self.set.len() - self.pair..).unwrap_or_default());
            self.patch_pair(out, self.nth(seed, index));
        }
    }

    /// The key at an index of the sequence that a seed begins.
    fn nth(&self, seed: u32, index: u32) -> u32 {
        scatter((u64::from(seed) << 32) | u64::from(index)) as u32 % self.count
    }

    /// Looks at the first reply in `bytes`: its length and whether it is what was owed; `None` while it is incomplete.
    pub(crate) fn check(&self, bytes: &[u8], owed: Owed) -> Option<(usize, Verdict)> {
        let right = match owed {
            Owed::Value(key) => self.value_ends(bytes, key),
            Owed::Done => bytes.starts_with(b"+OK\r\n").then_some(5),
            Owed::Many(count, seed) => self.values_end(bytes, count, seed),
            Owed::None => bytes.starts_with(b":0\r\n").then_some(4),
        };
        if let Some(length) = right {
            return Some((length, Verdict::Right));
        }
        let length = reply_ends(bytes)?;
        let verdict = if bytes.first() == Some(&b'-') { Verdict::Error } else { Verdict::Wrong };
        Some((length, verdict))
    }

    /// The end of this key's value, if the bytes begin with the whole of it.
    fn value_ends(&self, bytes: &[u8], key: u32) -> Option<usize> {
        let rest = bytes.strip_prefix(self.header.as_slice())?;
        let number = rest.get(..DIGITS)?;
        let closed = rest.get(self.value..self.value + 2)? == b"\r\n";
        let mut wanted = [b'0'; DIGITS];
        write_number(&mut wanted, key);
        (closed && number == wanted).then_some(self.header.len() + self.value + 2)
    }

    fn values_end(&self, bytes: &[u8], count: u32, seed: u32) -> Option<usize> {
        let (items, mut end) = line_number(bytes, b'*')?;
        if items != i64::from(count) {
            return None;
        }
        for index in 0..count {
            end += self.value_ends(bytes.get(end..)?, self.nth(seed, index))?;
        }
        Some(end)
    }
}

/// Checks the check: a load that believes every reply would make any proxy look fast. Run before each measurement.
pub(crate) fn prove() -> Result<()> {
    let keys = Keyspace::new(Space::Small);
    // What a server would give back for key 7 is the second argument of its SET.
    let mut set = Vec::new();
    keys.encode_set(&mut set, 7);
    let value = set.split_off(set.len() - keys.header.len() - keys.value - 2);
    let many = [b"*2\r\n".to_vec(), value.clone(), value.clone()].concat();
    let cases: [(&[u8], Owed, Verdict); 11] = [
        (&value, Owed::Value(7), Verdict::Right),
        (&value, Owed::Value(8), Verdict::Wrong),
        (&value, Owed::Done, Verdict::Wrong),
        (b"$-1\r\n", Owed::Value(7), Verdict::Wrong),
        (b"-ERR no\r\n", Owed::Value(7), Verdict::Error),
        (b"+OK\r\n", Owed::Done, Verdict::Right),
        (b"+OK\r\n", Owed::Value(7), Verdict::Wrong),
        (&many, Owed::Many(3, 0), Verdict::Wrong),
        (&many, Owed::Many(2, 0), Verdict::Wrong),
        (b":0\r\n", Owed::None, Verdict::Right),
        (b":1\r\n", Owed::None, Verdict::Wrong),
    ];
    for (reply, owed, wanted) in cases {
        let whole = keys.check(reply, owed);
        let early = (0..reply.len()).any(|end| keys.check(reply.get(..end).unwrap_or_default(), owed).is_some());
        if whole != Some((reply.len(), wanted)) || early {
            let reply = String::from_utf8_lossy(reply);
            return Err(format!("the check of replies is broken: {reply:?} for {owed:?} gives {whole:?}").into());
        }
    }
    Ok(())
}

/// The number and the end of a line such as `$64\r\n`.
fn line_number(bytes: &[u8], kind: u8) -> Option<(i64, usize)> {
    if bytes.first() != Some(&kind) {
        return None;
    }
    let end = memchr::memchr(b'\n', bytes)?;
    let text = bytes.get(1..end.checked_sub(1)?)?;
    Some((std::str::from_utf8(text).ok()?.parse().ok()?, end + 1))
}

/// The end of any RESP2 reply: needed only for those that are not as they should be.
fn reply_ends(bytes: &[u8]) -> Option<usize> {
    if let Some((length, end)) = line_number(bytes, b'$') {
        let whole = usize::try_from(length).map_or(end, |length| end + length + 2);
        return (bytes.len() >= whole).then_some(whole);
    }
    if let Some((items, mut end)) = line_number(bytes, b'*') {
        for _ in 0..items {
            end += reply_ends(bytes.get(end..)?)?;
        }
        return Some(end);
    }
    memchr::memchr(b'\n', bytes).map(|end| end + 1)
}

fn write_number(into: &mut [u8], mut number: u32) {
    for place in into.iter_mut().rev() {
        if number == 0 {
            break;
        }
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Writes a key's number over the zeros that end at `end`.
fn patch(out: &mut [u8], end: usize, number: u32) {
    if let Some(place) = out.get_mut(end - DIGITS..end) {
        write_number(place, number);
    }
}

fn digits(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&[b'0'; DIGITS]);
    let end = out.len();
    patch(out, end, number);
}

/// Mixes the bits of a number thoroughly (the finalizer of splitmix64).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The sequence of requests of a measurement: the same seed gives the same sequence to every target.
#[derive(Debug)]
pub(crate) struct Sequence {
    work: Work,
    seed: u64,
    next: u64,
}

/// A request to be encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// GET of this key.
    Get(u32),
    /// SET of this key.
    Set(u32),
    /// MGET of so many keys from this seed.
    Mget(u32, u32),
    /// MSET of so many keys from this seed.
    Mset(u32, u32),
    /// DEL of so many keys from this seed, of which there are none.
    Del(u32, u32),
}

impl Sequence {
    /// The sequence of a kind of work.
    pub(crate) fn new(work: Work, seed: u64) -> Self {
        Self { work, seed: scatter(seed), next: 0 }
    }

    /// The next request.
    pub(crate) fn draw(&mut self, space: &Keyspace) -> Ask {
        let index = self.next;
        self.next += 1;
        let random = scatter(self.seed ^ index);
        let key = ((random & 0xFFFF_FFFF) % u64::from(space.count)) as u32;
        match self.work {
            Work::Get => Ask::Get(key),
            Work::Mixed if random >> 63 == 0 => Ask::Get(key),
            Work::InTurn if index.is_multiple_of(2) => Ask::Get(key),
            Work::Set | Work::Mixed | Work::InTurn => Ask::Set(key),
            Work::Mget(count) => Ask::Mget(count, random as u32),
            Work::Mset(count) => Ask::Mset(count, random as u32),
            Work::Del(count) => Ask::Del(count, random as u32),
            Work::Preload => Ask::Set((index % u64::from(space.count)) as u32),
        }
    }
}
