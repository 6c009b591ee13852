//! A slot with very many keys: the walk over its node's own table.

use super::cursor::{self, AT_BITS, Spot};
use super::filter::Filter;
use super::slots::{Key, Says, probe, text};
use crate::cluster::slot::slot;
use crate::merge::errand::{Answers, Asks, To};
use crate::resp::Proto;
use crate::resp::value::Value;

/// The least number of buckets that one step looks at.
const LEAST: usize = 100;
/// A slot with more keys is never asked for as a whole.
pub(super) const WHOLE: usize = 100_000;

/// A step in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) spot: Spot,
    /// The node's cursor; its rounded form is `spot.at`.
    pub(super) cursor: u64,
    /// How much of the table to look at.
    pub(super) count: usize,
    /// Whether a client's cursor can say that the walk is here.
    pub(super) sayable: bool,
}

impl Step {
    /// The step that a client's cursor asks for.
    pub(super) fn at(spot: Spot, filter: &Filter) -> Self {
        let at = u64::from(spot.at);
        let cursor = if spot.own { at << AT_BITS | u64::from(spot.slot) } else { at };
        Self { spot, cursor, count: filter.count.max(LEAST), sayable: true }
    }

    /// Asks for it, between questions for who answers.
    pub(super) fn ask(&self, filter: &Filter, asks: &mut Asks) {
        let to = To::Owner(self.spot.slot);
        probe(self.spot.slot, to, asks);
        identity(to, asks);
        let (cursor, count) = (self.cursor.to_string(), self.count.to_string());
        let mut words: Vec<&[u8]> = vec![b"SCAN", cursor.as_bytes(), b"COUNT", count.as_bytes()];
        if let Some(pattern) = &filter.pattern {
            words.extend([b"MATCH".as_slice(), pattern]);
        }
        if let Some(kind) = &filter.kind {
            words.extend([b"TYPE".as_slice(), kind]);
        }
        asks.add(to, &words);
        probe(self.spot.slot, to, asks);
    }

    /// Reads the answers: keys of the slot, and the next step; `None` at the slot's end.
    pub(super) fn read(&self, answers: &Answers, proto: Proto) -> Result<(Vec<Key>, Option<Self>), Says> {
        let says = Says::of(answers.part(0)).and(Says::of(answers.part(4)));
        if says != Says::Rests {
            return Err(says);
        }
        let who = Who::read(answers.part(1), answers.part(2), proto).ok_or(Says::Elsewhere)?;
        if who.process != self.spot.process || who.own_tables != self.spot.own {
            return Err(Says::Elsewhere);
        }
        let reply = answers.part(3);
        let Ok(Some((Value::Array(parts), _))) = Value::read(reply, proto, usize::MAX >> 8) else {
            return Err(if reply.starts_with(b"-") { Says::Refuses(reply.to_vec()) } else { Says::Elsewhere });
        };
        let mut parts = parts.into_iter();
        let next = parts.next().as_ref().and_then(Value::text).and_then(|text| text.parse().ok());
        let next: u64 = next.ok_or(Says::Elsewhere)?;
        let Some(Value::Array(found)) = parts.next() else { return Err(Says::Elsewhere) };
        let keys = found.into_iter().filter_map(text).filter(|key| slot(key) == self.spot.slot).collect();
        Ok((keys, self.next(next)))
    }

    fn next(&self, cursor: u64) -> Option<Self> {
        const LOW: u64 = (1 << AT_BITS) - 1;
        let own = self.spot.own;
        if cursor == 0 || (own && cursor & LOW != u64::from(self.spot.slot)) {
            return None;
        }
        let at = ((if own { cursor >> AT_BITS } else { cursor }) & LOW) as u16;
        let moved = at != self.spot.at;
        // In a very large table one rounded cursor stands for many buckets: they are taken in ever larger steps.
        let count = if moved { self.count } else { self.count.saturating_mul(2).min(WHOLE) };
        Some(Self { spot: Spot { at, ..self.spot }, cursor, count, sayable: moved })
    }
}

/// Asks who a node is; two parts.
fn identity(to: To, asks: &mut Asks) {
    asks.add(to, &[b"INFO", b"server"]);
    asks.add(to, &[b"CLUSTER", b"INFO"]);
}

/// Who answered.
struct Who {
    process: u32,
    /// Whether each slot has a table of its own: Redis from 7.4, Valkey from 8.0.
    own_tables: bool,
}

impl Who {
    fn read(server: &[u8], cluster: &[u8], proto: Proto) -> Option<Self> {
        let (server, _) = Value::read(server, proto, usize::MAX >> 8).ok()??;
        let (cluster, _) = Value::read(cluster, proto, usize::MAX >> 8).ok()??;
        let version = |name| field(&server, name).map(major_minor);
        let own_tables = match version("valkey_version") {
            Some(valkey) => valkey >= (8, 0),
            None => version("redis_version")? >= (7, 4),
        };
        let process = cursor::process(field(&server, "run_id")?, field(&cluster, "cluster_my_epoch")?);
        Some(Self { process, own_tables })
    }
}

fn field<'a>(info: &'a Value, name: &str) -> Option<&'a str> {
    info.text()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn major_minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Asks how many keys a slot has and how many its node has.
pub(super) fn weigh(of: u16, asks: &mut Asks) {
    let to = To::Owner(of);
    probe(of, to, asks);
    identity(to, asks);
    asks.add(to, &[b"CLUSTER", b"COUNTKEYSINSLOT", of.to_string().as_bytes()]);
    asks.add(to, &[b"DBSIZE"]);
    probe(of, to, asks);
}

/// Reads the answers to [`weigh`]: the first step in the table, or `None` if the slot is better asked for as a whole.
pub(super) fn weighed(of: u16, answers: &Answers, proto: Proto, filter: &Filter) -> Result<Option<Step>, Says> {
    let says = Says::of(answers.part(0)).and(Says::of(answers.part(5)));
    if says != Says::Rests {
        return Err(says);
    }
    let who = Who::read(answers.part(1), answers.part(2), proto).ok_or(Says::Elsewhere)?;
    let number = |part| crate::resp::reply::integer(answers.part(part)).ok_or(Says::Elsewhere);
    let (slot_keys, node_keys) = (number(3)?, number(4)?);
    // The whole table is walked for the one slot, unless the slot has its own.
    let by_table = slot_keys > WHOLE as i64 || who.own_tables || slot_keys.saturating_mul(8) >= node_keys;
    let spot = Spot { slot: of, own: who.own_tables, at: 0, process: who.process };
    Ok(by_table.then(|| Step::at(spot, filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(own: bool, at: u16) -> Step {
        let filter = Filter { count: 10, pattern: None, kind: None };
        Step::at(Spot { slot: 77, own, at, process: 5 }, &filter)
    }

    #[test]
    fn a_rounded_cursor_is_never_ahead_of_the_nodes() {
        // Positions in the order of the walk: the bits from the lowest to the highest.
        let place = |cursor: u64| cursor.reverse_bits();
        for cursor in [1_u64, 0x3fff, 0x1_2345, 0xffff_ffff, (1 << 40) + 9] {
            let next = step(false, 0).next(cursor).expect("not at the end");
            assert!(place(u64::from(next.spot.at)) <= place(cursor));
            assert_eq!(next.cursor, cursor);
        }
    }

    #[test]
    fn a_step_that_gets_nowhere_in_the_cursor_is_followed_by_larger_ones() {
        let stuck = step(false, 0).next(1 << 20).expect("not at the end");
        assert!(!stuck.sayable && stuck.count == 200);
        let free = stuck.next(1 << 13).expect("not at the end");
        assert!(free.sayable && free.spot.at == 1 << 13);
    }

    #[test]
    fn a_slot_with_a_table_of_its_own_ends_where_the_next_one_begins() {
        let own = step(true, 3);
        let cursor = |at: u64, slot: u64| (at << 14) + slot;
        assert_eq!(own.cursor, cursor(3, 77));
        assert!(own.next(78).is_none());
        assert!(own.next(0).is_none());
        assert_eq!(own.next(cursor(4, 77)).map(|next| next.spot.at), Some(4));
    }

    #[test]
    fn versions_tell_whose_table_it_is() {
        let who = |server: &str| {
            let server = format!("# Server\r\n{server}\r\nrun_id:abc\r\n");
            let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len()).into_bytes();
            Who::read(&bulk(&server), &bulk("cluster_my_epoch:3\r\n"), Proto::Resp2).map(|who| who.own_tables)
        };
        assert_eq!(who("redis_version:7.0.15"), Some(false));
        assert_eq!(who("redis_version:7.4.0"), Some(true));
        assert_eq!(who("redis_version:7.2.4\r\nvalkey_version:8.0.1"), Some(true));
        assert_eq!(who("redis_version:7.2.4\r\nvalkey_version:7.2.5"), Some(false));
        assert_eq!(who("nothing:1"), None);
    }
}
