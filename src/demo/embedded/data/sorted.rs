//! The commands of sorted sets: members by score, and ranges by rank. Ranges by score or name are not here.

use super::super::command::{Answer, Call, Command, Fault, Keys, NOT_FLOAT, SYNTAX, read, write};
use super::super::number::{score, score_text};
use super::super::reply::Reply;
use super::super::value::{Score, Sorted};
use crate::resp::Proto;

pub(in super::super) const COMMANDS: &[Command] = &[
    write("zadd", -4, Keys::First, zadd),
    write("zincrby", 4, Keys::First, zincrby),
    read("zscore", 3, Keys::First, zscore),
    read("zrange", -4, Keys::First, zrange),
    read("zcard", 2, Keys::First, |call| Ok(Reply::count(sorted(call)?.map_or(0, Sorted::len)))),
    write("zrem", -3, Keys::First, zrem),
    write("zpopmin", -2, Keys::First, zpopmin),
];

fn sorted<'a>(call: &'a Call<'_>) -> Result<Option<&'a Sorted>, Fault> {
    call.db.read::<Sorted>(call.key())
}

fn double(score: f64) -> Reply {
    Reply::Double(score_text(score))
}

/// An option of `ZADD`.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    NewOnly,
    OldOnly,
    Greater,
    Less,
    CountChanges,
    Increment,
}

/// The options of one `ZADD`.
struct Adding(Vec<Rule>);

impl Adding {
    /// Reads the options, which come first.
    fn of(args: &[Vec<u8>]) -> Self {
        let one = |option: &Vec<u8>| match option.to_ascii_uppercase().as_slice() {
            b"NX" => Some(Rule::NewOnly),
            b"XX" => Some(Rule::OldOnly),
            b"GT" => Some(Rule::Greater),
            b"LT" => Some(Rule::Less),
            b"CH" => Some(Rule::CountChanges),
            b"INCR" => Some(Rule::Increment),
            _ => None,
        };
        Self(args.iter().map_while(one).collect())
    }

    fn has(&self, option: Rule) -> bool {
        self.0.contains(&option)
    }

    fn check(&self, pairs: usize) -> Result<(), Fault> {
        let [new, old, greater, less] =
            [Rule::NewOnly, Rule::OldOnly, Rule::Greater, Rule::Less].map(|option| self.has(option));
        let contradiction = if new && old {
            "ERR XX and NX options at the same time are not compatible"
        } else if (greater && (less || new)) || (less && new) {
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        } else if self.has(Rule::Increment) && pairs > 1 {
            "ERR INCR option supports a single increment-element pair"
        } else {
            return Ok(());
        };
        Err(Fault(contradiction.into()))
    }

    /// The score that a member gets, or nothing where the options forbid the change.
    fn decide(&self, before: Option<f64>, given: f64) -> Result<Option<f64>, Fault> {
        let Some(old) = before else { return Ok((!self.has(Rule::OldOnly)).then_some(given)) };
        if self.has(Rule::NewOnly) {
            return Ok(None);
        }
        let wanted = if self.has(Rule::Increment) { old + given } else { given };
        if wanted.is_nan() {
            return Err(Fault("ERR resulting score is not a number (NaN)".into()));
        }
        let forbidden = (self.has(Rule::Less) && wanted >= old) || (self.has(Rule::Greater) && wanted <= old);
        Ok((!forbidden).then_some(wanted))
    }
}

fn zadd(call: &mut Call<'_>) -> Answer {
    let adding = Adding::of(call.rest(2));
    let pairs = call.rest(2 + adding.0.len()).chunks_exact(2);
    if !pairs.remainder().is_empty() || pairs.len() == 0 {
        return Err(SYNTAX);
    }
    adding.check(pairs.len())?;
    add(call, &adding, pairs)
}

fn zincrby(call: &mut Call<'_>) -> Answer {
    let adding = Adding(vec![Rule::Increment]);
    add(call, &adding, call.rest(2).chunks_exact(2))
}

fn add(call: &mut Call<'_>, adding: &Adding, pairs: std::slice::ChunksExact<'_, Vec<u8>>) -> Answer {
    let mut given = Vec::new();
    for pair in pairs {
        if let [text, member] = pair {
            given.push((score(text).ok_or(NOT_FLOAT)?, member));
        }
    }
    if sorted(call)?.is_none() && adding.has(Rule::OldOnly) {
        return Ok(if adding.has(Rule::Increment) { Reply::Null } else { Reply::Int(0) });
    }
    let sorted = call.db.write::<Sorted>(call.key())?;
    let (mut added, mut changed, mut last) = (0, 0, None);
    for (given, member) in given {
        let before = sorted.score(member);
        last = adding.decide(before, given)?;
        if let Some(score) = last {
            added += usize::from(before.is_none());
            changed += usize::from(before.is_some_and(|old| Score(old).cmp(&Score(score)).is_ne()));
            sorted.set(member, score);
        }
    }
    call.db.settle(call.key());
    Ok(match (adding.has(Rule::Increment), adding.has(Rule::CountChanges)) {
        (true, _) => last.map_or(Reply::Null, double),
        (false, true) => Reply::count(added + changed),
        (false, false) => Reply::count(added),
    })
}

fn zscore(call: &mut Call<'_>) -> Answer {
    Ok(sorted(call)?.and_then(|sorted| sorted.score(call.arg(2))).map_or(Reply::Null, double))
}

fn zrange(call: &mut Call<'_>) -> Answer {
    let (mut scores, mut reverse) = (false, false);
    for option in call.rest(4) {
        match option.to_ascii_uppercase().as_slice() {
            b"WITHSCORES" => scores = true,
            b"REV" => reverse = true,
            b"BYSCORE" | b"BYLEX" | b"LIMIT" => {
                return Err(Fault("ERR ZRANGE by score or name is not served by the embedded stand-in".into()));
            }
            _ => return Err(SYNTAX),
        }
    }
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let Some(sorted) = sorted(call)? else { return Ok(Reply::Array(Vec::new())) };
    let range = super::slice(start, stop, sorted.len());
    let (skip, take) = (range.start, range.len());
    let found: Vec<(&Vec<u8>, f64)> = if reverse {
        sorted.iter().rev().skip(skip).take(take).collect()
    } else {
        sorted.iter().skip(skip).take(take).collect()
    };
    if !scores {
        return Ok(Reply::strings(found.into_iter().map(|(member, _)| member)));
    }
    Ok(members(found, call.proto == Proto::Resp3))
}

/// Members with scores: pairs, or one flat array.
fn members<T: AsRef<[u8]>>(found: Vec<(T, f64)>, as_pairs: bool) -> Reply {
    let pairs = found.into_iter().map(|(member, score)| vec![Reply::bulk(member), double(score)]);
    if as_pairs { Reply::Array(pairs.map(Reply::Array).collect()) } else { Reply::Array(pairs.flatten().collect()) }
}

fn zrem(call: &mut Call<'_>) -> Answer {
    if sorted(call)?.is_none() {
        return Ok(Reply::Int(0));
    }
    let names = call.rest(2);
    let sorted = call.db.write::<Sorted>(call.key())?;
    let removed = names.iter().filter(|name| sorted.remove(name)).count();
    call.db.settle(call.key());
    Ok(Reply::count(removed))
}

fn zpopmin(call: &mut Call<'_>) -> Answer {
    if call.args.len() > 3 {
        return Err(SYNTAX);
    }
    let count = call.count(2)?;
    if sorted(call)?.is_none() {
        return Ok(Reply::Array(Vec::new()));
    }
    let sorted = call.db.write::<Sorted>(call.key())?;
    let popped: Vec<_> = (0..count.unwrap_or(1)).map_while(|_| sorted.pop_first()).collect();
    call.db.settle(call.key());
    Ok(members(popped, count.is_some() && call.proto == Proto::Resp3))
}
