//! From a name as the client wrote it to its row, without a loop over the rows and without allocation.
//!
//! The hash takes the length and the first and last eight bytes, folded to one case; a factor that keeps all names
//! apart is searched for while the program is compiled. So a lookup is one multiplication, one probe and one
//! comparison, which also turns away what only hashes alike.

use super::Spec;
use super::table::{COUNT, ROWS};

/// Slots are many more than names, so that the search for a factor is short.
const SLOT_BITS: u32 = 13;
const EMPTY: u16 = u16::MAX;

/// The row of a command, its name in any case.
#[inline]
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    let place = SLOTS[slot(name, FACTOR)];
    let spec = ROWS.get(usize::from(place))?;
    spec.name.as_bytes().eq_ignore_ascii_case(name).then_some(spec)
}

static SLOTS: [u16; 1 << SLOT_BITS] = {
    let mut slots = [EMPTY; 1 << SLOT_BITS];
    let mut row = 0;
    while row < COUNT {
        slots[slot(ROWS[row].name.as_bytes(), FACTOR)] = row as u16;
        row += 1;
    }
    slots
};

const FACTOR: u64 = {
    let mut factor = 0x9e37_79b9_7f4a_7c15_u64;
    while !keeps_apart(factor) {
        factor = factor.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
    }
    factor
};

const fn keeps_apart(factor: u64) -> bool {
    let mut taken = [false; 1 << SLOT_BITS];
    let mut row = 0;
    while row < COUNT {
        let slot = slot(ROWS[row].name.as_bytes(), factor);
        if taken[slot] {
            return false;
        }
        taken[slot] = true;
        row += 1;
    }
    true
}

/// Below `1 << SLOT_BITS`, because no more bits are left.
#[inline]
const fn slot(name: &[u8], factor: u64) -> usize {
    (folded(name).wrapping_mul(factor) >> (u64::BITS - SLOT_BITS)) as usize
}

/// A number that names of different case share and that nearly no others do.
#[inline]
const fn folded(name: &[u8]) -> u64 {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let word = if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (u64::from_le_bytes(*head) | LOWER) ^ (u64::from_le_bytes(*tail) | LOWER).rotate_left(29)
    } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << 32) | LOWER
    } else if let [first, .., last] = name {
        (*first as u64 | (name[name.len() / 2] as u64) << 8 | (*last as u64) << 16) | LOWER
    } else {
        0
    };
    word.wrapping_add(name.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::all;
    use proptest::prelude::*;

    fn lookup_naive(name: &[u8]) -> Option<&'static Spec> {
        all().find(|spec| spec.name.as_bytes() == name.to_ascii_lowercase())
    }

    fn same(name: &[u8]) -> bool {
        lookup(name).map(|spec| spec.index) == lookup_naive(name).map(|spec| spec.index)
    }

    #[test]
    fn every_name_is_found_in_lower_and_in_upper_case() {
        for spec in all() {
            for name in [spec.name.to_owned(), spec.name.to_ascii_uppercase()] {
                assert_eq!(lookup(name.as_bytes()).map(|found| found.name), Some(spec.name));
            }
        }
    }

    #[test]
    fn what_is_no_name_is_not_found() {
        for name in
            [&b""[..], b"g", b"ge", b"gett", b"get ", b"\0get", b"bitfield\x7fro", b"\x07et", &vec![b'g'; 1 << 20]]
        {
            assert!(lookup(name).is_none(), "{:?}", name.escape_ascii().to_string());
        }
    }

    proptest! {
        #[test]
        fn any_case_finds_what_a_scan_finds(place in 0..COUNT, upper in any::<u32>()) {
            let mut name = ROWS[place].name.as_bytes().to_vec();
            for (bit, byte) in name.iter_mut().enumerate() {
                if upper >> bit & 1 == 1 {
                    byte.make_ascii_uppercase();
                }
            }
            prop_assert_eq!(lookup(&name).map(|spec| usize::from(spec.index)), Some(place));
            prop_assert!(same(&name));
        }

        #[test]
        fn a_near_miss_finds_what_a_scan_finds(place in 0..COUNT, at in any::<prop::sample::Index>(), byte: u8, kind in 0..4) {
            let mut name = ROWS[place].name.as_bytes().to_vec();
            let at = at.index(name.len());
            match kind {
                0 => name[at] = byte,
                1 => name[at] ^= 0x20,
                2 => name.insert(at, byte),
                _ => { name.remove(at); }
            }
            prop_assert!(same(&name));
        }

        #[test]
        fn any_bytes_find_what_a_scan_finds(name in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(same(&name));
        }
    }
}
