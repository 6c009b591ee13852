//! What comes before a connection is a client: on a listener with the PROXY protocol, the header that tells whose it is.
//!
//! Each such connection has a task of its own until its header is there, so that the turns know nothing of it. It counts
//! as a client of its listener all the while. What else must be said before the first request has its place here.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{GREETED, Worker};
use crate::net::announced::{self, Refused, Whose};
use crate::net::{Accepted, Stream};

/// How long a connection may take to tell whose it is.
const LIMIT: Duration = Duration::from_secs(5);

/// A connection that has said what it had to say first, or why it is none.
pub(super) struct Greeted {
    door: usize,
    /// Where it comes from, by itself.
    from: String,
    outcome: Result<(Stream, Whose), Option<Refused>>,
}

/// Where the tasks leave them.
pub(super) type Greetings = Rc<RefCell<Vec<Greeted>>>;

impl Worker {
    /// Takes a new connection in.
    pub(super) fn receive(&mut self, door: usize, connection: Accepted) {
        match connection.into_stream() {
            Ok(stream) if self.room.terms(door).options.proxy_protocol => self.greet(door, stream),
            Ok(stream) => {
                let peer = stream.peer();
                self.welcome(door, stream, &peer);
            }
            Err(error) => {
                tracing::warn!("a new connection cannot be used: {error}");
                self.count_out(door);
            }
        }
    }

    /// A client of this listener is gone, or what might have become one.
    pub(super) fn count_out(&self, door: usize) {
        self.tally().clients.fetch_sub(1, Ordering::Relaxed);
        self.room.process.door(door).clients.fetch_sub(1, Ordering::Relaxed);
    }

    fn greet(&self, door: usize, mut stream: Stream) {
        let (list, ready) = (Rc::clone(&self.greeted), Arc::clone(&self.ready));
        tokio::task::spawn_local(async move {
            let from = stream.peer();
            let outcome = match tokio::time::timeout(LIMIT, announced::take(&mut stream)).await {
                Ok(Ok(whose)) => Ok((stream, whose)),
                Ok(Err(refused)) => Err(Some(refused)),
                Err(_) => Err(None),
            };
            list.borrow_mut().push(Greeted { door, from, outcome });
            ready.push(GREETED);
        });
    }

    /// Lets those in who have said whose they are.
    #[cold]
    pub(super) fn take_greeted(&mut self) {
        let greeted = std::mem::take(&mut *self.greeted.borrow_mut());
        for Greeted { door, from, outcome } in greeted {
            let why = match outcome {
                Ok((stream, Whose::Client(addr))) => {
                    self.welcome(door, stream, &addr);
                    continue;
                }
                Ok((stream, Whose::Own)) => {
                    self.welcome(door, stream, &from);
                    continue;
                }
                // Balancers look whether the port is there, and go.
                Err(Some(Refused::Ended | Refused::Broken(_))) => None,
                Err(Some(refused)) => Some(refused.to_string()),
                Err(None) => Some(format!("it has not sent its header within {} s", LIMIT.as_secs())),
            };
            if let Some(why) = why {
                self.room.process.refused.fetch_add(1, Ordering::Relaxed);
                let name = &self.room.process.door(door).name;
                tracing::warn!("connection from {from} to the listener {name} is refused: {why}");
            }
            self.count_out(door);
        }
    }
}
