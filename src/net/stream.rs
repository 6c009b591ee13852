//! One connection, whatever carries it.
//!
//! An enum and not a trait object on the usual path: reads and writes of TCP are direct calls. Anything else
//! that reads and writes bytes (a pipe in memory) goes in [`Stream::Other`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use super::Gate;
use super::sealed::Sealed;

/// Any two-way byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, registered with the runtime of the thread that uses it.
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    Unix(UnixStream),
    /// TLS over one of the others.
    Tls(Box<Sealed<Self>>),
    /// A pipe in memory, or a stream wrapped in another.
    Other(Box<dyn Duplex>),
}

/// A connection that was accepted on one thread and will be used on another.
pub enum Accepted {
    /// TCP, already non-blocking.
    Tcp(std::net::TcpStream),
    /// A Unix domain socket, already non-blocking.
    Unix(std::os::unix::net::UnixStream),
    /// A pipe in memory, or a stream wrapped in another.
    Other(Box<dyn Duplex>),
    /// One of the others, and what it has to get through before it is used.
    Guarded(Box<Self>, Arc<dyn Gate>),
}

impl Accepted {
    /// Registers the connection with the current runtime, and names the gate that is still before it.
    pub fn into_stream(self) -> io::Result<(Stream, Option<Arc<dyn Gate>>)> {
        Ok(match self {
            Self::Tcp(s) => (Stream::Tcp(TcpStream::from_std(s)?), None),
            Self::Unix(s) => (Stream::Unix(UnixStream::from_std(s)?), None),
            Self::Other(s) => (Stream::Other(s), None),
            Self::Guarded(inner, gate) => (inner.into_stream()?.0, Some(gate)),
        })
    }
}

impl Stream {
    /// A connection whose handshake is done.
    pub(super) fn sealed(inner: TlsStream<Self>) -> Self {
        Self::Tls(Box::new(Sealed::new(inner)))
    }

    /// Whether TLS is spoken on it.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The certificate that the peer has shown, in DER.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(s) => Some(s.peer_certificate()?),
            _ => None,
        }
    }

    /// Tries to hand on what was taken and is still here; true when nothing is left, or nothing can be done about it.
    /// What the system takes it has taken at once.
    #[inline]
    pub fn is_settled(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => true,
            other => Pin::new(other).poll_flush(cx).is_ready(),
        }
    }

    /// The peer's address as text, for logs and `CLIENT INFO`.
    #[must_use]
    pub fn peer(&self) -> String {
        match self {
            Self::Tcp(s) => s.peer_addr().map_or_else(|_| "?:0".to_owned(), |a| a.to_string()),
            Self::Unix(_) => "unix:0".to_owned(),
            Self::Tls(s) => s.carrier().peer(),
            Self::Other(_) => "memory:0".to_owned(),
        }
    }

    /// This side's address as text.
    #[must_use]
    pub fn local(&self) -> String {
        match self {
            Self::Tcp(s) => s.local_addr().map_or_else(|_| "?:0".to_owned(), |a| a.to_string()),
            Self::Unix(_) => "unix:0".to_owned(),
            Self::Tls(s) => s.carrier().local(),
            Self::Other(_) => "memory:0".to_owned(),
        }
    }
}

/// What is no TCP. Out of the way of what is: `poll_read` and its kin are part of every read and write.
impl Stream {
    #[inline(never)]
    fn read_other(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(&mut **s).poll_read(cx, buf),
            Self::Other(s) => Pin::new(s).poll_read(cx, buf),
        }
    }

    #[inline(never)]
    fn write_other(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, bytes),
            Self::Unix(s) => Pin::new(s).poll_write(cx, bytes),
            Self::Tls(s) => Pin::new(&mut **s).poll_write(cx, bytes),
            Self::Other(s) => Pin::new(s).poll_write(cx, bytes),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            other => other.read_other(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, bytes),
            other => other.write_other(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Unix(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(&mut **s).poll_flush(cx),
            Self::Other(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(&mut **s).poll_shutdown(cx),
            Self::Other(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
