//! A stream and the waker that tells its worker when it is ready.
//!
//! Reads and writes never wait: what is not possible now is [`Poll::Pending`], and the worker finds the link's
//! token on its ready list when it is. Buffers belong to the rooms that know what is in them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::Stream;

/// One connection of a worker.
pub struct Link {
    stream: Stream,
    waker: Waker,
}

impl Link {
    /// Ties a stream to the waker that puts its token on the ready list.
    #[must_use]
    pub const fn new(stream: Stream, waker: Waker) -> Self {
        Self { stream, waker }
    }

    /// Reads what is there into `buffer`: the number of bytes, 0 at the end of the stream.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes as much of `bytes` as the system takes now.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.stream).poll_write(&mut cx, bytes) {
            Poll::Ready(Ok(0)) if !bytes.is_empty() => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            other => other,
        }
    }

    /// Hands on what was written and has not left yet; true when nothing is left.
    #[inline]
    pub fn is_settled(&mut self) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        self.stream.is_settled(&mut cx)
    }

    /// Ends the sending direction, so that the peer sees the end behind the last byte.
    pub fn finish(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        // The connection is dropped right after: whether the peer still listens does not matter.
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
    }

    /// The peer's address as text.
    #[must_use]
    pub fn peer(&self) -> String {
        self.stream.peer()
    }

    /// This side's address as text.
    #[must_use]
    pub fn local(&self) -> String {
        self.stream.local()
    }
}
