//! A client that knows as little as it can: it sends bytes and finds where a reply ends, naively.
//!
//! It shares no code with the proxy or with the embedded nodes, so that it can contradict either.

use std::io;

use slotway::net::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One connection.
pub(crate) struct Client {
    stream: Stream,
    bytes: Vec<u8>,
}

impl Client {
    /// A client on this connection.
    pub(crate) fn over(stream: Stream) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    /// Sends raw bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The raw bytes of the next whole reply; `UnexpectedEof` if the connection ends first.
    pub(crate) async fn reply(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = reply_end(&self.bytes) {
                return Ok(self.bytes.drain(..end).collect());
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.bytes.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Sends a request of words and gives its reply, escaped to be read by people.
    pub(crate) async fn say(&mut self, words: &str) -> String {
        let words: Vec<&[u8]> = words.split_ascii_whitespace().map(str::as_bytes).collect();
        match self.call(&words).await {
            Ok(reply) => reply.escape_ascii().to_string(),
            Err(error) => format!("({})", error.kind()),
        }
    }

    /// Sends a request and gives the raw bytes of its reply.
    pub(crate) async fn call(&mut self, args: &[&[u8]]) -> io::Result<Vec<u8>> {
        self.send(&frame(args)).await?;
        self.reply().await
    }

    /// What comes until the connection ends, apart from the replies that were taken.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        // A reset ends it as well as a close.
        let _ = self.stream.read_to_end(&mut self.bytes).await;
        std::mem::take(&mut self.bytes)
    }
}

/// A request in canonical framing.
pub(crate) fn frame(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Where the first reply of `bytes` ends, if it is whole.
fn reply_end(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let length = || std::str::from_utf8(&bytes[1..line - 2]).ok().and_then(|text| text.parse::<i64>().ok());
    match bytes[0] {
        b'$' | b'=' | b'!' => {
            let length = length().expect("a length");
            let end = if length < 0 { line } else { line + length as usize + 2 };
            (bytes.len() >= end).then_some(end)
        }
        mark @ (b'*' | b'~' | b'>' | b'%' | b'|') => {
            let count = length().expect("a count").max(0) * if matches!(mark, b'%' | b'|') { 2 } else { 1 };
            let mut end = line;
            for _ in 0..count {
                end += reply_end(&bytes[end..])?;
            }
            // An attribute comes before its reply and is a part of it here.
            Some(if mark == b'|' { end + reply_end(&bytes[end..])? } else { end })
        }
        _ => Some(line),
    }
}
