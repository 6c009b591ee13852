//! Strings and counters.

use super::super::command::{
    Answer, Call, Command, Fault, Keys, NOT_FLOAT, NOT_INT, OK, OVERFLOW, SYNTAX, read, write,
};
use super::super::number::{Decimal, int};
use super::super::reply::Reply;
use super::super::value::Value;

pub(in super::super) const COMMANDS: &[Command] = &[
    read("get", 2, Keys::First, get),
    write("set", -3, Keys::First, set),
    write("setnx", 3, Keys::First, setnx),
    write("setex", 4, Keys::First, |call| set_with_time(call, "setex", 1000)),
    write("psetex", 4, Keys::First, |call| set_with_time(call, "psetex", 1)),
    write("getset", 3, Keys::First, getset),
    write("getdel", 2, Keys::First, getdel),
    write("getex", -2, Keys::First, getex),
    write("append", 3, Keys::First, append),
    read("strlen", 2, Keys::First, strlen),
    write("incr", 2, Keys::First, |call| add(call, 1)),
    write("decr", 2, Keys::First, |call| add(call, -1)),
    write("incrby", 3, Keys::First, |call| call.int(2).and_then(|by| add(call, by))),
    write("decrby", 3, Keys::First, decrby),
    write("incrbyfloat", 3, Keys::First, incrbyfloat),
    read("mget", -2, Keys::All, mget),
    write("mset", -3, Keys::Pairs, mset),
    write("msetnx", -3, Keys::Pairs, msetnx),
    write("setrange", 4, Keys::First, setrange),
    read("getrange", 4, Keys::First, getrange),
];

/// The longest string, in bytes (`proto-max-bulk-len`).
const MAX_LEN: usize = 512 * 1024 * 1024;

fn put(call: &mut Call<'_>, value: &[u8], expires_ms: Option<u64>) {
    call.db.put(call.key(), Value::Text(value.to_vec()), expires_ms);
}

fn text<'a>(call: &'a Call<'_>, key: &[u8]) -> Result<Option<&'a Vec<u8>>, Fault> {
    call.db.read::<Vec<u8>>(key)
}

fn get(call: &mut Call<'_>) -> Answer {
    Ok(Reply::maybe(text(call, call.key())?))
}

/// When a key that is set or read is to expire.
#[derive(Clone, Copy, PartialEq)]
enum Expiry {
    Unsaid,
    Keep,
    Persist,
    In { amount: Option<i64>, unit_ms: i64, absolute: bool },
}

impl Expiry {
    /// Milliseconds since 1970. `name` is the command that complains.
    fn at(self, name: &str, now_ms: u64) -> Result<Option<u64>, Fault> {
        let Self::In { amount, unit_ms, absolute } = self else { return Ok(None) };
        let amount = amount.ok_or(NOT_INT)?;
        let when = if amount > 0 { deadline_of(amount, unit_ms, absolute, now_ms) } else { None };
        when.map(Some).ok_or_else(|| Fault::new(format!("ERR invalid expire time in '{name}' command")))
    }
}

fn deadline_of(amount: i64, unit_ms: i64, absolute: bool, now_ms: u64) -> Option<u64> {
    super::deadline(amount, unit_ms, if absolute { 0 } else { now_ms })?.try_into().ok()
}

/// Reads `EX n`, `PX n`, `EXAT n`, `PXAT n` at `at`; gives how many arguments that were.
fn timed(call: &Call<'_>, at: usize) -> Result<Option<Expiry>, Fault> {
    let (unit_ms, absolute) = match call.arg(at).to_ascii_uppercase().as_slice() {
        b"EX" => (1000, false),
        b"PX" => (1, false),
        b"EXAT" => (1000, true),
        b"PXAT" => (1, true),
        _ => return Ok(None),
    };
    let text = call.args.get(at + 1).ok_or(SYNTAX)?;
    // A server finds out what is not a number only after the other options: the syntax comes first.
    Ok(Some(Expiry::In { amount: int(text), unit_ms, absolute }))
}

/// The options of `SET`.
struct Setting {
    condition: Option<bool>,
    get: bool,
    expiry: Expiry,
}

fn setting(call: &Call<'_>) -> Result<Setting, Fault> {
    let mut setting = Setting { condition: None, get: false, expiry: Expiry::Unsaid };
    let mut at = 3;
    while at < call.args.len() {
        if let Some(expiry) = timed(call, at)? {
            if setting.expiry != Expiry::Unsaid {
                return Err(SYNTAX);
            }
            setting.expiry = expiry;
            at += 2;
            continue;
        }
        match call.arg(at).to_ascii_uppercase().as_slice() {
            b"NX" if setting.condition != Some(true) => setting.condition = Some(false),
            b"XX" if setting.condition != Some(false) => setting.condition = Some(true),
            b"GET" => setting.get = true,
            b"KEEPTTL" if matches!(setting.expiry, Expiry::Unsaid | Expiry::Keep) => setting.expiry = Expiry::Keep,
            _ => return Err(SYNTAX),
        }
        at += 1;
    }
    Ok(setting)
}

fn set(call: &mut Call<'_>) -> Answer {
    let setting = setting(call)?;
    let mut expires_ms = setting.expiry.at("set", call.now_ms)?;
    let before = if setting.get { Some(get(call)?) } else { None };
    if setting.condition.is_some_and(|exists| exists != call.db.has(call.key())) {
        return Ok(before.unwrap_or(Reply::Null));
    }
    if setting.expiry == Expiry::Keep {
        expires_ms = call.db.expires_ms(call.key());
    }
    put(call, call.arg(2), expires_ms);
    Ok(before.unwrap_or(OK))
}

fn setnx(call: &mut Call<'_>) -> Answer {
    let free = !call.db.has(call.key());
    if free {
        put(call, call.arg(2), None);
    }
    Ok(Reply::flag(free))
}

fn set_with_time(call: &mut Call<'_>, name: &str, unit_ms: i64) -> Answer {
    let expiry = Expiry::In { amount: Some(call.int(2)?), unit_ms, absolute: false };
    let expires_ms = expiry.at(name, call.now_ms)?;
    put(call, call.arg(3), expires_ms);
    Ok(OK)
}

fn getset(call: &mut Call<'_>) -> Answer {
    let before = get(call)?;
    put(call, call.arg(2), None);
    Ok(before)
}

fn getdel(call: &mut Call<'_>) -> Answer {
    let before = get(call)?;
    call.db.remove(call.key());
    Ok(before)
}

fn getex(call: &mut Call<'_>) -> Answer {
    let mut expiry = Expiry::Unsaid;
    let mut at = 2;
    while at < call.args.len() {
        let option = match timed(call, at)? {
            Some(timed) => timed,
            None if call.arg(at).eq_ignore_ascii_case(b"persist") => Expiry::Persist,
            None => return Err(SYNTAX),
        };
        if expiry != Expiry::Unsaid && (expiry, option) != (Expiry::Persist, Expiry::Persist) {
            return Err(SYNTAX);
        }
        at += if option == Expiry::Persist { 1 } else { 2 };
        expiry = option;
    }
    let value = get(call)?;
    if value == Reply::Null {
        return Ok(value);
    }
    let expires_ms = expiry.at("getex", call.now_ms)?;
    if expiry != Expiry::Unsaid {
        call.db.set_expiry(call.key(), expires_ms);
    }
    Ok(value)
}

fn append(call: &mut Call<'_>) -> Answer {
    let tail = call.arg(2);
    let value = call.db.write::<Vec<u8>>(call.key())?;
    if value.len() + tail.len() > MAX_LEN {
        return Err(too_long());
    }
    value.extend_from_slice(tail);
    Ok(Reply::count(value.len()))
}

fn too_long() -> Fault {
    Fault("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into())
}

fn strlen(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(text(call, call.key())?.map_or(0, Vec::len)))
}

/// Writes a new value of the key and leaves its expiry alone.
fn rewrite(call: &mut Call<'_>, value: &[u8]) {
    let expires_ms = call.db.expires_ms(call.key());
    put(call, value, expires_ms);
}

fn add(call: &mut Call<'_>, by: i64) -> Answer {
    let before = match text(call, call.key())? {
        Some(text) => int(text).ok_or(NOT_INT)?,
        None => 0,
    };
    let after = before.checked_add(by).ok_or(OVERFLOW)?;
    rewrite(call, after.to_string().as_bytes());
    Ok(Reply::Int(after))
}

fn decrby(call: &mut Call<'_>) -> Answer {
    let by = call.int(2)?.checked_neg().ok_or(Fault("ERR decrement would overflow".into()))?;
    add(call, by)
}

fn incrbyfloat(call: &mut Call<'_>) -> Answer {
    let before = match text(call, call.key())? {
        Some(text) => Decimal::parse(text).ok_or(NOT_FLOAT)?,
        None => Decimal::ZERO,
    };
    let by = Decimal::parse(call.arg(2)).ok_or(NOT_FLOAT)?;
    let after = before.plus(by).ok_or(Fault("ERR increment would produce NaN or Infinity".into()))?.text();
    rewrite(call, after.as_bytes());
    Ok(Reply::bulk(after))
}

fn mget(call: &mut Call<'_>) -> Answer {
    let values = call.rest(1).iter().map(|key| Reply::maybe(text(call, key).ok().flatten()));
    Ok(Reply::Array(values.collect()))
}

/// The pairs of `MSET` and `MSETNX`.
fn pairs<'a>(call: &Call<'a>, name: &str) -> Result<std::slice::ChunksExact<'a, Vec<u8>>, Fault> {
    let pairs = call.rest(1).chunks_exact(2);
    if pairs.remainder().is_empty() { Ok(pairs) } else { Err(Fault::arity(name)) }
}

fn put_all(call: &mut Call<'_>, pairs: std::slice::ChunksExact<'_, Vec<u8>>) {
    for pair in pairs {
        if let [key, value] = pair {
            call.db.put(key, Value::Text(value.clone()), None);
        }
    }
}

fn mset(call: &mut Call<'_>) -> Answer {
    let pairs = pairs(call, "mset")?;
    put_all(call, pairs);
    Ok(OK)
}

fn msetnx(call: &mut Call<'_>) -> Answer {
    let pairs = pairs(call, "msetnx")?;
    let free = pairs.clone().all(|pair| pair.first().is_some_and(|key| !call.db.has(key)));
    if free {
        put_all(call, pairs);
    }
    Ok(Reply::flag(free))
}

fn setrange(call: &mut Call<'_>) -> Answer {
    let offset = usize::try_from(call.int(2)?).map_err(|_| Fault("ERR offset is out of range".into()))?;
    let part = call.arg(3);
    let len = text(call, call.key())?.map_or(0, Vec::len);
    if part.is_empty() {
        return Ok(Reply::count(len));
    }
    let end = offset.checked_add(part.len()).filter(|&end| end <= MAX_LEN).ok_or_else(too_long)?;
    let value = call.db.write::<Vec<u8>>(call.key())?;
    value.resize(len.max(end), 0);
    value.splice(offset..end, part.iter().copied());
    Ok(Reply::count(len.max(end)))
}

fn getrange(call: &mut Call<'_>) -> Answer {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let value = text(call, call.key())?.map_or(&[][..], Vec::as_slice);
    if start < 0 && stop < 0 && start > stop {
        return Ok(Reply::bulk(b""));
    }
    // Here, unlike for lists, an end before the beginning means the first byte.
    let stop = stop.max(-(value.len() as i64));
    Ok(Reply::bulk(value.get(super::slice(start, stop, value.len())).unwrap_or_default()))
}
