//! What the process has learned of commands that its table lacks, and the wish to know more.
//!
//! Shared by all workers and the task that asks nodes (`learning`). Ordinary requests never come here: only one whose
//! name the table does not know.
//!
//! ```text
//!   worker: a name that nobody knows ─► ask ─► learning: every primary, once for all who wait ─► learned ─► worker
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::command::learned::Learned;

/// What nodes said so short a time ago is not asked for again.
const FRESH: Duration = Duration::from_millis(250);
/// Nobody waits longer than this for nodes to say what they know.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Default)]
pub struct Lore {
    learned: ArcSwap<Learned>,
    asking: Mutex<Asking>,
    /// Wakes the task that asks: for a wish, or for a new map.
    pub(super) bell: Notify,
}

#[derive(Default)]
struct Asking {
    /// Since when somebody wants to know.
    since: Option<Instant>,
    /// When nodes last told.
    told: Option<Instant>,
}

impl Lore {
    fn asking(&self) -> MutexGuard<'_, Asking> {
        // Two times, each whole by itself.
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now.
    #[must_use]
    pub fn learned(&self) -> Arc<Learned> {
        self.learned.load_full()
    }

    /// Has the nodes asked, unless they were just now. True if it is worth waiting for.
    pub fn ask(&self) -> bool {
        let mut asking = self.asking();
        if asking.since.is_none() {
            if asking.told.is_some_and(|told| told.elapsed() < FRESH) {
                return false;
            }
            asking.since = Some(Instant::now());
            self.bell.notify_one();
        }
        asking.is_worth_waiting()
    }

    /// Whether an answer is awaited.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.asking().is_worth_waiting()
    }

    /// There is a new map.
    pub fn look_at_map(&self) {
        self.bell.notify_one();
    }

    /// Whether somebody wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.asking().since.is_some()
    }

    /// Every primary was asked, from `began` on. Who wanted to know only after that is still to be answered.
    pub(super) fn answered(&self, began: Instant) {
        let mut asking = self.asking();
        *asking = Asking { since: asking.since.filter(|&since| since > began), told: Some(Instant::now()) };
    }

    /// Takes up what was learned. True if it is new.
    pub(super) fn learn(&self, learned: Learned) -> bool {
        let is_new = !learned.same_as(&self.learned.load());
        if is_new {
            self.learned.store(Arc::new(learned));
        }
        is_new
    }
}

impl Asking {
    fn is_worth_waiting(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() < PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_question_serves_all_who_wait_and_nobody_waits_for_ever() {
        let lore = Lore::default();
        assert!(!lore.is_awaited());
        assert!(lore.ask() && lore.ask() && lore.is_awaited());
        tokio::time::advance(PATIENCE).await;
        assert!(!lore.ask() && !lore.is_awaited(), "the nodes do not answer");
        lore.answered(Instant::now());
        assert!(!lore.ask(), "they did just now");
        tokio::time::advance(FRESH).await;
        assert!(lore.ask());
    }
}
