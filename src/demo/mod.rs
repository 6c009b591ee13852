//! A local cluster to try things on; nothing here is on the way of a request.
//!
//! [`servers`] runs real `redis-server` or `valkey-server` processes.

pub mod servers;
