//! What is known of a large request on its way: see `upload`, which makes it move.

use crate::resp::request::{Limits, Rest};

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Quiet,
    Opening,
    Open,
    Lost,
}

/// A large request on its way.
#[derive(Debug)]
pub(super) struct Uploading {
    pub(super) rest: Rest,
    pub(super) phase: Phase,
    /// What came of it before its node was found.
    pub(super) head: Vec<u8>,
    pub(super) slot: u16,
    pub(super) key: Box<[u8]>,
    pub(super) limits: Limits,
}
