//! A module that nodes can load, with commands that no table knows: keys stand where nobody would look for them.
//!
//! In its second version they stand elsewhere. What the nodes tell of themselves follows: `MODULE LIST`, `COMMAND`.

use std::rc::Rc;

use super::Cluster;
use super::command::{Answer, Call, Command, Keys, OK, Table, other, read, write};
use super::node::Turn;
use super::reply::Reply;
use super::value::Value;

/// The rows that are there with the module or without it.
pub(super) const COMMANDS: &[Command] = &[other("module", -2, module), other("command", -1, command)];

/// `ODD.SET value key`, `ODD.LEN word KEYS key key …`, `ODD.COUNT`.
const FIRST: &[Command] = &[
    write("odd.set", 3, Keys::Second, |call| set(call, 2, 1)),
    read("odd.len", -4, Keys::FromThird, length),
    read("odd.count", 1, Keys::None, |call| Ok(Reply::count(call.db.len()))),
];

/// `ODD.SET key value`.
const SECOND: &[Command] = &[write("odd.set", 3, Keys::First, |call| set(call, 1, 2))];

impl Cluster {
    /// All nodes load the odd module in this version, 1 or 2, in the place of what they had.
    pub fn load_module(&self, version: u8) {
        let mut state = self.state();
        state.module = version;
        state.commands = Rc::new(Table::with(if version == 1 { FIRST } else { SECOND }));
    }
}

fn set(call: &mut Call<'_>, key: usize, value: usize) -> Answer {
    let (key, value) = (call.arg(key).to_vec(), call.arg(value).to_vec());
    call.db.put(&key, Value::Text(value), None);
    Ok(OK)
}

/// How long all values are together.
fn length(call: &mut Call<'_>) -> Answer {
    let mut all = 0;
    for key in call.rest(3) {
        all += call.db.read::<Vec<u8>>(key)?.map_or(0, Vec::len);
    }
    Ok(Reply::count(all))
}

fn module(turn: &mut Turn<'_>) -> Answer {
    if !turn.arg(1).eq_ignore_ascii_case(b"list") {
        return Err(turn.unknown_subcommand());
    }
    let fields = [
        (Reply::bulk("name"), Reply::bulk("odd")),
        (Reply::bulk("ver"), Reply::Int(i64::from(turn.state.module))),
        (Reply::bulk("path"), Reply::bulk("")),
        (Reply::bulk("args"), Reply::Array(Vec::new())),
    ];
    Ok(Reply::Array(if turn.state.module == 0 { Vec::new() } else { vec![Reply::Map(fields.into())] }))
}

/// Of their commands the nodes describe only the module's: a client that asks gets an answer of the right shape.
fn command(turn: &mut Turn<'_>) -> Answer {
    let rows = match turn.state.module {
        0 => Vec::new(),
        1 => vec![
            row("odd.set", 3, "write", 2, &[], &[by_index(2)]),
            row("odd.len", -4, "readonly", 0, &[], &[by_word()]),
            row("odd.count", 1, "readonly", 0, &["request_policy:all_shards", "response_policy:agg_sum"], &[]),
        ],
        _ => vec![row("odd.set", 3, "write", 1, &[], &[by_index(1)])],
    };
    match turn.arg(1).to_ascii_lowercase().as_slice() {
        b"" => Ok(Reply::Array(rows)),
        b"list" => Ok(Reply::Array(Vec::new())),
        b"count" => Ok(Reply::count(rows.len())),
        b"docs" => Ok(Reply::Map(Vec::new())),
        b"info" => Ok(Reply::Array(turn.args.iter().skip(2).map(|_| Reply::NullArray).collect())),
        _ => Err(turn.unknown_subcommand()),
    }
}

fn row(name: &'static str, arity: i64, flag: &'static str, key: i64, tips: &[&str], specs: &[Reply]) -> Reply {
    let flags = Reply::Set(vec![Reply::Simple(flag), Reply::Simple("module")]);
    let keys = [key, key, i64::from(key > 0)].map(Reply::Int);
    let tips = Reply::Set(tips.iter().map(Reply::bulk).collect());
    let mut fields = vec![Reply::bulk(name), Reply::Int(arity), flags];
    fields.extend(keys);
    fields.extend([Reply::Set(vec![Reply::Simple("@slow")]), tips, Reply::Set(specs.to_vec()), Reply::Set(Vec::new())]);
    Reply::Array(fields)
}

/// A key at this argument.
fn by_index(at: i64) -> Reply {
    let begin = [("index", Reply::Int(at))];
    let find = [("lastkey", Reply::Int(0)), ("keystep", Reply::Int(1)), ("limit", Reply::Int(0))];
    key_spec(("index", &begin), &find)
}

/// Keys behind the word KEYS.
fn by_word() -> Reply {
    let begin = [("keyword", Reply::bulk("KEYS")), ("startfrom", Reply::Int(1))];
    let find = [("lastkey", Reply::Int(-1)), ("keystep", Reply::Int(1)), ("limit", Reply::Int(0))];
    key_spec(("keyword", &begin), &find)
}

fn key_spec((kind, begin): (&str, &[(&str, Reply)]), find: &[(&str, Reply)]) -> Reply {
    let map = |fields: &[(&str, Reply)]| {
        Reply::Map(fields.iter().map(|(name, value)| (Reply::bulk(name), value.clone())).collect())
    };
    let search = |kind: &str, spec| map(&[("type", Reply::bulk(kind)), ("spec", map(spec))]);
    let flags = Reply::Set(vec![Reply::Simple("RW"), Reply::Simple("update")]);
    map(&[("flags", flags), ("begin_search", search(kind, begin)), ("find_keys", search("range", find))])
}
