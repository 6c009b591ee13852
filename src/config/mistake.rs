//! What is wrong with a configuration, where it stands, and what to write instead.
//!
//! Mistakes are collected, never thrown at the first: who starts the proxy sees all of them in one go.

use std::fmt;
use std::sync::Arc;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file.
    File {
        /// The file's name as it was given.
        name: Arc<str>,
        /// Line, counted from 1; 0 when the whole file is meant.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
    },
    /// In an environment variable.
    Env(String),
    /// In an argument of the command line.
    Flag(&'static str),
}

impl Origin {
    /// Which layer the value came from: a higher one overrides a lower one.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Env(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("configuration"),
            Self::File { name, line: 0, .. } => f.write_str(name),
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One mistake. `Display` is a line of its own: `proxy.toml:12:5: cluster.seeds: what is wrong; what to write`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub at: Origin,
    /// The path of its key, such as `cluster.seeds`; empty when no key is concerned.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What to write or do instead.
    pub instead: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.wrong, self.instead)
    }
}

/// All that is wrong with a configuration; never empty. `Display` is one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// That the configuration could not be read at all.
    #[must_use]
    pub fn of_reading(error: &dyn fmt::Display) -> Self {
        let wrong = Wrong::new(format!("it cannot be read: {error}"), "try again");
        Self(vec![wrong.at(Origin::Default, "")])
    }

    /// In the order in which a reader meets them: no place at all, the file from its top, environment, arguments.
    pub(super) fn sorted(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.at.cmp(&b.at));
        mistakes.dedup();
        Self(mistakes)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// What is wrong with a value, before anybody knows where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong.
    pub(super) what: String,
    /// What to write instead.
    pub(super) instead: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into() }
    }

    pub(super) fn at(self, at: Origin, key: &str) -> Mistake {
        Mistake { at, key: key.to_owned(), wrong: self.what, instead: self.instead }
    }
}

impl From<super::units::Unreadable> for Wrong {
    fn from((what, instead): super::units::Unreadable) -> Self {
        Self::new(what, instead)
    }
}
