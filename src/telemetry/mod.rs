//! What happens, as numbers: names, counters, and the text that Prometheus reads.
//!
//! ```text
//!   worker ─► Tally, NodeTally (one writer each, relaxed) ─┐
//!   discovery ─► MapTally ─────────────────────────────────┼─► Exposition (names) ─► /metrics
//!   process ─► Resources ──────────────────────────────────┘
//! ```
//!
//! On the way of a request a number is a load, an addition and a store: nothing is locked, allocated or looked up.
//! Whoever reads adds the workers up. Which numbers there are is written down once, in [`names`]. Who counts when
//! is each room's own business.

mod counter;
mod errors;
mod exposition;
mod histogram;
mod map;
pub mod names;
mod nodes;
mod resources;
mod seldom;
mod tally;

pub use counter::Counter;
pub use errors::{CODES, Errors, FAULTS, Fault};
pub use exposition::Exposition;
pub use histogram::{Distribution, Histogram, SCRAPED_US};
pub use map::{MapTally, TRIGGERS, Trigger};
pub use nodes::{LastError, NodeTally, NodeTotals, Nodes};
pub use resources::Resources;
pub use seldom::Seldom;
pub use tally::{CLASSES, Class, SlowRequest, Tally, wall_clock};
