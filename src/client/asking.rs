//! Questions of one client that concern the clients of every worker, and how their answers become one reply.
//!
//! A session puts an [`Inquiry`] into its room and waits until its reply is out. The worker asks itself and all
//! others through their mailboxes and folds what comes back; a worker that has ended counts as one without
//! clients. How letters travel is the worker's business.
//!
//! ```text
//!   session ─► Inquiry ─► own worker ─┬─ own answer ──────────────────┐
//!                                     └─ letters ─► others ─► answers ─┴─► fold ─► ticket
//! ```

use super::roster::{Filter, Line, List};
use super::slow::Entry;
use super::state::{Flow, Room, Session, Wait};
use crate::backend::{Millis, NodeReport};
use crate::replies::{ClientId, Ticket};
use crate::resp::{Proto, encode};

/// What every worker is asked, or told.
#[derive(Clone, Debug)]
pub enum Question {
    /// `CLIENT LIST`: the lines of these clients.
    List(List),
    /// `CLIENT KILL`: end these clients.
    Kill(Filter),
    /// `CLIENT KILL addr`: the same, answered with `+OK` or an error.
    KillOne(Filter),
    /// `CLIENT PAUSE`: take no commands, or no writes, for so many milliseconds.
    Pause {
        /// For how long.
        ms: Millis,
        /// Whether reads wait, too.
        all: bool,
    },
    /// `CLIENT UNPAUSE`.
    Unpause,
    /// `CLIENT UNBLOCK`: end the wait of this client.
    Unblock {
        /// What its `CLIENT ID` answers.
        id: u64,
        /// With the error `UNBLOCKED`, or else as if its time were over.
        error: bool,
    },
    /// `MONITOR` of a client of this worker begins (or ends): show it every command.
    Watch {
        /// The worker that asks.
        worker: usize,
        /// Whether it begins.
        on: bool,
    },
    /// `SLOWLOG GET`: the latest requests that were slow, so many at most.
    SlowGet(usize),
    /// `SLOWLOG LEN`.
    SlowLen,
    /// `SLOWLOG RESET`.
    SlowReset,
    /// `PROXY NODES`.
    Nodes,
}

/// What one worker answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing to say: it is done, or there was nothing to do.
    Done,
    /// How many.
    Count(u64),
    /// Lines of clients.
    Lines(Vec<Line>),
    /// Slow requests.
    Slow(Vec<Entry>),
    /// What it has to do with each node.
    Nodes(Vec<NodeReport>),
}

impl Answer {
    fn into_nodes(self) -> Vec<NodeReport> {
        if let Self::Nodes(reports) = self { reports } else { Vec::new() }
    }
}

/// A question with the place that its answer goes to.
#[derive(Debug)]
pub struct Inquiry {
    /// What is asked.
    pub question: Question,
    /// Whose question it is; nobody waits for the answer if there is none.
    pub asker: Option<Asker>,
}

/// Who waits for an answer.
#[derive(Debug)]
pub struct Asker {
    /// The client.
    pub client: ClientId,
    /// What its `CLIENT ID` answers.
    pub id: u64,
    ticket: Ticket,
    proto: Proto,
}

impl Asker {
    /// Gives it the reply that its question and all answers make.
    pub fn conclude(self, question: &Question, answers: Vec<Answer>, room: &mut Room) {
        let mut reply = Vec::new();
        if matches!(question, Question::Nodes) {
            let reports: Vec<NodeReport> = answers.into_iter().flat_map(Answer::into_nodes).collect();
            super::proxy::nodes(&reports, &room.process.map.load(), self.proto, &mut reply);
        } else {
            write(question, answers, self.proto, &mut reply);
        }
        room.replies.deliver(self.ticket, &reply);
    }
}

/// Asks all workers on behalf of `client`, which waits for the answer.
pub(super) fn ask(session: &mut Session, client: ClientId, question: Question, room: &mut Room) -> Flow {
    if let Some(ticket) = room.replies.reserve(client, 0) {
        let asker = Asker { client, id: session.id, ticket, proto: session.proto };
        room.put_question(Inquiry { question, asker: Some(asker) });
        session.wait = Some(Wait::Quiet);
    }
    Flow::Taken
}

fn write(question: &Question, answers: Vec<Answer>, proto: Proto, out: &mut Vec<u8>) {
    let count = || answers.iter().map(|answer| if let Answer::Count(count) = answer { *count } else { 0 }).sum::<u64>();
    match question {
        Question::List(list) => {
            let lines = answers.into_iter().filter_map(|answer| match answer {
                Answer::Lines(lines) => Some(lines),
                _ => None,
            });
            encode::text(out, &list.text(lines.flatten().collect()), proto);
        }
        Question::KillOne(_) if count() == 0 => encode::error(out, "ERR No such client"),
        Question::Kill(_) | Question::SlowLen => encode::integer(out, count() as i64),
        Question::Unblock { .. } => encode::integer(out, count().min(1) as i64),
        Question::SlowGet(most) => {
            let entries = answers.into_iter().filter_map(|answer| match answer {
                Answer::Slow(entries) => Some(entries),
                _ => None,
            });
            super::slow::write(entries.flatten().collect(), *most, out);
        }
        _ => encode::simple(out, "OK"),
    }
}
