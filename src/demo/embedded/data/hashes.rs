//! The commands of hashes: fields and their values, counters among them.

use super::super::command::{Answer, Call, Command, Fault, Keys, OK, OVERFLOW, read, write};
use super::super::number::int;
use super::super::reply::Reply;
use super::super::value::Hash;

pub(in super::super) const COMMANDS: &[Command] = &[
    write("hset", -4, Keys::First, |call| Ok(Reply::count(set(call, "hset")?))),
    write("hmset", -4, Keys::First, |call| set(call, "hmset").map(|_| OK)),
    read("hget", 3, Keys::First, |call| Ok(Reply::maybe(field(call, call.arg(2))?))),
    write("hdel", -3, Keys::First, hdel),
    read("hgetall", 2, Keys::First, hgetall),
    read("hmget", -3, Keys::First, hmget),
    read("hlen", 2, Keys::First, |call| Ok(Reply::count(hash(call)?.map_or(0, Hash::len)))),
    read("hexists", 3, Keys::First, |call| Ok(Reply::flag(field(call, call.arg(2))?.is_some()))),
    write("hincrby", 4, Keys::First, hincrby),
];

fn hash<'a>(call: &'a Call<'_>) -> Result<Option<&'a Hash>, Fault> {
    call.db.read::<Hash>(call.key())
}

fn field<'a>(call: &'a Call<'_>, name: &[u8]) -> Result<Option<&'a Vec<u8>>, Fault> {
    Ok(hash(call)?.and_then(|hash| hash.get(name)))
}

/// Sets fields; how many of them are new.
fn set(call: &mut Call<'_>, name: &str) -> Result<usize, Fault> {
    let pairs = call.rest(2).chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(Fault::arity(name));
    }
    let hash = call.db.write::<Hash>(call.key())?;
    let before = hash.len();
    for pair in pairs {
        if let [field, value] = pair {
            hash.insert(field.clone(), value.clone());
        }
    }
    Ok(hash.len() - before)
}

fn hdel(call: &mut Call<'_>) -> Answer {
    if hash(call)?.is_none() {
        return Ok(Reply::Int(0));
    }
    let fields = call.rest(2);
    let hash = call.db.write::<Hash>(call.key())?;
    let removed = fields.iter().filter(|field| hash.remove(*field).is_some()).count();
    call.db.settle(call.key());
    Ok(Reply::count(removed))
}

fn hgetall(call: &mut Call<'_>) -> Answer {
    let pairs = hash(call)?.into_iter().flatten();
    Ok(Reply::Map(pairs.map(|(field, value)| (Reply::bulk(field), Reply::bulk(value))).collect()))
}

fn hmget(call: &mut Call<'_>) -> Answer {
    let hash = hash(call)?;
    let values = call.rest(2).iter().map(|field| Reply::maybe(hash.and_then(|hash| hash.get(field))));
    Ok(Reply::Array(values.collect()))
}

fn hincrby(call: &mut Call<'_>) -> Answer {
    let by = call.int(3)?;
    let before = match field(call, call.arg(2))? {
        Some(text) => int(text).ok_or(Fault("ERR hash value is not an integer".into()))?,
        None => 0,
    };
    let after = before.checked_add(by).ok_or(OVERFLOW)?;
    let name = call.arg(2).to_vec();
    call.db.write::<Hash>(call.key())?.insert(name, after.to_string().into_bytes());
    Ok(Reply::Int(after))
}
