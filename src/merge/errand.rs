//! Requests that take more than one step: what one node says decides what is asked next.
//!
//! An [`Errand`] says what to ask, takes the replies in whatever order they come, and then either writes the one
//! reply that is owed or asks again. It knows no connections: whoever runs it sends what it asks for.

use crate::resp::{Proto, encode};

/// Where one request of a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To the owner of this slot; a lost connection or a redirect is the backend's business.
    Slot(u16),
    /// To whoever is taken for the owner of this slot, and to no other node: a redirect is the answer, and so is an
    /// error when the connection is lost.
    Owner(u16),
    /// To the node of this number, and to no other; as for `Owner`.
    Node(u16),
}

/// What may be asked, at the time of asking.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// A slot of each primary that has any.
    pub slots: &'a [u16],
    /// The number of each primary, those without slots too.
    pub nodes: &'a [u16],
}

/// The requests of one step. All of them only read.
#[derive(Debug, Default)]
pub struct Asks {
    frames: Vec<u8>,
    list: Vec<(To, usize)>,
}

impl Asks {
    /// Adds a request; the parts of the step are numbered in this order.
    pub fn add(&mut self, to: To, words: &[&[u8]]) {
        encode::request(&mut self.frames, words);
        self.list.push((to, self.frames.len()));
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each request with its frame.
    pub fn iter(&self) -> impl Iterator<Item = (To, &[u8])> {
        let mut start = 0;
        self.list.iter().map(move |&(to, end)| {
            let frame = self.frames.get(start..end).unwrap_or_default();
            start = end;
            (to, frame)
        })
    }
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply is written.
    Done,
    /// There is more to ask.
    Again,
}

/// A request that asks the nodes in steps.
pub trait Errand: std::fmt::Debug {
    /// The protocol that the client speaks, and so the nodes.
    fn proto(&self) -> Proto;

    /// Says what the next step asks: at least one thing.
    fn ask(&mut self, around: Around<'_>, asks: &mut Asks);

    /// Takes the whole reply to the request of this number.
    fn add(&mut self, part: u32, reply: &[u8]);

    /// Every part of the step has answered: writes the reply, or wants another step.
    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome;
}

/// The replies of one step, by part.
#[derive(Debug, Default)]
pub struct Answers(Vec<Vec<u8>>);

impl Answers {
    /// Keeps the reply to a part.
    pub fn put(&mut self, part: u32, reply: &[u8]) {
        let part = part as usize;
        if self.0.len() <= part {
            self.0.resize(part + 1, Vec::new());
        }
        if let Some(place) = self.0.get_mut(part) {
            *place = reply.to_vec();
        }
    }

    /// The reply to a part; empty if there is none.
    #[must_use]
    pub fn part(&self, part: usize) -> &[u8] {
        self.0.get(part).map_or(&[], Vec::as_slice)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Forgets them, for the next step.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
