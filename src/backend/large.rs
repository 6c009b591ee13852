//! Requests and replies that are too large to be kept whole: they pass through while they come.
//!
//! A large request goes over a connection that is lent to its client. It cannot be sent twice, so the node is first
//! asked, with an EXISTS of its key that follows redirects, whether it is the right one; what is refused all the same
//! is the client's to send again. A large reply is noticed when so much of it has come: its connection is set aside for
//! it, with what was sent there already, and everybody else gets another one. It is read no faster than its client
//! reads, unless requests of others wait behind it.

use super::answers::{Broken, unusable};
use super::dedicated::{Loan, UPLOADING};
use super::pipeline::{Holder, LoanKey, Passage, State};
use super::record::{Expect, Pending, Taken, Traits};
use super::redirect::{self, Verdict};
use super::timing::Run;
use super::{Backend, NEVER, Outgoing, PipelineId};
use crate::cluster::Hint;
use crate::replies::{Begun, ClientId, Replies, Ticket, WINDOW};
use crate::telemetry::Fault;

/// How many connections of a node are kept ready for the time when its shared one is set aside.
const SPARES: usize = 2;

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// There is none, or it has ended with an error.
    Gone,
    /// Its node is being looked for.
    Opening,
    /// Its pieces are taken; so many bytes of them wait for the node.
    Open(usize),
}

impl Backend {
    /// Looks for the node that takes a large request: `request` asks for its key. The ticket is that of the large one.
    pub fn open_upload(&mut self, request: Outgoing<'_>, ticket: Ticket) {
        let pending = self.pending(Traits::Probe, &request, ticket);
        let earlier = self.loans.insert((pending.ticket.client_key(), UPLOADING), Loan::new(&request, None));
        debug_assert!(earlier.is_none(), "a client cannot send two requests at once");
        self.send_again(request.proto, Taken::unsent(pending, request.frame));
    }

    /// Above which size, in bytes, requests and replies are passed on while they come.
    #[must_use]
    pub const fn stream_above(&self) -> usize {
        self.options.stream_above
    }

    /// How far the upload of this client is.
    #[must_use]
    pub fn upload(&self, client: u64) -> Upload {
        let Some(loan) = self.loans.get(&(client, UPLOADING)) else { return Upload::Gone };
        let Some(pipeline) = loan.pipe.and_then(|pipe| self.pipelines.get(pipe as usize)) else {
            return Upload::Opening;
        };
        match pipeline.passage {
            Some(Passage::Upload { open: true, .. }) => Upload::Open(pipeline.queued()),
            Some(Passage::Upload { .. }) => Upload::Gone,
            _ => Upload::Opening,
        }
    }

    /// Sends a piece of this client's upload, which is open; the last one ends it.
    pub fn feed(&mut self, client: u64, piece: &[u8], is_last: bool, replies: &mut Replies) {
        let Some(pipe) = self.loans.get(&(client, UPLOADING)).and_then(|loan| loan.pipe) else { return };
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let fed = pipeline.feed(piece, self.now);
        if is_last {
            pipeline.end_upload();
        }
        let is_stuck = pipeline.has_unsent();
        if let Err(error) = fed {
            return self.lose(pipe, Fault::Lost, &error, replies);
        }
        if is_stuck {
            self.touch(pipe);
        }
        self.wake_by(self.now + self.timeout());
    }

    /// The rest of this client's upload is no request: nothing of it is run.
    pub fn break_upload(&mut self, client: u64, text: &str, replies: &mut Replies) {
        let Some(pipe) = self.loans.get(&(client, UPLOADING)).and_then(|loan| loan.pipe) else { return };
        for request in self.discard(pipe) {
            replies.fail(request.pending.ticket, text);
        }
        self.close_loan((client, UPLOADING));
    }

    /// Clients whose upload may go on.
    pub fn take_woken(&mut self, into: &mut Vec<ClientId>) {
        into.append(&mut self.woken);
    }

    /// An upload was written.
    #[cold]
    pub(super) fn uploaded(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if matches!(pipeline.passage, Some(Passage::Upload { open: true, .. }))
            && pipeline.trim(self.now) <= WINDOW / 2
            && let Some(ticket) = pipeline.head_ticket()
        {
            self.woken.push(ticket.client_key() as u32);
        } else {
            pipeline.trim(self.now);
        }
    }

    /// Takes what a node sent on a connection with something under way in pieces.
    #[cold]
    pub(super) fn received_in_pieces(
        &mut self,
        pipe: PipelineId,
        fresh: &[u8],
        replies: &mut Replies,
    ) -> Result<(), Broken> {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(()) };
        let mut kept = std::mem::take(&mut pipeline.inbox);
        let bytes = if kept.is_empty() {
            fresh
        } else {
            kept.extend_from_slice(fresh);
            &kept
        };
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(pipeline) = self.pipelines.get_mut(pipe as usize).filter(|_| !rest.is_empty()) else {
                return Ok(());
            };
            let used = match pipeline.passage {
                None => return self.received(pipe, rest, replies),
                Some(Passage::Stream { .. }) => self.pass_on(pipe, rest, replies)?,
                Some(Passage::Probing | Passage::Upload { .. }) => self.answered(pipe, rest, replies)?,
            };
            at += used;
            if used == 0
                && let Some(pipeline) = self.pipelines.get_mut(pipe as usize)
            {
                pipeline.inbox.extend_from_slice(rest);
                return Ok(());
            }
        }
    }

    /// One reply to a question or to an upload: gives how many bytes it took, none while it is not whole.
    fn answered(&mut self, pipe: PipelineId, bytes: &[u8], replies: &mut Replies) -> Result<usize, Broken> {
        let (now, now_us) = (self.now, self.now_us);
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(0) };
        let Some(len) = pipeline.scanner.end(bytes)? else { return Ok(0) };
        let reply = bytes.get(..len).unwrap_or_default();
        if reply.first() == Some(&b'>') {
            return Err(Broken::Unasked);
        }
        if pipeline.passage == Some(Passage::Probing) {
            // A node that lets the proxy write but not look is not asked in vain.
            if reply.first() == Some(&b'-') && !reply.starts_with(b"-NOPERM") {
                self.special(pipe, reply, replies)?;
            } else if !pipeline.skip_prelude(reply) {
                let Some(Expect::Deliver(probe)) = pipeline.pop() else { return Err(Broken::Unasked) };
                pipeline.compact();
                let client = probe.ticket.client_key();
                let asking = self.loans.get(&(client, UPLOADING)).is_some_and(Loan::is_asking);
                pipeline.begin_upload(probe, asking, now, now_us);
                self.woken.push(client as u32);
            }
            return Ok(len);
        }
        if pipeline.skip_asked() {
            return Ok(len);
        }
        let is_early = pipeline.has_uploaded() == Some(false);
        if is_early && reply.first() != Some(&b'-') {
            return Err(Broken::Unasked);
        }
        let Some(pending) = pipeline.take_upload() else { return Err(unusable(None)) };
        let key = (pending.ticket.client_key(), UPLOADING);
        self.end_upload(pipe, pending, reply, replies);
        if is_early {
            // The rest of it would be taken for the next request.
            drop(self.discard(pipe));
            self.close_loan(key);
        }
        Ok(len)
    }

    /// An upload is answered. It cannot be sent again, wherever its slot is by now.
    fn end_upload(&mut self, pipe: PipelineId, pending: Pending, reply: &[u8], replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get(pipe as usize) else { return };
        let (node, tally) = (pipeline.node, std::sync::Arc::clone(&pipeline.tally));
        let run = Run::of(&pending);
        let verdict = if reply.first() == Some(&b'-') { redirect::read(reply) } else { Verdict::Pass };
        match &verdict {
            Verdict::Pass if reply.first() != Some(&b'-') => replies.deliver(pending.ticket, reply),
            Verdict::Pass | Verdict::Later(_) | Verdict::Missing => {
                tally.error(reply);
                replies.deliver_error(pending.ticket, reply);
            }
            Verdict::Moved(_) | Verdict::Ask(_) | Verdict::Stale | Verdict::Unauthenticated => {
                let from = self.nodes.get(usize::from(node)).map(|node| node.addr.to_string()).unwrap_or_default();
                let why = String::from_utf8_lossy(reply.strip_prefix(b"-").unwrap_or(reply));
                let text = format!(
                    "PROXYUNSENT not executed: {from} gave its slot away while the command was on its way, send it again ({})",
                    why.trim_end()
                );
                self.hint(if verdict == Verdict::Stale { Hint::Stale } else { Hint::Moved });
                replies.fail(pending.ticket, &text);
            }
        }
        run.end(Some(&tally), self.clock(), replies);
    }

    /// A reply has begun to come that is too large to be kept: passes it on from now on, if it may.
    #[cold]
    pub(super) fn begin_stream(&mut self, pipe: PipelineId, bytes: &[u8], replies: &mut Replies) -> bool {
        let token = self.around.token | pipe;
        let Some(pipeline) = self.pipelines.get(pipe as usize).filter(|pipeline| pipeline.may_stream()) else {
            return false;
        };
        if matches!(bytes.first(), None | Some(b'-' | b'>')) {
            return false;
        }
        let must_set_aside = pipeline.is_common();
        if must_set_aside && !self.set_aside(pipe) {
            return false;
        }
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return false };
        let Some(ticket) = pipeline.head_ticket() else { return false };
        if replies.begin_stream(ticket, token) == Begun::No {
            return false;
        }
        pipeline.begin_stream(self.now, self.now_us);
        true
    }

    /// Passes on what may be passed on of `bytes`: gives how much.
    fn pass_on(&mut self, pipe: PipelineId, bytes: &[u8], replies: &mut Replies) -> Result<usize, Broken> {
        let (now, now_us) = (self.now, self.now_us);
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(0) };
        let (used, is_done) = pipeline.scanner.pass(bytes)?;
        let Some(ticket) = pipeline.head_ticket() else { return Err(Broken::Unasked) };
        let is_wanted = replies.stream(ticket, bytes.get(..used).unwrap_or_default());
        pipeline.note_stream(now, false);
        self.wake_by(now + self.timeout());
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(used) };
        if is_done {
            if let Some(pending) = pipeline.end_stream(now_us) {
                pipeline.compact();
                let run = Run::of(&pending);
                let tally = std::sync::Arc::clone(&pipeline.tally);
                replies.end_stream(pending.ticket);
                run.end(Some(&tally), self.clock(), replies);
            }
        } else if !is_wanted && pipeline.in_flight() == 1 && pipeline.holder == Holder::Aside {
            // Its client is gone, and nobody waits behind it.
            if let Some(pending) = pipeline.end_stream(now_us) {
                replies.break_off(pending.ticket);
            }
            drop(self.discard(pipe));
        }
        Ok(used)
    }

    /// Whether a connection must not be read now, because the client has to take what came.
    #[cold]
    pub(super) fn must_pause(&mut self, pipe: PipelineId, replies: &mut Replies) -> bool {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return false };
        if !matches!(pipeline.passage, Some(Passage::Stream { .. })) || pipeline.has_strangers() {
            return false;
        }
        let Some(ticket) = pipeline.head_ticket() else { return false };
        let is_paused = replies.must_wait(ticket);
        if is_paused {
            pipeline.note_stream(self.now, true);
        }
        is_paused
    }

    /// What streams on a connection that is lost has broken off.
    pub(super) fn break_stream(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let now_us = self.now_us;
        if let Some(pipeline) = self.pipelines.get_mut(pipe as usize)
            && let Some(pending) = pipeline.end_stream(now_us)
        {
            replies.break_off(pending.ticket);
        }
    }

    /// Takes the shared connection of a node away from it, with what was sent there: others get another one. Clients
    /// with requests under way go there when these are answered, as if the slots had changed their owner.
    fn set_aside(&mut self, pipe: PipelineId) -> bool {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return false };
        let (node, proto) = (pipeline.node, pipeline.proto);
        let Some(known) = self.nodes.get_mut(usize::from(node)) else { return false };
        if known.pool.open >= self.options.dedicated {
            return false;
        }
        known.pool.open += 1;
        pipeline.holder = Holder::Aside;
        // A canary behind a long reply is late through no fault of the node.
        pipeline.deadline = NEVER;
        let spare = known.pool.spare[proto as usize].pop();
        known.pipes[proto as usize] = spare;
        if let Some(spare) = spare {
            known.pool.open -= 1;
            if let Some(pipeline) = self.pipelines.get_mut(spare as usize) {
                pipeline.holder = Holder::Shared;
            }
            self.expect_canaries(spare);
        }
        self.view.renew(node);
        self.drained |= std::mem::take(&mut self.refused);
        true
    }

    /// All is answered on a connection that was set aside: it is kept for the next time, or closed.
    pub(super) fn put_back(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let is_ready = matches!(pipeline.state, State::Ready(_)) && pipeline.canary.is_none();
        let (node, proto) = (pipeline.node, pipeline.proto);
        match self.nodes.get_mut(usize::from(node)).filter(|node| is_ready && node.listed) {
            Some(node) if node.pool.spare[proto as usize].len() < SPARES => {
                pipeline.holder = Holder::Idle;
                pipeline.deadline = NEVER;
                node.pool.spare[proto as usize].push(pipe);
            }
            _ => drop(self.discard(pipe)),
        }
    }

    /// A request for which a connection was lent was answered by the proxy, or waits for its next try.
    pub(super) fn settle_loan(&mut self, key: LoanKey) {
        match self.loans.get(&key).map(|loan| loan.pipe) {
            Some(Some(pipe)) => self.settle(pipe),
            Some(None) => self.close_loan(key),
            None => {}
        }
    }
}
