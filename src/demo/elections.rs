//! When an election was going on: from the kill of a primary until the nodes themselves say that every slot is
//! served again.
//!
//! Only chaos opens and closes these windows, and it asks the nodes, never the proxy. The load compares them with
//! the time that each of its requests was under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All elections of a run.
#[derive(Debug, Default)]
pub(super) struct Elections {
    stamp: AtomicU64,
    windows: Mutex<Vec<Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    from: Instant,
    /// `None` while it lasts.
    to: Option<Instant>,
}

impl Elections {
    /// Counts beginnings and ends, so it is odd during an election. What was acknowledged under one even stamp
    /// must still be there as long as the stamp is the same; a killed primary may take its last writes with it.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::SeqCst)
    }

    /// A primary is about to be killed.
    pub(super) fn begin(&self) {
        self.windows().push(Window { from: Instant::now(), to: None });
        self.stamp.fetch_add(1, Ordering::SeqCst);
    }

    /// The nodes have just said that every slot is served again. Gives how long it took.
    pub(super) fn end(&self) -> Duration {
        let mut windows = self.windows();
        let now = Instant::now();
        let Some(last) = windows.last_mut().filter(|window| window.to.is_none()) else { return Duration::ZERO };
        last.to = Some(now);
        self.stamp.fetch_add(1, Ordering::SeqCst);
        now - last.from
    }

    /// Whether a request that was sent and answered at these times was under way during an election.
    pub(super) fn touched(&self, sent: Instant, answered: Instant) -> bool {
        let during = |window: &Window| window.from <= answered && window.to.is_none_or(|to| sent <= to);
        self.windows().iter().any(during)
    }

    /// How long each finished one took.
    pub(super) fn lasted(&self) -> Vec<Duration> {
        self.windows().iter().filter_map(|window| Some(window.to? - window.from)).collect()
    }

    fn windows(&self) -> MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_under_way_during_an_election_are_excused() {
        let elections = Elections::default();
        let pause = || std::thread::sleep(Duration::from_millis(2));
        let before = Instant::now();
        pause();
        let just_before = Instant::now();
        elections.begin();
        pause();
        let during = Instant::now();
        pause();
        assert_eq!(elections.stamp() % 2, 1);
        assert!(elections.touched(before, during), "sent before the kill, answered after it");
        elections.end();
        assert_eq!(elections.stamp() % 2, 0);
        pause();
        let after = Instant::now();
        pause();
        let later = Instant::now();
        assert!(elections.touched(during, after), "sent during it, answered after its end");
        assert!(elections.touched(before, later), "under way all the time");
        assert!(!elections.touched(before, just_before), "answered before the kill");
        assert!(!elections.touched(after, later), "sent after its end");
        assert_eq!(elections.lasted().len(), 1);
    }

    #[test]
    fn an_end_without_a_beginning_changes_nothing() {
        let elections = Elections::default();
        elections.end();
        assert_eq!((elections.stamp(), elections.lasted().len()), (0, 0));
    }
}
