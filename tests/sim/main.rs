//! Scenarios in memory: an embedded cluster, a network with faults, paused time, a seed for everything.
//!
//! [`world`](world::world) builds all of it, [`proxy`] puts the proxy in front. Each other file is a group of
//! scenarios; those in `relay` check the ground that the others stand on: that the network does to bytes what a
//! plan says, and that a run repeats itself.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test fails by panicking, and counts are whole numbers"
)]

mod admin;
mod auth;
mod blocking;
mod canary;
mod client;
mod commands;
mod desk;
mod history;
mod hostile;
mod large;
mod learned;
mod leaving;
mod limits;
mod losses;
mod maps;
mod net;
mod order;
mod per_slot;
mod pinned;
#[path = "../pki/mod.rs"]
mod pki;
mod proxy;
mod pubsub;
mod redirects;
mod relay;
mod resubscribed;
mod scan;
mod scrape;
mod tls;
mod transactions;
mod world;
