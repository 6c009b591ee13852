//! A client over a blocking socket, with limits on every wait.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::reply::{Reply, parse};

/// How long a reply may take.
const LIMIT: Duration = Duration::from_secs(15);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// So much of `inbox` has been read.
    at: usize,
}

impl Client {
    /// Connects, in RESP2.
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, LIMIT).unwrap_or_else(|error| panic!("connect {addr}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        Self { stream, inbox: Vec::new(), at: 0 }
    }

    /// Connects and says `HELLO 3`.
    #[track_caller]
    pub(crate) fn resp3(addr: SocketAddr) -> Self {
        let mut client = Self::connect(addr);
        client.line("HELLO 3").ok();
        client
    }

    /// Sends one command and reads its reply.
    #[track_caller]
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.send(&frame(args));
        self.read()
    }

    /// Sends one command, written as one would for `redis-cli`, and reads its reply.
    #[track_caller]
    pub(crate) fn line(&mut self, line: &str) -> Reply {
        self.call(&words(line))
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("send {} bytes: {error}", bytes.len()));
    }

    /// Reads one reply.
    #[track_caller]
    pub(crate) fn read(&mut self) -> Reply {
        self.try_read().unwrap_or_else(|why| panic!("{why}"))
    }

    /// Reads one reply; the error says how the connection ended, or that nothing came.
    pub(crate) fn try_read(&mut self) -> Result<Reply, String> {
        loop {
            if let Some((value, used)) = parse(&self.inbox[self.at..]) {
                let raw = self.inbox[self.at..self.at + used].to_vec();
                self.at += used;
                return Ok(Reply { raw, value });
            }
            self.inbox.drain(..std::mem::take(&mut self.at));
            if self.fill()? == 0 {
                return Err(format!(
                    "closed in the middle of a reply, after {:?}",
                    self.inbox.escape_ascii().to_string()
                ));
            }
        }
    }

    /// Reads until the other side closes; everything that came.
    pub(crate) fn read_to_end(&mut self) -> Result<Vec<u8>, String> {
        while self.fill()? > 0 {}
        Ok(self.inbox.split_off(std::mem::take(&mut self.at)))
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn fill(&mut self) -> Result<usize, String> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(n) => {
                self.inbox.extend_from_slice(&chunk[..n]);
                Ok(n)
            }
            // Bytes that the other side had not read when it closed turn the close into a reset.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(format!("no reply in {LIMIT:?}: {error}; so far: {}", self.inbox.escape_ascii())),
        }
    }
}

/// A command as an array of bulk strings.
pub(crate) fn frame<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend(format!("${}\r\n", arg.as_ref().len()).into_bytes());
        out.extend(arg.as_ref());
        out.extend(b"\r\n");
    }
    out
}

/// The words of a line, quoted as for `redis-cli`: `"…"` with `\n \r \t \\ \" \xHH`, `'…'` as it is.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut rest) = (Vec::new(), line.trim().bytes().peekable());
    while rest.peek().is_some() {
        let mut word = Vec::new();
        match rest.next_if(|byte| matches!(byte, b'"' | b'\'')) {
            Some(quote) => loop {
                match rest.next().unwrap_or_else(|| panic!("no closing quote in {line}")) {
                    b'\\' if quote == b'"' => word.push(escaped(&mut rest)),
                    byte if byte == quote => break,
                    byte => word.push(byte),
                }
            },
            None => word.extend(std::iter::from_fn(|| rest.next_if(|byte| *byte != b' '))),
        }
        words.push(word);
        while rest.next_if_eq(&b' ').is_some() {}
    }
    words
}

fn escaped(rest: &mut impl Iterator<Item = u8>) -> u8 {
    let mut next = || rest.next().expect("something follows a backslash");
    match next() {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => {
            let digits = [next(), next()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).expect("two hexadecimal digits")
        }
        byte => byte,
    }
}
