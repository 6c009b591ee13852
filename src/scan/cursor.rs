//! The cursor: a number below 2^53, so that clients which keep numbers in doubles keep it whole.
//!
//! ```text
//!   slots:  | 0 |      19 zeros       | width 4 | next slot 14 | check 15 |
//!   table:  | 1 | own 1 | process 17 | at 14 |       slot 14       | check 6 |
//! ```
//!
//! The check turns away numbers that no proxy has given out.

use crate::cluster::slot::SLOTS;

/// Where a walk goes on. The beginning is `Slots { next: 0, .. }`, written 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// With this slot; the last step took 2^`width` slots.
    Slots {
        /// The next slot.
        next: u16,
        /// A hint: how many slots to ask for at once.
        width: u8,
    },
    /// In the middle of one slot, by its node's table.
    Table(Spot),
}

/// A place in the table of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The slot that is walked.
    pub(super) slot: u16,
    /// Whether the slot has a table of its own.
    pub(super) own: bool,
    /// The 14 lowest bits of the table's cursor.
    pub(super) at: u16,
    /// A digest of 17 bits of whose table it is.
    pub(super) process: u32,
}

/// As many bits as a cursor in a table keeps.
pub(super) const AT_BITS: u32 = 14;
/// As many bits as the digest of a process has.
pub(super) const PROCESS_BITS: u32 = 17;
/// The largest hint.
pub(super) const MAX_WIDTH: u8 = 10;

const TABLE: u64 = 1 << 52;

const fn digest(bits: u64, width: u32) -> u64 {
    // Odd constants of good bit mixing; nobody needs to be kept from making a cursor up.
    let mixed = (bits ^ (bits >> 29) ^ 0x5107_3a95_c04a_11ed).wrapping_mul(0x9fb2_1c65_1e98_df25);
    ((mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)) >> (u64::BITS - width)
}

impl Cursor {
    /// The number that a client gets; never 0.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Slots { next, width } => {
                let bits = (width as u64) << 14 | next as u64;
                bits << 15 | digest(bits, 14) << 1 | 1
            }
            Self::Table(spot) => {
                let bits = (spot.own as u64) << 45 | (spot.process as u64) << 28 | (spot.at as u64) << 14;
                let bits = bits | spot.slot as u64;
                TABLE | bits << 6 | digest(bits, 6)
            }
        }
    }

    /// Reads a client's number; `None` if no proxy has given it out.
    pub(super) fn read(number: u64) -> Option<Self> {
        if number == 0 {
            return Some(Self::Slots { next: 0, width: 0 });
        }
        let low = |bits: u64, width: u32| bits & ((1 << width) - 1);
        let cursor = if number & TABLE == 0 {
            Self::Slots { next: low(number >> 15, 14) as u16, width: low(number >> 29, 4) as u8 }
        } else {
            let bits = number >> 6;
            Self::Table(Spot {
                slot: low(bits, 14) as u16,
                at: low(bits >> 14, AT_BITS) as u16,
                process: low(bits >> 28, PROCESS_BITS) as u32,
                own: low(bits >> 45, 1) == 1,
            })
        };
        let is_sane = match cursor {
            Self::Slots { next, width } => next < SLOTS && width <= MAX_WIDTH,
            Self::Table(_) => true,
        };
        (is_sane && cursor.number() == number).then_some(cursor)
    }
}

/// The digest of a process, of what tells it from others.
pub(super) fn process(run_id: &str, epoch: &str) -> u32 {
    let all = run_id.bytes().chain([0]).chain(epoch.bytes());
    let hash =
        all.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    digest(hash, PROCESS_BITS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_cursor_is_read_as_it_was_written(
            slot in 0..SLOTS, width in 0..=MAX_WIDTH, at in 0..1_u16 << AT_BITS, process in 0..1_u32 << PROCESS_BITS, own: bool,
        ) {
            for cursor in [Cursor::Slots { next: slot, width }, Cursor::Table(Spot { slot, own, at, process })] {
                let number = cursor.number();
                prop_assert!(number > 0 && number < 1 << 53);
                prop_assert_eq!(Cursor::read(number), Some(cursor));
            }
        }
    }

    #[test]
    fn numbers_of_others_are_turned_away() {
        let foreign = (1..100_000).chain([u64::MAX, i64::MAX as u64, 1 << 53, (1 << 53) - 1, 1 << 63]);
        let taken: Vec<u64> = foreign.filter(|&number| Cursor::read(number).is_some()).collect();
        assert!(taken.len() <= 4, "{taken:?}");
        assert!(taken.iter().all(|&number| number < 100_000), "{taken:?}");
    }

    #[test]
    fn another_process_has_another_digest() {
        assert_ne!(process("abc", "1"), process("abd", "1"));
        assert_ne!(process("abc", "1"), process("abc", "2"));
        assert!(process("abc", "1") < 1 << PROCESS_BITS);
    }
}
