//! What is done about nodes that are out of reach, or do not let the proxy in.
//!
//! A try is made for the sake of a request, however long its node has been away: requests wait while it is under way,
//! and only those that come between two tries fail at once. A new connection to a node that was out of reach has to
//! answer first: the system of a process that was stopped still takes connections, and what is sent on them would be
//! lost in doubt.

use super::pipeline::{Holder, State};
use super::record::Taken;
use super::{Backend, Millis, PipelineId};
use crate::replies::Replies;
use crate::resp::Proto;

impl Backend {
    /// Something waits on a connection that is not there. When the next try is due, even a node that was given up gets
    /// it, and what came in the meantime waits for its outcome.
    #[cold]
    pub(super) fn wait_or_dial(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let after = self.options.fail_fast_after.as_millis() as Millis;
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let State::Down { retry_at } = pipeline.state else { return };
        if retry_at <= self.now {
            self.dial(pipe);
        } else if pipeline.health.is_given_up(self.now, after) && pipeline.holder == Holder::Shared {
            self.fail_fast(pipe, replies);
        } else {
            self.wake_by(retry_at);
        }
    }

    /// Answers what waits for a node that is given up: nothing of it has left.
    fn fail_fast(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let addr = self.nodes.get(usize::from(pipeline.node)).map_or("?".to_owned(), |node| node.addr.to_string());
        let since = pipeline.health.down_for(self.now) / 1000;
        for request in pipeline.take_unsent(|_| true) {
            self.counts.failed_fast += 1;
            let text = format!("PROXYUNSENT not executed: {addr} has been out of reach for {since} s");
            replies.fail(request.pending.ticket, &text);
        }
        self.drained |= std::mem::take(&mut self.refused);
    }

    /// The node did not run the request because it does not accept the proxy: again on a new connection, if the
    /// proxy has something to say there that it may not have said yet. The client has no part in it.
    #[cold]
    pub(super) fn unauthenticated(&mut self, proto: Proto, request: Taken, replies: &mut Replies) {
        const REFUSAL: &str = "PROXYUNSENT not executed: a node does not accept the proxy (cluster.password)";
        if self.options.credentials.is_none() || request.pending.hops >= self.options.max_redirects {
            return replies.fail(request.pending.ticket, REFUSAL);
        }
        if let Some(request) = self.hop(request, replies) {
            self.put_off(proto, request, format!("-{REFUSAL}\r\n").as_bytes(), None);
        }
    }
}
