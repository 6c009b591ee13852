//! One thread of the proxy.

use crate::net::Addr;

/// Where to listen and how wide.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `[listen] addr`.
    pub addr: Addr,
    /// `[listen] unix_socket`, beside `addr`.
    pub unix_socket: Option<std::path::PathBuf>,
    /// `[listen] max_clients` over all workers; more are told so and closed.
    pub max_clients: usize,
    /// `workers`; 0 means as many as the cores that this process may use.
    pub workers: usize,
    /// `[shutdown] drain`: how long clients may finish what is in flight.
    pub drain: std::time::Duration,
    /// `[shutdown] delay`: how long to go on accepting after SIGTERM, so that balancers notice first.
    pub delay: std::time::Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addr: Addr::tcp("127.0.0.1", 7379),
            unix_socket: None,
            max_clients: 10_000,
            workers: 0,
            drain: std::time::Duration::from_secs(20),
            delay: std::time::Duration::ZERO,
        }
    }
}
