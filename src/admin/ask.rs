//! The other side of the admin port: one question, one answer, as `slotway top` and `slotway health` need.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Options;
use super::status::Status;
use crate::net::{Addr, Net};

/// No answer is longer, in bytes.
const MOST: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration says that there is no admin port.
    #[error("the admin port is off: set admin.addr, or name the address with --admin")]
    Off,
    /// The system refused.
    #[error("{addr} cannot be asked: {source}")]
    Io {
        /// The address.
        addr: Addr,
        /// What the system said.
        source: io::Error,
    },
    /// What came is no answer.
    #[error("{0} does not speak HTTP, or broke off: is it the admin port?")]
    Nonsense(Addr),
    /// The answer is not the one that was wished for.
    #[error("{code}: {text}")]
    Refused {
        /// The code of HTTP.
        code: u16,
        /// What was said.
        text: String,
    },
}

/// Asks for `path`; gives the code and the body.
pub async fn get(net: &dyn Net, options: &Options, path: &str, limit: Duration) -> Result<(u16, String), Error> {
    let addr = options.addr.clone().ok_or(Error::Off)?;
    let addr = reachable(addr);
    let asking = async {
        let mut stream = net.connect(&addr).await?;
        let token = options.token.as_ref().map_or_else(String::new, |t| format!("Authorization: Bearer {}\r\n", t.0));
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{token}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MOST as u64).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer = match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}"))),
    };
    let answer = answer.map_err(|source| Error::Io { addr: addr.clone(), source })?;
    read(&answer).ok_or(Error::Nonsense(addr))
}

/// Asks for the status.
pub async fn status(net: &dyn Net, options: &Options, limit: Duration) -> Result<Status, Error> {
    let (code, text) = get(net, options, "/status.json", limit).await?;
    if code != 200 {
        return Err(Error::Refused { code, text: text.trim_end().to_owned() });
    }
    serde_json::from_str(&text).map_err(|error| Error::Refused { code, text: format!("no status: {error}") })
}

/// An address that means all of this machine's is reached at loopback.
fn reachable(addr: Addr) -> Addr {
    match addr.host() {
        "0.0.0.0" => Addr::tcp("127.0.0.1", addr.port()),
        "::" => Addr::tcp("::1", addr.port()),
        _ => addr,
    }
}

fn read(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_code_and_body() {
        assert_eq!(read(b"HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nnot\n"), Some((503, "not\n".to_owned())));
        assert_eq!(read(b"-ERR unknown command\r\n\r\n"), None);
    }
}
