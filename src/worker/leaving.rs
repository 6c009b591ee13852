//! How clients end: by themselves, because they are silent or slow, or because the worker drains.
//!
//! ```text
//!   served ──┬─ it asks for it, its input ends ─► Owed ─── it has its replies ──────────────────────► closed
//!            │                                     ▲
//!            │                                     │ the time is up, and it is blocked: woken
//!            └─ the worker drains ──────────────► AtRest ── nothing under way, inside of nothing ───► closed
//! ```
//!
//! A drain closes those first that have been silent for a moment, so that nobody is cut off who is about to say the next
//! thing: one that has just come, or asks one thing after the other. When most of the time is up, silence is not waited
//! for any longer, nor for those to go who were told where to.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Worker;
use crate::backend::Millis;
use crate::client::moving;
use crate::replies::ClientId;

/// How often silent and leaving clients are looked at, and how often all are when the worker drains.
pub(super) const SWEEP: Duration = Duration::from_secs(1);
const DRAIN_SWEEP: Duration = Duration::from_millis(100);
/// How long a client that takes its leave may take to read its last replies, in milliseconds.
const LINGER_MS: Millis = 10_000;
/// How long a client has to be silent to be at rest, in milliseconds.
const SILENCE_MS: Millis = 100;
/// How long those may take who are woken when the time of a drain is up.
const LAST_CALL_MS: Millis = 1_000;

/// That a client takes its leave, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    since: Millis,
    how: How,
}

/// How a client takes its leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Nothing more is taken from it; it is closed when it has what it is owed.
    Owed,
    /// It is served until nothing of it is under way and it is inside of nothing.
    AtRest,
}

impl Leaving {
    /// Whether nothing more is taken from it.
    pub(super) const fn is_deaf(self) -> bool {
        matches!(self.how, How::Owed)
    }
}

impl Worker {
    /// Nothing more is taken from this client; it gets what it is owed, and is closed then.
    pub(super) fn leave(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        if client.session.is_blocked() {
            // Nothing may be popped for somebody who is gone.
            return self.close(id);
        }
        match &mut client.leaving {
            Some(leaving) if leaving.is_deaf() => {}
            leaving => *leaving = Some(Leaving { since: self.room.now, how: How::Owed }),
        }
        self.sweeper.arm(SWEEP);
        self.close_if_served(id);
    }

    pub(super) fn close_if_served(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id as usize) else { return };
        match client.leaving.map(|leaving| leaving.how) {
            Some(How::AtRest) => self.close_if_at_rest(id),
            _ if self.is_served(id) => self.close(id),
            _ => {}
        }
    }

    /// Whether a client has all that it is owed.
    fn is_served(&self, id: ClientId) -> bool {
        let (client, queue) = (self.clients.get(id as usize), self.room.replies.queue(id));
        let has_all = queue.is_some_and(|queue| queue.in_flight() == 0 && queue.unwritten().is_empty());
        has_all && client.is_some_and(|client| !client.session.is_waiting())
    }

    /// Closes a client at the boundary of a reply. What it has sent meanwhile is served before.
    fn close_if_at_rest(&mut self, id: ClientId) {
        if self.is_at_rest(id) {
            self.read_client(id);
            if self.is_at_rest(id) {
                self.close(id);
            }
        }
    }

    fn is_at_rest(&self, id: ClientId) -> bool {
        let Some(client) = self.clients.get(id as usize) else { return false };
        let is_silent = !client.session.is_told() && client.session.idle_ms(self.room.now) >= SILENCE_MS;
        (is_silent || self.room.now >= self.patient_until)
            && self.is_served(id)
            && client.session.is_at_rest()
            && !self.room.pubsub.has(id)
    }

    pub(super) fn close(&mut self, id: ClientId) {
        let Some(mut client) = self.clients.try_remove(id as usize) else { return };
        client.session.gone(id, &mut self.room);
        self.room.replies.close(id);
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
            self.patient_until = self.room.now + self.drain.as_millis() as Millis / 4 * 3;
        }
        let (now, idle) = (self.room.now, self.room.options.idle_timeout.as_millis() as Millis);
        let deadline = self.draining_since.map(|since| since + self.drain.as_millis() as Millis);
        let ids: Vec<ClientId> = self.clients.iter().map(|(id, _)| id as ClientId).collect();
        for id in ids {
            let Some(client) = self.clients.get(id as usize) else { continue };
            let queue = self.room.replies.queue(id);
            let is_quiet = queue.is_some_and(|queue| queue.in_flight() == 0);
            // A subscriber is silent by nature.
            let is_quiet = is_quiet && !self.room.pubsub.has(id);
            let deaf_since = client.leaving.filter(|leaving| leaving.is_deaf()).map(|leaving| leaving.since);
            let is_late = deaf_since.is_some_and(|since| now >= since + LINGER_MS);
            if is_late || (idle > 0 && is_quiet && client.session.idle_ms(now) >= idle) {
                self.close(id);
            } else if let Some(deadline) = deadline {
                if now < deadline { self.ask_to_go(id) } else { self.send_away(id, deadline) }
            }
        }
        let leaving = self.clients.iter().any(|(_, client)| client.leaving.is_some());
        if self.draining_since.is_some() {
            self.sweeper.arm(DRAIN_SWEEP);
        } else if leaving || idle > 0 {
            self.sweeper.arm(SWEEP);
        }
    }

    /// The worker drains: tells the client, if it wants to be told, and closes it when it is at rest.
    fn ask_to_go(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        moving::tell(&mut client.session, id, self.drain, &mut self.room);
        client.leaving.get_or_insert(Leaving { since: self.room.now, how: How::AtRest });
        self.close_if_served(id);
    }

    /// The time of a drain is up: one that is blocked is woken as if its own time were, any other closed.
    fn send_away(&mut self, id: ClientId, deadline: Millis) {
        let Some(client) = self.clients.get_mut(id as usize) else { return };
        let is_blocked = client.session.is_blocked();
        match client.leaving {
            Some(leaving) if leaving.is_deaf() && is_blocked && self.room.now < deadline + LAST_CALL_MS => {}
            Some(leaving) if !leaving.is_deaf() && is_blocked => {
                client.leaving = Some(Leaving { since: self.room.now, how: How::Owed });
                client.session.wake(id, false, &mut self.room);
            }
            _ => self.close(id),
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.draining_since.is_some() && self.clients.is_empty()
    }
}
