//! One key of the load and what is known of it: its value says whose it is and which one, and beside it there is a
//! counter in the same slot.

use crate::cluster::slot::slot;
use crate::resp::value::Value;

/// How many keys each connection has.
pub(super) const KEYS: usize = 96;
/// So many places further is a key with the same hash tag, if the first has one.
pub(super) const SAME_TAG: usize = 2 * TAGS;
/// How many hash tags the connections share: slots that hold many keys, and that chaos likes to move.
const TAGS: usize = 16;

/// The slots of the shared hash tags.
pub(super) fn busy_slots() -> Vec<u16> {
    (0..TAGS).map(|tag| slot(format!("busy-{tag}").as_bytes())).collect()
}

/// Why a reply cannot be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String);

/// What a key or a counter must hold, as long as the stamp of the elections is the same.
#[derive(Clone, Copy, Debug)]
struct Known<T> {
    what: T,
    stamp: u64,
}

/// A key that one connection alone writes.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    /// The number in the last value that was sent.
    sent: u64,
    /// The number in the value, 0 if there is none.
    value: Option<Known<u64>>,
    count: Option<Known<i64>>,
}

impl Key {
    /// The key at place `n` of a connection; every other one shares a hash tag with others.
    pub(super) fn new(connection: usize, n: usize) -> Self {
        let name = if n.is_multiple_of(2) {
            format!("{{busy-{}}}:{connection}:{n}", n / 2 % TAGS)
        } else {
            format!("{{load:{connection}:{n}}}")
        };
        Self { name, sent: 0, value: Some(Known { what: 0, stamp: 0 }), count: Some(Known { what: 0, stamp: 0 }) }
    }

    /// The counter beside it.
    pub(super) fn counter_name(&self) -> String {
        format!("{}:count", self.name)
    }

    /// A value that was never used before.
    pub(super) fn next_value(&mut self) -> String {
        self.sent += 1;
        format!("{}|{}", self.name, self.sent)
    }

    /// The last value sent was acknowledged.
    pub(super) fn wrote(&mut self, calm: Option<u64>) {
        self.value = known(self.sent, calm);
    }

    /// It was deleted.
    pub(super) fn deleted(&mut self, calm: Option<u64>) {
        self.value = known(0, calm);
    }

    /// A write failed: it may have been executed or not.
    pub(super) const fn forget(&mut self) {
        self.value = None;
        self.count = None;
    }

    /// Whether it exists, if that is known.
    pub(super) fn is_there(&self, now: u64) -> Option<bool> {
        self.value.filter(|known| known.stamp == now).map(|known| known.what != 0)
    }

    /// Judges what was read.
    pub(super) fn read(&mut self, reply: &Value, now: u64, calm: Option<u64>) -> Result<(), Wrong> {
        let wrong = |why: &str| Err(Wrong(format!("{} holds {}, but {why}", self.name, shown(reply))));
        let number = match reply {
            Value::Null => 0,
            Value::Text(bytes) => {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                match text.split_once('|').filter(|(name, _)| *name == self.name).map(|(_, n)| n.parse::<u64>()) {
                    Some(Ok(number)) if (1..=self.sent).contains(&number) => number,
                    Some(_) => return wrong("that was never written"),
                    None => return wrong("that is the value of another key"),
                }
            }
            _ => return wrong("that is no value"),
        };
        if let Some(known) = self.value.filter(|known| known.stamp == now && known.what != number) {
            return wrong(&format!("the last acknowledged write was number {}", known.what));
        }
        self.value = known(number, calm);
        Ok(())
    }

    /// Judges what its counter has come to.
    pub(super) fn counted(&mut self, count: i64, now: u64, calm: Option<u64>) -> Result<(), Wrong> {
        let before = self.count.filter(|known| known.stamp == now).map(|known| known.what);
        self.count = known(count, calm);
        match before {
            Some(before) if count != before + 1 => Err(Wrong(format!("{count} came after {before}"))),
            _ => Ok(()),
        }
    }
}

fn known<T>(what: T, calm: Option<u64>) -> Option<Known<T>> {
    calm.map(|stamp| Known { what, stamp })
}

fn shown(reply: &Value) -> String {
    match reply {
        Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Null => "nothing".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Option<u64> = Some(0);

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn a_value_of_another_key_or_of_another_time_is_wrong() {
        let mut key = Key::new(1, 3);
        assert_eq!(key.read(&Value::Null, 0, CALM), Ok(()));
        let first = key.next_value();
        key.wrote(CALM);
        assert_eq!(key.read(&text(&first), 0, CALM), Ok(()));
        let second = key.next_value();
        key.wrote(CALM);
        assert!(key.read(&text(&first), 0, CALM).is_err(), "an old value");
        assert_eq!(key.read(&text(&second), 0, CALM), Ok(()));
        assert!(key.read(&Value::Null, 0, CALM).is_err(), "a lost value");
        assert!(key.read(&text("{load:1:5}|1"), 0, CALM).is_err(), "another key's");
        assert!(key.read(&text("{load:1:3}|3"), 0, CALM).is_err(), "never written");
    }

    #[test]
    fn after_an_election_or_an_error_an_old_value_may_be_back_but_no_foreign_one() {
        let mut key = Key::new(1, 3);
        let first = key.next_value();
        key.wrote(CALM);
        key.next_value();
        key.wrote(CALM);
        assert_eq!(key.read(&text(&first), 2, Some(2)), Ok(()), "the stamp has changed");
        assert!(key.read(&Value::Null, 2, Some(2)).is_err(), "what was read since must stay");
        key.forget();
        assert_eq!(key.read(&Value::Null, 2, Some(2)), Ok(()));
        key.forget();
        assert!(key.read(&text("{load:1:5}|1"), 2, Some(2)).is_err());
    }

    #[test]
    fn a_counter_misses_no_step_and_makes_none_twice() {
        let mut key = Key::new(0, 0);
        assert_eq!(key.counted(1, 0, CALM), Ok(()));
        assert_eq!(key.counted(2, 0, CALM), Ok(()));
        assert!(key.counted(2, 0, CALM).is_err());
        assert!(key.counted(4, 0, CALM).is_err());
        assert_eq!(key.counted(4, 2, Some(2)), Ok(()), "lost with its primary");
    }

    #[test]
    fn keys_that_far_apart_share_a_slot_if_they_have_a_tag() {
        let slot_of = |n| slot(Key::new(7, n).name.as_bytes());
        assert_eq!(slot_of(4), slot_of(4 + SAME_TAG));
        assert_ne!(slot_of(4), slot_of(6));
        assert_eq!(slot_of(5), slot(Key::new(7, 5).counter_name().as_bytes()));
        assert!(busy_slots().contains(&slot_of(4)));
    }
}
