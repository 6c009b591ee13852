//! What the load has seen so far: counted for the line of each second, and told in words where it must not be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of the things that must not be, so many are told in words; all are counted.
const MAX_TOLD: usize = 20;

/// What the load has seen so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that came to an end, errors included.
    pub(super) requests: AtomicU64,
    /// Replies that cannot be right.
    pub(super) wrong: AtomicU64,
    /// Errors of requests that were under way during an election.
    pub(super) excused: AtomicU64,
    /// All other errors.
    pub(super) errors: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    fresh: Vec<String>,
    count: usize,
    kinds: BTreeMap<String, u64>,
}

impl Tally {
    /// What must not be and has not been told yet, in words.
    pub(super) fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut self.told().fresh)
    }

    /// How often each kind of error came during elections.
    pub(super) fn excused_kinds(&self) -> BTreeMap<String, u64> {
        self.told().kinds.clone()
    }

    /// A reply came; perhaps it was wrong.
    pub(super) fn replied(&self, wrong: Option<String>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(why) = wrong {
            self.wrong.fetch_add(1, Ordering::Relaxed);
            self.tell(format!("WRONG REPLY to {why}"));
        }
    }

    /// A request ended with an error, or without a reply.
    pub(super) fn failed(&self, why: &str, excused: bool, request: &str) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if excused {
            self.excused.fetch_add(1, Ordering::Relaxed);
            let kind = why.split(' ').next().unwrap_or_default().to_owned();
            *self.told().kinds.entry(kind).or_default() += 1;
        } else {
            self.errors.fetch_add(1, Ordering::Relaxed);
            self.tell(format!("ERROR outside an election, to {request}: {why}"));
        }
    }

    fn tell(&self, what: String) {
        let mut told = self.told();
        told.count += 1;
        if told.count <= MAX_TOLD {
            told.fresh.push(what);
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
