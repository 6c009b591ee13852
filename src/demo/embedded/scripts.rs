//! Scripts that consist of one call: `return redis.call('incr', KEYS[1])`. Others are refused by name: a stand-in that
//! ran half of a language would be taken for the whole of it.
//!
//! Each node knows the scripts that it was shown since its process began, as in a server.

use sha1::{Digest as _, Sha1};

use super::command::{Answer, Command, Effect, Fault, Keys, OK, Run, SYNTAX, other};
use super::node::{Turn, run_it};
use super::number::int;
use super::reply::Reply;

pub(super) const COMMANDS: &[Command] = &[
    script("eval", |turn| {
        let text = turn.arg(1).to_vec();
        let reply = run(turn, &text)?;
        learn(turn, text);
        Ok(reply)
    }),
    script("evalsha", |turn| {
        let name = turn.arg(1).to_ascii_lowercase();
        let text = turn.state.nodes[turn.node].known.get(&name).cloned();
        run(turn, &text.ok_or(Fault("NOSCRIPT No matching script. Please use EVAL.".into()))?)
    }),
    other("script", -2, |turn| match turn.arg(1).to_ascii_lowercase().as_slice() {
        b"load" => {
            turn.exactly(3, "script|load")?;
            let text = turn.arg(2).to_vec();
            call(&text)?;
            Ok(Reply::bulk(learn(turn, text)))
        }
        b"flush" => {
            turn.state.nodes[turn.node].known.clear();
            Ok(OK)
        }
        b"exists" => {
            let known = &turn.state.nodes[turn.node].known;
            let is_known = |name: &Vec<u8>| Reply::Int(i64::from(known.contains_key(&name.to_ascii_lowercase())));
            Ok(Reply::Array(turn.args.iter().skip(2).map(is_known).collect()))
        }
        _ => Err(turn.unknown_subcommand()),
    }),
    other("fcall", -3, |_| Err(refused())),
    other("function", -2, |_| Err(refused())),
];

const fn script(name: &'static str, run: fn(&mut Turn<'_>) -> Answer) -> Command {
    Command { name, arity: -3, keys: Keys::Counted, effect: Effect::Write, run: Run::Node(run) }
}

fn refused() -> Fault {
    Fault(
        "ERR the embedded stand-in only serves scripts of one call, return redis.call(...): start a real redis-server"
            .into(),
    )
}

/// Keeps a script under its name.
fn learn(turn: &mut Turn<'_>, text: Vec<u8>) -> Vec<u8> {
    let name: String = Sha1::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    turn.state.nodes[turn.node].known.insert(name.clone().into_bytes(), text);
    name.into_bytes()
}

/// The words of the one call.
fn call(text: &[u8]) -> Result<Vec<&str>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| refused())?.trim().trim_end_matches(';');
    let value = text.strip_prefix("return").map(str::trim).ok_or_else(refused)?;
    let value = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(value);
    let words = value.strip_prefix("redis.call(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(refused)?;
    Ok(words.split(',').map(str::trim).collect())
}

/// What a word of the call stands for.
fn value(word: &str, keys: &[Vec<u8>], args: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    let quoted = |mark| word.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    if let Some(text) = quoted('\'').or_else(|| quoted('"')) {
        return Ok(text.into());
    }
    let at = |name: &str| word.strip_prefix(name)?.strip_suffix(']')?.parse::<usize>().ok()?.checked_sub(1);
    let known = at("KEYS[").map(|n| keys.get(n)).or_else(|| at("ARGV[").map(|n| args.get(n)));
    known.flatten().cloned().ok_or_else(refused)
}

fn run(turn: &mut Turn<'_>, text: &[u8]) -> Answer {
    let rest = turn.args.get(3..).unwrap_or_default();
    let count = int(turn.arg(2)).and_then(|n| usize::try_from(n).ok()).ok_or(SYNTAX)?;
    let Some((keys, args)) = rest.split_at_checked(count) else {
        return Err(Fault("ERR Number of keys can't be greater than number of args".into()));
    };
    let words = call(text)?.into_iter().map(|word| value(word, keys, args)).collect::<Result<Vec<_>, _>>()?;
    let command = turn.state.commands.find(words.first().map_or(&[], Vec::as_slice)).ok_or_else(refused)?;
    if !command.admits(words.len()) || !matches!(command.run, Run::Data(_)) {
        return Err(refused());
    }
    let (node, asked) = (turn.node, turn.asked);
    let mut inner = Turn { state: turn.state, node, session: turn.session, args: &words, asked, closing: false };
    run_it(&mut inner, command.run)
}
