//! Which of many things weigh most, in room for few: the space-saving sketch of Metwally, Agrawal and El Abbadi.
//!
//! It keeps `capacity` counters. A thing that has none takes over the smallest one, and inherits its count as its
//! possible error. So no count is too small, none is too large by more than its error, and no error is larger than
//! all weight divided by `capacity`: whatever weighs more than that is among the counters. Sketches of several
//! threads are put together by [`merge`], with the same promise.
//!
//! The smallest counter stands at the root of a heap; a thing that is seen again moves down a few places at most.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

/// So much of a name is kept. Two that differ only behind it are counted apart by one thread, and shown as one.
pub const KEPT: usize = 256;

/// One thing with what is known of its weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heavy {
    /// Its name, or the beginning of it.
    pub name: Box<[u8]>,
    /// How much it weighs at most.
    pub weight: u64,
    /// How much of that may be others' weight.
    pub error: u64,
}

/// What a sketch knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The heaviest first.
    pub things: Vec<Heavy>,
    /// All weight there was.
    pub total: u64,
    /// What a thing that is not among them may weigh.
    pub unseen: u64,
}

#[derive(Debug)]
struct Slot {
    name: Vec<u8>,
    hash: u64,
    weight: u64,
    error: u64,
    /// Its place in the heap.
    place: u32,
}

/// The hash of a name is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only whole hashes come here.
        debug_assert!(bytes.is_empty(), "not a hash");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Counters for the heaviest of many things.
#[derive(Debug)]
pub struct Sketch {
    capacity: usize,
    slots: Vec<Slot>,
    by_hash: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// Slots, the lightest at the root.
    heap: Vec<u32>,
    total: u64,
    hasher: RandomState,
}

impl Sketch {
    /// An empty one with room for so many things; it takes memory only for those that come.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            slots: Vec::new(),
            by_hash: HashMap::default(),
            heap: Vec::new(),
            total: 0,
            hasher: RandomState::new(),
        }
    }

    /// Adds to the weight of a thing.
    pub fn add(&mut self, name: &[u8], weight: u64) {
        self.total += weight;
        let hash = self.hasher.hash_one(name);
        if let Some(&at) = self.by_hash.get(&hash) {
            let Some(slot) = self.slots.get_mut(at as usize) else { return };
            slot.weight += weight;
            return self.sink(slot_place(&self.slots, at));
        }
        if self.slots.len() < self.capacity {
            let (at, place) = (self.slots.len() as u32, self.heap.len() as u32);
            let name = name.get(..KEPT).unwrap_or(name).to_vec();
            self.slots.push(Slot { name, hash, weight, error: 0, place });
            self.heap.push(at);
            self.by_hash.insert(hash, at);
            return self.rise(place as usize);
        }
        let Some(&at) = self.heap.first() else { return };
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        self.by_hash.remove(&slot.hash);
        slot.error = slot.weight;
        slot.weight += weight;
        slot.hash = hash;
        slot.name.clear();
        slot.name.extend_from_slice(name.get(..KEPT).unwrap_or(name));
        self.by_hash.insert(hash, at);
        self.sink(0);
    }

    /// Halves all weights, so that what was counted long ago counts less; what is left of nothing goes.
    pub fn halve(&mut self) {
        for slot in &mut self.slots {
            slot.weight /= 2;
            slot.error /= 2;
        }
        self.total /= 2;
        if self.slots.iter().any(|slot| slot.weight == 0) {
            self.slots.retain(|slot| slot.weight > 0);
            self.rebuild();
        }
    }

    /// A sorted list is a heap.
    fn rebuild(&mut self) {
        self.slots.sort_by_key(|slot| slot.weight);
        self.by_hash.clear();
        self.heap.clear();
        for (at, slot) in (0..).zip(&mut self.slots) {
            slot.place = at;
            self.by_hash.insert(slot.hash, at);
            self.heap.push(at);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.by_hash.clear();
        self.heap.clear();
        self.total = 0;
    }

    /// All that it knows.
    #[must_use]
    pub fn ranking(&self) -> Ranking {
        let heavy = |slot: &Slot| Heavy { name: slot.name.as_slice().into(), weight: slot.weight, error: slot.error };
        let mut things: Vec<Heavy> = self.slots.iter().map(heavy).collect();
        sort(&mut things);
        let is_full = self.slots.len() >= self.capacity;
        let unseen = if is_full { self.heap.first().map_or(0, |&at| self.weight_of(at)) } else { 0 };
        Ranking { things, total: self.total, unseen }
    }

    fn weight_of(&self, at: u32) -> u64 {
        self.slots.get(at as usize).map_or(0, |slot| slot.weight)
    }

    fn weight_at(&self, place: usize) -> Option<u64> {
        self.heap.get(place).map(|&at| self.weight_of(at))
    }

    /// What stands at `place` became heavier.
    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let Some(mut lightest) = self.weight_at(left) else { return };
            let mut child = left;
            if let Some(weight) = self.weight_at(right).filter(|weight| *weight < lightest) {
                (child, lightest) = (right, weight);
            }
            if self.weight_at(place).is_none_or(|weight| weight <= lightest) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// What stands at `place` is new there.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.weight_at(parent) <= self.weight_at(place) {
                return;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            if let Some(slot) = self.heap.get(place).and_then(|&at| self.slots.get_mut(at as usize)) {
                slot.place = place as u32;
            }
        }
    }
}

fn slot_place(slots: &[Slot], at: u32) -> usize {
    slots.get(at as usize).map_or(0, |slot| slot.place as usize)
}

/// The heaviest first, in an order that does not depend on chance.
fn sort(things: &mut [Heavy]) {
    things.sort_by(|a, b| b.weight.cmp(&a.weight).then(a.error.cmp(&b.error)).then(a.name.cmp(&b.name)));
}

/// What several sketches know together. A thing that one of them does not name may weigh there as much as what that
/// one has not seen.
#[must_use]
pub fn merge(rankings: impl IntoIterator<Item = Ranking>) -> Ranking {
    // Weight, error, and the sum of what those that name it have not seen.
    let mut sums = HashMap::<Box<[u8]>, [u64; 3]>::new();
    let mut all = Ranking::default();
    for Ranking { things, total, unseen } in rankings {
        all.total += total;
        all.unseen += unseen;
        for Heavy { name, weight, error } in things {
            let sum = sums.entry(name).or_default();
            for (part, more) in sum.iter_mut().zip([weight, error, unseen]) {
                *part += more;
            }
        }
    }
    let unseen = all.unseen;
    let heavy = |(name, [weight, error, seen]): (Box<[u8]>, [u64; 3])| {
        let elsewhere = unseen.saturating_sub(seen);
        Heavy { name, weight: weight + elsewhere, error: error + elsewhere }
    };
    all.things = sums.into_iter().map(heavy).collect();
    sort(&mut all.things);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers without rhyme or reason, the same for the same seed.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        /// From 0 to 1.
        fn part(&mut self) -> f64 {
            (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// Draws ranks from 0 on, the chance of each being that of Zipf's law.
    struct Zipf(Vec<f64>);

    impl Zipf {
        fn new(count: usize, exponent: f64) -> Self {
            let mut sum = 0.0;
            let mut sums: Vec<f64> = (1..=count)
                .map(|rank| {
                    sum += (rank as f64).powf(-exponent);
                    sum
                })
                .collect();
            for part in &mut sums {
                *part /= sum;
            }
            Self(sums)
        }

        fn draw(&self, dice: &mut Dice) -> usize {
            let part = dice.part();
            self.0.partition_point(|sum| *sum < part)
        }
    }

    /// How many of the `most` heaviest ranks are among the `most` heaviest of `ranking`.
    fn recall(ranking: &Ranking, exact: &[u64], most: usize) -> f64 {
        let mut ranks: Vec<usize> = (0..exact.len()).collect();
        ranks.sort_by_key(|rank| std::cmp::Reverse(exact[*rank]));
        let named: Vec<Vec<u8>> = ranks.iter().take(most).map(|rank| format!("key:{rank}").into_bytes()).collect();
        let found = ranking.things.iter().take(most).filter(|thing| named.iter().any(|name| **name == *thing.name));
        found.count() as f64 / most as f64
    }

    #[test]
    fn the_twenty_heaviest_of_a_zipf_load_are_found_over_four_threads() {
        for (seed, exponent) in [(1, 0.99), (2, 1.0), (3, 1.2), (4, 0.9), (5, 1.1)] {
            let (zipf, mut dice) = (Zipf::new(100_000, exponent), Dice(0x9e37_79b9_7f4a_7c15 ^ seed));
            let mut sketches: Vec<Sketch> = (0..4).map(|_| Sketch::new(1024)).collect();
            let mut exact = vec![0_u64; 100_000];
            for turn in 0..800_000_usize {
                let rank = zipf.draw(&mut dice);
                exact[rank] += 1;
                sketches[turn % 4].add(format!("key:{rank}").as_bytes(), 1);
            }
            let all = merge(sketches.iter().map(Sketch::ranking));
            assert_eq!(all.total, 800_000);
            let recall = recall(&all, &exact, 20);
            assert!(recall >= 0.95, "seed {seed}, exponent {exponent}: {recall}");
            for thing in all.things.iter().take(20) {
                let rank: usize = std::str::from_utf8(&thing.name).unwrap()[4..].parse().unwrap();
                assert!(thing.weight >= exact[rank] && thing.weight - thing.error <= exact[rank], "{thing:?}");
            }
        }
    }

    #[test]
    fn a_long_name_is_cut_and_still_told_apart() {
        let mut sketch = Sketch::new(4);
        let long = vec![b'x'; KEPT + 1];
        sketch.add(&long, 3);
        sketch.add(&[&long[..], b"y"].concat(), 2);
        let ranking = sketch.ranking();
        assert_eq!(ranking.things.iter().map(|thing| thing.weight).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(ranking.things[0].name.len(), KEPT);
    }

    #[test]
    fn what_was_long_ago_fades() {
        let mut sketch = Sketch::new(8);
        sketch.add(b"old", 16);
        for _ in 0..4 {
            sketch.halve();
        }
        sketch.add(b"new", 2);
        let names = |sketch: &Sketch| -> Vec<Box<[u8]>> {
            sketch.ranking().things.into_iter().map(|thing| thing.name).collect()
        };
        assert_eq!(names(&sketch), [b"new".as_slice().into(), b"old".as_slice().into()]);
        sketch.halve();
        assert_eq!(names(&sketch), [Box::from(b"new".as_slice())]);
        sketch.clear();
        assert_eq!(sketch.ranking(), Ranking::default());
    }

    proptest! {
        #[test]
        fn no_weight_is_too_small_and_none_too_large_by_more_than_its_error(
            capacity in 1..12_usize,
            load in proptest::collection::vec((0..30_u8, 1..5_u64, 0..3_usize, any::<bool>()), 0..400),
        ) {
            let mut sketches: Vec<Sketch> = (0..3).map(|_| Sketch::new(capacity)).collect();
            let mut exact = [0_u64; 30];
            for (name, weight, thread, _) in &load {
                exact[usize::from(*name)] += weight;
                sketches[*thread].add(&[*name], *weight);
            }
            let all = merge(sketches.iter().map(Sketch::ranking));
            prop_assert_eq!(all.total, exact.iter().sum::<u64>());
            prop_assert!(all.unseen <= all.total / capacity as u64);
            for (name, &exact) in (0_u8..).zip(&exact) {
                match all.things.iter().find(|thing| *thing.name == [name]) {
                    Some(thing) => {
                        prop_assert!(thing.weight >= exact, "{thing:?} {exact}");
                        prop_assert!(thing.weight - thing.error <= exact, "{thing:?} {exact}");
                    }
                    None => prop_assert!(exact <= all.unseen),
                }
            }
        }

        #[test]
        fn the_lightest_is_at_the_root_whatever_happens(
            load in proptest::collection::vec((0..20_u8, 0..9_u64, 0..12_u8), 0..200),
        ) {
            let mut sketch = Sketch::new(7);
            for (name, weight, halve) in load {
                sketch.add(&[name], weight);
                if halve == 0 {
                    sketch.halve();
                }
                let least = sketch.slots.iter().map(|slot| slot.weight).min();
                prop_assert_eq!(sketch.weight_at(0), least);
                for (place, &at) in sketch.heap.iter().enumerate() {
                    prop_assert_eq!(sketch.slots[at as usize].place as usize, place);
                }
                prop_assert_eq!(sketch.by_hash.len(), sketch.slots.len());
            }
        }
    }
}
