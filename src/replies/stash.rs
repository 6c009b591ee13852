//! Replies that came before their turn, for one client.
//!
//! Bytes one after the other, and for each place of the queue where its bytes stand.

use std::collections::VecDeque;

use super::SPARE_MAX;

/// A stash below this size is not worth compacting.
pub(super) const STASH_MIN: usize = 16 << 10;

/// Where the reply to one request stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// It has not come.
    Open,
    /// It came early and stands in the stash.
    Early { start: u32, len: u32 },
    /// It has not come, and its client does not want it.
    Muted,
}

/// Replies that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Stash {
    /// Places from the head of the queue on; shorter than the queue: what is behind its end is open.
    pub(super) places: VecDeque<Place>,
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are still wanted.
    pub(super) live: usize,
}

impl Stash {
    /// Keeps the reply that is `ahead` places behind the head.
    #[inline]
    pub(super) fn keep(&mut self, ahead: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        if self.places.len() <= ahead {
            self.places.resize(ahead + 1, Place::Open);
        }
        if let Some(place) = self.places.get_mut(ahead) {
            debug_assert!(!matches!(place, Place::Early { .. }), "a place was answered twice");
            if !matches!(place, Place::Muted) {
                write(&mut self.bytes);
            }
            let len = self.bytes.len() - start;
            self.live += len;
            *place = Place::Early { start: start as u32, len: len as u32 };
        }
    }

    /// The head was answered: moves what came early behind it to `out`; gives how many replies that were.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) -> u32 {
        let mut released = 0;
        while let Some(&Place::Early { start, len }) = self.places.front() {
            let start = start as usize;
            out.extend_from_slice(self.bytes.get(start..start + len as usize).unwrap_or_default());
            self.live -= len as usize;
            self.places.pop_front();
            released += 1;
        }
        if self.live == 0 {
            self.bytes.clear();
        } else if self.bytes.len() > STASH_MIN && self.bytes.len() / 4 > self.live {
            self.compact();
        }
        released
    }

    /// Drops what is no longer wanted, for clients that never pause.
    fn compact(&mut self) {
        let mut kept = Vec::with_capacity(self.live * 2);
        for place in &mut self.places {
            if let Place::Early { start, len } = place {
                let from = *start as usize;
                *start = kept.len() as u32;
                kept.extend_from_slice(self.bytes.get(from..from + *len as usize).unwrap_or_default());
            }
        }
        self.bytes = kept;
    }

    /// Whether it is worth keeping for another client.
    pub(super) fn is_small(&self) -> bool {
        self.bytes.capacity() <= SPARE_MAX && self.places.capacity() * size_of::<Place>() <= SPARE_MAX
    }
}
