//! What new clients of a worker go through before they are served: the handshake of TLS, where it is asked for.
//!
//! Each handshake is a task beside the turn; what comes of it is taken in by the next turn. One that is under way
//! counts as a client.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;

use super::{OPENED, Worker};
use crate::net::{Gate, Ready, Stream, Unopened};

/// So many handshakes are under way at once; more wait for their turn without being read.
const AT_ONCE: usize = 1024;

/// A client that got through, or where it was and why it did not.
type Opened = Result<Stream, (String, Unopened)>;

/// Where handshakes are under way.
pub(super) struct Lobby {
    ready: Arc<Ready>,
    opened: Rc<RefCell<Vec<Opened>>>,
    places: Rc<Semaphore>,
    /// One at a time keeps the processor busy.
    heavy: Rc<Semaphore>,
}

impl Lobby {
    pub(super) fn new(ready: &Arc<Ready>) -> Self {
        Self {
            ready: Arc::clone(ready),
            opened: Rc::default(),
            places: Rc::new(Semaphore::new(AT_ONCE)),
            heavy: Rc::new(Semaphore::new(1)),
        }
    }

    /// Begins to get a connection through its gate.
    pub(super) fn let_in(&self, stream: Stream, gate: Arc<dyn Gate>) {
        let (opened, ready) = (Rc::clone(&self.opened), Arc::clone(&self.ready));
        let (places, heavy) = (Rc::clone(&self.places), Rc::clone(&self.heavy));
        tokio::task::spawn_local(async move {
            let peer = stream.peer();
            // It is never closed.
            let place = places.acquire().await;
            let result = gate.open(stream, &heavy).await.map_err(|why| (peer, why));
            drop(place);
            opened.borrow_mut().push(result);
            ready.push(OPENED);
        });
    }
}

impl Worker {
    /// Takes in the connections that were handed over.
    pub(super) fn take_mail(&mut self) {
        let accepted = self.mailbox.take();
        for connection in accepted {
            match connection.into_stream() {
                Ok((stream, None)) => self.welcome(stream),
                Ok((stream, Some(gate))) => self.lobby.let_in(stream, gate),
                Err(error) => {
                    tracing::warn!("a new connection cannot be used: {error}");
                    self.tally().clients.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Takes in the clients that have got through, and takes leave of those that have not.
    #[cold]
    pub(super) fn take_opened(&mut self) {
        let opened = std::mem::take(&mut *self.lobby.opened.borrow_mut());
        for result in opened {
            let process = Arc::clone(&self.room.process);
            match result {
                Ok(stream) => {
                    process.handshakes.opened.fetch_add(1, Ordering::Relaxed);
                    self.welcome(stream);
                }
                Err((peer, why)) => {
                    process.handshakes.note(&why, &peer);
                    self.tally().clients.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }
}
