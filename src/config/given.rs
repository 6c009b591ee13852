//! What sources give: a value in whatever shape they have, and the values of one listener from all of them.

use super::keys::Key;
use super::mistake::{Origin, Wrong};
use crate::client::User;

/// A value as a source gave it.
pub(super) enum Given {
    /// A text. `loose` when the source has nothing but text (environment, arguments, an expanded `${NAME}`), so
    /// that numbers and lists are read from it too.
    Text { text: String, loose: bool },
    /// A whole number.
    Integer(i64),
    /// A list; each element, or what is wrong with it, with its place.
    List(Vec<(Result<Self, Wrong>, Origin)>),
    /// Anything else, by its name: no key takes it.
    Other(&'static str),
}

/// What the layers gave for one listener, in their order.
#[derive(Default)]
pub(super) struct Sketch {
    /// Where it is named first.
    pub(super) at: Option<Origin>,
    pub(super) keys: Vec<(&'static Key, Given, Origin)>,
    /// Its `users`, where they are a list in the file.
    pub(super) users: Vec<(User, Origin)>,
}

impl Sketch {
    pub(super) fn named(&mut self, at: &Origin) {
        self.at.get_or_insert_with(|| at.clone());
    }

    pub(super) fn give(&mut self, key: &'static Key, given: Given, at: &Origin) {
        self.keys.push((key, given, at.clone()));
    }
}
