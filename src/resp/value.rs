//! Whole replies as values, for the cold path: discovery and handshakes read nodes with it.

use super::Proto;
use super::reply::{ReplyError, Scanner};

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
        let value = Self::parse(bytes.get(..end).unwrap_or_default(), &mut at).ok_or(ReplyError::Number)?;
        Ok(Some((value, end)))
    }

    /// The scanner has proved the bytes and bounded their depth.
    fn parse(bytes: &[u8], at: &mut usize) -> Option<Self> {
        let kind = *bytes.get(*at)?;
        let rest = bytes.get(*at + 1..)?;
        let line_end = memchr::memchr(b'\r', rest)?;
        let line = rest.get(..line_end)?;
        *at += 1 + line_end + 2;
        let count = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
        match kind {
            b'+' | b',' | b'(' | b'#' => Some(Self::Text(line.to_vec())),
            b'-' => Some(Self::Error(String::from_utf8_lossy(line).into_owned())),
            b':' => count().map(Self::Int),
            b'_' => Some(Self::Null),
            b'$' | b'=' | b'!' => {
                let Ok(len) = usize::try_from(count()?) else { return Some(Self::Null) };
                let body = bytes.get(*at..*at + len)?;
                *at += len + 2;
                Some(match kind {
                    b'!' => Self::Error(String::from_utf8_lossy(body).into_owned()),
                    b'=' => Self::Text(body.get(4..)?.to_vec()),
                    _ => Self::Text(body.to_vec()),
                })
            }
            _ => {
                let Ok(count) = usize::try_from(count()?) else { return Some(Self::Null) };
                let values = if matches!(kind, b'%' | b'|') { count * 2 } else { count };
                let items = (0..values).map(|_| Self::parse(bytes, at)).collect::<Option<Vec<_>>>()?;
                if kind == b'|' { Self::parse(bytes, at) } else { Some(Self::Array(items)) }
            }
        }
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
