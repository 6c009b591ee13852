//! Transactions of a node: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::command::{Answer, Command, Effect, Fault, Keys, OK, Run, other};
use super::node::{Session, Turn, run_it};
use super::observer::Seen;
use super::redirect;
use super::reply::Reply;

pub(super) const COMMANDS: &[Command] = &[
    other("multi", 1, multi),
    other("exec", 1, exec),
    other("discard", 1, |turn| {
        end(turn.session).ok_or(Fault("ERR DISCARD without MULTI".into()))?;
        Ok(OK)
    }),
    Command::keyed("watch", -2, Keys::All, watch),
    other("unwatch", 1, |turn| {
        turn.session.watched.clear();
        Ok(OK)
    }),
];

/// What a connection has queued since MULTI.
#[derive(Debug, Default)]
pub(super) struct Queue {
    commands: Vec<Vec<Vec<u8>>>,
    /// A command was refused.
    aborted: bool,
}

/// A key and what it was when it was watched.
#[derive(Debug)]
pub(super) struct Watched {
    db: usize,
    key: Vec<u8>,
    version: u64,
}

/// Whether a command is run at once even in a transaction.
fn is_control(name: &[u8]) -> bool {
    let names = ["multi", "exec", "discard", "watch", "reset", "quit"];
    names.iter().any(|control| name.eq_ignore_ascii_case(control.as_bytes()))
}

/// Queues a command that was admitted, if the connection is in a transaction; false if it is to be run.
pub(super) fn queue(session: &mut Session, args: &[Vec<u8>]) -> bool {
    match &mut session.multi {
        Some(queue) if !args.first().is_some_and(|name| is_control(name)) => {
            queue.commands.push(args.to_vec());
            true
        }
        _ => false,
    }
}

/// A command was refused before it ran.
pub(super) fn refused(session: &mut Session, args: &[Vec<u8>]) {
    if args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"exec")) {
        end(session);
    } else if let Some(queue) = &mut session.multi {
        queue.aborted = true;
    }
}

/// Refuses EXEC where one of its commands would be refused.
pub(super) fn check(turn: &Turn<'_>) -> Result<(), Fault> {
    let Some(queue) = turn.session.multi.as_ref().filter(|_| turn.arg(0).eq_ignore_ascii_case(b"exec")) else {
        return Ok(());
    };
    let mut keys = Vec::new();
    let mut effect = Effect::Read;
    for args in &queue.commands {
        let Some(command) = turn.state.commands.find(args.first().map_or(&[], Vec::as_slice)) else { continue };
        keys.extend(command.keys.of(args));
        if command.effect == Effect::Write {
            effect = Effect::Write;
        }
    }
    redirect::check_keys(turn, &keys, effect)
}

/// Leaves the transaction, and forgets what was watched.
fn end(session: &mut Session) -> Option<Queue> {
    let queue = session.multi.take()?;
    session.watched.clear();
    Some(queue)
}

fn multi(turn: &mut Turn<'_>) -> Answer {
    if turn.session.multi.is_some() {
        return Err(Fault("ERR MULTI calls can not be nested".into()));
    }
    turn.session.multi = Some(Queue::default());
    Ok(OK)
}

fn watch(turn: &mut Turn<'_>) -> Answer {
    if turn.session.multi.is_some() {
        return Err(Fault("ERR WATCH inside MULTI is not allowed".into()));
    }
    let db = turn.state.nodes[turn.node].db;
    for key in turn.args.iter().skip(1) {
        let version = turn.state.dbs[db].version(key);
        turn.session.watched.push(Watched { db, key: key.clone(), version });
    }
    Ok(OK)
}

fn exec(turn: &mut Turn<'_>) -> Answer {
    let changed = turn.session.watched.iter().any(|seen| turn.state.dbs[seen.db].version(&seen.key) != seen.version);
    let Some(queue) = end(turn.session) else { return Err(Fault("ERR EXEC without MULTI".into())) };
    if queue.aborted {
        return Err(Fault("EXECABORT Transaction discarded because of previous errors.".into()));
    }
    if changed {
        return Ok(Reply::NullArray);
    }
    let mut replies = Vec::new();
    for args in &queue.commands {
        let Some(command) = turn.state.commands.find(args.first().map_or(&[], Vec::as_slice)) else { continue };
        replies.push(run_inside(turn, command.run, args));
    }
    Ok(Reply::Array(replies))
}

fn run_inside(turn: &mut Turn<'_>, run: Run, args: &[Vec<u8>]) -> Reply {
    let (node, connection) = (turn.node, turn.session.id);
    let mut inner = Turn { state: turn.state, node, session: turn.session, args, asked: turn.asked, closing: false };
    let reply = run_it(&mut inner, run).unwrap_or_else(|Fault(text)| Reply::Error(text.into_owned()));
    if turn.state.observer.is_keeping() {
        let (at_ms, node) = (turn.state.now_ms(), super::NodeId(node));
        let (args, reply) = (args.to_vec(), "in EXEC".to_owned());
        turn.state.observer.push(Seen { at_ms, node, connection, args, ran: true, reply });
    }
    reply
}
