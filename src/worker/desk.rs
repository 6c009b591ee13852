//! The desk of a worker: questions that concern the clients of all workers, and what is shown to those who watch.
//!
//! A question of one of its clients is answered here for its own clients and sent to all other workers; the client
//! gets its reply when the last of them has answered or ended. `client::desk` knows what the questions mean.

use std::sync::Arc;

use super::Worker;
use super::mailbox::Letter;
use crate::client::desk::{Answer, Asker, Filter, HotOrder, Inquiry, MAX_BEHIND, Pause, Question};
use crate::client::hot;
use crate::replies::ClientId;

/// A question that others have not all answered.
pub(super) struct Open {
    inquiry: Inquiry,
    left: usize,
    answers: Vec<Answer>,
}

impl Worker {
    /// Does what has come up at the desk.
    #[cold]
    pub(super) fn work_at_desk(&mut self) {
        for inquiry in std::mem::take(&mut self.room.inquiries) {
            self.ask(inquiry);
        }
        self.note_slow();
        for reply in self.room.backend.take_big() {
            hot::note_reply(&reply, &mut self.room);
        }
        if !self.room.watch.lines.is_empty() {
            self.show_lines();
        }
    }

    fn ask(&mut self, inquiry: Inquiry) {
        let question = inquiry.question.clone();
        let number = self.open.insert(Open { inquiry, left: 0, answers: Vec::new() });
        let own = self.consider(&question);
        let mut left = 0;
        for (_, mailbox) in self.mailboxes.iter().enumerate().filter(|(index, _)| *index != self.index) {
            let letter = Letter::Question { from: self.index, number, question: question.clone() };
            left += usize::from(mailbox.post(letter));
        }
        if let Some(open) = self.open.get_mut(number) {
            open.left = left;
            open.answers.push(own);
        }
        self.conclude(number);
    }

    /// Gives a client its reply, if all have answered.
    fn conclude(&mut self, number: usize) {
        if self.open.get(number).is_none_or(|open| open.left > 0) {
            return;
        }
        let Open { inquiry: Inquiry { question, asker }, answers, .. } = self.open.remove(number);
        let Some(asker) = asker else { return };
        let client = asker.client;
        if let Question::Watch { on: true, .. } = question {
            self.begin_to_watch(&asker);
        }
        asker.conclude(&question, answers, &mut self.room);
        if self.clients.get(client as usize).is_some_and(|client| client.session.is_closing()) {
            // It has ended itself.
            self.leave(client);
        }
    }

    /// Only from now on, so that the first thing that the client sees is the `+OK`.
    fn begin_to_watch(&mut self, asker: &Asker) {
        match self.clients.get_mut(asker.client as usize).filter(|client| client.session.id() == asker.id) {
            Some(client) => client.session.begin_to_watch(),
            None => self.end_watch(),
        }
    }

    /// A watcher of this worker is gone.
    pub(super) fn end_watch(&mut self) {
        let question = Question::Watch { worker: self.index, on: false };
        self.room.put_question(Inquiry { question, asker: None });
    }

    /// Reads what other workers wrote.
    #[cold]
    pub(super) fn read_letters(&mut self) {
        let mail = self.mailbox.take_letters();
        for letter in mail.unread {
            match letter {
                Letter::Question { from, number, question } => {
                    let answer = self.consider(&question);
                    if let Some(mailbox) = self.mailboxes.get(from) {
                        // One that has ended waits for no answer.
                        mailbox.post(Letter::Answer { number, answer });
                    }
                }
                Letter::Answer { number, answer } => self.take_answer(number, answer),
                Letter::Shown(lines) => self.show(&lines),
            }
        }
        if mail.lost {
            self.watchers().into_iter().for_each(|id| self.close(id));
        }
    }

    fn take_answer(&mut self, number: usize, answer: Answer) {
        if let Some(open) = self.open.get_mut(number) {
            open.left = open.left.saturating_sub(1);
            open.answers.push(answer);
            self.conclude(number);
        }
    }

    /// The last letters of a worker that ends: nobody shall wait for it.
    pub(super) fn close_desk(&mut self) {
        for letter in self.mailbox.close().unread {
            if let Letter::Question { from, number, .. } = letter
                && let Some(mailbox) = self.mailboxes.get(from)
            {
                mailbox.post(Letter::Answer { number, answer: Answer::Done });
            }
        }
    }

    /// Tickets of clients that wait for answers.
    pub(super) fn asking(&self) -> u64 {
        let asked = self.open.iter().filter(|(_, open)| open.inquiry.asker.is_some()).count();
        let unasked = self.room.inquiries.iter().filter(|inquiry| inquiry.asker.is_some()).count();
        (asked + unasked) as u64
    }

    /// Answers for the clients of this worker.
    fn consider(&mut self, question: &Question) -> Answer {
        match question {
            Question::List(list) => {
                let shown =
                    self.clients.iter().filter(|(id, client)| list.shows(*id as ClientId, &client.session, &self.room));
                let line = |(id, client): (usize, &super::Client)| {
                    (client.session.id(), client.session.describe(id as ClientId, &self.room))
                };
                Answer::Lines(shown.map(line).collect())
            }
            Question::Kill(filter) | Question::KillOne(filter) => self.kill(filter),
            Question::Pause { ms, all } => {
                let pause = Pause { until: self.room.now + ms, all: *all };
                self.room.pause = Some(pause.and(self.room.pause));
                self.look_at_pause();
                Answer::Done
            }
            Question::Unpause => {
                if let Some(pause) = &mut self.room.pause {
                    pause.until = 0;
                }
                self.look_at_pause();
                Answer::Done
            }
            Question::Unblock { id, error } => self.unblock(*id, *error),
            Question::Watch { worker, on } => {
                self.room.watch.note(*worker, *on);
                Answer::Done
            }
            Question::Nodes => Answer::Nodes(self.room.backend.report()),
            Question::SlowGet(most) | Question::SlowTold(most) => Answer::Slow(self.room.slow.latest(*most)),
            Question::SlowLen => Answer::Count(self.room.slow.len() as u64),
            Question::SlowReset => {
                self.room.slow.clear();
                Answer::Done
            }
            Question::HotKeys(_) | Question::BigKeys(_) => {
                Answer::Hot(Box::new(self.room.hot.report(self.room.now, self.room.commands)))
            }
            Question::Hot(order) => {
                self.look_for_hot_keys(*order);
                Answer::Done
            }
        }
    }

    fn look_for_hot_keys(&mut self, order: HotOrder) {
        let (now, requests, hot) = (self.room.now, self.room.commands, &mut self.room.hot);
        match order {
            HotOrder::Begin => hot.switch(true, now, requests),
            HotOrder::End => hot.switch(false, now, requests),
            HotOrder::Forget => hot.reset(now),
        }
        self.room.backend.note_big_above(self.room.hot.big_above);
        self.hot_shown = true;
    }

    /// Ends the wait of this client, if it is one of this worker's and waits.
    fn unblock(&mut self, id: u64, error: bool) -> Answer {
        let blocked = |client: &super::Client| client.session.id() == id && client.session.is_blocked();
        let found = self.clients.iter().find(|(_, client)| blocked(client)).map(|(id, _)| id);
        if let Some(found) = found
            && let Some(client) = self.clients.get_mut(found)
        {
            client.session.wake(found as ClientId, error, &mut self.room);
        }
        Answer::Count(u64::from(found.is_some()))
    }

    /// Ends the clients that are meant. One that asks for its own end gets its answer first.
    fn kill(&mut self, filter: &Filter) -> Answer {
        let meant =
            self.clients.iter().filter(|(id, client)| filter.means(*id as ClientId, &client.session, &self.room));
        let ids: Vec<ClientId> = meant.map(|(id, _)| id as ClientId).collect();
        for &id in &ids {
            let asks = |open: &Open| open.inquiry.asker.as_ref().is_some_and(|asker| asker.client == id);
            let is_waiting = self.open.iter().any(|(_, open)| asks(open));
            match self.clients.get_mut(id as usize) {
                Some(client) if is_waiting => client.session.close(),
                _ => self.close(id),
            }
        }
        Answer::Count(ids.len() as u64)
    }

    /// Ends a pause whose time is over; otherwise comes back then.
    pub(super) fn look_at_pause(&mut self) {
        let Some(pause) = self.room.pause else { return };
        if self.room.now < pause.until {
            return self.timer.arm_at(self.started + std::time::Duration::from_millis(pause.until));
        }
        self.room.pause = None;
        let stuck = self.clients.iter().filter(|(_, client)| client.session.is_waiting());
        self.waiting.extend(stuck.map(|(id, _)| id as ClientId));
    }

    /// Goes back to clients that wait for nodes to tell which commands they know, when these have or in time.
    pub(super) fn look_at_lore(&mut self, have_told: bool) {
        if self.room.lore_until.is_some_and(|until| have_told || self.room.now > until) {
            self.room.lore_until = None;
            let stuck = self.clients.iter().filter(|(_, client)| client.session.is_waiting());
            self.waiting.extend(stuck.map(|(id, _)| id as ClientId));
        }
    }

    /// The clients of this worker that watch.
    fn watchers(&self) -> Vec<ClientId> {
        let watching = self.clients.iter().filter(|(_, client)| client.session.is_monitor());
        watching.map(|(id, _)| id as ClientId).collect()
    }

    /// Sends the lines of this turn to all who watch.
    fn show_lines(&mut self) {
        let lines: Arc<[u8]> = std::mem::take(&mut self.room.watch.lines).into();
        let mut workers = self.room.watch.workers.clone();
        workers.sort_unstable();
        workers.dedup();
        for worker in workers {
            if worker == self.index {
                self.show(&lines);
            } else if let Some(mailbox) = self.mailboxes.get(worker) {
                mailbox.post(Letter::Shown(Arc::clone(&lines)));
            }
        }
    }

    /// Shows lines to the watchers of this worker.
    fn show(&mut self, lines: &[u8]) {
        for id in self.watchers() {
            if self.room.replies.push(id, |out| out.extend_from_slice(lines)) > MAX_BEHIND {
                tracing::warn!("a client that watches with MONITOR does not keep up: closed");
                self.close(id);
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close_desk();
    }
}
