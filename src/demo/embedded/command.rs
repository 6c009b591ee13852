//! The commands that a node knows: one row each, gathered from the files that run them.
//!
//! A row says how many arguments there are, where the keys are and whether the command writes; the node checks
//! all of that before the command runs, so the commands themselves do not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::db::Db;
use super::node::Turn;
use super::random::Random;
use super::reply::Reply;
use super::{cluster_replies, connection, data, multi, odd, pubsub, scripts, server};
use crate::resp::Proto;

/// An error that a command answers with, prefix included.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault(pub(super) Cow<'static, str>);

impl Fault {
    /// A text that is made for the occasion.
    pub(super) fn new(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// The wrong number of arguments for the command of this name.
    pub(super) fn arity(name: &str) -> Self {
        Self::new(format!("ERR wrong number of arguments for '{name}' command"))
    }
}

pub(super) const WRONG_TYPE: Fault =
    Fault(Cow::Borrowed("WRONGTYPE Operation against a key holding the wrong kind of value"));
pub(super) const SYNTAX: Fault = Fault(Cow::Borrowed("ERR syntax error"));
pub(super) const NOT_INT: Fault = Fault(Cow::Borrowed("ERR value is not an integer or out of range"));
pub(super) const NOT_FLOAT: Fault = Fault(Cow::Borrowed("ERR value is not a valid float"));
pub(super) const OVERFLOW: Fault = Fault(Cow::Borrowed("ERR increment or decrement would overflow"));
pub(super) const NOT_POSITIVE: Fault = Fault(Cow::Borrowed("ERR value is out of range, must be positive"));

/// What running a command gives.
pub(super) type Answer = Result<Reply, Fault>;

/// `+OK`.
pub(super) const OK: Reply = Reply::Simple("OK");

/// What a data command works on.
pub(super) struct Call<'a> {
    /// The keys of the node's shard.
    pub(super) db: &'a mut Db,
    /// The request, command name included.
    pub(super) args: &'a [Vec<u8>],
    /// Milliseconds since 1970.
    pub(super) now_ms: u64,
    /// What the connection speaks, for the few replies whose shape differs.
    pub(super) proto: Proto,
    /// For the commands that choose.
    pub(super) random: &'a mut Random,
    /// The seed of the node's own hash table.
    pub(super) table: u64,
    /// Whether each slot has a table of its own.
    pub(super) slot_tables: bool,
}

impl<'a> Call<'a> {
    /// The argument at `i`, empty if the row's arity allows it to be absent and it is.
    pub(super) fn arg(&self, i: usize) -> &'a [u8] {
        self.args.get(i).map_or(&[], Vec::as_slice)
    }

    /// The first key.
    pub(super) fn key(&self) -> &'a [u8] {
        self.arg(1)
    }

    /// The arguments from `i` on.
    pub(super) fn rest(&self, i: usize) -> &'a [Vec<u8>] {
        self.args.get(i..).unwrap_or_default()
    }

    /// The argument at `i` as a whole number.
    pub(super) fn int(&self, i: usize) -> Result<i64, Fault> {
        super::number::int(self.arg(i)).ok_or(NOT_INT)
    }

    /// The optional argument at `i` as a count of things.
    pub(super) fn count(&self, i: usize) -> Result<Option<usize>, Fault> {
        let Some(text) = self.args.get(i) else { return Ok(None) };
        let number = super::number::int(text).and_then(|n| usize::try_from(n).ok());
        number.map(Some).ok_or(NOT_POSITIVE)
    }
}

/// Where the keys of a request are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keys {
    /// Nowhere.
    None,
    /// Only the first argument.
    First,
    /// Every argument.
    All,
    /// Every second argument from the first on.
    Pairs,
    /// The first two arguments.
    Two,
    /// Only the second argument.
    Second,
    /// Every argument but the last.
    ButLast,
    /// Every argument from the third on.
    FromThird,
    /// As many as the second argument says, behind it.
    Counted,
}

impl Keys {
    /// The keys of a request.
    pub(super) fn of(self, args: &[Vec<u8>]) -> Vec<&Vec<u8>> {
        let rest = args.get(1..).unwrap_or_default().iter();
        match self {
            Self::None => Vec::new(),
            Self::First => rest.take(1).collect(),
            Self::Second => rest.skip(1).take(1).collect(),
            Self::Two => rest.take(2).collect(),
            Self::ButLast => rest.take(args.len().saturating_sub(2)).collect(),
            Self::FromThird => rest.skip(2).collect(),
            Self::Counted => {
                let count = rest.clone().nth(1).and_then(|count| super::number::int(count)).unwrap_or(0);
                rest.skip(2).take(usize::try_from(count).unwrap_or(0)).collect()
            }
            Self::All => rest.collect(),
            Self::Pairs => rest.step_by(2).collect(),
        }
    }
}

/// What a command does to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Reads it.
    Read,
    /// May change it.
    Write,
    /// Has nothing to do with it.
    Other,
    /// The same, and may be asked for before the connection proved who it is.
    Door,
}

/// The function behind a row.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// Works on the keys of the shard.
    Data(fn(&mut Call<'_>) -> Answer),
    /// Works on the node, the cluster or the connection.
    Node(fn(&mut Turn<'_>) -> Answer),
}

/// A row of the table.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// How many arguments with the name; at least so many when negative.
    pub(super) arity: i32,
    pub(super) keys: Keys,
    pub(super) effect: Effect,
    pub(super) run: Run,
}

impl Command {
    /// A row about the connection that names keys.
    pub(super) const fn keyed(name: &'static str, arity: i32, keys: Keys, run: fn(&mut Turn<'_>) -> Answer) -> Self {
        Self { name, arity, keys, effect: Effect::Other, run: Run::Node(run) }
    }

    /// Whether a request of so many arguments is well formed.
    pub(super) fn admits(&self, count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }
}

/// A row that reads keys.
pub(super) const fn read(name: &'static str, arity: i32, keys: Keys, run: fn(&mut Call<'_>) -> Answer) -> Command {
    Command { name, arity, keys, effect: Effect::Read, run: Run::Data(run) }
}

/// A row that writes keys.
pub(super) const fn write(name: &'static str, arity: i32, keys: Keys, run: fn(&mut Call<'_>) -> Answer) -> Command {
    Command { name, arity, keys, effect: Effect::Write, run: Run::Data(run) }
}

/// A row about the node, the cluster or the connection.
pub(super) const fn other(name: &'static str, arity: i32, run: fn(&mut Turn<'_>) -> Answer) -> Command {
    Command { name, arity, keys: Keys::None, effect: Effect::Other, run: Run::Node(run) }
}

/// The same, allowed before AUTH.
pub(super) const fn door(name: &'static str, arity: i32, run: fn(&mut Turn<'_>) -> Answer) -> Command {
    Command { name, arity, keys: Keys::None, effect: Effect::Door, run: Run::Node(run) }
}

/// All rows, by name.
pub(super) struct Table(BTreeMap<&'static str, &'static Command>);

impl Table {
    /// Gathers the rows.
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// The same, and the rows of a module.
    pub(super) fn with(module: &'static [Command]) -> Self {
        let rows = [
            connection::COMMANDS,
            server::COMMANDS,
            pubsub::COMMANDS,
            cluster_replies::COMMANDS,
            multi::COMMANDS,
            scripts::COMMANDS,
        ];
        let rows = rows.into_iter().chain(data::COMMANDS).chain([odd::COMMANDS, module]).flatten();
        Self(rows.map(|command| (command.name, command)).collect())
    }

    /// The row of a name in any case.
    pub(super) fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let name = name.to_ascii_lowercase();
        self.0.get(std::str::from_utf8(&name).ok()?).copied()
    }
}
