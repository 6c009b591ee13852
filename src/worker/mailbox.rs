//! What other threads tell a worker: new connections, new maps, questions and answers of other workers, the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{GAUGES, LETTERS, MAIL, MAP, SETTINGS, SWEEPER};
use crate::client::desk::{Answer, Question};
use crate::net::{Accepted, Ready};

/// So many bytes for watchers may wait for a worker; what is more is lost, and its watchers are closed.
const MAX_SHOWN: usize = 64 << 20;

/// What one worker tells another.
pub(super) enum Letter {
    /// A question, to be answered to the worker `from` under this number.
    Question { from: usize, number: usize, question: Question },
    /// The answer to the question of this number.
    Answer { number: usize, answer: Answer },
    /// Lines for those who watch.
    Shown(Arc<[u8]>),
}

/// Letters that were not read.
#[derive(Default)]
pub(super) struct Letters {
    /// In the order in which they came.
    pub(super) unread: Vec<Letter>,
    /// Whether lines for watchers were left out.
    pub(super) lost: bool,
    shown: usize,
    closed: bool,
}

/// Where other threads leave word for a worker.
pub struct Mailbox {
    pub(super) ready: Arc<Ready>,
    accepted: Mutex<Vec<(usize, Accepted)>>,
    letters: Mutex<Letters>,
    draining: AtomicBool,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            ready: Ready::new(),
            accepted: Mutex::default(),
            letters: Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }
}

impl Mailbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, Accepted)>> {
        // A push cannot stop half-way, so a poisoned list is still a whole one.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connections that were handed over.
    pub(super) fn take(&self) -> Vec<(usize, Accepted)> {
        std::mem::take(&mut *self.lock())
    }

    fn letters(&self) -> std::sync::MutexGuard<'_, Letters> {
        // Nothing in here can stop half-way.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a letter; false if the worker has ended and will read none.
    pub(super) fn post(&self, letter: Letter) -> bool {
        let mut letters = self.letters();
        if letters.closed {
            return false;
        }
        if let Letter::Shown(lines) = &letter {
            if letters.shown > MAX_SHOWN {
                letters.lost = true;
                return true;
            }
            letters.shown += lines.len();
        }
        letters.unread.push(letter);
        drop(letters);
        self.ready.push(LETTERS);
        true
    }

    /// Takes the letters.
    pub(super) fn take_letters(&self) -> Letters {
        let mut letters = self.letters();
        let closed = letters.closed;
        std::mem::replace(&mut *letters, Letters { closed, ..Letters::default() })
    }

    /// The worker ends: takes the last letters, and lets no more come.
    pub(super) fn close(&self) -> Letters {
        let mut letters = self.letters();
        std::mem::replace(&mut *letters, Letters { closed: true, ..Letters::default() })
    }

    /// Whether the worker is to end.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Hands a new connection over, which came by the listener `door`.
    pub fn hand_over(&self, door: usize, connection: Accepted) {
        self.lock().push((door, connection));
        self.ready.push(MAIL);
    }

    /// Says that there is a new map.
    pub fn new_map(&self) {
        self.ready.push(MAP);
    }

    /// Says that there are new settings.
    pub fn new_settings(&self) {
        self.ready.push(SETTINGS);
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
