//! The five types of values, and how a command asks for the one that it works on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A list.
pub(super) type List = VecDeque<Vec<u8>>;
/// A hash.
pub(super) type Hash = BTreeMap<Vec<u8>, Vec<u8>>;
/// A set.
pub(super) type Set = BTreeSet<Vec<u8>>;

/// What a key may hold.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Vec<u8>),
    List(List),
    Hash(Hash),
    Set(Set),
    Sorted(Sorted),
}

impl Value {
    /// What `TYPE` says.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::Sorted(_) => "zset",
        }
    }

    /// Whether this is a collection without elements; an empty string is a value like any other.
    pub(super) fn is_empty_collection(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::Sorted(sorted) => sorted.len() == 0,
        }
    }
}

/// One of the five types.
pub(super) trait Kind: Default {
    /// The value, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The value to change, if it is of this type.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// The value as one that a key can hold.
    fn wrap(self) -> Value;
}

macro_rules! kind {
    ($type:ty, $variant:ident) => {
        impl Kind for $type {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn wrap(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

kind!(Vec<u8>, Text);
kind!(List, List);
kind!(Hash, Hash);
kind!(Set, Set);
kind!(Sorted, Sorted);

/// A score that can be ordered; never NaN, since no command lets one in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score(pub(super) f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Not total_cmp: -0 and 0 are the same score.
        self.0.partial_cmp(&other.0).unwrap_or(std::cmp::Ordering::Equal)
    }
}

/// A sorted set: members by name, and by score and then name.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorted {
    scores: BTreeMap<Vec<u8>, f64>,
    order: BTreeSet<(Score, Vec<u8>)>,
}

impl Sorted {
    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    /// The score of a member.
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Gives a member a score, new or not.
    pub(super) fn set(&mut self, member: &[u8], score: f64) {
        self.remove(member);
        self.scores.insert(member.to_vec(), score);
        self.order.insert((Score(score), member.to_vec()));
    }

    /// Takes a member out; false if there was none.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else { return false };
        self.order.remove(&(Score(score), member.to_vec()))
    }

    /// Takes out the member with the lowest score.
    pub(super) fn pop_first(&mut self) -> Option<(Vec<u8>, f64)> {
        let (score, member) = self.order.pop_first()?;
        self.scores.remove(&member);
        Some((member, score.0))
    }

    /// Members and scores from the lowest to the highest.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Vec<u8>, f64)> {
        self.order.iter().map(|(score, member)| (member, score.0))
    }
}
