//! A number that one thread writes and others read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer. Its additions are no atomic operations of the processor: a load and a store.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Sets the number; only its one writer may.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to the number; only its one writer may.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.value().wrapping_add(more));
    }

    /// The number.
    #[inline]
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
