//! What a SCAN is asked to give: its cursor and its options, read as strictly as the server reads them.

use super::cursor::Cursor;
use super::glob;
use crate::resp::request::Request;

/// The largest page that a client may ask for, in keys: a page is held in memory.
const MAX_COUNT: usize = 100_000;

/// Which keys are wanted, and about how many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) count: usize,
    pub(super) pattern: Option<Box<[u8]>>,
    /// The name of a type, as the client wrote it.
    pub(super) kind: Option<Box<[u8]>>,
}

impl Filter {
    /// Whether the pattern lets `key` through.
    pub(super) fn takes(&self, key: &[u8]) -> bool {
        self.pattern.as_deref().is_none_or(|pattern| glob::matches(pattern, key))
    }
}

/// Reads `SCAN cursor [MATCH p] [COUNT n] [TYPE t]`; an error text if it is none.
pub(super) fn read(request: &Request<'_>) -> Result<(Cursor, Filter), &'static str> {
    let number = request.arg(1).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
    let number: u64 = number.ok_or("ERR invalid cursor")?;
    let mut filter = Filter { count: 10, pattern: None, kind: None };
    let mut at = 2;
    while let Some(name) = request.arg(at) {
        let value = request.arg(at + 1).ok_or("ERR syntax error")?;
        if name.eq_ignore_ascii_case(b"COUNT") {
            let count = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
            let count = count.ok_or("ERR value is not an integer or out of range")?;
            if count < 1 {
                return Err("ERR syntax error");
            }
            filter.count = usize::try_from(count).unwrap_or(MAX_COUNT).min(MAX_COUNT);
        } else if name.eq_ignore_ascii_case(b"MATCH") {
            filter.pattern = (value != b"*").then(|| value.into());
        } else if name.eq_ignore_ascii_case(b"TYPE") {
            filter.kind = Some(value.into());
        } else {
            return Err("ERR syntax error");
        }
        at += 2;
    }
    let cursor = Cursor::read(number).ok_or("ERR invalid cursor")?;
    Ok((cursor, filter))
}
