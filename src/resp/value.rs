//! Whole replies as values, for the cold path: discovery and handshakes read nodes with it.

use super::Proto;
use super::reply::{ReplyError, Scanner};

/// A reply that nests deeper is not read: this reads by recursion, and what the proxy wants to know is flat.
const MAX_DEPTH: usize = 64;

/// One reply. Maps, sets and pushes are arrays here; attributes are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null of either protocol.
    Null,
    /// Simple, bulk and verbatim strings, doubles, big numbers and booleans: their text.
    Text(Vec<u8>),
    /// An integer.
    Int(i64),
    /// An error, without its `-`.
    Error(String),
    /// Arrays, sets, pushes; maps as key, value, key, value …
    Array(Vec<Value>),
}

impl Value {
    /// Reads one whole reply at the start of `bytes`; the value and its length in bytes, or `None` if it is
    /// not whole yet.
    pub fn read(bytes: &[u8], proto: Proto, max: usize) -> Result<Option<(Self, usize)>, ReplyError> {
        let Some(end) = Scanner::new(proto, max).end(bytes)? else { return Ok(None) };
        let mut at = 0;
        let value = Self::parse(bytes.get(..end).unwrap_or_default(), &mut at, MAX_DEPTH)?;
        Ok(Some((value, end)))
    }

    /// The scanner has proved the bytes; an error when a number is beyond 64 bits, or they nest deeper than `depth`.
    fn parse(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Self, ReplyError> {
        const CUT: ReplyError = ReplyError::Number;
        let kind = *bytes.get(*at).ok_or(CUT)?;
        let rest = bytes.get(*at + 1..).ok_or(CUT)?;
        let line_end = memchr::memchr(b'\r', rest).ok_or(CUT)?;
        let line = rest.get(..line_end).ok_or(CUT)?;
        *at += 1 + line_end + 2;
        let count = || std::str::from_utf8(line).ok().and_then(|text| text.parse::<i64>().ok()).ok_or(CUT);
        Ok(match kind {
            b'+' | b',' | b'(' | b'#' => Self::Text(line.to_vec()),
            b'-' => Self::Error(String::from_utf8_lossy(line).into_owned()),
            b':' => Self::Int(count()?),
            b'_' => Self::Null,
            b'$' | b'=' | b'!' => {
                let Ok(len) = usize::try_from(count()?) else { return Ok(Self::Null) };
                let body = bytes.get(*at..*at + len).ok_or(CUT)?;
                *at += len + 2;
                match kind {
                    b'!' => Self::Error(String::from_utf8_lossy(body).into_owned()),
                    b'=' => Self::Text(body.get(4..).ok_or(CUT)?.to_vec()),
                    _ => Self::Text(body.to_vec()),
                }
            }
            _ => {
                let Ok(count) = usize::try_from(count()?) else { return Ok(Self::Null) };
                let within = depth.checked_sub(1).ok_or(ReplyError::Depth)?;
                let values = if matches!(kind, b'%' | b'|') { count * 2 } else { count };
                let items = (0..values).map(|_| Self::parse(bytes, at, within)).collect::<Result<Vec<_>, _>>()?;
                if kind == b'|' { Self::parse(bytes, at, within)? } else { Self::Array(items) }
            }
        })
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The text, if this is a string that is valid UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(bytes) = self { std::str::from_utf8(bytes).ok() } else { None }
    }

    /// The integer, if this is one.
    #[must_use]
    pub const fn int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    /// The error's text, if this is one.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        if let Self::Error(text) = self { Some(text) } else { None }
    }

    /// The value behind `key`, if this is a map (or an array of pairs, as RESP2 gives it).
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Self> {
        self.array()?.chunks_exact(2).find(|pair| pair.first().and_then(Self::text) == Some(key))?.get(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_both_protocols() {
        let two = b"*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:100\r\n$5\r\nnodes\r\n*0\r\n";
        let three = b"%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:100\r\n+nodes\r\n*0\r\n";
        let (a, _) = Value::read(two, Proto::Resp2, 1000).unwrap().unwrap();
        let (b, _) = Value::read(three, Proto::Resp3, 1000).unwrap().unwrap();
        assert_eq!(a, b);
        assert_eq!(a.field("slots").and_then(Value::array).map(<[_]>::len), Some(2));
    }

    #[test]
    fn attributes_are_left_out_and_nulls_are_one() {
        let (value, used) =
            Value::read(b"*3\r\n|1\r\n+ttl\r\n:3\r\n$-1\r\n_\r\n*-1\r\n", Proto::Resp3, 1000).unwrap().unwrap();
        assert_eq!(value, Value::Array(vec![Value::Null, Value::Null, Value::Null]));
        assert_eq!(used, 31);
    }
}
