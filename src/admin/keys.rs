//! Hot keys and large values as the status shows them, with the nodes that have them.

use std::sync::PoisonError;

use super::history::round;
use super::status::{BigKey, HotKey, HotKeys};
use crate::client::Process;
use crate::cluster::slot::slot;
use crate::cluster::topology::Topology;
use crate::keyspace::Keyspace;
use crate::telemetry::{Big, HotReport};

/// How many of each are shown.
const SHOWN: usize = 20;

fn report(process: &Process) -> HotReport {
    let of = |tally: &crate::telemetry::Tally| tally.hot.lock().unwrap_or_else(PoisonError::into_inner).clone();
    HotReport::merge(process.tallies.iter().map(|tally| of(tally)))
}

/// The keys that most requests name.
pub(super) fn hot(process: &Process, map: &Topology) -> HotKeys {
    let report = report(process);
    let shown = |thing: &crate::telemetry::heavy::Heavy| {
        let (slot, node) = place(&thing.name, process, map);
        HotKey {
            key: told(&thing.name),
            per_second: round(report.per_second(thing.weight)),
            percent: round(100.0 * report.share(thing.weight)),
            percent_too_much: round(100.0 * report.share(thing.error)),
            slot,
            node,
        }
    };
    let keys = report.keys.things.iter().take(SHOWN).map(shown).collect();
    HotKeys { on: report.on, seconds: round(report.seconds), sampled: report.sampled, keys }
}

/// The keys with the largest values.
pub(super) fn big(process: &Process, map: &Topology) -> Vec<BigKey> {
    let shown = |big: Big| {
        let (slot, node) = place(&big.key, process, map);
        let Big { key, command, request_bytes, reply_bytes, times, at_ms } = big;
        BigKey { key: told(&key), command: command.into(), request_bytes, reply_bytes, times, at_ms, slot, node }
    };
    report(process).big.into_iter().take(SHOWN).map(shown).collect()
}

fn place(key: &[u8], process: &Process, map: &Topology) -> (u16, Option<String>) {
    let slot = process.options.keyspace.as_ref().map_or_else(|| slot(key), Keyspace::slot);
    let owner = map.slots.get(usize::from(slot)).and_then(|owner| map.node(*owner));
    (slot, owner.map(|node| node.addr.to_string()))
}

/// A key as a text: as it is if people can read it.
fn told(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.escape_ascii().to_string(),
    }
}
