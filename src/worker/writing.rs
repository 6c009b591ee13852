//! How clients are written to: once a turn each, and batches whole if they come within a moment (see `replies::hold`).

use std::mem;
use std::task::Poll;
use std::time::Duration;

use super::{Client, Worker};
use crate::replies::ClientId;

/// A pipeline over several nodes is answered within less; timers are no finer.
const MOMENT: Duration = Duration::from_millis(1);

impl Client {
    /// Whether its replies may wait: not when it waits for them to go on, or to be closed.
    #[inline]
    pub(super) const fn may_be_held(&self) -> bool {
        !self.session.is_waiting() && self.leaving_since.is_none()
    }
}

impl Worker {
    /// Writes to every client whose output has grown.
    pub(super) fn write_clients(&mut self) {
        let mut written = mem::take(&mut self.written);
        self.room.replies.take_dirty(&mut written);
        for id in written.drain(..) {
            self.write_client(id);
        }
        self.written = written;
    }

    fn write_client(&mut self, id: ClientId) {
        let replies = &mut self.room.replies;
        let written = |client: &&mut Client| !(client.may_be_held() && replies.holds(id));
        let Some(client) = self.clients.get_mut(id as usize).filter(written) else { return };
        let Some(mut rest) = self.room.replies.begin_write(id) else { return };
        while !rest.is_empty() {
            match client.link.write(rest) {
                Poll::Ready(Ok(bytes)) => {
                    self.sent += bytes as u64;
                    rest = self.room.replies.wrote(id, bytes);
                }
                Poll::Ready(Err(_)) => return self.close(id),
                Poll::Pending => break,
            }
        }
        if let Some(token) = self.room.replies.goes_on(id) {
            self.ready.push(token);
        }
        if client.session.is_waiting() {
            self.waiting.push(id);
        } else if client.leaving_since.is_some() {
            self.close_if_served(id);
        }
    }

    /// A moment begins when something is held back, if none is under way.
    #[inline]
    pub(super) fn begin_moment(&mut self) {
        if self.room.replies.has_held() {
            self.moment.arm_at(self.started + Duration::from_micros(self.room.now * 1000) + MOMENT);
        }
    }

    /// What was held back is written in this turn.
    pub(super) fn end_moment(&mut self) {
        self.moment.fired();
        self.room.replies.release_held();
    }
}
