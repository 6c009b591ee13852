//! A small seeded generator, so that the same seed gives the same run on every machine.
//!
//! It is splitmix64: good enough to draw keys and faults, of no use for secrets.

/// A sequence of numbers that its seed decides.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `bound - 1`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is at most bound / 2^64, which no test can see.
        self.bits().checked_rem(bound).unwrap_or(0)
    }

    /// True once in `n` draws; never when `n` is 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }

    /// One of `items`, or nothing when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Forty hexadecimal digits, the shape of a node's id.
    pub fn node_id(&mut self) -> String {
        let digits = format!("{:016x}{:016x}{:016x}", self.bits(), self.bits(), self.bits());
        digits.chars().take(40).collect()
    }
}

/// Spreads the bits of `x` over the whole word; one to one.
pub(super) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
