//! One command on one node: look it up, check it in the order of a server, run it.

use std::rc::Rc;

use super::command::{Answer, Call, Effect, Fault, Run};
use super::pubsub::{self, Subscriber};
use super::reply::Reply;
use super::state::State;
use super::{multi, redirect};
use crate::resp::Proto;

/// What a node remembers of a connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) proto: Proto,
    pub(super) authenticated: bool,
    /// `ASKING` was sent and holds for the next command.
    pub(super) asking: bool,
    pub(super) readonly: bool,
    pub(super) name: Vec<u8>,
    /// What was queued since MULTI.
    pub(super) multi: Option<multi::Queue>,
    pub(super) watched: Vec<multi::Watched>,
}

/// One command as it runs.
pub(super) struct Turn<'a> {
    pub(super) state: &'a mut State,
    pub(super) node: usize,
    pub(super) session: &'a mut Session,
    pub(super) args: &'a [Vec<u8>],
    /// Whether the command before this one was `ASKING`.
    pub(super) asked: bool,
    /// Whether to hang up after the reply.
    pub(super) closing: bool,
}

impl Turn<'_> {
    /// The argument at `i`, empty if it is absent.
    pub(super) fn arg(&self, i: usize) -> &[u8] {
        self.args.get(i).map_or(&[], Vec::as_slice)
    }

    /// Whether the connection is one that may do little else than subscribe.
    pub(super) fn is_subscriber(&self) -> bool {
        let subscriber = self.state.subscribers.get(&self.session.id);
        self.session.proto == Proto::Resp2 && subscriber.is_some_and(Subscriber::is_subscribed)
    }

    /// Complains unless a subcommand has exactly `count` arguments, both names included.
    pub(super) fn exactly(&self, count: usize, name: &str) -> Result<(), Fault> {
        if self.args.len() == count { Ok(()) } else { Err(Fault::arity(name)) }
    }

    /// The complaint about a subcommand that nobody knows.
    pub(super) fn unknown_subcommand(&self) -> Fault {
        let container = String::from_utf8_lossy(self.arg(0)).to_ascii_uppercase();
        Fault::new(format!("ERR unknown subcommand '{}'. Try {container} HELP.", shown(self.arg(1), 128)))
    }
}

/// What became of a request.
pub(super) struct Outcome {
    pub(super) reply: Reply,
    /// Whether it got as far as running.
    pub(super) ran: bool,
    /// Whether the connection ends here.
    pub(super) closing: bool,
}

/// Runs a request and gives its reply. `args` holds at least the name.
pub(super) fn execute(state: &mut State, node: usize, session: &mut Session, args: &[Vec<u8>]) -> Outcome {
    let asked = session.asking;
    let now_ms = state.now_ms();
    let db = state.nodes[node].db;
    state.dbs[db].purge(now_ms);
    let mut turn = Turn { state, node, session, args, asked, closing: false };
    let outcome = match admit(&turn) {
        Err(Fault(text)) => {
            multi::refused(turn.session, args);
            Outcome { reply: Reply::Error(text.into_owned()), ran: false, closing: false }
        }
        Ok(_) if multi::queue(turn.session, args) => {
            Outcome { reply: Reply::Simple("QUEUED"), ran: false, closing: false }
        }
        Ok(run) => {
            let reply = run_it(&mut turn, run);
            if reply.is_ok() && turn.state.options.keyspace_events {
                tell_of_write(&mut turn);
            }
            let reply = reply.unwrap_or_else(|Fault(text)| Reply::Error(text.into_owned()));
            Outcome { reply, ran: true, closing: turn.closing }
        }
    };
    // ASKING holds for the next command, and for all of a transaction that is the next one.
    session.asking &= session.multi.is_some() || args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"asking"));
    outcome
}

/// Everything that is checked before a command runs.
fn admit(turn: &Turn<'_>) -> Result<Run, Fault> {
    let commands = Rc::clone(&turn.state.commands);
    let command = commands.find(turn.arg(0)).ok_or_else(|| unknown(turn.args))?;
    if !command.admits(turn.args.len()) {
        return Err(Fault::arity(command.name));
    }
    let proven = turn.session.authenticated || turn.state.options.auth.is_none();
    if !proven && command.effect != Effect::Door {
        return Err(Fault("NOAUTH Authentication required.".into()));
    }
    if turn.is_subscriber()
        && !["ping", "quit", "reset"].contains(&command.name)
        && !command.name.ends_with("subscribe")
    {
        return Err(Fault::new(format!("ERR Can't execute '{}' in this context", command.name)));
    }
    redirect::check(turn, command.keys, command.effect)?;
    multi::check(turn)?;
    Ok(command.run)
}

/// Tells subscribers at this node that a write ran on its first key.
fn tell_of_write(turn: &mut Turn<'_>) {
    let commands = Rc::clone(&turn.state.commands);
    if let Some(command) = commands.find(turn.arg(0)).filter(|command| command.effect == Effect::Write)
        && let [_, key, ..] = turn.args
    {
        pubsub::notify(turn.state, turn.node, command.name.as_bytes(), key);
    }
}

pub(super) fn run_it(turn: &mut Turn<'_>, run: Run) -> Answer {
    match run {
        Run::Node(run) => run(turn),
        Run::Data(run) => {
            let now_ms = turn.state.now_ms();
            let State { dbs, nodes, random, options, .. } = &mut *turn.state;
            let (table, slot_tables) = (turn.node as u64, options.slot_tables);
            let db = &mut dbs[nodes[turn.node].db];
            run(&mut Call { db, args: turn.args, now_ms, proto: turn.session.proto, random, table, slot_tables })
        }
    }
}

/// The complaint about a name that nobody knows, in the server's words: at most 128 bytes of arguments.
fn unknown(args: &[Vec<u8>]) -> Fault {
    let mut listed = String::new();
    for arg in args.iter().skip(1) {
        if listed.len() >= 128 {
            break;
        }
        listed = format!("{listed}'{}' ", shown(arg, 128 - listed.len()));
    }
    let name = args.first().map_or_else(String::new, |name| shown(name, 128));
    Fault::new(format!("ERR unknown command '{name}', with args beginning with: {listed}"))
}

fn shown(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
}
