//! How clients end: by themselves, because they are silent or slow, or because the worker drains.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Worker;
use crate::backend::Millis;
use crate::replies::ClientId;

/// How often silent, leaving and draining clients are looked at.
pub(super) const SWEEP: Duration = Duration::from_secs(1);
/// How long a client that takes its leave may take to read its last replies, in milliseconds.
const LINGER_MS: Millis = 10_000;

impl Worker {
    /// Nothing more is taken from this client; it gets what it is owed, and is closed then.
    pub(super) fn leave(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        if client.session.is_blocked() || client.session.is_uploading() {
            // Nothing may be popped for somebody who is gone, and half a request is none.
            return self.close(id);
        }
        client.leaving_since.get_or_insert(self.room.now);
        self.sweeper.arm(SWEEP);
        self.close_if_served(id);
    }

    pub(super) fn close_if_served(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        let Some(queue) = self.room.replies.queue(id) else { return };
        let is_served = queue.in_flight() == 0 && queue.unwritten().is_empty() && !client.session.is_waiting();
        if is_served && client.link.is_settled() {
            self.close(id);
        }
    }

    /// A client that is not read now is perhaps one that takes what is left of what was written to it.
    #[cold]
    pub(super) fn settle(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        if client.link.is_settled() && client.leaving_since.is_some() {
            self.close_if_served(id);
        }
    }

    pub(super) fn close(&mut self, id: ClientId) {
        let Some(mut client) = self.clients.try_remove(id as usize) else { return };
        client.session.gone(id, &mut self.room);
        if let Some(token) = self.room.replies.close(id) {
            // What comes from there is for nobody now.
            self.ready.push(token);
        }
        if client.session.is_monitor() {
            self.end_watch();
        }
        self.room.pubsub.forget(id, &mut self.room.replies);
        client.link.finish();
        self.tally().clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Closes clients that were silent for too long, that do not take their last replies, or that hinder a drain.
    pub(super) fn sweep(&mut self) {
        self.sweeper.fired();
        if self.mailbox.is_draining() && self.draining_since.is_none() {
            self.draining_since = Some(self.room.now);
        }
        let (now, idle) = (self.room.now, self.room.options.idle_timeout.as_millis() as Millis);
        let overdue = self.draining_since.is_some_and(|since| now >= since + self.drain.as_millis() as Millis);
        let ids: Vec<ClientId> = self.clients.iter().map(|(id, _)| id as ClientId).collect();
        for id in ids {
            let Some(client) = self.clients.get(id as usize) else { continue };
            let queue = self.room.replies.queue(id);
            let is_quiet = queue.is_some_and(|queue| queue.in_flight() == 0);
            // A subscriber is silent by nature.
            let is_quiet = is_quiet && !self.room.pubsub.has(id);
            let is_late = client.leaving_since.is_some_and(|since| now >= since + LINGER_MS);
            if is_late || overdue || (idle > 0 && is_quiet && client.session.idle_ms(now) >= idle) {
                self.close(id);
            } else if self.draining_since.is_some() {
                self.send_away(id);
            }
        }
        let leaving = self.clients.iter().any(|(_, client)| client.leaving_since.is_some());
        if leaving || idle > 0 || self.draining_since.is_some() {
            self.sweeper.arm(SWEEP);
        }
    }

    /// Ends a client at the boundary of a reply, for a drain.
    pub(super) fn send_away(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        if client.session.is_blocked() {
            client.session.wake(id, false, &mut self.room);
        } else if !client.session.is_waiting() && !client.session.is_uploading() {
            client.session.close();
            self.leave(id);
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.draining_since.is_some() && self.clients.is_empty()
    }
}
