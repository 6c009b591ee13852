//! What a backend is told at the start, and what it counts.

use std::time::Duration;

use crate::cluster::address::Addresses;
use crate::cluster::dial::Credentials;

/// How to reach and treat the nodes. Each field is a key of the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `[cluster] username` and its password: who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// `[cluster] address_map` and `redirect_allow`.
    pub addresses: Addresses,
    /// `[cluster] connect_timeout`: dial and handshake together.
    pub connect_timeout: Duration,
    /// `[cluster] request_timeout`: from the arrival of a request to its reply.
    pub request_timeout: Duration,
    /// `[cluster] max_redirects`: how many MOVED or ASK one request follows.
    pub max_redirects: u8,
    /// `[cluster] fail_fast_after`: how long a node must have been out of reach before requests for it fail at once,
    /// until it is found again; zero means never.
    pub fail_fast_after: Duration,
    /// `[cluster] canary`: how often each shared connection has to prove that it is in step; zero means never.
    pub canary: Duration,
    /// `[limits] node_queue`: bytes of requests that may wait for one node, per worker; more are refused.
    pub node_queue_bytes: usize,
    /// `[limits] dedicated`: connections to one node that are lent to single clients or kept for them, per worker.
    pub dedicated: usize,
    /// `[limits] stream_above`: a request or a reply above this size is passed on while it comes, in bytes.
    pub stream_above: usize,
    /// `[limits] reply`: the largest reply that a node may send, in bytes.
    pub max_reply_bytes: usize,
    /// `[slowlog] threshold`: a request that takes so long is noted; zero notes all.
    pub slow_threshold: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: None,
            addresses: Addresses::default(),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            max_redirects: 5,
            fail_fast_after: Duration::from_secs(10),
            canary: Duration::ZERO,
            node_queue_bytes: 64 << 20,
            dedicated: 512,
            stream_above: 1 << 20,
            max_reply_bytes: 1 << 30,
            slow_threshold: Duration::from_millis(10),
        }
    }
}

/// What happened between this worker and the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// MOVED followed.
    pub moved: u64,
    /// ASK followed.
    pub asked: u64,
    /// Requests sent again because the node could not run them yet.
    pub put_off: u64,
    /// Connections that broke or could not be made.
    pub lost: u64,
    /// Connections closed because a reply came that nobody waits for.
    pub unasked: u64,
    /// Requests answered with a timeout.
    pub timed_out: u64,
    /// Requests refused because their node had been out of reach for long.
    pub failed_fast: u64,
    /// Connections closed because requests and replies did not add up, or the canary came back changed.
    pub out_of_step: u64,
}
