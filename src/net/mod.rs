//! Sockets, and nothing else: the one room that opens connections and listeners.
//!
//! [`Net`] is the door. [`Tcp`](tcp::Tcp) is the real one; tests put a network in memory behind the same
//! trait, with faults of its own. [`Stream`] is one connection whatever carries it, [`Link`](link::Link) is a
//! stream with the bytes that wait on either side of it, [`tls`] stands before connections that are sealed. What the
//! bytes mean is left to every room above.

pub mod addr;
pub mod link;
pub mod ready;
mod sealed;
pub mod stream;
pub mod tcp;
pub mod tls;

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::sync::Semaphore;

pub use addr::Addr;
pub use link::Link;
pub use ready::{Ready, Token};
pub use stream::{Accepted, Stream};

/// A future that stays on the thread that made it.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A future that may move between threads.
pub type SendFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where connections come from and go to: TCP and Unix sockets here, memory in tests.
pub trait Net: Send + Sync + 'static {
    /// Opens a connection to `to`. Host names are resolved at each call. The caller sets the time limit.
    fn connect<'a>(&'a self, to: &'a Addr) -> LocalFuture<'a, io::Result<Stream>>;

    /// Binds `at` and listens. Must be called within a tokio runtime.
    fn listen(&self, at: &Addr) -> io::Result<Box<dyn Listener>>;
}

/// A bound, listening socket.
pub trait Listener: Send {
    /// Waits for the next connection. Errors such as `EMFILE` are the caller's to pace.
    fn accept(&mut self) -> SendFuture<'_, io::Result<Accepted>>;

    /// The address that was bound, with the port that the system chose where 0 was asked for.
    fn local_addr(&self) -> Addr;
}

/// What stands before a connection that was accepted, such as a handshake. It is done where the connection will be used.
pub trait Gate: Send + Sync {
    /// Gets the connection through. One after the other, by `heavy`, does what keeps the processor busy.
    fn open<'a>(&'a self, stream: Stream, heavy: &'a Semaphore) -> LocalFuture<'a, Result<Stream, Unopened>>;
}

/// Why a connection did not get through its gate.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// The peer spoke, and not TLS.
    #[error("it does not speak TLS")]
    Plain,
    /// The peer went before it said anything.
    #[error("it went without a word")]
    Gone,
    /// It took longer than allowed.
    #[error("it took too long")]
    Late,
    /// The two could not agree, or the connection broke.
    #[error("{0}")]
    Failed(io::Error),
}
