//! The rows: one line a command, one file a family, in the words of `COMMAND INFO`.
//!
//! A row reads: name, arity, where its keys stand, flags, plan, and the table of its subcommands. Here stand the
//! ways in which keys may stand, and the rows are gathered and numbered while the program is compiled. A live
//! test compares every row with a server's own.

use super::{Keys, Plan, Spec, Wording};

/// Rows, written as `"name" arity KEYS [FLAGS] plan => SUBCOMMANDS;`.
macro_rules! rows {
    ($($name:literal $arity:literal $keys:ident [$($flag:ident)*] $plan:expr $(=> $subs:ident)?;)*) => {
        &[$(Spec::row($name, $arity, $keys, Flags::NONE$(.or(Flags::$flag))*, $plan)$(.holding($subs))?),*]
    };
}

mod bits;
mod cluster;
mod geo;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod scripts;
mod server;
mod sessions;
mod sets;
mod streams;
mod strings;
mod zsets;

const FAMILIES: [&[Spec]; 14] = [
    strings::ROWS,
    lists::ROWS,
    hashes::ROWS,
    sets::ROWS,
    zsets::ROWS,
    streams::ROWS,
    geo::ROWS,
    bits::ROWS,
    keys::ROWS,
    scripts::ROWS,
    pubsub::ROWS,
    sessions::ROWS,
    cluster::ROWS,
    server::ROWS,
];

const fn range(first: u8, last: i8, step: u8) -> Keys {
    Keys::Range { first, last, step }
}

const fn counted(at: u8, wording: Wording) -> Keys {
    Keys::Counted { at, wording }
}

const NONE: &[Keys] = &[];
const KEY: &[Keys] = &[range(1, 1, 1)];
const SECOND: &[Keys] = &[range(2, 2, 1)];
const TWO: &[Keys] = &[range(1, 2, 1)];
const KEYS: &[Keys] = &[range(1, -1, 1)];
const FROM_2: &[Keys] = &[range(2, -1, 1)];
const BUT_LAST: &[Keys] = &[range(1, -2, 1)];
const PAIRS: &[Keys] = &[range(1, -1, 2)];
const EVAL: &[Keys] = &[counted(2, Wording::Script)];
const FCALL: &[Keys] = &[counted(2, Wording::Function)];
const COUNTED_SETS: &[Keys] = &[counted(1, Wording::Sets)];
const COUNTED_ZSETS: &[Keys] = &[counted(1, Wording::SortedSets)];
const ZSETS_TO: &[Keys] = &[range(1, 1, 1), counted(2, Wording::SortedSets)];
const POP: &[Keys] = &[counted(1, Wording::Pop)];
const TIMED_POP: &[Keys] = &[counted(2, Wording::Pop)];
const STREAMS: &[Keys] = &[Keys::Streams];
const SORT: &[Keys] =
    &[range(1, 1, 1), Keys::After { words: &["STORE"], from: 2, options: &[("BY", 1), ("GET", 1), ("LIMIT", 2)] }];
// A node looks from there on, whichever of the two it is.
const RADIUS: &[Keys] = &[range(1, 1, 1), Keys::After { words: &["STORE", "STOREDIST"], from: 5, options: &[] }];
// It is refused, so the form with several keys at its end needs no rule.
const MIGRATE: &[Keys] = &[range(3, 3, 1)];

/// How many commands there are, subcommands apart.
pub const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

/// How many commands and subcommands there are.
pub const TOTAL: usize = {
    let (mut total, mut row) = (COUNT, 0);
    while row < COUNT {
        total += LISTED[row].subs.len();
        row += 1;
    }
    total
};

const BLANK: Spec = Spec::row("", 0, NONE, super::Flags::NONE, Plan::Local);

/// The families one after the other, numbered.
static LISTED: [Spec; COUNT] = {
    let mut listed = [BLANK; COUNT];
    let (mut at, mut family, mut row) = (0, 0, 0);
    while at < COUNT {
        if row == FAMILIES[family].len() {
            (family, row) = (family + 1, 0);
            continue;
        }
        listed[at] = FAMILIES[family][row];
        listed[at].index = at as u16;
        (at, row) = (at + 1, row + 1);
    }
    listed
};

/// The subcommands of all containers one after the other, numbered from [`COUNT`].
static SUBS: [Spec; TOTAL - COUNT] = {
    let mut subs = [BLANK; TOTAL - COUNT];
    let (mut at, mut row, mut sub) = (0, 0, 0);
    while at < TOTAL - COUNT {
        if sub == LISTED[row].subs.len() {
            (row, sub) = (row + 1, 0);
            continue;
        }
        subs[at] = LISTED[row].subs[sub];
        subs[at].parent = Some(LISTED[row].name);
        subs[at].index = (COUNT + at) as u16;
        (at, sub) = (at + 1, sub + 1);
    }
    subs
};

/// The commands; a row's place is its index, and its subcommands are the numbered ones.
pub(super) static ROWS: [Spec; COUNT] = {
    let mut rows = LISTED;
    let (mut row, mut rest) = (0, &SUBS as &[Spec]);
    while row < COUNT {
        let (subs, after) = rest.split_at(rows[row].subs.len());
        (rows[row].subs, rest) = (subs, after);
        row += 1;
    }
    rows
};

/// Every command, in the order of their indices; subcommands are in `subs` of theirs.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    ROWS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Flags;

    #[test]
    fn indices_are_dense_and_each_sub_knows_its_parent() {
        for (place, spec) in all().enumerate() {
            assert_eq!(usize::from(spec.index), place, "{}", spec.name);
            assert_eq!(spec.parent, None);
            assert!(spec.subs.iter().all(|sub| sub.parent == Some(spec.name)), "{}", spec.name);
        }
        let subs: Vec<usize> = all().flat_map(|spec| spec.subs).map(|sub| usize::from(sub.index)).collect();
        assert_eq!(subs, (COUNT..TOTAL).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_cannot_break_anything_is_split() {
        let split: Vec<&str> = all().filter(|spec| matches!(spec.plan, Plan::Split(_))).map(|spec| spec.name).collect();
        assert_eq!(split, ["mget", "mset", "del", "exists", "touch", "unlink"]);
    }

    #[test]
    fn keys_are_behind_the_name_and_apart() {
        for rule in all().flat_map(|spec| std::iter::once(spec).chain(spec.subs)).flat_map(|spec| spec.keys) {
            if let Keys::Range { first, last, step } = rule {
                assert!(*first > 0 && *last != 0 && *step > 0, "{rule:?}");
            }
        }
    }

    #[test]
    fn a_plan_that_needs_keys_has_keys_and_one_that_waits_is_flagged_so() {
        for spec in all().flat_map(|spec| std::iter::once(spec).chain(spec.subs)) {
            let by_key = matches!(spec.plan, Plan::ByKey | Plan::Split(_));
            assert!(!by_key || !spec.keys.is_empty(), "{}", spec.full_name());
            let waits = spec.plan == Plan::Pin(crate::command::Pin::Blocking);
            // Servers do not flag WAIT, which waits for replicas and not for data.
            assert!(!waits || spec.name == "wait" || spec.flags.has(Flags::BLOCKING), "{}", spec.full_name());
        }
    }
}
