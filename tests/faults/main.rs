//! The table of faults: real servers behind relays that do to them what networks do, and what a client sees of it.
//!
//! Each test asserts the figures that it has to reach, and tells them. `scripts/faults` runs all of them and writes
//! `docs/faults.md`; with `LIVE_LONG=1` in their full length. `LIVE_SEED` repeats what was drawn by lot.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking, in its helpers too"
)]

mod bytes;
mod cuts;
mod failovers;
#[expect(dead_code, unused_imports, reason = "what the other tests with real servers need besides")]
#[path = "../live/harness/mod.rs"]
mod harness;
mod history;
mod injector;
mod nodes;
mod observer;
mod report;
mod reshard;
mod stage;
mod stops;
