//! What time ends: retries that have become due, requests without a reply, connections to try again.
//!
//! A request that is still here is certainly not executed; one that the node has was perhaps, and its connection goes
//! with it, since the late reply must reach nobody. What else ends a connection is for [`super::repair`].

use std::sync::Arc;

use super::pipeline::{Passage, State};
use super::record::{Pending, Taken};
use super::retry::Delayed;
use super::timing::Run;
use super::{Backend, NEVER, PipelineId, dedicated};
use crate::replies::Replies;
use crate::telemetry::Fault;

impl Backend {
    /// Does what has become due: retries, deadlines, connections to try again.
    pub fn tick(&mut self, replies: &mut Replies) {
        if self.now < self.wake_at {
            return;
        }
        self.wake_at = NEVER;
        let (now, timeout, pipelines) = (self.now, self.timeout(), &self.pipelines);
        self.retries.forget(pipelines);
        let expired = |pending: &Pending| pending.age(now) >= timeout;
        for mut delayed in self.retries.due(now, pipelines, expired) {
            if self.is_over(&mut delayed.request.pending) {
                self.give_up(delayed, replies);
            } else {
                self.send_again(delayed.proto, delayed.request);
            }
        }
        if let Some(next) = self.retries.next() {
            self.wake_by(next);
        }
        let has_canaries = !self.options.canary.is_zero();
        for pipe in 0..self.pipelines.capacity() {
            if has_canaries {
                self.tick_canary(pipe as PipelineId);
            }
            self.tick_pipeline(pipe as PipelineId, replies);
        }
    }

    /// Answers a request for which no node was found in time.
    fn give_up(&mut self, delayed: Delayed, replies: &mut Replies) {
        self.note_slow(&delayed.request.pending, &delayed.request.frame);
        let bound = delayed.request.pending.traits.is_bound().then(|| dedicated::key(&delayed.request.pending));
        let Delayed { proto, request, refusal, mark } = delayed;
        let run = Run::of(&request.pending);
        if let Some(request) = self.end_waiting(request, proto, replies) {
            self.counts.timed_out += 1;
            Delayed { proto, request, refusal, mark }.give_up(replies);
            run.end(None, self.clock(), replies);
        }
        if let Some(key) = bound {
            self.close_loan(key);
        }
    }

    fn tick_pipeline(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let (now, timeout) = (self.now, self.timeout());
        let oldest = self.pipelines.get(pipe as usize).and_then(|pipeline| pipeline.oldest_age(now));
        if oldest.is_some_and(|age| age >= timeout) {
            self.expire(pipe, replies);
        }
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if pipeline.deadline <= now {
            self.counts.timed_out += 1;
            return self.lose(pipe, Fault::Timeout, &"the node did not answer in time", replies);
        }
        let deadline = pipeline.deadline;
        if let State::Down { retry_at } = pipeline.state
            && pipeline.in_flight() > 0
        {
            if retry_at <= now && !pipeline.dirty {
                pipeline.dirty = true;
                self.dirty.push(pipe);
            } else {
                self.wake_at = self.wake_at.min(retry_at.max(now + 1));
            }
        }
        if let Some(age) = pipeline.oldest_age(now) {
            self.wake_by(now + timeout.saturating_sub(age).max(1));
        }
        self.wake_by(deadline);
    }

    /// Answers what has waited for too long.
    fn expire(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let (now, timeout) = (self.now, self.timeout());
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if pipeline.passage.is_some_and(Passage::is_under_way) {
            self.counts.timed_out += 1;
            return self.lose(pipe, Fault::Timeout, &"the node stopped in the middle of something large", replies);
        }
        let expired = |pending: &Pending| pending.age(now) >= timeout;
        let addr = self.nodes.get(usize::from(pipeline.node)).map_or("?".to_owned(), |node| node.addr.to_string());
        let node = Arc::clone(&pipeline.tally);
        let proto = pipeline.proto;
        let unsent = pipeline.take_unsent(expired);
        let late = pipeline.expire(expired);
        for mut request in unsent {
            if !self.is_over(&mut request.pending) {
                self.send_again(proto, request);
                continue;
            }
            let Some(request) = self.end_waiting(request, proto, replies) else { continue };
            self.counts.timed_out += 1;
            let run = Run::of(&request.pending);
            self.note_slow(&request.pending, &request.frame);
            let text = format!("PROXYUNSENT not executed: {addr} took no request for {timeout} ms");
            replies.fail(request.pending.ticket, &text);
            run.end(Some(&node), self.clock(), replies);
            self.drained |= std::mem::take(&mut self.refused);
        }
        if late.is_empty() {
            return self.settle(pipe);
        }
        for Taken { pending, frame, .. } in late {
            self.counts.timed_out += 1;
            let run = Run::of(&pending);
            node.count(Fault::Timeout);
            self.note_slow(&pending, &frame);
            let text =
                format!("PROXYUNKNOWN {addr} did not answer for {timeout} ms: the command may have been executed");
            replies.fail(pending.ticket, &text);
            run.end(Some(&node), self.clock(), replies);
        }
        // The late reply must reach nobody, and what is sent behind it could only be lost with it.
        self.lose(pipe, Fault::Timeout, &"the node did not answer in time", replies);
    }
}
