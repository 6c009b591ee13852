//! The claim of a request on its reply's place.

use super::{ClientId, WHOLE};

/// A claim on one place in one client's queue. It must be handed in exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket that is not handed in leaves its client waiting for ever"]
pub struct Ticket {
    pub(super) client: ClientId,
    pub(super) generation: u32,
    pub(super) sequence: u32,
    /// Its place in the parts of merges, or [`WHOLE`].
    pub(super) part: u32,
    /// Bytes that the client is charged with until the ticket is handed in.
    pub(super) charge: u32,
}

impl Ticket {
    /// Tells apart the clients that there ever were.
    #[must_use]
    pub const fn client_key(&self) -> u64 {
        (self.generation as u64) << 32 | self.client as u64
    }

    /// Whether it stands for one part of a merge.
    #[inline]
    #[must_use]
    pub const fn is_part(&self) -> bool {
        self.part != WHOLE
    }

    /// Whether its place is in front of that of `other`, in the queue of the same client.
    #[must_use]
    pub const fn comes_before(&self, other: &Self) -> bool {
        other.comes_after(self.sequence)
    }

    /// Whether its place is behind that of this sequence, in the queue of the same client.
    #[must_use]
    pub const fn comes_after(&self, sequence: u32) -> bool {
        (sequence.wrapping_sub(self.sequence) as i32) < 0
    }

    /// Its place among the parts of merges, if it is for a part of a request.
    #[must_use]
    pub const fn part(&self) -> Option<u32> {
        if self.part == WHOLE { None } else { Some(self.part) }
    }

    /// Its place, counted from the beginning of the client.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }
}
