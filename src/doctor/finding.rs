//! What was found, how grave it is, and what to do about it.

use std::fmt;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Good to know.
    Note,
    /// Works, but not always or not well.
    Warning,
    /// Requests fail, or will.
    Bad,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub grade: Grade,
    /// What it is.
    pub what: String,
    /// What to do; empty when nothing is to be done.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.grade {
            Grade::Good => "ok  ",
            Grade::Note => "note",
            Grade::Warning => "WARN",
            Grade::Bad => "BAD ",
        };
        write!(f, "{mark}  {}", self.what)?;
        if !self.advice.is_empty() {
            write!(f, "\n      -> {}", self.advice)?;
        }
        Ok(())
    }
}

/// Everything that was found.
pub(super) struct Findings<'a> {
    tell: &'a mut dyn FnMut(&Finding),
    /// In the order in which it was found.
    pub(super) list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&Finding)) -> Self {
        Self { tell, list: Vec::new() }
    }

    pub(super) fn good(&mut self, what: impl Into<String>) {
        self.add(Grade::Good, what, "");
    }

    pub(super) fn note(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Grade::Note, what, advice);
    }

    pub(super) fn warn(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Grade::Warning, what, advice);
    }

    pub(super) fn bad(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Grade::Bad, what, advice);
    }

    fn add(&mut self, grade: Grade, what: impl Into<String>, advice: impl Into<String>) {
        // What nodes say goes to a terminal.
        let clean = |text: String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let finding = Finding { grade, what: clean(what.into()), advice: clean(advice.into()) };
        (self.tell)(&finding);
        self.list.push(finding);
    }
}
