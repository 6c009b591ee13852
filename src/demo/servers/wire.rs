//! A blocking conversation with one node: a command, its reply. Only for the cold path of a demo or a test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Error;
use crate::resp::Proto;
use crate::resp::encode;
use crate::resp::value::Value;

/// The largest reply that is read.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// A connection to one node, in RESP2.
#[derive(Debug)]
pub struct Wire {
    addr: SocketAddr,
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Wire {
    /// Connects, and authenticates if there is a password; `limit` bounds each step and each later call.
    pub fn open(addr: SocketAddr, password: Option<&str>, limit: Duration) -> Result<Self, Error> {
        let failed = |source| Error::Io { what: format!("connect to {addr}"), source };
        let stream = TcpStream::connect_timeout(&addr, limit).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(limit)).map_err(failed)?;
        stream.set_write_timeout(Some(limit)).map_err(failed)?;
        let mut wire = Self { addr, stream, inbox: Vec::new() };
        if let Some(password) = password {
            wire.call(&["AUTH", password])?;
        }
        Ok(wire)
    }

    /// Sends one command and reads its reply; an error reply is an error.
    pub fn call(&mut self, command: &[impl AsRef<[u8]>]) -> Result<Value, Error> {
        match self.ask(command)? {
            Value::Error(reply) => Err(Error::Refused { addr: self.addr, command: shown(command), reply }),
            reply => Ok(reply),
        }
    }

    /// Sends one command and reads its reply, whatever it is.
    pub fn ask(&mut self, command: &[impl AsRef<[u8]>]) -> Result<Value, Error> {
        let mut frame = Vec::new();
        encode::array(&mut frame, command.len());
        for argument in command {
            encode::bulk(&mut frame, argument.as_ref());
        }
        let failed = |source| Error::Io { what: format!("ask {} {}", self.addr, shown(command)), source };
        self.stream.write_all(&frame).map_err(failed)?;
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some((value, used)) = Value::read(&self.inbox, Proto::Resp2, MAX_REPLY_BYTES)
                .map_err(|error| failed(std::io::Error::other(error.to_string())))?
            {
                self.inbox.drain(..used);
                return Ok(value);
            }
            match self.stream.read(&mut chunk).map_err(failed)? {
                0 => return Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
                n => self.inbox.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            }
        }
    }
}

/// The command for an error message: its first two words, never a password.
fn shown(command: &[impl AsRef<[u8]>]) -> String {
    let words: Vec<_> = command.iter().take(2).map(|word| String::from_utf8_lossy(word.as_ref())).collect();
    if words.first().is_some_and(|word| word.eq_ignore_ascii_case("auth")) {
        "AUTH".to_owned()
    } else {
        words.join(" ")
    }
}
