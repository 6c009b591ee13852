//! The commands of lists: both ends, ranges and lengths. Blocking ones are not here.

use super::super::command::{Answer, Call, Command, Fault, Keys, read, write};
use super::super::reply::Reply;
use super::super::value::List;

pub(in super::super) const COMMANDS: &[Command] = &[
    write("lpush", -3, Keys::First, |call| push(call, List::push_front)),
    write("rpush", -3, Keys::First, |call| push(call, List::push_back)),
    write("lpop", -2, Keys::First, |call| pop(call, "lpop", List::pop_front)),
    write("rpop", -2, Keys::First, |call| pop(call, "rpop", List::pop_back)),
    read("llen", 2, Keys::First, |call| Ok(Reply::count(list(call)?.map_or(0, List::len)))),
    read("lrange", 4, Keys::First, lrange),
    read("lindex", 3, Keys::First, lindex),
];

fn list<'a>(call: &'a Call<'_>) -> Result<Option<&'a List>, Fault> {
    call.db.read::<List>(call.key())
}

fn push(call: &mut Call<'_>, end: fn(&mut List, Vec<u8>)) -> Answer {
    let elements = call.rest(2);
    let list = call.db.write::<List>(call.key())?;
    for element in elements {
        end(list, element.clone());
    }
    Ok(Reply::count(list.len()))
}

fn pop(call: &mut Call<'_>, name: &str, end: fn(&mut List) -> Option<Vec<u8>>) -> Answer {
    if call.args.len() > 3 {
        return Err(Fault::arity(name));
    }
    let count = call.count(2)?;
    if list(call)?.is_none() {
        return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null });
    }
    let list = call.db.write::<List>(call.key())?;
    let reply = match count {
        Some(count) => Reply::strings((0..count).map_while(|_| end(list))),
        None => Reply::maybe(end(list).as_ref()),
    };
    call.db.settle(call.key());
    Ok(reply)
}

fn lrange(call: &mut Call<'_>) -> Answer {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let Some(list) = list(call)? else { return Ok(Reply::Array(Vec::new())) };
    Ok(Reply::strings(list.range(super::slice(start, stop, list.len()))))
}

fn lindex(call: &mut Call<'_>) -> Answer {
    let list = list(call)?;
    // A server looks at the number only where there is a list to look into.
    let Some(list) = list else { return Ok(Reply::Null) };
    let at = call.int(2)?;
    let at = if at < 0 { at.saturating_add(list.len() as i64) } else { at };
    Ok(Reply::maybe(usize::try_from(at).ok().and_then(|at| list.get(at))))
}
