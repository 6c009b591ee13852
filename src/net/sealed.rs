//! A connection under TLS.
//!
//! Bytes that were written are on their way as soon as they are encrypted, although the system may not have taken
//! all of them: what is left goes out before anything else is done, at the next read, write or flush. Whoever drives
//! the connection reads it when it becomes readable or writable, so that nothing stays behind.
//!
//! A peer that ends the connection without saying so by TLS has ended it all the same: what is cut off by that is a
//! frame without its end, and such a frame is never used.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// TLS over a stream.
pub struct Sealed<S> {
    inner: TlsStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sealed<S> {
    /// A connection whose handshake is done.
    pub(super) const fn new(inner: TlsStream<S>) -> Self {
        Self { inner }
    }

    /// What carries it.
    pub(super) fn carrier(&self) -> &S {
        self.inner.get_ref().0
    }

    /// The certificate that the peer has shown.
    pub(super) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.inner.get_ref().1.peer_certificates()?.first()
    }

    /// Whether there are encrypted bytes that the system has not taken.
    fn has_unsent(&self) -> bool {
        self.inner.get_ref().1.wants_write()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Sealed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.has_unsent() {
            // If it fails, there may still be something to read; the next write fails too.
            let _ = Pin::new(&mut this.inner).poll_flush(cx);
        }
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Sealed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.has_unsent() {
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        }
        Pin::new(&mut this.inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
