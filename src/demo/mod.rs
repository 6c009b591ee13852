//! A local cluster to try things on; nothing here is on the way of a request.
//!
//! [`servers`] runs real `redis-server` or `valkey-server` processes. [`embedded`] is a stand-in that lives in this
//! process and needs nothing else; it is not Redis.

pub mod embedded;
pub mod servers;
