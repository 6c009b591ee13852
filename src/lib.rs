//! slotway: one RESP endpoint in front of a Redis Cluster.
//!
//! A client talks to the proxy as to a single Redis; the proxy finds the node for each request, sends it there
//! on a connection that all clients of a worker share, and gives the replies back in order.
//!
//! ```text
//!             client socket                                             node socket
//!                  │                                                        ▲
//!    worker ── net::Link ─► resp::request ─► command ─► route ──► backend::pipeline ── net::Link
//!  (turns)         ▲          (decode)       (lookup,   (slots,    (outbox, in flight)     │
//!                  │                          keys)      split)                │           │
//!                  │                                                           ▼           ▼
//!               replies (ordered by ticket) ◄──── merge ◄───────────────────── resp::reply (frame end)
//!                                                             MOVED/ASK ──► backend: send on, hops+1
//!  ───────────────────────────────── control path ─────────────────────────────────────────────
//!    hints (moved, unreachable) ─► cluster::discovery ─► Topology (immutable) ─► ArcSwap ─► Cache per worker
//! ```
//!
//! A request has exactly one owner at every moment and moves through the house in one direction. The only thing
//! shared is a ticket: a claim on one place in the client's queue of replies. A file uses only what stands below
//! it; `tests/tidy.rs` holds the layers and checks them.
//!
//! # Invariants
//!
//! 1. A request is in exactly one queue; only tickets are shared.
//! 2. Every ticket is answered exactly once.
//! 3. Replies leave in the order in which the requests came.
//! 4. Sent minus received is the length of the in-flight FIFO, on every node connection, in release builds too.
//! 5. A reply that nobody waits for closes its connection and is counted; it is never given to the next in line.
//! 6. A write is never sent twice unless the node refused it or its last byte had not left.
//! 7. No client has requests for one key under way by two maps.
//! 8. Every queue, buffer and loop has a limit.
//! 9. A warm GET or SET allocates nothing.
//! 10. `resp`, `command`, `route`, `merge` and `replies` do no I/O and read no clock.
//! 11. Only `config` reads configuration files, only `net` opens sockets.

pub mod accept;
pub mod admin;
pub mod backend;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod command;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod keyspace;
pub mod merge;
pub mod net;
pub mod pubsub;
pub mod reload;
pub mod replies;
pub mod resp;
pub mod route;
pub mod run;
pub mod scan;
pub mod telemetry;
pub mod worker;

pub use run::{Error, run, run_local, run_local_with, run_with};
