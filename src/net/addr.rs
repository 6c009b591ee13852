//! The address of an endpoint: host and port, or the path of a Unix socket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an endpoint is. `Display` and `FromStr` round-trip: `host:port`, `[v6]:port`, `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Addr {
    /// A TCP endpoint; `host` is a name or an address without brackets.
    Tcp {
        /// Host name, IPv4 or IPv6 address.
        host: Box<str>,
        /// TCP port.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl Addr {
    /// A TCP address.
    #[must_use]
    pub fn tcp(host: &str, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// The host, or an empty string for a Unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(_) => "",
        }
    }

    /// The port, or 0 for a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } => *port,
            Self::Unix(_) => 0,
        }
    }

    /// Whether only this machine can reach the address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                &**host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an address: {why}; write host:port, [ipv6]:port or unix:/path")]
pub struct AddrError {
    text: String,
    why: &'static str,
}

impl FromStr for Addr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let bad = |why| AddrError { text: text.to_owned(), why };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(bad("the path is empty")) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let port = port.parse().map_err(|_| bad("the port is not a number from 0 to 65535"))?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6,
            None if host.contains(':') => return Err(bad("an IPv6 address needs brackets")),
            None => host,
        };
        if host.is_empty() {
            return Err(bad("the host is empty"));
        }
        Ok(Self::tcp(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["127.0.0.1:7000", "redis-0.redis:6379", "[::1]:7379", "unix:/run/slotway.sock"] {
            assert_eq!(text.parse::<Addr>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn bad_addresses_say_what_to_write() {
        for text in ["", "host", ":6379", "host:99999", "::1:6379", "unix:"] {
            let error = text.parse::<Addr>().expect_err(text).to_string();
            assert!(error.contains("host:port"), "{error}");
        }
    }
}
