//! One timer that puts its token on the ready list, so that time is one more thing that becomes ready.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A timer; its waker says which token.
pub(super) struct Timer {
    waker: Waker,
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Timer {
    pub(super) const fn new(waker: Waker) -> Self {
        Self { waker, sleep: None, at: None }
    }

    /// Fires at `at`, or earlier if it is armed for an earlier time already.
    pub(super) fn arm_at(&mut self, at: Instant) {
        if self.at.is_some_and(|armed| armed <= at) {
            return;
        }
        self.at = Some(at);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        sleep.as_mut().reset(at);
        if sleep.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.waker.wake_by_ref();
        }
    }

    /// Fires in `after`, or earlier if it is armed for an earlier time already.
    pub(super) fn arm(&mut self, after: Duration) {
        self.arm_at(Instant::now() + after);
    }

    pub(super) const fn fired(&mut self) {
        self.at = None;
    }
}
