//! How clients come: from the mailbox, where the acceptor leaves their connections.

use std::sync::atomic::Ordering;

use super::leaving::SWEEP;
use super::{Client, Worker};
use crate::client::Session;
use crate::net::{Link, Stream};

impl Worker {
    pub(super) fn take_mail(&mut self) {
        let accepted = self.mailbox.take();
        for connection in accepted {
            match connection.into_stream() {
                Ok(stream) => self.welcome(stream),
                Err(error) => {
                    tracing::warn!("a new connection cannot be used: {error}");
                    self.tally().clients.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn welcome(&mut self, stream: Stream) {
        let id = self.room.replies.open();
        let entry = self.clients.vacant_entry();
        debug_assert_eq!(entry.key(), id as usize, "clients and their queues must have the same ids");
        let number = self.room.process.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session::new(number, &stream.peer(), &stream.local(), self.room.now);
        entry.insert(Client { link: Link::new(stream, self.ready.waker(id)), session, leaving: None });
        if !self.room.options.idle_timeout.is_zero() {
            self.sweeper.arm(SWEEP);
        }
        self.read_client(id);
    }
}
