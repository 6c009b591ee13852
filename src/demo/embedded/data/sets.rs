//! The commands of sets: members in the order in which the server would give them, as far as it says.

use super::super::command::{Answer, Call, Command, Fault, Keys, SYNTAX, read, write};
use super::super::reply::Reply;
use super::super::value::Set;

pub(in super::super) const COMMANDS: &[Command] = &[
    write("sadd", -3, Keys::First, sadd),
    write("srem", -3, Keys::First, srem),
    read("smembers", 2, Keys::First, smembers),
    read("sismember", 3, Keys::First, sismember),
    read("scard", 2, Keys::First, |call| Ok(Reply::count(set(call)?.map_or(0, Set::len)))),
    write("spop", -2, Keys::First, spop),
];

fn set<'a>(call: &'a Call<'_>) -> Result<Option<&'a Set>, Fault> {
    call.db.read::<Set>(call.key())
}

fn sadd(call: &mut Call<'_>) -> Answer {
    let members = call.rest(2);
    let set = call.db.write::<Set>(call.key())?;
    Ok(Reply::count(members.iter().filter(|member| set.insert((*member).clone())).count()))
}

fn srem(call: &mut Call<'_>) -> Answer {
    if set(call)?.is_none() {
        return Ok(Reply::Int(0));
    }
    let members = call.rest(2);
    let set = call.db.write::<Set>(call.key())?;
    let removed = members.iter().filter(|member| set.remove(*member)).count();
    call.db.settle(call.key());
    Ok(Reply::count(removed))
}

fn smembers(call: &mut Call<'_>) -> Answer {
    Ok(Reply::Set(set(call)?.into_iter().flatten().map(Reply::bulk).collect()))
}

fn sismember(call: &mut Call<'_>) -> Answer {
    Ok(Reply::flag(set(call)?.is_some_and(|set| set.contains(call.arg(2)))))
}

fn spop(call: &mut Call<'_>) -> Answer {
    if call.args.len() > 3 {
        return Err(SYNTAX);
    }
    let count = call.count(2)?;
    if set(call)?.is_none() {
        return Ok(if count.is_some() { Reply::Set(Vec::new()) } else { Reply::Null });
    }
    let set = call.db.write::<Set>(call.key())?;
    let mut popped = Vec::new();
    for _ in 0..count.unwrap_or(1).min(set.len()) {
        let at = call.random.below(set.len() as u64) as usize;
        if let Some(member) = set.iter().nth(at).cloned() {
            set.remove(&member);
            popped.push(member);
        }
    }
    call.db.settle(call.key());
    Ok(match count {
        Some(_) => Reply::Set(popped.iter().map(Reply::bulk).collect()),
        None => Reply::maybe(popped.first()),
    })
}
