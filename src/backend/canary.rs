//! The canary: an ECHO now and then, by which a shared connection proves that its replies are in step with its requests.
//!
//! Every reply is counted off against its request; a node (or something in between) that leaves one out, or gives one
//! twice at the moment when somebody waits, would make each later reply somebody else's. The number in the canary is
//! different each time: whatever else comes in its place gives the connection away, and so does the number itself
//! where another reply is due. Either way the connection is closed.

use std::hash::{BuildHasher, RandomState};

use super::pipeline::{Holder, Pipeline};
use super::record::Expect;
use super::{Backend, Millis, NEVER, PipelineId};
use crate::resp::encode;

/// What a node may say to an ECHO that it does not take now.
const EXCUSES: [&[u8]; 5] = [b"-NOPERM", b"-LOADING", b"-NOAUTH", b"-BUSY", b"-MASTERDOWN"];

impl Backend {
    const fn canary_every(&self) -> Millis {
        self.options.canary.as_millis() as Millis
    }

    /// A connection was made: its first canary is due a while later.
    pub(super) fn expect_canaries(&mut self, pipe: PipelineId) {
        let (every, at) = (self.canary_every(), self.now + self.canary_every());
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if every > 0 && pipeline.holder == Holder::Shared {
            pipeline.canary_at = at;
            self.wake_by(at);
        }
    }

    /// Sends a canary down the connection of `pipe` when it is time.
    pub(super) fn tick_canary(&mut self, pipe: PipelineId) {
        let (now, timeout, every) = (self.now, self.timeout(), self.canary_every());
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize).filter(|pipeline| pipeline.is_common()) else {
            return;
        };
        let mut due = pipeline.canary_at;
        if due <= now {
            due = now + every;
            pipeline.canary_at = due;
            // One at a time: the next one waits until this one is back.
            if pipeline.canary.is_none() {
                // Drawn anew each time, so that no client can have it in a value.
                pipeline.send_canary(RandomState::new().hash_one(now), now + timeout);
                self.touch(pipe);
            }
        }
        self.wake_by(due);
    }
}

impl Pipeline {
    fn send_canary(&mut self, nonce: u64, deadline: Millis) {
        let mut frame = Vec::new();
        let digits = format!("{nonce:016x}");
        encode::request(&mut frame, &[b"ECHO", digits.as_bytes()]);
        self.deadline = deadline;
        self.canary = Some(nonce);
        self.push(&frame, Expect::Canary { len: frame.len() as u32 });
    }

    /// Whether `reply` is that to the canary, and comes where another one is due.
    #[cold]
    pub(super) fn is_early_canary(&self, reply: &[u8]) -> bool {
        !self.is_canary_due() && self.is_canary(reply)
    }

    /// Whether `reply` is that to the canary under way, if there is one.
    fn is_canary(&self, reply: &[u8]) -> bool {
        let digits = reply.strip_prefix(b"$16\r\n").and_then(|rest| rest.strip_suffix(b"\r\n"));
        let number = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.is_some() && number == self.canary
    }

    /// Something came in the place of the canary: whether it is the canary. An error is no proof either way if the
    /// node says that it does not take the command now, or from the proxy.
    #[cold]
    pub(super) fn canary_came(&mut self, reply: &[u8]) -> bool {
        let is_fine = self.is_canary(reply) || EXCUSES.iter().any(|excuse| reply.starts_with(excuse));
        self.cleaned();
        self.deadline = NEVER;
        self.canary = None;
        is_fine
    }
}
