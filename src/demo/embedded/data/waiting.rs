//! The commands that wait until there is something to take. Here they take what there is, or nothing; the waiting
//! is done by the connection.

use super::super::command::{Answer, Call, Command, Fault, Keys, write};
use super::super::number::score_text;
use super::super::reply::Reply;
use super::super::value::{List, Sorted};

pub(in super::super) const COMMANDS: &[Command] = &[
    write("blpop", -3, Keys::ButLast, |call| pop(call, List::pop_front)),
    write("brpop", -3, Keys::ButLast, |call| pop(call, List::pop_back)),
    write("blmove", 6, Keys::Two, |call| {
        wait_ms(call.args.last())?;
        carry(call, side(call.arg(3))?, side(call.arg(4))?)
    }),
    write("brpoplpush", 4, Keys::Two, |call| {
        wait_ms(call.args.last())?;
        carry(call, Side::Right, Side::Left)
    }),
    write("bzpopmin", -3, Keys::ButLast, pop_least),
];

/// The names of the commands here.
pub(in super::super) fn may_wait(name: &[u8]) -> bool {
    COMMANDS.iter().any(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}

/// How long the request of this last argument wants to wait; 0 is for ever.
pub(in super::super) fn wait_ms(text: Option<&Vec<u8>>) -> Result<u64, Fault> {
    let number = text.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse::<f64>().ok());
    let Some(seconds) = number else { return Err(Fault("ERR timeout is not a float or out of range".into())) };
    if seconds < 0.0 {
        return Err(Fault("ERR timeout is negative".into()));
    }
    Ok((seconds * 1000.0).ceil() as u64)
}

fn keys<'a>(call: &Call<'a>) -> Result<&'a [Vec<u8>], Fault> {
    wait_ms(call.args.last())?;
    Ok(call.args.get(1..call.args.len() - 1).unwrap_or_default())
}

fn pop(call: &mut Call<'_>, end: fn(&mut List) -> Option<Vec<u8>>) -> Answer {
    for key in keys(call)? {
        if call.db.read::<List>(key)?.is_some() {
            let element = end(call.db.write::<List>(key)?);
            call.db.settle(key);
            return Ok(Reply::Array(vec![Reply::bulk(key), Reply::maybe(element.as_ref())]));
        }
    }
    Ok(Reply::NullArray)
}

fn pop_least(call: &mut Call<'_>) -> Answer {
    for key in keys(call)? {
        if call.db.read::<Sorted>(key)?.is_some() {
            let least = call.db.write::<Sorted>(key)?.pop_first();
            call.db.settle(key);
            let Some((member, score)) = least else { continue };
            return Ok(Reply::Array(vec![Reply::bulk(key), Reply::bulk(member), Reply::Double(score_text(score))]));
        }
    }
    Ok(Reply::NullArray)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn side(word: &[u8]) -> Result<Side, Fault> {
    match word.to_ascii_uppercase().as_slice() {
        b"LEFT" => Ok(Side::Left),
        b"RIGHT" => Ok(Side::Right),
        _ => Err(super::super::command::SYNTAX),
    }
}

fn carry(call: &mut Call<'_>, from: Side, to: Side) -> Answer {
    call.db.read::<List>(call.arg(2))?;
    if call.db.read::<List>(call.key())?.is_none() {
        return Ok(Reply::NullArray);
    }
    let source = call.db.write::<List>(call.key())?;
    let element = if from == Side::Left { source.pop_front() } else { source.pop_back() };
    call.db.settle(call.key());
    let Some(element) = element else { return Ok(Reply::NullArray) };
    let target = call.db.write::<List>(call.arg(2))?;
    if to == Side::Left {
        target.push_front(element.clone());
    } else {
        target.push_back(element.clone());
    }
    Ok(Reply::bulk(element))
}
