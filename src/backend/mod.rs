//! Nodes and the connections to them.

use std::time::Duration;

/// How to reach and treat the nodes. Each field is a key of the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `[cluster] username` and its password: who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// `[cluster] connect_timeout`: dial and handshake together.
    pub connect_timeout: Duration,
    /// `[cluster] request_timeout`: from the arrival of a request to its reply.
    pub request_timeout: Duration,
    /// `[cluster] max_redirects`: how many MOVED or ASK one request follows.
    pub max_redirects: u8,
    /// `[limits] node_queue`: bytes of requests that may wait for one node, per worker; more are refused.
    pub node_queue_bytes: usize,
    /// `[limits] reply`: the largest reply that a node may send, in bytes.
    pub max_reply_bytes: usize,
}

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

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: None,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            max_redirects: 5,
            node_queue_bytes: 64 << 20,
            max_reply_bytes: 1 << 30,
        }
    }
}
