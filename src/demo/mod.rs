//! A local cluster to try things on.
//!
//! [`embedded`] is a small cluster inside this process, for machines without a `redis-server`. It is a stand-in
//! for trying and for testing the proxy, not a database to keep anything in.

pub mod embedded;
