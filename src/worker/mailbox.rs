//! What other threads tell a worker: new connections, new maps, the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{GAUGES, MAIL, MAP, SWEEPER};
use crate::net::{Accepted, Ready};

/// Where other threads leave word for a worker.
pub struct Mailbox {
    pub(super) ready: Arc<Ready>,
    accepted: Mutex<Vec<Accepted>>,
    draining: AtomicBool,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { ready: Ready::new(), accepted: Mutex::default(), draining: AtomicBool::new(false) }
    }
}

impl Mailbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Accepted>> {
        // A push cannot stop half-way, so a poisoned list is still a whole one.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connections that were handed over.
    pub(super) fn take(&self) -> Vec<Accepted> {
        std::mem::take(&mut *self.lock())
    }

    /// Whether the worker is to end.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Hands a new connection over.
    pub fn hand_over(&self, connection: Accepted) {
        self.lock().push(connection);
        self.ready.push(MAIL);
    }

    /// Says that there is a new map.
    pub fn new_map(&self) {
        self.ready.push(MAP);
    }

    /// Asks the worker to show what takes a look at every client.
    pub fn show_gauges(&self) {
        self.ready.push(GAUGES);
    }

    /// Says that the worker is to end once its clients have their replies.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.ready.push(SWEEPER);
    }
}
