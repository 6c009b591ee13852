//! Configuration: one value that holds every room's options, and the one reader of files and environment.
//!
//! ```text
//!   file ──► file ─┐                                    ┌─► checks ─► warnings
//!   environment ─► env ─► draft (keys, units, seed) ────┼─► Config
//!   arguments ─────┘        └─► mistakes, all of them   └─► effective
//! ```
//!
//! Each room owns its `Options`; no room knows this one. [`load`] takes the layers in the order of their rank
//! (default, file, environment, arguments) and gives either a whole configuration or every mistake at once.
//! What the values mean is told in `proxy.toml` and in the rooms.

mod certificates;
mod checks;
mod commands;
mod draft;
mod effective;
mod env;
mod expand;
mod file;
mod keys;
mod log;
mod mistake;
mod seed;
mod suggest;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use log::{Format, Level, Log};
pub use mistake::{Mistake, Mistakes, Origin};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Listening and threads.
    pub worker: crate::worker::Options,
    /// What clients may do and cost.
    pub client: crate::client::Options,
    /// How nodes are reached.
    pub backend: crate::backend::Options,
    /// Where the cluster is.
    pub cluster: crate::cluster::Options,
    /// The admin port.
    pub admin: crate::admin::Options,
    /// What is logged.
    pub log: Log,
}

impl Config {
    /// The values in use as TOML, with secrets hidden.
    #[must_use]
    pub fn effective(&self) -> String {
        effective::show(self, &BTreeMap::new())
    }
}

/// Where values come from, the strongest last.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; none is read without it.
    pub file: Option<PathBuf>,
    /// The environment, also for `${NAME}` in the file.
    pub env: Vec<(String, String)>,
    /// Arguments: the flag, the path of its key, the value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// Whether a configuration without seeds is a mistake.
    pub seeds_needed: bool,
    /// What is to be looked at of the files of certificates that it names.
    pub certificates: Certificates,
}

/// How closely files of certificates are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificates {
    /// Not at all.
    #[default]
    Unread,
    /// They must be usable; that one has expired is a warning.
    Usable,
    /// They must be valid now.
    Valid,
}

/// A configuration, and what is worth knowing about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What is allowed and deserves a word, each a sentence.
    pub warnings: Vec<String>,
    /// Where each key that is no default was given.
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// The configuration in use as TOML, with the place of each value and with secrets hidden.
    #[must_use]
    pub fn effective(&self) -> String {
        effective::show(&self.config, &self.origins)
    }
}

/// Reads every layer. Either all is right, or all that is wrong is told.
pub fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    let mut draft = draft::Draft::default();
    let read = sources.file.as_ref().is_none_or(|path| read_file(path, &sources.env, &mut draft));
    let mut warnings = env::read(&sources.env, &mut draft);
    for (flag, path, value) in &sources.flags {
        let given = draft::Given::Text { text: value.clone(), loose: true };
        if let Some(key) = keys::find(path) {
            draft.put(key, &given, &Origin::Flag(flag));
        }
    }
    draft.finish();
    warnings.extend(checks::check(&mut draft, sources.seeds_needed && read));
    warnings.extend(certificates::check(&mut draft, sources.certificates));
    if draft.mistakes.is_empty() {
        return Ok(Loaded { config: draft.config, warnings, origins: draft.origins });
    }
    Err(Mistakes::sorted(draft.mistakes))
}

/// False when the file could not be read to its end, so that what is missing may stand in it.
fn read_file(path: &Path, env: &[(String, String)], draft: &mut draft::Draft) -> bool {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            draft.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
            file::read(&name, &text, env, draft)
        }
        Err(error) => {
            let at = Origin::File { name: Arc::from(name), line: 0, column: 0 };
            let wrong = mistake::Wrong::new(format!("cannot read the file: {error}"), "name a file with --config");
            draft.note(wrong, &at, "");
            false
        }
    }
}

/// The path of every key, such as `cluster.seeds`, in the order in which they are shown.
pub fn known_keys() -> impl Iterator<Item = &'static str> {
    keys::KEYS.iter().map(|key| key.path)
}

/// The default of a key as TOML, or `None` when it has none (or there is no such key).
#[must_use]
pub fn default_of(path: &str) -> Option<String> {
    effective::value(keys::find(path)?, &Config::default())
}
