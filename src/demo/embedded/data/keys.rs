//! Commands that work on keys whatever they hold: existence, expiry, names.

use super::super::command::{Answer, Call, Command, Fault, Keys, NOT_INT, OK, read, write};
use super::super::number::int;
use super::super::reply::Reply;

pub(in super::super) const COMMANDS: &[Command] = &[
    write("del", -2, Keys::All, del),
    write("unlink", -2, Keys::All, del),
    read("memory", -2, Keys::Second, memory),
    read("exists", -2, Keys::All, exists),
    read("touch", -2, Keys::All, exists),
    read("type", 2, Keys::First, type_of),
    write("expire", -3, Keys::First, |call| expire(call, "expire", 1000, false)),
    write("pexpire", -3, Keys::First, |call| expire(call, "pexpire", 1, false)),
    write("expireat", -3, Keys::First, |call| expire(call, "expireat", 1000, true)),
    write("pexpireat", -3, Keys::First, |call| expire(call, "pexpireat", 1, true)),
    read("ttl", 2, Keys::First, |call| Ok(left(call, |ms| (ms + 500) / 1000))),
    read("pttl", 2, Keys::First, |call| Ok(left(call, |ms| ms))),
    write("persist", 2, Keys::First, persist),
    write("rename", 3, Keys::Two, rename),
    write("renamenx", 3, Keys::Two, renamenx),
];

fn del(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.rest(1).iter().filter(|key| call.db.remove(key).is_some()).count()))
}

/// `MEMORY USAGE`: no measure, but nothing without a key.
fn memory(call: &mut Call<'_>) -> Answer {
    if !call.arg(1).eq_ignore_ascii_case(b"usage") {
        return Err(Fault("ERR only MEMORY USAGE is known here".into()));
    }
    let key = call.arg(2);
    Ok(call.db.entry(key).map_or(Reply::Null, |_| Reply::count(56 + key.len())))
}

fn exists(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.rest(1).iter().filter(|key| call.db.has(key)).count()))
}

fn type_of(call: &mut Call<'_>) -> Answer {
    Ok(Reply::Simple(call.db.entry(call.key()).map_or("none", |entry| entry.value.type_name())))
}

/// When an expiry may replace the one that is there.
#[derive(Clone, Copy, PartialEq)]
enum Only {
    Absent,
    Present,
    Later,
    Earlier,
}

/// All the conditions of one request; each must hold.
struct Condition(Vec<Only>);

impl Condition {
    fn of(options: &[Vec<u8>]) -> Result<Self, Fault> {
        let one = |option: &Vec<u8>| match option.to_ascii_uppercase().as_slice() {
            b"NX" => Ok(Only::Absent),
            b"XX" => Ok(Only::Present),
            b"GT" => Ok(Only::Later),
            b"LT" => Ok(Only::Earlier),
            _ => Err(Fault::new(format!("ERR Unsupported option {}", String::from_utf8_lossy(option)))),
        };
        let all = options.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if all.contains(&Only::Absent) && all.iter().any(|&only| only != Only::Absent) {
            return Err(Fault("ERR NX and XX, GT or LT options at the same time are not compatible".into()));
        }
        if all.contains(&Only::Later) && all.contains(&Only::Earlier) {
            return Err(Fault("ERR GT and LT options at the same time are not compatible".into()));
        }
        Ok(Self(all))
    }

    /// A key that never expires counts as expiring last of all.
    fn holds(&self, before: Option<u64>, when: i64) -> bool {
        let before = before.and_then(|ms| i64::try_from(ms).ok());
        self.0.iter().all(|only| match only {
            Only::Absent => before.is_none(),
            Only::Present => before.is_some(),
            Only::Later => before.is_some_and(|ms| when > ms),
            Only::Earlier => before.is_none_or(|ms| when < ms),
        })
    }
}

fn expire(call: &mut Call<'_>, name: &str, unit_ms: i64, absolute: bool) -> Answer {
    let amount = int(call.arg(2));
    let condition = Condition::of(call.rest(3))?;
    let since_ms = if absolute { 0 } else { call.now_ms };
    let when = super::deadline(amount.ok_or(NOT_INT)?, unit_ms, since_ms)
        .ok_or_else(|| Fault::new(format!("ERR invalid expire time in '{name}' command")))?;
    let key = call.key();
    if !call.db.has(key) || !condition.holds(call.db.expires_ms(key), when) {
        return Ok(Reply::Int(0));
    }
    match u64::try_from(when) {
        Ok(when) if when > call.now_ms => call.db.set_expiry(key, Some(when)),
        _ => call.db.remove(key).is_some(),
    };
    Ok(Reply::Int(1))
}

/// What remains of a key's time: -2 without a key, -1 without an end.
fn left(call: &Call<'_>, unit: fn(i64) -> i64) -> Reply {
    let Some(entry) = call.db.entry(call.key()) else { return Reply::Int(-2) };
    Reply::Int(entry.expires_ms.map_or(-1, |when| unit(when.saturating_sub(call.now_ms) as i64)))
}

fn persist(call: &mut Call<'_>) -> Answer {
    let key = call.key();
    Ok(Reply::flag(call.db.expires_ms(key).is_some() && call.db.set_expiry(key, None)))
}

fn rename(call: &mut Call<'_>) -> Answer {
    let entry = call.db.remove(call.key()).ok_or(Fault("ERR no such key".into()))?;
    call.db.insert(call.arg(2), entry);
    Ok(OK)
}

fn renamenx(call: &mut Call<'_>) -> Answer {
    if !call.db.has(call.key()) {
        return Err(Fault("ERR no such key".into()));
    }
    let free = !call.db.has(call.arg(2));
    if free {
        rename(call)?;
    }
    Ok(Reply::flag(free))
}
