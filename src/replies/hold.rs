//! Replies to a part of a batch are held back for a moment, so that the whole batch leaves in one write.
//!
//! A pipeline over three nodes is answered at three moments, and a client that sent it in one piece mostly waits for
//! all of it. So what is there waits for the rest of what was read with it: until all has come, until it is much, until
//! the client sends more (it did not wait for the rest), or until the moment is over. A single reply never waits.

use super::{ClientId, Queue, Replies};

/// So much is worth a write of its own.
const MUCH: usize = 16 << 10;

/// What a client was last read of.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Replies before this sequence leave together.
    end: u32,
    /// Some of them wait for the others.
    is_held: bool,
    /// The client is on the list of those with whom it is so.
    is_listed: bool,
}

impl Queue {
    /// Whether replies wait to be written, and others of their batch to come.
    #[inline]
    fn is_partial(&self) -> bool {
        (self.batch.end.wrapping_sub(self.head) as i32) > 0
            && self.written == 0
            && self.out.len() < MUCH
            && self.streaming.is_none()
    }
}

impl Replies {
    /// More was read from `client`: what is held back is to be written, and what came is a batch if none is under way.
    #[inline]
    pub fn end_batch(&mut self, client: ClientId) {
        let Some(queue) = self.queues.get_mut(client as usize) else { return };
        if queue.batch.is_held {
            queue.batch.end = queue.head;
        } else if (queue.batch.end.wrapping_sub(queue.head) as i32) <= 0 {
            queue.batch.end = queue.tail;
        }
    }

    /// Whether what is there for `client` is held back. If not, the next batch is what it has asked for by now.
    #[inline]
    pub fn holds(&mut self, client: ClientId) -> bool {
        let Some(queue) = self.queues.get_mut(client as usize) else { return false };
        if !queue.is_partial() {
            queue.batch.is_held = false;
            queue.batch.end = queue.tail;
            return false;
        }
        queue.dirty = false;
        queue.batch.is_held = true;
        if !queue.batch.is_listed {
            queue.batch.is_listed = true;
            self.held.push(client);
        }
        true
    }

    /// Whether anything is held back.
    #[must_use]
    pub const fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// The moment is over: what is held back is to be written.
    pub fn release_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        for client in held.drain(..) {
            let Some(queue) = self.queues.get_mut(client as usize) else { continue };
            queue.batch.is_listed = false;
            if queue.batch.is_held {
                queue.batch.end = queue.head;
                self.touch(client);
            }
        }
        self.held = held;
    }
}
