//! Slow requests on their way into the slow log: from their reply until their client has taken it.
//!
//! A client that takes its replies at once is through in the turn in which its request is noticed. For others each turn
//! looks again, and the time that they take is told apart from that of the node.

use super::Worker;
use crate::backend::{Millis, Slow};

/// One that is not taken for so many milliseconds is logged as it is.
const PATIENCE_MS: Millis = 10_000;
/// So many wait at most; more are logged as they are.
const MOST: usize = 256;

/// A slow request whose reply is on its way.
pub(super) struct Unread {
    slow: Slow,
    since: Millis,
}

impl Worker {
    /// Takes what the backend found slow.
    pub(super) fn note_slow(&mut self) {
        let since = self.room.now;
        for slow in self.room.backend.take_slow() {
            self.unread.push(Unread { slow, since });
        }
        self.log_slow();
    }

    /// Logs those slow requests whose client has its reply.
    #[cold]
    pub(super) fn log_slow(&mut self) {
        let now = self.room.now;
        let mut unread = std::mem::take(&mut self.unread);
        let mut places = MOST;
        unread.retain(|Unread { slow, since }| {
            let waits = places > 0 && now < since + PATIENCE_MS && self.is_unread(slow);
            places -= usize::from(waits);
            if !waits {
                self.log(slow, now - since);
            }
            waits
        });
        self.unread = unread;
    }

    fn is_unread(&self, slow: &Slow) -> bool {
        let replies = &self.room.replies;
        let queue = replies.queue(slow.client_key as u32).filter(|_| replies.is_open(slow.client_key));
        queue.is_some_and(|queue| !queue.is_out(slow.sequence) || !queue.unwritten().is_empty())
    }

    fn log(&mut self, slow: &Slow, written_ms: Millis) {
        let is_open = self.room.replies.is_open(slow.client_key);
        let client = self.clients.get(slow.client_key as u32 as usize).filter(|_| is_open);
        let (addr, name) = client.map_or(("", ""), |client| (client.session.peer(), client.session.name()));
        self.room.slow.note(slow, written_ms * 1000, addr, name);
    }
}
