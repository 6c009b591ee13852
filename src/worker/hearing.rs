//! What a turn does for subscriptions, while there are any.

use std::sync::Arc;
use std::time::Duration;

use super::{FEED_DIALED, FEEDS, Worker};
use crate::backend::{self, Surroundings};
use crate::client::Process;
use crate::pubsub::{self, Subscriptions};

/// The subscriptions of a worker, in the surroundings of its backend and with the same identity at the nodes.
pub(super) fn subscriptions(
    options: &backend::Options,
    around: &Surroundings,
    process: &Process,
    seed: u32,
) -> Subscriptions {
    let around = pubsub::Surroundings {
        net: Arc::clone(&around.net),
        ready: Arc::clone(&around.ready),
        token: FEEDS,
        dialed: FEED_DIALED,
        hints: around.hints.clone(),
        credentials: options.credentials.clone(),
        connect_timeout: options.connect_timeout,
        answer_timeout: options.request_timeout,
        max_message: options.max_reply_bytes,
        max_output: process.options.max_subscriber_bytes,
        keyspace: process.options.keyspace.clone(),
        registry: Arc::clone(&process.registry),
    };
    Subscriptions::new(around, seed)
}

impl Worker {
    /// Asks the nodes what clients asked for in this turn, does what is due, and closes clients that do not take
    /// their messages.
    #[cold]
    pub(super) fn tend_subscriptions(&mut self) {
        self.room.pubsub.tend(&mut self.room.replies);
        for id in self.room.pubsub.take_slow() {
            let Some(client) = self.clients.get(id as usize) else { continue };
            let waiting = self.room.replies.queue(id).map_or(0, |queue| queue.unwritten().len() + queue.pushes());
            if waiting <= self.room.options.max_subscriber_bytes {
                continue;
            }
            tracing::warn!("subscriber at {} is closed: {waiting} bytes of messages wait for it", client.link.peer());
            self.slow += 1;
            self.close(id);
        }
        if let Some(at) = self.room.pubsub.wake_at() {
            self.feed_timer.arm_at(self.started + Duration::from_millis(at));
        }
    }
}
