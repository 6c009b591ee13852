//! Commands over all the keys of a node: counting, listing, walking, emptying.

use super::super::command::{Answer, Call, Command, Fault, Keys, NOT_INT, OK, SYNTAX, read, write};
use super::super::glob;
use super::super::number::int;
use super::super::reply::Reply;

pub(in super::super) const COMMANDS: &[Command] = &[
    read("dbsize", 1, Keys::None, |call| Ok(Reply::count(call.db.len()))),
    read("keys", 2, Keys::None, keys),
    read("randomkey", 1, Keys::None, |call| Ok(Reply::maybe(call.db.random_key(call.random)))),
    read("scan", -2, Keys::None, scan),
    write("flushall", -1, Keys::None, flush),
    write("flushdb", -1, Keys::None, flush),
];

fn keys(call: &mut Call<'_>) -> Answer {
    Ok(Reply::strings(call.db.keys().filter(|key| glob::matches(call.arg(1), key))))
}

fn flush(call: &mut Call<'_>) -> Answer {
    let known = |option: &Vec<u8>| option.eq_ignore_ascii_case(b"async") || option.eq_ignore_ascii_case(b"sync");
    match call.rest(1) {
        [] => call.db.clear(),
        [option] if known(option) => call.db.clear(),
        _ => return Err(SYNTAX),
    }
    Ok(OK)
}

/// What `SCAN` is asked to give.
struct Filter<'a> {
    pattern: &'a [u8],
    count: usize,
    type_name: Option<String>,
}

impl<'a> Filter<'a> {
    fn of(options: &'a [Vec<u8>]) -> Result<Self, Fault> {
        let mut filter = Self { pattern: b"*", count: 10, type_name: None };
        for pair in options.chunks(2) {
            let [name, value] = pair else { return Err(SYNTAX) };
            match name.to_ascii_uppercase().as_slice() {
                b"COUNT" => {
                    let count = int(value).ok_or(NOT_INT)?;
                    filter.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(SYNTAX)?;
                }
                b"MATCH" => filter.pattern = value,
                b"TYPE" => filter.type_name = Some(String::from_utf8_lossy(value).to_ascii_lowercase()),
                _ => return Err(SYNTAX),
            }
        }
        Ok(filter)
    }
}

fn scan(call: &mut Call<'_>) -> Answer {
    let cursor = std::str::from_utf8(call.arg(1)).ok().and_then(|text| text.parse::<u64>().ok());
    let cursor = cursor.ok_or(Fault("ERR invalid cursor".into()))?;
    let filter = Filter::of(call.rest(2))?;
    let (next, found) = if call.slot_tables {
        call.db.scan_slots(cursor, filter.count, call.table)
    } else {
        call.db.scan(cursor, filter.count, call.table)
    };
    let fits = |key: &&&Vec<u8>| {
        let type_name = call.db.entry(key).map(|entry| entry.value.type_name());
        glob::matches(filter.pattern, key) && filter.type_name.as_deref().is_none_or(|t| type_name == Some(t))
    };
    let found = Reply::strings(found.iter().filter(fits));
    Ok(Reply::Array(vec![Reply::bulk(next.to_string()), found]))
}
