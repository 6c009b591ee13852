//! Folds the answers to the parts of one request into the one reply that is owed.
//!
//! A [`Gather`] is made when a request is split or fanned out, takes each part's reply in whatever order they
//! come, and writes the whole when the last is there. It knows replies and nothing of connections or clients.

mod deal;
pub mod errand;
mod splice;

use std::collections::HashSet;

use crate::command::Merge;
use crate::resp::{Proto, encode, reply};
pub use deal::Deal;
use errand::Errand;
pub use splice::Splice;

/// How many bytes are reserved at most for replies that have not come, by the length of the first.
const GUESS_MAX: usize = 64 << 10;

/// The answers so far to the parts of one request.
#[derive(Debug)]
pub struct Gather {
    merge: Merge,
    proto: Proto,
    /// Parts that have not answered.
    left: u32,
    /// The bytes of the first error: it becomes the reply.
    error: Option<Box<[u8]>>,
    /// `Sum`, `Min`.
    number: Option<i64>,
    /// `Concat`: the elements' bytes, in the order of arrival. `AllOk`, `And`, `OneOk`: the reply so far.
    bytes: Vec<u8>,
    /// `Concat` of a split: for the element at each of the caller's places where it stands in `bytes`.
    places: Vec<(u32, u32)>,
    /// `Concat` of a split: the caller's place of each key, part by part.
    order: Vec<u32>,
    /// `Concat` of a split: where each part begins in `order`.
    starts: Vec<u32>,
    /// `Concat` of a fan-out: how many elements have come.
    count: usize,
    /// Takes the replies in the place of all this.
    errand: Option<Box<dyn Errand>>,
}

impl Gather {
    /// For `parts` parts whose replies need no order.
    #[must_use]
    pub fn new(merge: Merge, proto: Proto, parts: u32) -> Self {
        Self {
            merge,
            proto,
            left: parts,
            error: None,
            number: None,
            bytes: Vec::new(),
            places: Vec::new(),
            order: Vec::new(),
            starts: Vec::new(),
            count: 0,
            errand: None,
        }
    }

    /// For one step of `errand`.
    #[must_use]
    pub fn step(errand: Box<dyn Errand>, parts: u32) -> Self {
        let mut gather = Self::new(Merge::AllOk, errand.proto(), parts);
        gather.errand = Some(errand);
        gather
    }

    /// The errand whose step this was.
    pub fn take_errand(&mut self) -> Option<Box<dyn Errand>> {
        self.errand.take()
    }

    /// For a split whose elements go back to the caller's places: `order` holds the caller's place of each
    /// key, part by part, and `starts` where each part begins in it.
    #[must_use]
    pub fn ordered(merge: Merge, proto: Proto, order: Vec<u32>, starts: Vec<u32>) -> Self {
        let mut gather = Self::new(merge, proto, starts.len() as u32);
        gather.places = vec![(0, 0); order.len()];
        gather.order = order;
        gather.starts = starts;
        gather
    }

    /// Begins with this number: what the proxy itself has to add.
    #[must_use]
    pub fn with_number(self, number: i64) -> Self {
        Self { number: Some(number), ..self }
    }

    /// Begins with these elements, `count` of them one after the other.
    #[must_use]
    pub fn with_elements(self, bytes: Vec<u8>, count: usize) -> Self {
        Self { bytes, count, ..self }
    }

    /// Takes the whole reply of part `part`. True when it was the last.
    pub fn add(&mut self, part: u32, reply: &[u8]) -> bool {
        debug_assert!(self.left > 0, "a part answered twice");
        self.left = self.left.saturating_sub(1);
        if let Some(errand) = &mut self.errand {
            errand.add(part, reply);
            return self.left == 0;
        }
        let is_error = matches!(reply.first(), Some(b'-' | b'!'));
        if is_error && self.merge != Merge::OneOk {
            self.fail(reply);
        } else if self.error.is_none() && !self.fold(part, reply) {
            self.fail(b"-ERR a node answered a part of the request in an unexpected form\r\n");
        }
        self.left == 0
    }

    fn fail(&mut self, error: &[u8]) {
        if self.error.is_none() {
            self.error = Some(error.into());
        }
    }

    /// False if the reply is not of the form that this merge needs.
    fn fold(&mut self, part: u32, reply: &[u8]) -> bool {
        match self.merge {
            Merge::Concat if self.starts.is_empty() => self.append(reply).is_some(),
            Merge::Concat => self.scatter(part, reply).is_some(),
            Merge::Sum | Merge::Receivers => self.combine(reply, i64::saturating_add),
            Merge::Min => self.combine(reply, i64::min),
            Merge::Max => self.combine(reply, i64::max),
            Merge::And if reply::integer(reply).is_some() => self.combine(reply, i64::min),
            Merge::AllOk => self.agree(reply),
            Merge::And => self.and(reply).is_some(),
            Merge::Union => self.unite(reply).is_some(),
            Merge::Pairs => self.add_pairs(reply).is_some(),
            Merge::OneOk => {
                if self.bytes.is_empty() || news(reply) > news(&self.bytes) {
                    self.bytes = reply.to_vec();
                }
                true
            }
        }
    }

    fn combine(&mut self, reply: &[u8], with: fn(i64, i64) -> i64) -> bool {
        let Some(value) = reply::integer(reply) else { return false };
        self.number = Some(self.number.map_or(value, |so_far| with(so_far, value)));
        true
    }

    /// All parts must say the same (`+OK`, or the digest of a script).
    fn agree(&mut self, reply: &[u8]) -> bool {
        if self.bytes.is_empty() {
            self.bytes = reply.to_vec();
        }
        self.bytes == reply
    }

    fn append(&mut self, reply: &[u8]) -> Option<()> {
        for element in reply::elements(reply, self.proto)? {
            self.bytes.extend_from_slice(element);
            self.count += 1;
        }
        Some(())
    }

    fn scatter(&mut self, part: u32, reply: &[u8]) -> Option<()> {
        let from = *self.starts.get(part as usize)? as usize;
        let to = self.starts.get(part as usize + 1).map_or(self.order.len(), |&next| next as usize);
        if self.bytes.capacity() == 0 {
            // The other parts will be about as long.
            self.bytes.reserve((reply.len() * self.starts.len()).min(GUESS_MAX));
        }
        let mut elements = reply::elements(reply, self.proto)?;
        for &place in self.order.get(from..to)? {
            let element = elements.next()?;
            *self.places.get_mut(place as usize)? = (self.bytes.len() as u32, element.len() as u32);
            self.bytes.extend_from_slice(element);
        }
        elements.next().is_none().then_some(())
    }

    /// Adds the elements that are not there yet.
    fn unite(&mut self, reply: &[u8]) -> Option<()> {
        let known = std::mem::take(&mut self.bytes);
        let mut seen: HashSet<&[u8]> = reply::items(&known, self.count, self.proto).collect();
        let mut fresh = Vec::new();
        for element in reply::elements(reply, self.proto)? {
            if seen.insert(element) {
                fresh.extend_from_slice(element);
                self.count += 1;
            }
        }
        self.bytes = known;
        self.bytes.extend_from_slice(&fresh);
        Some(())
    }

    /// Adds the counts to those of the same names, which stand in the same order. The last sum is not below 0.
    fn add_pairs(&mut self, reply: &[u8]) -> Option<()> {
        let mut both = Vec::with_capacity(self.bytes.len());
        let mut theirs = reply::elements(reply, self.proto)?;
        for (at, ours) in reply::items(&self.bytes, self.count, self.proto).enumerate() {
            let their = theirs.next()?;
            if at % 2 == 0 {
                both.extend_from_slice(ours);
            } else {
                let sum = reply::integer(ours)? + reply::integer(their)?;
                encode::integer(&mut both, if self.left == 0 { sum.max(0) } else { sum });
            }
        }
        self.bytes = both;
        theirs.next().is_none().then_some(())
    }

    fn and(&mut self, reply: &[u8]) -> Option<()> {
        if self.bytes.is_empty() {
            self.bytes = reply::elements(reply, self.proto).map(|_| reply.to_vec())?;
            return Some(());
        }
        let mut both = Vec::with_capacity(self.bytes.len());
        let ours: Vec<&[u8]> = reply::elements(&self.bytes, self.proto)?.collect();
        let theirs: Vec<&[u8]> = reply::elements(reply, self.proto)?.collect();
        if ours.len() != theirs.len() {
            return None;
        }
        encode::array(&mut both, ours.len());
        for (a, b) in ours.iter().zip(&theirs) {
            encode::integer(&mut both, reply::integer(a)?.min(reply::integer(b)?));
        }
        self.bytes = both;
        Some(())
    }

    /// Appends the one reply. To be called once, when the last part is there.
    pub fn finish(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.left, 0, "a merge ended before its last part");
        if let Some(error) = &self.error {
            out.extend_from_slice(error);
            return;
        }
        match self.merge {
            Merge::Union | Merge::Pairs => {
                encode::array(out, self.count);
                out.extend_from_slice(&self.bytes);
            }
            Merge::Concat if self.starts.is_empty() => {
                encode::array(out, self.count);
                out.extend_from_slice(&self.bytes);
            }
            Merge::Concat => {
                encode::array(out, self.places.len());
                out.reserve(self.bytes.len());
                for &(start, len) in &self.places {
                    let start = start as usize;
                    out.extend_from_slice(self.bytes.get(start..start + len as usize).unwrap_or_default());
                }
            }
            Merge::Receivers => encode::integer(out, self.number.unwrap_or(0).max(0)),
            Merge::Sum | Merge::Min | Merge::Max => encode::integer(out, self.number.unwrap_or(0)),
            Merge::And if self.number.is_some() => encode::integer(out, self.number.unwrap_or(0)),
            Merge::AllOk | Merge::And | Merge::OneOk => out.extend_from_slice(&self.bytes),
        }
    }
}

/// How much an answer says that one success decides: `NOTBUSY` comes from each node where nothing runs.
fn news(reply: &[u8]) -> u8 {
    match reply.first() {
        Some(b'-') if reply.starts_with(b"-NOTBUSY ") => 0,
        Some(b'-' | b'!') => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(gather: &Gather) -> String {
        let mut out = Vec::new();
        gather.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements_go_back_to_the_callers_places() {
        // Keys 0..4; part 0 asks for 1 and 3, part 1 for 0, 2 and 4; the second part answers first.
        let mut gather = Gather::ordered(Merge::Concat, Proto::Resp2, vec![1, 3, 0, 2, 4], vec![0, 2]);
        assert!(!gather.add(1, b"*3\r\n$1\r\na\r\n$-1\r\n$1\r\ne\r\n"));
        assert!(gather.add(0, b"*2\r\n$1\r\nb\r\n$1\r\nd\r\n"));
        assert_eq!(whole(&gather), "*5\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n$1\r\nd\r\n$1\r\ne\r\n");
    }

    #[test]
    fn one_error_is_the_whole_answer() {
        let mut gather = Gather::new(Merge::AllOk, Proto::Resp2, 3);
        gather.add(0, b"+OK\r\n");
        gather.add(1, b"-OOM no\r\n");
        assert!(gather.add(2, b"-ERR later\r\n"));
        assert_eq!(whole(&gather), "-OOM no\r\n");
    }

    #[test]
    fn a_part_with_too_few_or_too_many_elements_is_an_error() {
        for short in ["*1\r\n:1\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n", ":2\r\n"] {
            let mut gather = Gather::ordered(Merge::Concat, Proto::Resp2, vec![0, 1], vec![0]);
            assert!(gather.add(0, short.as_bytes()));
            assert!(whole(&gather).starts_with("-ERR a node answered"), "{short:?}");
        }
    }

    #[test]
    fn numbers_and_flags_fold() {
        let mut sum = Gather::new(Merge::Sum, Proto::Resp2, 2);
        sum.add(0, b":2\r\n");
        sum.add(1, b":40\r\n");
        assert_eq!(whole(&sum), ":42\r\n");
        let mut and = Gather::new(Merge::And, Proto::Resp2, 2);
        and.add(0, b"*2\r\n:1\r\n:1\r\n");
        and.add(1, b"*2\r\n:0\r\n:1\r\n");
        assert_eq!(whole(&and), "*2\r\n:0\r\n:1\r\n");
        let mut all = Gather::new(Merge::And, Proto::Resp2, 2);
        all.add(0, b":1\r\n");
        all.add(1, b":0\r\n");
        assert_eq!(whole(&all), ":0\r\n");
        let mut most = Gather::new(Merge::Max, Proto::Resp2, 2);
        most.add(0, b":3\r\n");
        most.add(1, b":7\r\n");
        assert_eq!(whole(&most), ":7\r\n");
        let mut one = Gather::new(Merge::OneOk, Proto::Resp2, 2);
        one.add(0, b"-ERR x\r\n");
        one.add(1, b"+OK\r\n");
        assert_eq!(whole(&one), "+OK\r\n");
    }

    #[test]
    fn the_first_error_wins_and_blob_errors_are_errors() {
        let mut gather = Gather::new(Merge::Sum, Proto::Resp3, 3);
        gather.add(2, b":1\r\n");
        gather.add(0, b"!5\r\nERR x\r\n");
        gather.add(1, b"-ERR y\r\n");
        assert_eq!(whole(&gather), "!5\r\nERR x\r\n");
    }

    #[test]
    fn parts_that_disagree_are_an_error() {
        let mut gather = Gather::new(Merge::AllOk, Proto::Resp2, 2);
        gather.add(0, b"+OK\r\n");
        gather.add(1, b"+QUEUED\r\n");
        assert!(whole(&gather).starts_with("-ERR a node answered"));
        let mut one = Gather::new(Merge::OneOk, Proto::Resp2, 2);
        one.add(0, b"-ERR x\r\n");
        one.add(1, b"-ERR y\r\n");
        assert_eq!(whole(&one), "-ERR x\r\n", "no part succeeded");
        let mut kill = Gather::new(Merge::OneOk, Proto::Resp2, 3);
        for (part, reply) in ["-NOTBUSY a\r\n", "-UNKILLABLE b\r\n", "-NOTBUSY c\r\n"].iter().enumerate() {
            kill.add(part as u32, reply.as_bytes());
        }
        assert_eq!(whole(&kill), "-UNKILLABLE b\r\n", "where nothing runs there is nothing to say");
        let mut least = Gather::new(Merge::Min, Proto::Resp2, 3);
        for (part, reply) in [":3\r\n", ":-1\r\n", ":7\r\n"].iter().enumerate() {
            least.add(part as u32, reply.as_bytes());
        }
        assert_eq!(whole(&least), ":-1\r\n");
    }

    #[test]
    fn what_the_proxy_knows_itself_goes_into_the_whole() {
        let mut count = Gather::new(Merge::Receivers, Proto::Resp2, 1).with_number(-3);
        assert!(count.add(0, b":2\r\n"));
        assert_eq!(whole(&count), ":0\r\n", "never below nobody");
        let mut names = Gather::new(Merge::Union, Proto::Resp2, 2).with_elements(b"$1\r\na\r\n".to_vec(), 1);
        names.add(0, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        names.add(1, b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(whole(&names), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
        let ours = b"$1\r\na\r\n:-1\r\n$1\r\nb\r\n:-5\r\n".to_vec();
        let mut pairs = Gather::new(Merge::Pairs, Proto::Resp2, 2).with_elements(ours, 4);
        pairs.add(0, b"*4\r\n$1\r\na\r\n:3\r\n$1\r\nb\r\n:1\r\n");
        pairs.add(1, b"*4\r\n$1\r\na\r\n:2\r\n$1\r\nb\r\n:0\r\n");
        assert_eq!(whole(&pairs), "*4\r\n$1\r\na\r\n:4\r\n$1\r\nb\r\n:0\r\n");
    }

    #[test]
    fn a_fan_out_puts_elements_together() {
        let mut gather = Gather::new(Merge::Concat, Proto::Resp3, 3);
        gather.add(1, b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n");
        gather.add(0, b"*0\r\n");
        gather.add(2, b"*1\r\n_\r\n");
        assert_eq!(whole(&gather), "*3\r\n$1\r\na\r\n*1\r\n:1\r\n_\r\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// An MGET over any keys in any slots, answered in any order, is what one server would say.
        #[test]
        fn a_split_reads_as_if_it_had_not_been_split(
            slots in prop::collection::vec(0..5_u32, 1..30),
            answered in Just([0_u32, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            let element = |place: usize| if place % 4 == 3 { "$-1\r\n".to_owned() } else { format!("$2\r\n{place:02}\r\n") };
            let parts: Vec<Vec<u32>> = (0..5)
                .map(|slot| (0..slots.len() as u32).filter(|&place| slots[place as usize] == slot).collect())
                .filter(|places: &Vec<u32>| !places.is_empty())
                .collect();
            let starts = parts.iter().scan(0, |at, part| Some(std::mem::replace(at, *at + part.len() as u32)));
            let mut gather = Gather::ordered(Merge::Concat, Proto::Resp2, parts.concat(), starts.collect());
            let mut left = parts.len();
            for &part in answered.iter().filter(|&&part| (part as usize) < parts.len()) {
                let places = &parts[part as usize];
                let elements: String = places.iter().map(|&place| element(place as usize)).collect();
                left -= 1;
                prop_assert_eq!(gather.add(part, format!("*{}\r\n{elements}", places.len()).as_bytes()), left == 0);
            }
            let expected: String = (0..slots.len()).map(element).collect();
            prop_assert_eq!(whole(&gather), format!("*{}\r\n{expected}", slots.len()));
        }
    }
}
