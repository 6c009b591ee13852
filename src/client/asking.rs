//! Both ends of a question to all workers: how a session asks it, and how the answers become its reply.

use super::desk::{Answer, Asker, Inquiry, Question};
use super::state::{Flow, Room, Session};
use crate::backend::NodeReport;
use crate::command::Spec;
use crate::replies::ClientId;
use crate::resp::{Proto, encode};
use crate::telemetry::HotReport;

/// Whether this command asks all workers, so that its answer takes a turn at least.
pub(super) fn asks(spec: &Spec) -> bool {
    match spec.parent {
        Some("client") => ["list", "kill", "pause", "unpause", "unblock"].contains(&spec.name),
        Some("slowlog") => spec.name != "help",
        Some("proxy") => ["nodes", "hotkeys", "bigkeys", "slowlog"].contains(&spec.name),
        Some(_) => false,
        None => spec.name == "monitor",
    }
}

impl Answer {
    fn into_nodes(self) -> Vec<NodeReport> {
        if let Self::Nodes(reports) = self { reports } else { Vec::new() }
    }

    fn into_hot(self) -> Option<HotReport> {
        if let Self::Hot(report) = self { Some(*report) } else { None }
    }
}

impl Asker {
    /// Gives it the reply that its question and all answers make.
    pub fn conclude(self, question: &Question, answers: Vec<Answer>, room: &mut Room) {
        let mut reply = Vec::new();
        match question {
            Question::Nodes => {
                let reports: Vec<NodeReport> = answers.into_iter().flat_map(Answer::into_nodes).collect();
                super::nodes::nodes(&reports, &room.process.map.load(), self.proto, &mut reply);
            }
            Question::HotKeys(_) | Question::BigKeys(_) => {
                let report = HotReport::merge(answers.into_iter().filter_map(Answer::into_hot));
                super::hot::write(question, &report, self.proto, room, &mut reply);
            }
            _ => write(question, answers, self.proto, &mut reply),
        }
        room.replies.deliver(self.ticket, &reply);
    }
}

/// Asks all workers on behalf of `client`, which waits for the answer.
pub(super) fn ask(session: &mut Session, client: ClientId, question: Question, room: &mut Room) -> Flow {
    if let Some(ticket) = room.replies.reserve(client, 0) {
        let asker = Asker { client, id: session.id, ticket, proto: session.proto };
        room.put_question(Inquiry { question, asker: Some(asker) });
    }
    Flow::Bound
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
        Question::SlowGet(most) | Question::SlowTold(most) => {
            let entries = answers.into_iter().filter_map(|answer| match answer {
                Answer::Slow(entries) => Some(entries),
                _ => None,
            });
            let entries = entries.flatten().collect();
            match question {
                Question::SlowTold(_) => super::slow::tell(entries, *most, proto, out),
                _ => super::slow::write(entries, *most, out),
            }
        }
        _ => encode::simple(out, "OK"),
    }
}
