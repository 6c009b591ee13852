//! Scenarios in memory: an embedded cluster, a network with faults, paused time, a seed for everything.
//!
//! [`world`](world::world) builds all of it. The scenarios in this file check the ground that the others stand
//! on: that the network does to bytes what a plan says, and that a run repeats itself.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod net;
mod relay;
mod world;
