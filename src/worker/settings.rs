//! What a worker does when the configuration has changed: it takes up what can change while it runs, and so do its
//! clients, one by one. Nothing on the way of a request asks whether there is something new.

use super::leaving::SWEEP;
use super::{Worker, hearing};
use crate::client::Terms;
use crate::replies::ClientId;

impl Worker {
    /// Takes up the present settings.
    #[cold]
    pub(super) fn look_at_settings(&mut self) {
        let settings = self.room.process.settings.load_full();
        self.drain = settings.drain;
        self.room.set_terms(Terms::all(&settings.clients));
        if let Some(all) = settings.clients.first() {
            self.room.slow.set_most(all.slow_entries);
            hearing::reconfigure(self.room.pubsub.surroundings(), &settings.backend, all);
        }
        self.room.backend.reconfigure(settings.backend.clone());
        let mut gone = Vec::new();
        for (id, client) in &mut self.clients {
            if !client.session.renew(&self.room) {
                gone.push(id as ClientId);
            }
        }
        for id in gone {
            if let Some(client) = self.clients.get(id as usize) {
                tracing::info!("client at {} is closed: its user is gone", client.session.peer());
            }
            self.close(id);
        }
        // What waited for a limit may not have to any longer.
        let stuck = self.clients.iter().filter(|(_, client)| client.session.is_waiting());
        self.waiting.extend(stuck.map(|(id, _)| id as ClientId));
        if self.has_idle_limit() {
            self.sweeper.arm(SWEEP);
        }
    }

    /// Whether the clients of some listener are closed when they are silent.
    pub(super) fn has_idle_limit(&self) -> bool {
        self.room.all_terms().iter().any(|terms| !terms.options.idle_timeout.is_zero())
    }
}
