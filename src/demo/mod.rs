//! `slotway demo`: a local cluster to try things on, with the proxy in front; nothing here is on the way of a
//! request.
//!
//! [`servers`] runs real `redis-server` or `valkey-server` processes. [`embedded`] is a stand-in that lives in this
//! process and needs nothing else; it is not Redis.
//!
//! ```text
//!   run ─► nodes ─► servers | aside (a thread) ─► embedded
//!    │       ▲
//!    ├──► proxy ◄── load (32 connections, checks every reply) ── keys, tally
//!    ├──► chaos ─► moves slots, fails primaries over ─► elections (when errors are excused)
//!    └──► report
//! ```

mod aside;
mod chaos;
mod elections;
pub mod embedded;
mod keys;
mod load;
mod nodes;
mod proxy;
mod report;
mod run;
pub mod servers;
mod tally;

pub use run::{Disturb, Error, Options, run};
