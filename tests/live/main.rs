//! The proxy against real servers: the same scenarios a user lives through. Nothing is skipped; without a server the
//! tests fail and say what to install.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking, in its helpers too"
)]

mod auth;
mod belongs;
mod blocking;
mod changes;
mod clients;
mod commands;
mod desk;
mod differential;
mod harness;
mod inline;
mod missing;
mod modules;
mod operators;
mod order;
mod per_slot;
mod pinned;
#[path = "../pki/mod.rs"]
mod pki;
mod points;
mod pubsub;
mod scan;
mod servers;
mod shapes;
mod split;
mod tls;
mod tools;
mod transactions;
mod weight;
mod whole;
