//! Replies, read in the most naive way: the tests' own opinion of RESP, which shares nothing with the proxy's.

use std::fmt;

/// One reply with the bytes it came in.
#[derive(Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) raw: Vec<u8>,
    pub(crate) value: Value,
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    /// `,` `(` `#` `=`: type byte and text.
    Other(u8, Vec<u8>),
    /// `*` `~` `>`, and `%` flattened: type byte and elements.
    Many(u8, Vec<Value>),
}

/// Reads the reply at the start of `bytes`: its value and its length, or `None` if it is not whole. Nonsense panics.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    let mut at = 0;
    value(bytes, &mut at).map(|value| (value, at))
}

fn value(bytes: &[u8], at: &mut usize) -> Option<Value> {
    let line_len = bytes.get(*at..)?.windows(2).position(|two| two == b"\r\n")?;
    let line = &bytes[*at..*at + line_len];
    *at += line_len + 2;
    let Some((&kind, rest)) = line.split_first() else { panic!("an empty line where a reply begins") };
    let text = || String::from_utf8_lossy(rest).into_owned();
    let number = || -> i64 { text().parse().unwrap_or_else(|_| panic!("not a number: {:?}", text())) };
    Some(match kind {
        b'+' => Value::Simple(text()),
        b'-' => Value::Error(text()),
        b':' => Value::Int(number()),
        b',' | b'(' | b'#' => Value::Other(kind, rest.to_vec()),
        b'$' | b'=' if number() >= 0 => {
            let len = number() as usize;
            let body = bytes.get(*at..*at + len)?.to_vec();
            assert!(bytes.get(*at + len..*at + len + 2)? == b"\r\n", "a bulk string does not end where it should");
            *at += len + 2;
            if kind == b'$' { Value::Bulk(body) } else { Value::Other(kind, body) }
        }
        b'*' | b'~' | b'>' | b'%' if number() >= 0 => {
            let count = number() as usize * if kind == b'%' { 2 } else { 1 };
            Value::Many(kind, (0..count).map(|_| value(bytes, at)).collect::<Option<_>>()?)
        }
        // The latter two with a negative length: the nulls of RESP2.
        b'_' | b'$' | b'*' => Value::Null,
        _ => panic!("no reply begins with {:?}", String::from_utf8_lossy(line)),
    })
}

impl Reply {
    /// The raw bytes as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// The integer that the reply must be.
    pub(crate) fn int(&self) -> i64 {
        if let Value::Int(number) = self.value { number } else { panic!("not an integer: {self:?}") }
    }

    /// The string that the reply must be, or `None` for null.
    pub(crate) fn bulk(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Bulk(bytes) | Value::Other(b'=', bytes) => Some(bytes),
            Value::Null => None,
            _ => panic!("not a string: {self:?}"),
        }
    }

    /// The elements of the array that the reply must be.
    pub(crate) fn many(&self) -> &[Value] {
        if let Value::Many(_, items) = &self.value { items } else { panic!("not an array: {self:?}") }
    }

    /// The text of the error, if it is one.
    pub(crate) fn error(&self) -> Option<&str> {
        if let Value::Error(text) = &self.value { Some(text) } else { None }
    }

    /// The reply, which must not be an error.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.error().is_none(), "an error where none was expected: {self:?}");
        self
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.raw[..self.raw.len().min(400)];
        write!(f, "{}{}", shown.escape_ascii(), if shown.len() < self.raw.len() { "…" } else { "" })
    }
}
