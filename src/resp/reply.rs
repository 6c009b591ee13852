//! What nodes send: where one reply ends.
//!
//! The [`Scanner`] does not build values: bytes pass through. It is iterative, goes on where it stopped, knows
//! every type of RESP2 and RESP3, and trusts nobody: depth, lengths and the whole reply are limited, streamed
//! types (`$?`), which no server sends, are refused. What a reply says is left to `merge` and `backend`.

mod pieces;

use super::Proto;

/// How deep replies may nest: what a script returns goes down to 7995 on Redis 7.0, where Lua's stack ends; `COMMAND
/// DOCS` needs about ten.
pub const MAX_DEPTH: usize = 8192;
/// No length needs more digits.
const MAX_DIGITS: usize = 10;

/// Bytes that are no reply. The connection cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A first byte that begins no type of this protocol version.
    #[error("a reply begins with byte {0:#04x}")]
    Type(u8),
    /// A length or number that is none.
    #[error("a reply has a malformed length or number")]
    Number,
    /// A line or a bulk without its CRLF.
    #[error("a reply lacks a line end where one must be")]
    LineEnd,
    /// Nested too deep.
    #[error("a reply nests too deep")]
    Depth,
    /// Larger than allowed.
    #[error("a reply is larger than allowed")]
    Size,
    /// A streamed string or aggregate.
    #[error("a reply is of a streamed type, which is not supported")]
    Streamed,
    /// A push message inside another value.
    #[error("a push message stands inside a reply")]
    NestedPush,
}

/// The level of an aggregate: how many values it still wants.
type Wanted = u64;

/// Where the reading of one node's reply stands. Empty between replies.
#[derive(Debug)]
pub struct Scanner {
    proto: Proto,
    /// The largest reply, in bytes.
    max: usize,
    /// How many bytes of the unfinished reply were read.
    read: usize,
    /// What is still wanted: by the reply itself (one value), then by each aggregate that is open.
    open: Vec<Wanted>,
    /// Of a reply that is taken in pieces: how much of it has gone, and what is still to come of a bulk, with its CRLF.
    gone: usize,
    body: usize,
}

impl Scanner {
    /// A scanner for connections that speak `proto`; a reply of more than `max` bytes is an error.
    #[must_use]
    pub const fn new(proto: Proto, max: usize) -> Self {
        Self { proto, max, read: 0, open: Vec::new(), gone: 0, body: 0 }
    }

    /// Forgets an unfinished reply.
    pub fn reset(&mut self) {
        self.read = 0;
        self.open.clear();
        (self.gone, self.body) = (0, 0);
    }

    /// Where the reply at the start of `bytes` ends, or `None` when it is not whole yet: the next call then
    /// gets the same bytes and more behind them.
    #[inline]
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, ReplyError> {
        if self.read == 0
            && let Some(end) = quick(bytes)
            && end <= self.max
        {
            return Ok(Some(end));
        }
        self.scan(bytes)
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, ReplyError> {
        if self.open.is_empty() {
            self.open.push(1);
        }
        loop {
            let Some(item) = self.item(bytes, self.read)? else {
                return if bytes.len() > self.max { Err(ReplyError::Size) } else { Ok(None) };
            };
            self.read = item.end;
            if self.read > self.max {
                return Err(ReplyError::Size);
            }
            self.count(&item)?;
            if self.open.is_empty() {
                return Ok(Some(std::mem::take(&mut self.read)));
            }
        }
    }

    /// A value, or the header of an aggregate, has been read.
    fn count(&mut self, item: &Item) -> Result<(), ReplyError> {
        // An attribute precedes a value and takes no place of its own.
        if let Some(wanted) = self.open.last_mut()
            && !item.attribute
        {
            *wanted -= 1;
        }
        if item.values > 0 {
            if self.open.len() > MAX_DEPTH {
                return Err(ReplyError::Depth);
            }
            self.open.push(item.values);
        }
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        Ok(())
    }

    /// One value, or the header of an aggregate, at `at`.
    fn item(&self, bytes: &[u8], at: usize) -> Result<Option<Item>, ReplyError> {
        let Some(&kind) = bytes.get(at) else { return Ok(None) };
        let resp3 = self.proto == Proto::Resp3;
        match kind {
            b'+' | b'-' => line(bytes, at),
            b':' => number(bytes, at),
            b'$' => self.bulk(bytes, at, true),
            b'*' => self.aggregate(bytes, at, 1, true),
            b'_' if resp3 => exact(bytes, at, &[b"_\r\n"]),
            b'#' if resp3 => exact(bytes, at, &[b"#t\r\n", b"#f\r\n"]),
            b',' | b'(' if resp3 => line(bytes, at),
            b'!' | b'=' if resp3 => self.bulk(bytes, at, false),
            b'~' if resp3 => self.aggregate(bytes, at, 1, false),
            b'%' if resp3 => self.aggregate(bytes, at, 2, false),
            b'|' if resp3 => Ok(self.aggregate(bytes, at, 2, false)?.map(|item| Item { attribute: true, ..item })),
            b'>' if resp3 && at == 0 => self.aggregate(bytes, at, 1, false),
            b'>' if resp3 => Err(ReplyError::NestedPush),
            b';' | b'.' if resp3 => Err(ReplyError::Streamed),
            other => Err(ReplyError::Type(other)),
        }
    }

    fn bulk(&self, bytes: &[u8], at: usize, nullable: bool) -> Result<Option<Item>, ReplyError> {
        let (len, next) = match length(bytes, at + 1)? {
            Length::Is(len, next) => (len, next),
            Length::Null(next) if nullable => return Ok(Some(Item::scalar(next))),
            Length::Null(_) => return Err(ReplyError::Number),
            Length::More => return Ok(None),
        };
        if next + len > self.max {
            return Err(ReplyError::Size);
        }
        match bytes.get(next + len..next + len + 2) {
            Some(b"\r\n") => Ok(Some(Item::scalar(next + len + 2))),
            Some(_) => Err(ReplyError::LineEnd),
            None => Ok(None),
        }
    }

    fn aggregate(&self, bytes: &[u8], at: usize, each: usize, nullable: bool) -> Result<Option<Item>, ReplyError> {
        match length(bytes, at + 1)? {
            // Each value takes three bytes at least, so what cannot fit is refused before it comes.
            Length::Is(n, _) if n.saturating_mul(each * 3) > self.max => Err(ReplyError::Size),
            Length::Is(n, end) => Ok(Some(Item { end, values: (n * each) as Wanted, attribute: false })),
            Length::Null(end) if nullable => Ok(Some(Item::scalar(end))),
            Length::Null(_) => Err(ReplyError::Number),
            Length::More => Ok(None),
        }
    }
}

/// A value or the header of an aggregate.
struct Item {
    /// Where the next byte stands.
    end: usize,
    /// How many values follow.
    values: Wanted,
    /// Whether it is an attribute, behind which the value itself still comes.
    attribute: bool,
}

impl Item {
    const fn scalar(end: usize) -> Self {
        Self { end, values: 0, attribute: false }
    }
}

/// The end of a short, plain reply (`+…`, `:…`, `$…`), the ones that come most; `None` leaves it to the scan.
#[inline]
fn quick(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'$' => {
            let (len, next) = match (*bytes.get(1)?, *bytes.get(2)?) {
                (b'-', _) => return (bytes.get(..5)? == b"$-1\r\n").then_some(5),
                (tens @ b'1'..=b'9', ones @ b'0'..=b'9') if bytes.get(3..5)? == b"\r\n" => {
                    ((tens - b'0') as usize * 10 + (ones - b'0') as usize, 5)
                }
                (ones @ b'0'..=b'9', b'\r') if *bytes.get(3)? == b'\n' => ((ones - b'0') as usize, 4),
                _ => match length(bytes, 1) {
                    Ok(Length::Is(len, next)) => (len, next),
                    _ => return None,
                },
            };
            (bytes.get(next + len..next + len + 2)? == b"\r\n").then_some(next + len + 2)
        }
        b'+' if bytes.get(..5)? == b"+OK\r\n" => Some(5),
        // What a part of an MGET is answered with.
        b'*' if bytes.get(1..5)? == b"1\r\n$" => Some(4 + quick(bytes.get(4..)?)?),
        _ => None,
    }
}

enum Length {
    /// Its value and where the next byte stands.
    Is(usize, usize),
    /// `-1`, and where the next byte stands.
    Null(usize),
    More,
}

/// Reads a length at `at`, up to its CRLF.
fn length(bytes: &[u8], at: usize) -> Result<Length, ReplyError> {
    if bytes.get(at) == Some(&b'?') {
        return Err(ReplyError::Streamed);
    }
    if bytes.get(at) == Some(&b'-') {
        let rest = bytes.get(at..).unwrap_or_default();
        return match rest.get(..4) {
            Some(b"-1\r\n") => Ok(Length::Null(at + 4)),
            None if b"-1\r\n".starts_with(rest) => Ok(Length::More),
            _ => Err(ReplyError::Number),
        };
    }
    let mut value = 0usize;
    let mut next = at;
    while let Some(digit) = bytes.get(next).map(|b| b.wrapping_sub(b'0')).filter(|&d| d <= 9) {
        if next - at == MAX_DIGITS {
            return Err(ReplyError::Number);
        }
        value = value * 10 + digit as usize;
        next += 1;
    }
    match (bytes.get(next), bytes.get(next + 1)) {
        (None, _) => Ok(Length::More),
        (Some(b'\r'), None) if next > at => Ok(Length::More),
        (Some(b'\r'), Some(b'\n')) if next > at => Ok(Length::Is(value, next + 2)),
        _ => Err(ReplyError::Number),
    }
}

/// A line: everything up to the first CRLF; a lone CR or LF inside is an error.
fn line(bytes: &[u8], at: usize) -> Result<Option<Item>, ReplyError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(cr) = memchr::memchr2(b'\r', b'\n', rest) else { return Ok(None) };
    match (rest.get(cr), rest.get(cr + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(Item::scalar(at + cr + 2))),
        (Some(b'\r'), None) => Ok(None),
        _ => Err(ReplyError::LineEnd),
    }
}

/// `:` and a signed decimal number.
fn number(bytes: &[u8], at: usize) -> Result<Option<Item>, ReplyError> {
    let Some(item) = line(bytes, at)? else { return Ok(None) };
    let digits = bytes.get(at + 1..item.end - 2).unwrap_or_default();
    let digits = digits.strip_prefix(b"-").or(digits.strip_prefix(b"+")).unwrap_or(digits);
    if digits.is_empty() || digits.len() > 20 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReplyError::Number);
    }
    Ok(Some(item))
}

/// One of a few fixed texts.
fn exact(bytes: &[u8], at: usize, texts: &[&[u8]]) -> Result<Option<Item>, ReplyError> {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(text) = texts.iter().find(|text| rest.starts_with(text)) {
        return Ok(Some(Item::scalar(at + text.len())));
    }
    if texts.iter().any(|text| text.starts_with(rest)) { Ok(None) } else { Err(ReplyError::LineEnd) }
}

/// The elements of one whole array reply (RESP2 or RESP3), each with its bytes; `None` if it is no array.
pub fn elements(reply: &[u8], proto: Proto) -> Option<impl Iterator<Item = &[u8]>> {
    let Ok(Length::Is(count, at)) = length(reply.strip_prefix(b"*").map(|_| reply)?, 1) else { return None };
    Some(items(reply.get(at..)?, count, proto))
}

/// The first `count` values of `bytes`, each with its bytes.
pub fn items(bytes: &[u8], count: usize, proto: Proto) -> impl Iterator<Item = &[u8]> {
    let mut scanner = Scanner::new(proto, usize::MAX >> 8);
    let mut at = 0;
    (0..count).map_while(move |_| {
        let rest = bytes.get(at..)?;
        let end = scanner.end(rest).ok()??;
        at += end;
        rest.get(..end)
    })
}

/// The value of one whole integer reply.
#[must_use]
pub fn integer(reply: &[u8]) -> Option<i64> {
    std::str::from_utf8(reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
