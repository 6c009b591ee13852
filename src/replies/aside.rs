//! What is not as usual: replies that their client does not want to hear, and what answers no request.

use super::{ClientId, Merging, Part, Place, Replies, Ticket, WHOLE};
use crate::merge::Gather;
use crate::merge::errand::Errand;

impl Replies {
    /// A ticket for a request of the proxy's own, whose reply nobody wants.
    pub fn nobodys(&mut self) -> Option<Ticket> {
        let nobody = self.open();
        let ticket = self.reserve(nobody, 0);
        self.close(nobody);
        ticket
    }

    /// The reply to the next request that is reserved a place goes through `errand` before it is its client's.
    pub fn wrap(&mut self, errand: Box<dyn Errand>) {
        let gather = self.gathers.insert(Merging { gather: Gather::step(errand, 1), outer: WHOLE }) as u32;
        self.wrapper = self.parts.insert(Part { gather, number: 0 }) as u32 + 1;
    }

    /// Forgets what [`wrap`](Self::wrap) wanted, if no request came since.
    pub fn unwrap(&mut self) {
        let part = std::mem::take(&mut self.wrapper).wrapping_sub(1);
        if let Some(Part { gather, .. }) = self.parts.try_remove(part as usize) {
            self.gathers.try_remove(gather as usize);
        }
    }

    /// Appends to the output of `client` what answers no request: messages to a subscriber. The output holds whole
    /// replies only, so it stands between two of them, in front of those that have not come or wait for their turn.
    /// Gives how many bytes the client has not been sent.
    pub fn push(&mut self, client: ClientId, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let Some(queue) = self.queues.get_mut(client as usize) else { return 0 };
        if let Some(streaming) = &mut queue.streaming {
            write(&mut streaming.pushes);
            return queue.unwritten().len() + queue.pushes();
        }
        if queue.out.capacity() == 0 {
            queue.out = self.spares.pop().unwrap_or_default();
        }
        write(&mut queue.out);
        if !queue.dirty {
            queue.dirty = true;
            self.dirty.push(client);
        }
        queue.unwritten().len()
    }

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

    /// Whether the client of this [`client_key`](Ticket::client_key) is still there.
    #[must_use]
    pub fn is_open(&self, client_key: u64) -> bool {
        let queue = self.queues.get(client_key as u32 as usize);
        queue.is_some_and(|queue| queue.generation == (client_key >> 32) as u32)
    }
}
