//! What is told of commands beyond what the proxy goes by: groups, categories, tips, key specifications.
//!
//! Only COMMAND and its subcommands ask for it, so it stands as a text beside the table and is read when it is first
//! needed. A live test compares it with what a server tells.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Flags, Spec};
use crate::resp::request::Request;

/// One line a command; the file says how it reads.
const TEXT: &str = include_str!("told.txt");

/// Every category of access rights, in the order in which servers name them.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// What is told of one command.
#[derive(Debug, Default)]
pub struct Told {
    /// The group in the documentation, such as `string`; empty if it is not known.
    pub group: &'static str,
    /// The version in which it came; empty if it is not known.
    pub since: &'static str,
    /// For clients of a cluster.
    pub tips: Vec<&'static str>,
    /// Where its keys stand and what happens to them.
    pub keys: Vec<KeySpec>,
    /// One sentence; empty for subcommands.
    pub summary: &'static str,
    categories: Vec<&'static str>,
}

/// Where keys stand and what happens to them.
#[derive(Debug)]
pub struct KeySpec {
    /// Such as `RW`, `insert`.
    pub flags: Vec<&'static str>,
    /// Where the search begins.
    pub begin: Begin,
    /// How the keys are found from there.
    pub find: Find,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(i64),
    /// Behind this word, which is searched from an argument on.
    Keyword(&'static str, i64),
    /// It cannot be told.
    Unknown,
}

/// How keys are found from where the search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Last key, step and limit.
    Range(i64, i64, i64),
    /// Index of the count, first key and step.
    Count(i64, i64, i64),
    /// It cannot be told.
    Unknown,
}

/// What is told of a command; nothing of those that are the proxy's own.
#[must_use]
pub fn told(spec: &Spec) -> &'static Told {
    static ALL: OnceLock<HashMap<&'static str, Told>> = OnceLock::new();
    static NOTHING: OnceLock<Told> = OnceLock::new();
    let all = ALL.get_or_init(|| TEXT.lines().filter(|line| !line.starts_with('#')).filter_map(read).collect());
    all.get(spec.full_name().as_str()).unwrap_or_else(|| NOTHING.get_or_init(Told::default))
}

/// The categories of access rights that a command belongs to, in the order of servers.
#[must_use]
pub fn categories(spec: &Spec) -> Vec<&'static str> {
    let more = &told(spec).categories;
    let has = |flag: Flags| spec.flags.has(flag);
    let belongs = |name: &&str| match *name {
        "write" => has(Flags::WRITE),
        "read" => has(Flags::READONLY) && !more.contains(&"scripting"),
        "pubsub" => has(Flags::PUBSUB),
        "blocking" => has(Flags::BLOCKING),
        "fast" => has(Flags::FAST),
        "slow" => !has(Flags::FAST),
        "admin" | "dangerous" if has(Flags::ADMIN) => true,
        other => more.contains(&other),
    };
    CATEGORIES.into_iter().filter(belongs).collect()
}

fn read(line: &'static str) -> Option<(&'static str, Told)> {
    let mut fields = line.split(';');
    let mut next = || fields.next();
    let (name, group, since) = (next()?, next()?, next()?);
    let tips = next()?.split_whitespace().collect();
    let categories = next()?.split_whitespace().collect();
    let keys = next()?.split(" / ").filter(|spec| !spec.is_empty()).map(key_spec).collect::<Option<_>>()?;
    Some((name, Told { group, since, tips, keys, summary: next()?, categories }))
}

fn key_spec(text: &'static str) -> Option<KeySpec> {
    let (flags, place) = text.split_once(" @")?;
    let (begin, find) = place.split_once(' ')?;
    let begin = match begin.split_once(':') {
        Some((word, from)) => Begin::Keyword(word, from.parse().ok()?),
        None => begin.parse().map_or(Begin::Unknown, Begin::Index),
    };
    let numbers = |text: &str| -> Option<[i64; 3]> {
        let numbers: Option<Vec<i64>> = text.split(',').map(|number| number.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let find = match (find.strip_prefix('r'), find.strip_prefix('n')) {
        (Some(range), _) => numbers(range).map(|[last, step, limit]| Find::Range(last, step, limit))?,
        (_, Some(count)) => numbers(count).map(|[at, first, step]| Find::Count(at, first, step))?,
        _ => Find::Unknown,
    };
    Some(KeySpec { flags: flags.split_whitespace().collect(), begin, find })
}

impl KeySpec {
    /// Whether it covers argument `at` of `request`. One that cannot tell where its keys are covers nothing.
    #[must_use]
    pub fn covers(&self, request: &Request<'_>, at: usize) -> bool {
        let begin = match self.begin {
            Begin::Index(index) => usize::try_from(index).ok(),
            // The last one counts, as it does for the node.
            Begin::Keyword(word, _) => {
                let found = (1..request.argc())
                    .rev()
                    .find(|at| request.arg(*at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes())));
                found.map(|at| at + 1)
            }
            Begin::Unknown => None,
        };
        let Some(begin) = begin else { return false };
        match self.find {
            Find::Range(last, step, _) if last >= 0 => {
                (begin..=begin + last as usize).step_by(step.max(1) as usize).any(|key| key == at)
            }
            Find::Range(_, step, _) => at >= begin && (at - begin).is_multiple_of(step.max(1) as usize),
            Find::Count(_, first, _) => at >= begin + first as usize,
            Find::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{all, lookup};

    #[test]
    fn every_line_is_read_and_belongs_to_a_command() {
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let (name, _) = read(line).unwrap_or_else(|| panic!("{line}"));
            let spec = match name.split_once('|') {
                Some((parent, sub)) => lookup(parent.as_bytes()).and_then(|spec| spec.sub(sub.as_bytes())),
                None => lookup(name.as_bytes()),
            };
            assert!(spec.is_some(), "{name}");
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        for spec in all() {
            assert!(told(spec).summary.ends_with('.'), "{}", spec.name);
        }
    }

    #[test]
    fn categories_come_from_flags_and_from_the_text() {
        let of = |name: &[u8]| categories(lookup(name).expect("a known command")).join(" ");
        assert_eq!(of(b"get"), "read string fast");
        assert_eq!(of(b"blpop"), "write list slow blocking");
        assert_eq!(of(b"eval_ro"), "slow scripting");
        assert_eq!(of(b"shutdown"), "admin slow dangerous");
    }
}
