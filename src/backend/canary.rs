//! The canary: an ECHO now and then, by which a connection proves that its replies are in step with its requests.
//!
//! Every reply is counted off against its request; a node (or something in between) that leaves one out, or gives one
//! twice at the moment when somebody waits, would make each later reply somebody else's. The number in the canary is
//! different each time: whatever else comes in its place gives the connection away, and it is closed.

use super::pipeline::{Pipeline, State};
use super::record::Expect;
use super::{Backend, Millis, NEVER, PipelineId};
use crate::resp::encode;

impl Backend {
    /// Sends a canary down the connection of `pipe` when it is time.
    pub(super) fn tick_canary(&mut self, pipe: PipelineId) {
        let every = self.options.canary.as_millis() as Millis;
        let (now, deadline) = (self.now, self.now + self.timeout());
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize).filter(|_| every > 0) else { return };
        if !pipeline.is_common() {
            return;
        }
        if pipeline.canary_at <= now {
            pipeline.canary_at = now + every;
            // One at a time: the next one waits until this one is back.
            if pipeline.deadline == NEVER {
                pipeline.deadline = deadline;
                self.nonce = self.nonce.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                pipeline.send_canary(self.nonce);
                self.counts.canaries += 1;
                self.touch(pipe);
            }
        }
        if let Some(at) = self.pipelines.get(pipe as usize).map(|pipeline| pipeline.canary_at) {
            self.wake_by(at);
        }
        self.wake_by(deadline);
    }
}

impl Pipeline {
    fn send_canary(&mut self, nonce: u32) {
        let mut frame = Vec::new();
        encode::request(&mut frame, &[b"ECHO", nonce.to_string().as_bytes()]);
        self.push(&frame, Expect::Canary { len: frame.len() as u32, nonce });
    }

    /// Something came in the place of the canary with this number: whether it is the canary. An error is no proof
    /// either way if the node says that it does not take the command now, or from the proxy.
    pub(super) fn canary_came(&mut self, nonce: u32, reply: &[u8]) -> bool {
        self.cleaned();
        if matches!(self.state, State::Ready(_)) {
            self.deadline = NEVER;
        }
        let mut expected = Vec::new();
        encode::bulk(&mut expected, nonce.to_string().as_bytes());
        let excuses: [&[u8]; 5] = [b"-NOPERM", b"-LOADING", b"-NOAUTH", b"-BUSY", b"-MASTERDOWN"];
        reply == expected || excuses.iter().any(|excuse| reply.starts_with(excuse))
    }
}
