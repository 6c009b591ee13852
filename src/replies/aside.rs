//! What goes past the order of replies: replies that nobody wants to hear, and pushes.

use super::{ClientId, Place, Replies};

impl Replies {
    /// What `client` asks next is answered with nothing, until [`unmute`](Self::unmute). At most one request may
    /// come in between.
    pub fn mute(&mut self, client: ClientId) {
        let Some(queue) = self.queues.get_mut(client as usize) else { return };
        let ahead = queue.in_flight();
        queue.stash.places.resize(ahead, Place::Open);
        queue.stash.places.push_back(Place::Muted);
        queue.muted = true;
    }

    /// What `client` asks from now on is answered; a request since [`mute`](Self::mute) still is not.
    pub fn unmute(&mut self, client: ClientId) {
        let Some(queue) = self.queues.get_mut(client as usize) else { return };
        let in_flight = queue.in_flight();
        queue.stash.places.truncate(in_flight);
        queue.muted = false;
    }

    /// Sends `client` something that answers no request, in front of all that it is still owed.
    pub fn push(&mut self, client: ClientId, bytes: &[u8]) {
        let Some(queue) = self.queues.get_mut(client as usize) else { return };
        queue.out.extend_from_slice(bytes);
        if !queue.dirty {
            queue.dirty = true;
            self.dirty.push(client);
        }
    }

    /// Whether the client of this [`client_key`](Ticket::client_key) is still there.
    #[must_use]
    pub fn is_open(&self, client_key: u64) -> bool {
        let queue = self.queues.get(client_key as u32 as usize);
        queue.is_some_and(|queue| queue.generation == (client_key >> 32) as u32)
    }
}
