//! For how long replies to a part of a batch are held back (see `replies::hold`).

use std::time::Duration;

use super::{Client, Worker};

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
