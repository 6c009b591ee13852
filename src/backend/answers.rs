//! What follows from each reply of a node: most go to their client, some are orders to the proxy.

use std::sync::Arc;

use super::dedicated::{self, not_run};
use super::pipeline::Pipeline;
use super::record::{Expect, Pending, Taken, Traits};
use super::redirect::{self, Target, Verdict};
use super::repair::NO_CONNECTION;
use super::retry::{self, Delayed, Detour, Retries};
use super::slow::Watchful;
use super::timing::{Clock, Run};
use super::{Backend, Counts, Millis, PipelineId, Surroundings};
use crate::cluster::Hint;
use crate::net::Addr;
use crate::replies::Replies;
use crate::resp::Proto;
use crate::resp::reply::ReplyError;
use crate::telemetry::NodeTally;

/// Why a connection cannot be used any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// What came is no reply.
    #[error("the node does not speak RESP: {0}")]
    Protocol(#[from] ReplyError),
    /// A reply that nobody waits for: given to the next in line it would be somebody else's.
    #[error("the node sent a reply to a request that was not made")]
    Unasked,
    /// The reply to a request that was given up.
    #[error("the node answered a request after its time")]
    Late,
    /// The canary came back as something else: earlier replies may have been somebody else's.
    #[error("the node's replies are out of step with the requests")]
    OutOfStep,
    /// The node no longer accepts the proxy.
    #[error("the node asks the proxy to authenticate again")]
    Unauthenticated,
}

impl Counts {
    /// Counts why a connection was closed.
    pub(super) fn note(&mut self, broken: &Broken) {
        self.unasked += u64::from(matches!(broken, Broken::Unasked | Broken::Late));
        self.out_of_step += u64::from(matches!(broken, Broken::OutOfStep));
    }
}

impl Backend {
    /// Takes what a node sent: delivers whole replies, keeps the rest.
    pub(super) fn received(&mut self, pipe: PipelineId, fresh: &[u8], replies: &mut Replies) -> Result<(), Broken> {
        let elsewhere =
            if self.retries.is_empty() { Vec::new() } else { self.retries.elsewhere_than(pipe, &self.pipelines) };
        let Some(mut pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(()) };
        if pipeline.passage.is_some() {
            return self.received_in_pieces(pipe, fresh, replies);
        }
        let mut kept = std::mem::take(&mut pipeline.inbox);
        let bytes = if kept.is_empty() {
            fresh
        } else {
            kept.extend_from_slice(fresh);
            &kept
        };
        let (mut at, generation) = (0, pipeline.generation);
        loop {
            let mut aside = Aside {
                retries: &mut self.retries,
                watchful: &mut self.watchful,
                around: &self.around,
                elsewhere: &elsewhere,
                wake_at: &mut self.wake_at,
                now: self.now,
                now_us: self.now_us,
            };
            let Some(end) = deliver(pipeline, bytes, &mut at, &mut aside, replies)? else { break };
            self.special(pipe, bytes.get(at..end).unwrap_or_default(), replies)?;
            at = end;
            pipeline = match self.pipelines.get_mut(pipe as usize) {
                Some(pipeline) if pipeline.generation == generation => pipeline,
                _ => return Ok(()),
            };
        }
        pipeline.compact();
        if self.refused && pipeline.queued() < self.options.node_queue_bytes {
            self.refused = false;
            self.drained = true;
        }
        if at == bytes.len() {
            return Ok(());
        }
        if !pipeline.awaits_reply() {
            // The rest of it would be taken for the beginning of the next reply.
            return Err(Broken::Unasked);
        }
        if bytes.len() - at > self.options.stream_above
            && self.begin_stream(pipe, bytes.get(at..).unwrap_or_default(), replies)
        {
            return self.received_in_pieces(pipe, bytes.get(at..).unwrap_or_default(), replies);
        }
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(()) };
        if kept.is_empty() {
            pipeline.inbox.extend_from_slice(fresh.get(at..).unwrap_or_default());
        } else {
            kept.drain(..at);
            pipeline.inbox = kept;
        }
        Ok(())
    }

    /// An error reply or a push.
    #[cold]
    pub(super) fn special(&mut self, pipe: PipelineId, reply: &[u8], replies: &mut Replies) -> Result<(), Broken> {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return Ok(()) };
        if reply.first() == Some(&b'>') {
            return Err(Broken::Unasked);
        }
        if pipeline.skip_prelude(reply) {
            // Refused ASKING: the request behind it gets an error of its own.
            return Ok(());
        }
        let (proto, node, tally) = (pipeline.proto, pipeline.node, Arc::clone(&pipeline.tally));
        let frame: Box<[u8]> = pipeline.head_frame().into();
        let pending = match pipeline.pop() {
            Some(Expect::Deliver(pending)) => pending,
            Some(Expect::Canary { .. }) if pipeline.canary_came(reply) => return Ok(()),
            other => return Err(unusable(other.as_ref())),
        };
        let unit = pending.traits.is_unit().then(|| pipeline.told());
        let Some(from) = self.nodes.get(usize::from(node)).map(|node| node.addr.clone()) else { return Ok(()) };
        let request = Taken { pending, frame, may_have_run: false };
        let mut answer = Answer { pipe, proto, from, reply, tally: &tally };
        let worded;
        let verdict = match unit {
            None if request.pending.traits.blocks() => redirect::read_blocked(reply),
            None => redirect::read(reply),
            Some(told) if told.ran() => {
                let text =
                    "PROXYUNKNOWN the node did not take up the transaction: commands of it may have been executed";
                replies.fail(request.pending.ticket, text);
                return Ok(());
            }
            Some(told) => {
                let (verdict, text) = told.verdict(reply);
                worded = text;
                if verdict != Verdict::Pass {
                    answer.reply = &worded;
                }
                verdict
            }
        };
        let lent = request.pending.traits.is_bound().then(|| dedicated::key(&request.pending));
        let outcome = self.follow(&answer, verdict, request, replies);
        if let Some(key) = lent {
            self.settle_loan(key);
        }
        outcome
    }

    /// Does what an error reply asks for.
    fn follow(
        &mut self,
        answer: &Answer<'_>,
        verdict: Verdict,
        request: Taken,
        replies: &mut Replies,
    ) -> Result<(), Broken> {
        let (pipe, proto) = (answer.pipe, answer.proto);
        if verdict != Verdict::Pass && request.pending.traits == Traits::Exec {
            // Its keys are watched on this connection and nowhere else.
            replies.deliver(request.pending.ticket, not_run(proto));
            return Ok(());
        }
        let request =
            if verdict != Verdict::Pass && request.pending.traits.blocks() { self.rearm(request) } else { request };
        match verdict {
            _ if request.pending.traits == Traits::Here => self.here(answer, &verdict, request, replies),
            Verdict::Pass => self.pass(request, answer, replies),
            Verdict::Missing => {
                if let Some(request) = self.cure(pipe, proto, request, answer.reply, replies) {
                    self.pass(request, answer, replies);
                }
            }
            Verdict::Moved(target) => self.moved(answer, &target, request, replies),
            Verdict::Ask(target) => self.asked(answer, &target, request, replies),
            Verdict::Later(hint) => {
                self.view.note_moving(request.pending.slot, self.now);
                self.later(hint, answer, request, replies);
            }
            Verdict::Stale => self.stale(answer, request, replies),
            Verdict::Unauthenticated => {
                self.unauthenticated(proto, request, replies);
                return Err(Broken::Unauthenticated);
            }
        }
        Ok(())
    }

    /// The error is the client's.
    fn pass(&mut self, request: Taken, answer: &Answer<'_>, replies: &mut Replies) {
        let elsewhere = self.retries.elsewhere_than(answer.pipe, &self.pipelines);
        if self.retries.precede(&request.pending, &request.frame, &elsewhere) {
            return self.put_off(answer.proto, request, &[], None);
        }
        let run = Run::of(&request.pending);
        self.retries.overtaken_by(&request.pending, &request.frame, replies);
        self.note_slow(&request.pending, &request.frame);
        answer.tally.error(answer.reply);
        replies.deliver_error(request.pending.ticket, answer.reply);
        run.end(Some(answer.tally), self.clock(), replies);
    }

    /// The request was for this node alone: whatever it says is the answer.
    fn here(&mut self, answer: &Answer<'_>, verdict: &Verdict, request: Taken, replies: &mut Replies) {
        if let Verdict::Moved(target) = verdict {
            self.hint(Hint::Moved);
            if let Some(&node) = self.by_addr.get(&target.addr(&answer.from))
                && self.view.unchanged_since(target.slot, request.pending.epoch)
            {
                self.view.set(target.slot, node);
            }
        }
        replies.deliver(request.pending.ticket, answer.reply);
    }

    fn moved(&mut self, answer: &Answer<'_>, target: &Target, request: Taken, replies: &mut Replies) {
        self.counts.moved += 1;
        answer.tally.moved.add(1);
        self.hint(Hint::Moved);
        let Some((pipe, request)) = self.target(answer, target, request) else { return };
        let Some(request) = self.hop(request, replies) else { return };
        let slot = request.pending.slot;
        if target.slot == slot
            && self.view.unchanged_since(slot, request.pending.epoch)
            && let Some(node) = self.pipelines.get(pipe as usize).map(|pipeline| pipeline.node)
        {
            self.view.set(slot, node);
        }
        if retry::patience(request.pending.hops) > 0 || replies.is_followed(&request.pending.ticket) {
            // The nodes disagree about the owner. Or the node that answered may have more of this client, and may own the slot again before it gets there.
            return self.put_off(answer.proto, request, &[], Some(answer.pipe));
        }
        let pending = Pending { epoch: self.view.epoch(), ..request.pending };
        self.divert(pipe, &request.frame, pending, false);
    }

    fn asked(&mut self, answer: &Answer<'_>, target: &Target, request: Taken, replies: &mut Replies) {
        self.counts.asked += 1;
        answer.tally.asked.add(1);
        self.view.note_moving(request.pending.slot, self.now);
        let Some((pipe, request)) = self.target(answer, target, request) else { return };
        let Some(request) = self.hop(request, replies) else { return };
        // What follows a transaction may find some of its keys where it came from: that comes first.
        let is_passed = request.pending.traits.is_unit()
            && request.pending.hops == 1
            && replies.is_followed(&request.pending.ticket);
        if is_passed || retry::patience(request.pending.hops) > 0 {
            return self.put_off(answer.proto, request, &[], Some(answer.pipe));
        }
        self.divert(pipe, &request.frame, request.pending, true);
    }

    /// The pipeline to the target of a redirect, or `None` for a request that is put off: because it would overtake
    /// another one there, or because nobody knows the target.
    fn target(&mut self, answer: &Answer<'_>, target: &Target, request: Taken) -> Option<(PipelineId, Taken)> {
        let after = match self.redirect_target(target.addr(&answer.from)) {
            // A node must not be able to send the proxy anywhere: discovery decides who belongs to the cluster.
            None => {
                self.hint(Hint::Moved);
                answer.pipe
            }
            Some(_) if self.retries.blocks(&request.pending) => answer.pipe,
            Some(node) => {
                let Some(pipe) = self.way(&request.pending, node, answer.proto) else {
                    self.put_off(answer.proto, request, NO_CONNECTION, Some(answer.pipe));
                    return None;
                };
                match self.retries.elsewhere(&request.pending, pipe, &self.pipelines) {
                    None => return Some((pipe, request)),
                    Some(other) => other,
                }
            }
        };
        self.put_off(answer.proto, request, &[], Some(after));
        None
    }

    /// Counts a hop; a request that has made too many ends here.
    pub(super) fn hop(&self, mut request: Taken, replies: &mut Replies) -> Option<Taken> {
        if request.pending.hops >= self.options.max_redirects {
            let text = format!("PROXYUNSENT not executed: gave up after {} redirects", self.options.max_redirects);
            let run = Run::of(&request.pending);
            replies.fail(request.pending.ticket, &text);
            run.end(None, self.clock(), replies);
            return None;
        }
        request.pending.hops += 1;
        request.pending.traits = request.pending.traits.plain();
        request.pending.len = request.frame.len() as u32;
        Some(request)
    }

    /// The node is no primary any more.
    fn stale(&mut self, answer: &Answer<'_>, request: Taken, replies: &mut Replies) {
        let is_sent_away = request.pending.traits.blocks();
        self.later(Hint::Stale, answer, request, replies);
        if is_sent_away {
            // The node closes the connections of those whom it sends away: nobody may be given this one.
            drop(self.discard(answer.pipe));
        }
    }

    /// The node did not run the request but may do so later: again until the deadline, then its answer as it is.
    fn later(&mut self, hint: Hint, answer: &Answer<'_>, mut request: Taken, replies: &mut Replies) {
        self.hint(hint);
        // The way there may lead over redirects each time: keys of a slot on the move are first asked for at its
        // old owner. Only redirects in a row count.
        request.pending.hops = 0;
        if request.pending.age(self.now) + retry::LAST_MS >= self.timeout() {
            let run = Run::of(&request.pending);
            answer.tally.error(answer.reply);
            replies.deliver_error(request.pending.ticket, answer.reply);
            run.end(Some(answer.tally), self.clock(), replies);
        } else {
            self.put_off(answer.proto, request, answer.reply, Some(answer.pipe));
        }
    }
}

/// An error reply that is meant for the proxy.
struct Answer<'a> {
    pipe: PipelineId,
    proto: Proto,
    /// The node that answered.
    from: Addr,
    reply: &'a [u8],
    /// What is counted for that node.
    tally: &'a NodeTally,
}

/// What looks on while replies are delivered.
struct Aside<'a> {
    retries: &'a mut Retries,
    watchful: &'a mut Watchful,
    around: &'a Surroundings,
    elsewhere: &'a [Detour],
    wake_at: &'a mut Millis,
    now: Millis,
    now_us: u32,
}

impl Aside<'_> {
    /// A read was run in front of a write that came before it, and is run once more behind it.
    #[cold]
    fn ask_again(&mut self, request: Taken, proto: Proto) {
        let again = Delayed { proto, request, refusal: Box::default(), mark: None };
        *self.wake_at = self.retries.put_off(self.now, again).min(*self.wake_at);
    }

    /// A request is answered: others may not run behind it, and it may have been slow.
    #[cold]
    fn look(&mut self, pending: &Pending, frame: &[u8], replies: &mut Replies) {
        if !self.retries.is_empty() {
            self.retries.overtaken_by(pending, frame, replies);
        }
        let around = self.around;
        self.watchful.look(pending, frame, self.now, || around.ready.push(around.desk));
    }
}

/// Delivers whole replies from `at` on, which moves with them, up to one that is perhaps not the client's: gives
/// where that one ends, or `None` when no whole reply is left.
#[inline]
fn deliver(
    pipeline: &mut Pipeline,
    bytes: &[u8],
    at: &mut usize,
    aside: &mut Aside<'_>,
    replies: &mut Replies,
) -> Result<Option<usize>, Broken> {
    let careful =
        pipeline.canary.is_some() || !aside.retries.is_empty() || aside.watchful.expects_slow(pipeline, aside.now);
    let clock = Clock { now_us: aside.now_us, tally: &aside.around.tally };
    let mut run = Run::default();
    while let Some(rest) = bytes.get(*at..).filter(|rest| !rest.is_empty()) {
        let Some(len) = pipeline.scanner.end(rest)? else { break };
        let reply = rest.get(..len).unwrap_or_default();
        if matches!(reply.first(), Some(b'-' | b'>')) {
            run.end(Some(&pipeline.tally), clock, replies);
            return Ok(Some(*at + len));
        }
        *at += len;
        if careful && pipeline.is_early_canary(reply) {
            run.end(Some(&pipeline.tally), clock, replies);
            return Err(Broken::OutOfStep);
        }
        if !pipeline.skip_prelude(reply) {
            match pipeline.pop() {
                Some(Expect::Deliver(pending)) => {
                    if pending.born != run.born {
                        run.end(Some(&pipeline.tally), clock, replies);
                        run = Run::at(pending.born);
                    }
                    if careful {
                        let frame = pipeline.popped_frame(pending.len as usize);
                        if aside.retries.precede(&pending, frame, aside.elsewhere) {
                            aside.ask_again(Taken::unsent(pending, frame), pipeline.proto);
                            continue;
                        }
                        aside.look(&pending, frame, replies);
                    }
                    run.note(&pending);
                    replies.deliver(pending.ticket, reply);
                }
                Some(Expect::Clean { .. }) => pipeline.cleaned(),
                Some(Expect::Canary { .. }) if pipeline.canary_came(reply) => {}
                other => return Err(unusable(other.as_ref())),
            }
        }
    }
    run.end(Some(&pipeline.tally), clock, replies);
    Ok(None)
}

/// A record was popped that no reply may answer.
pub(super) const fn unusable(record: Option<&Expect>) -> Broken {
    match record {
        Some(Expect::Late { .. }) => Broken::Late,
        Some(Expect::Canary { .. }) => Broken::OutOfStep,
        _ => Broken::Unasked,
    }
}
