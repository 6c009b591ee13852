//! The keys of one shard: values, when they expire, and which slot they are in.
//!
//! Keys are kept in the order of a hash, so that `SCAN` can walk them with a cursor of a few bits that stays
//! right while the set of keys grows and shrinks. What the values mean is left to the data commands.

use std::collections::{BTreeMap, BTreeSet};

use super::command::{Fault, WRONG_TYPE};
use super::random::{Random, mix};
use super::slot::{SLOTS, slot};
use super::value::{Kind, Value};

/// A key at its place in the walk of `SCAN`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    order: u64,
    key: Vec<u8>,
}

impl Place {
    fn of(key: &[u8]) -> Self {
        let order = key.iter().fold(0x51_7e_ca_fe, |hash, &byte| mix(hash ^ u64::from(byte)));
        Self { order, key: key.to_vec() }
    }
}

/// A value and the time, in milliseconds since 1970, after which it is gone.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) expires_ms: Option<u64>,
}

/// All keys of one shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Db {
    entries: BTreeMap<Place, Entry>,
    by_slot: BTreeSet<(u16, Vec<u8>)>,
    due: BTreeSet<(u64, Vec<u8>)>,
    /// How often each key was changed, and all of them together, for those who watch.
    changes: BTreeMap<Vec<u8>, u64>,
    clears: u64,
}

impl Db {
    /// Removes what has expired at `now_ms`. Called before every command, so that none ever sees a dead key.
    pub(super) fn purge(&mut self, now_ms: u64) {
        while let Some((_, key)) = self.due.first().filter(|(when, _)| *when < now_ms).cloned() {
            self.remove(&key);
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes every key.
    pub(super) fn clear(&mut self) {
        let (changes, clears) = (std::mem::take(&mut self.changes), self.clears + 1);
        *self = Self { changes, clears, ..Self::default() };
    }

    /// Another one whenever the key may have changed.
    pub(super) fn version(&self, key: &[u8]) -> u64 {
        self.clears + self.changes.get(key).copied().unwrap_or(0)
    }

    fn changed(&mut self, key: &[u8]) {
        *self.changes.entry(key.to_vec()).or_default() += 1;
    }

    /// Whether the key exists.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// The value and expiry of a key.
    pub(super) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(&Place::of(key))
    }

    /// The value of a key as a `T`; a fault if it is of another type.
    pub(super) fn read<T: Kind>(&self, key: &[u8]) -> Result<Option<&T>, Fault> {
        self.entry(key).map(|entry| T::of(&entry.value).ok_or(WRONG_TYPE)).transpose()
    }

    /// The value of a key as a `T` to change, an empty one if there was none.
    /// [`Db::settle`] must follow when it may be empty after the change.
    pub(super) fn write<T: Kind>(&mut self, key: &[u8]) -> Result<&mut T, Fault> {
        if !self.has(key) {
            self.put(key, T::default().wrap(), None);
        }
        self.changed(key);
        let entry = self.entries.get_mut(&Place::of(key)).ok_or(WRONG_TYPE)?;
        T::of_mut(&mut entry.value).ok_or(WRONG_TYPE)
    }

    /// Sets a key, whatever it was before.
    pub(super) fn put(&mut self, key: &[u8], value: Value, expires_ms: Option<u64>) {
        self.insert(key, Entry { value, expires_ms });
    }

    /// Puts a whole entry, as a migration does.
    pub(super) fn insert(&mut self, key: &[u8], entry: Entry) {
        self.remove(key);
        if let Some(when) = entry.expires_ms {
            self.due.insert((when, key.to_vec()));
        }
        self.by_slot.insert((slot(key), key.to_vec()));
        self.changed(key);
        self.entries.insert(Place::of(key), entry);
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(&Place::of(key))?;
        self.by_slot.remove(&(slot(key), key.to_vec()));
        self.changed(key);
        if let Some(when) = entry.expires_ms {
            self.due.remove(&(when, key.to_vec()));
        }
        Some(entry)
    }

    /// Removes a key whose value has become empty, since servers keep no empty collections.
    pub(super) fn settle(&mut self, key: &[u8]) {
        if self.entry(key).is_some_and(|entry| entry.value.is_empty_collection()) {
            self.remove(key);
        }
    }

    /// When a key expires; `None` if it does not, or is not there.
    pub(super) fn expires_ms(&self, key: &[u8]) -> Option<u64> {
        self.entry(key)?.expires_ms
    }

    /// Changes when a key expires; false if there is no such key.
    pub(super) fn set_expiry(&mut self, key: &[u8], expires_ms: Option<u64>) -> bool {
        let Some(mut entry) = self.remove(key) else { return false };
        entry.expires_ms = expires_ms;
        self.insert(key, entry);
        true
    }

    /// Every key, in the order of the walk.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.entries.keys().map(|place| &place.key)
    }

    /// The keys of one slot.
    pub(super) fn keys_in(&self, slot: u16) -> impl Iterator<Item = &Vec<u8>> {
        self.by_slot.range((slot, Vec::new())..).take_while(move |(of, _)| *of == slot).map(|(_, key)| key)
    }

    /// Any key.
    pub(super) fn random_key(&self, random: &mut Random) -> Option<&Vec<u8>> {
        let from = Place { order: random.bits(), key: Vec::new() };
        let mut found = self.entries.range(from..).chain(self.entries.iter());
        found.next().map(|(place, _)| &place.key)
    }

    /// One step of a walk: the cursor to go on with (0 at the end) and at least `count` keys if there are. Nodes
    /// differ in `table`, as processes in the seed of their hash.
    pub(super) fn scan(&self, cursor: u64, count: usize, table: u64) -> (u64, Vec<&Vec<u8>>) {
        walk(self.entries.keys().collect(), cursor, count, table)
    }

    /// The same where each slot has a table: the low 14 bits of the cursor are the slot, and at the end of one the
    /// cursor names the next that has keys.
    pub(super) fn scan_slots(&self, cursor: u64, count: usize, table: u64) -> (u64, Vec<&Vec<u8>>) {
        let at = (cursor % u64::from(SLOTS)) as u16;
        let places: Vec<Place> = self.keys_in(at).map(|key| Place::of(key)).collect();
        let places = places.iter().filter_map(|place| self.entries.get_key_value(place)).map(|(place, _)| place);
        let (next, found) = walk(places.collect(), cursor / u64::from(SLOTS), count, table);
        if next > 0 {
            return (next * u64::from(SLOTS) + u64::from(at), found);
        }
        let behind = self.by_slot.range((at + 1, Vec::new())..).next();
        (behind.map_or(0, |(slot, _)| u64::from(*slot)), found)
    }
}

/// One step of a walk over a table of these keys.
///
/// As in a server, a cursor names a bucket of a table of 2^k buckets with its bits reversed, and buckets are
/// given out whole. Reversed cursors are positions in the key order whatever k is, so that a table that
/// grows or shrinks in between may repeat keys but misses none.
fn walk(places: Vec<&Place>, cursor: u64, count: usize, table: u64) -> (u64, Vec<&Vec<u8>>) {
    let bits = usize::BITS - places.len().max(4).saturating_sub(1).leading_zeros();
    let bucket = |order: u64| order >> (u64::BITS - bits);
    let first = bucket(cursor.reverse_bits());
    let mut order: Vec<(u64, &Vec<u8>)> =
        places.into_iter().map(|place| (mix(place.order ^ table), &place.key)).collect();
    order.sort_unstable();
    let mut found = Vec::new();
    let mut last = first;
    for (order, key) in order.into_iter().skip_while(|(order, _)| bucket(*order) < first) {
        if found.len() >= count && bucket(order) != last {
            return (((last + 1) << (u64::BITS - bits)).reverse_bits(), found);
        }
        last = bucket(order);
        found.push(key);
    }
    (0, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(n: usize) -> Db {
        let mut db = Db::default();
        for i in 0..n {
            db.put(format!("key:{i}").as_bytes(), Value::Text(b"x".to_vec()), None);
        }
        db
    }

    #[test]
    fn a_walk_finds_every_key_that_stayed() {
        for (start, grown) in [(1000, 4000), (1000, 10), (5, 5), (0, 0)] {
            let mut db = with(start);
            let mut seen = BTreeSet::new();
            let (mut cursor, mut steps) = (0, 0);
            loop {
                let (next, keys) = db.scan(cursor, 10, 1);
                assert!(next < 1 << 13, "a cursor of few bits: {next}");
                seen.extend(keys.into_iter().cloned());
                cursor = next;
                steps += 1;
                if cursor == 0 {
                    break;
                }
                if steps == 20 {
                    // The table changes its size in the middle of the walk.
                    for i in grown..start {
                        db.remove(format!("key:{i}").as_bytes());
                    }
                    for i in start..grown {
                        db.put(format!("key:{i}").as_bytes(), Value::Text(Vec::new()), None);
                    }
                }
            }
            for i in 0..start.min(grown) {
                assert!(seen.contains(format!("key:{i}").as_bytes()), "key:{i} of {start}, {grown}");
            }
        }
    }

    #[test]
    fn keys_are_found_by_slot_and_gone_when_due() {
        let mut db = with(10);
        db.put(b"{t}a", Value::Text(Vec::new()), Some(50));
        db.put(b"{t}b", Value::Text(Vec::new()), None);
        assert_eq!(db.keys_in(slot(b"t")).count(), 2);
        db.purge(50);
        assert!(db.has(b"{t}a"));
        db.purge(51);
        assert!(!db.has(b"{t}a"));
        assert_eq!(db.keys_in(slot(b"t")).count(), 1);
    }
}
