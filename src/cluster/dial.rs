//! Dials a node and shakes hands: everything that must be said before a connection is shared.
//!
//! In lock-step: each command is sent alone and its answer awaited, because servers exist that drop the reply of
//! a failing `AUTH` in a pipeline. One time limit holds for all of it, the look-up of the name included.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::tls::{self, Validity};
use crate::net::{Addr, Net, Stream};
use crate::resp::value::Value;
use crate::resp::{Proto, encode};

/// No reply of a handshake, and no map of a cluster, is larger.
const MAX_REPLY: usize = 16 << 20;

/// Who the proxy is to the nodes.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// ACL user; `None` sends `AUTH password` alone.
    pub username: Option<String>,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why a node could not be connected to or asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It took longer than allowed.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The node answered a command with an error.
    #[error("the node answered {command} with: {error}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The error reply.
        error: String,
    },
    /// The node sent something that is no reply.
    #[error("the node does not speak RESP: {0}")]
    Protocol(#[from] crate::resp::reply::ReplyError),
}

/// A connection on which one command at a time is sent and answered.
pub struct Conversation {
    stream: Stream,
    proto: Proto,
    received: Vec<u8>,
}

impl Conversation {
    /// Connects to `addr`, authenticates if there are credentials, and switches to `proto`.
    pub async fn open(
        net: &dyn Net,
        addr: &Addr,
        credentials: Option<&Credentials>,
        proto: Proto,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let opening = async {
            let stream = net.connect(addr).await?;
            let mut this = Self { stream, proto: Proto::Resp2, received: Vec::new() };
            if let Some(credentials) = credentials {
                this.authenticate(credentials).await?;
            }
            if proto == Proto::Resp3 {
                this.proto = proto;
                this.must("HELLO", &[b"HELLO", b"3"]).await?;
            }
            Ok(this)
        };
        tokio::time::timeout(limit, opening).await.map_err(|_| ConnectError::TimedOut(limit))?
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<(), ConnectError> {
        let password = credentials.password.as_bytes();
        match &credentials.username {
            None => self.must("AUTH", &[b"AUTH", password]).await,
            Some(user) => self.must("AUTH", &[b"AUTH", user.as_bytes(), password]).await,
        }
        .map(|_| ())
    }

    /// Sends one command and waits for its reply, which may be an error reply.
    pub async fn ask(&mut self, args: &[&[u8]]) -> Result<Value, ConnectError> {
        let mut request = Vec::new();
        encode::request(&mut request, args);
        self.stream.write_all(&request).await?;
        loop {
            if let Some((value, used)) = Value::read(&self.received, self.proto, MAX_REPLY)? {
                self.received.drain(..used);
                return Ok(value);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Makes sure that somebody answers: the system takes connections for a process that has stopped, too. An error
    /// reply is an answer, unless it is that the proxy has to authenticate.
    pub async fn prove(&mut self, limit: Duration) -> Result<(), ConnectError> {
        let answer = tokio::time::timeout(limit, self.ask(&[b"PING"])).await;
        match answer.map_err(|_| ConnectError::TimedOut(limit))?? {
            Value::Error(error) if error.starts_with("NOAUTH") => Err(ConnectError::Refused { command: "PING", error }),
            _ => Ok(()),
        }
    }

    /// Sends one command whose error reply is a failure.
    async fn must(&mut self, command: &'static str, args: &[&[u8]]) -> Result<Value, ConnectError> {
        match self.ask(args).await? {
            Value::Error(error) => Err(ConnectError::Refused { command, error }),
            value => Ok(value),
        }
    }

    /// The number by which the node knows this connection, if it tells. An answer that does not come in time is an
    /// error: when it came later, it would be taken for that to the first request.
    pub async fn name(&mut self, limit: Duration) -> Result<Option<i64>, ConnectError> {
        let answer = tokio::time::timeout(limit, self.ask(&[b"CLIENT", b"ID"])).await;
        Ok(match answer.map_err(|_| ConnectError::TimedOut(limit))?? {
            Value::Int(name) => Some(name),
            _ => None,
        })
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.stream.is_sealed()
    }

    /// When the certificate that the node has shown is valid.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        tls::validity(self.stream.peer_certificate()?)
    }

    /// The connection, if nothing unasked for has come on it.
    pub fn into_stream(self) -> Result<Stream, ConnectError> {
        if self.received.is_empty() { Ok(self.stream) } else { Err(io::Error::other("unasked bytes").into()) }
    }
}
