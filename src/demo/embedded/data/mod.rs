//! The commands on data, one file a type. They know nothing of slots, nodes and connections.

mod hashes;
mod keys;
mod lists;
mod sets;
mod sorted;
mod strings;
pub(super) mod waiting;
mod walk;

use super::command::Command;

/// The rows of every file here.
pub(super) const COMMANDS: [&[Command]; 8] = [
    strings::COMMANDS,
    keys::COMMANDS,
    walk::COMMANDS,
    lists::COMMANDS,
    hashes::COMMANDS,
    sets::COMMANDS,
    sorted::COMMANDS,
    waiting::COMMANDS,
];

/// The elements of `start..=stop` as commands count them: negative numbers from the end, out of range clipped.
fn slice(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_end = |i: i64| if i < 0 { i.saturating_add(len).max(0) } else { i };
    let (start, stop) = (from_end(start), if stop < -len { -1 } else { from_end(stop) });
    let end = stop.saturating_add(1).min(len);
    if start >= end { 0..0 } else { start as usize..end as usize }
}

/// When a key expires if it is told so in `unit_ms` steps: an absolute time, or that much from now.
/// Nothing if it is beyond what fits.
fn deadline(amount: i64, unit_ms: i64, since_ms: u64) -> Option<i64> {
    amount.checked_mul(unit_ms)?.checked_add(i64::try_from(since_ms).ok()?)
}
