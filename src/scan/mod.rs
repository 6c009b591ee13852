//! SCAN over the whole cluster, with a cursor that holds all there is to know.
//!
//! The walk goes over the slots, from 0 to 16383, and a cursor says above all which slot is next. A page asks the
//! owner of each slot for the slot's keys (`CLUSTER GETKEYSINSLOT`), so nothing in the cursor depends on a node: not
//! the order of its hash table, whose seed differs from process to process, nor what else it owns. Any proxy can go
//! on with it, before and after a failover or a restart.
//!
//! # Why no key is missed
//!
//! Let `k` exist during the whole scan, in slot `s`. Slots are taken one after the other and each one is finished
//! before the cursor moves on, so it is enough that the page which finishes `s` returns `k`, wherever slots went
//! before or go later: a slot that moves from a node that was asked to one that was not, or back, is still one slot.
//!
//! - *The slot rests.* The owner is asked three times on one connection: a probe, the keys, a probe. A probe is a
//!   read of a key of `s` that does not exist; a node answers it with nothing only if it owns `s` and is not giving
//!   it away (else `ASK` or `MOVED`). A node for which both is true has every key of `s`; the first probe shows it
//!   before the keys are read, the second that nothing began in between. All three are bound to the node that they
//!   were sent to: after a redirect, a lost connection or a timeout the slot is asked for again.
//! - *The slot is on the move.* All primaries are asked for keys of `s`, and when all have answered, once more. Let
//!   `k` move once in this time, from `P` to `Q` (`MIGRATE` deletes it at `P` after it is at `Q`). If it was at `P`
//!   when `P` was asked first, it was returned. Else it had left, so it is at `Q` from then on, and `Q` returns it
//!   the second time. It would take two moves of one key between two questions to lose it.
//! - *The slot holds very many keys* and most of its node's. Then its node's own SCAN is used, whose cursor means
//!   something only in the process that gave it, as long as that process owns the slot. The cursor holds a digest of
//!   the process (`run_id`) and of its configuration epoch, which grows when a slot comes back to a node that it had
//!   left; each page checks both, between two probes. If anything has changed, the slot begins anew.
//!
//! A node's cursor counts through the bits of a table's index from the highest to the lowest, so its low bits say how
//! far the walk is, and the others make that finer. Keeping the 14 lowest is rounding down: keys come twice and none
//! is missed, however large the table; a page goes on until the rounded cursor has moved. From Redis 7.4 and Valkey
//! 8 on each slot has a table of its own, and the cursor's low 14 bits are the slot: such a walk stays in its slot.
//!
//! What is left to others: sending (`client::errands`), and binding to a node (`backend::here`).

mod cursor;
mod filter;
pub mod glob;
mod page;
mod slots;
mod table;

pub use page::{Page, begin};
