//! Slots and what nodes say of them: the probe, the keys, and what an answer means.

use std::sync::OnceLock;

use crate::cluster::slot::{SLOTS, slot};
use crate::merge::errand::{Asks, To};
use crate::resp::Proto;
use crate::resp::value::Value;

/// The name of a key.
pub(super) type Key = Box<[u8]>;

/// More than any slot holds.
pub(super) const ALL: usize = 1 << 30;

/// What a node says of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It owns the slot and gives none of its keys away.
    Rests,
    /// The slot is on its way to another node.
    Moves,
    /// It is not the one to ask, or could not be asked.
    Elsewhere,
    /// It refuses: the client gets to know why.
    Refuses(Vec<u8>),
}

impl Says {
    /// Reads the answer to a probe.
    pub(super) fn of(reply: &[u8]) -> Self {
        match reply {
            b"$-1\r\n" | b"_\r\n" => Self::Rests,
            [b'-' | b'!', ..] => Self::of_error(reply),
            // Somebody made a key of the probe's name: it says nothing of the others.
            [_, ..] => Self::Moves,
            [] => Self::Elsewhere,
        }
    }

    fn of_error(reply: &[u8]) -> Self {
        let code = reply.get(1..).unwrap_or_default();
        let code = code.split(|byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default();
        match code {
            b"ASK" | b"TRYAGAIN" => Self::Moves,
            b"MOVED" | b"CLUSTERDOWN" | b"LOADING" | b"READONLY" | b"NOAUTH" | b"PROXYUNSENT" | b"PROXYUNKNOWN" => {
                Self::Elsewhere
            }
            _ => Self::Refuses(reply.to_vec()),
        }
    }

    /// What both say; the worse one counts.
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::Rests { other } else { self }
    }
}

/// The keys in the answer to `CLUSTER GETKEYSINSLOT`.
pub(super) fn keys(reply: &[u8], proto: Proto) -> Result<Vec<Key>, Says> {
    match Value::read(reply, proto, usize::MAX >> 8) {
        Ok(Some((Value::Array(found), _))) => Ok(found.into_iter().filter_map(text).collect()),
        _ if matches!(reply, [b'-' | b'!', ..]) => Err(Says::of_error(reply)),
        _ => Err(Says::Elsewhere),
    }
}

/// A string that was read.
pub(super) fn text(value: Value) -> Option<Key> {
    if let Value::Text(bytes) = value { Some(bytes.into()) } else { None }
}

/// Asks what `to` says of the slot: a read that counts as no miss and changes nothing.
pub(super) fn probe(of: u16, to: To, asks: &mut Asks) {
    let key = format!("{{{}}}:slotway-probe", tag(of));
    asks.add(to, &[b"MEMORY", b"USAGE", key.as_bytes()]);
}

/// Asks for at most `most` keys of the slot.
pub(super) fn list(of: u16, most: usize, to: To, asks: &mut Asks) {
    let (of, most) = (of.to_string(), most.to_string());
    asks.add(to, &[b"CLUSTER", b"GETKEYSINSLOT", of.as_bytes(), most.as_bytes()]);
}

/// A number whose digits are in this slot.
fn tag(of: u16) -> u32 {
    static TAGS: OnceLock<Box<[u32]>> = OnceLock::new();
    let tags = TAGS.get_or_init(|| {
        let mut tags = vec![u32::MAX; usize::from(SLOTS)];
        let mut left = tags.len();
        for number in 0_u32.. {
            let place = usize::from(slot(number.to_string().as_bytes()));
            if let Some(place) = tags.get_mut(place).filter(|place| **place == u32::MAX) {
                *place = number;
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        tags.into()
    });
    tags.get(usize::from(of)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_probe() {
        for of in 0..SLOTS {
            assert_eq!(slot(format!("{{{}}}:slotway-probe", tag(of)).as_bytes()), of);
        }
    }

    #[test]
    fn answers_are_understood() {
        assert_eq!(Says::of(b"$-1\r\n"), Says::Rests);
        assert_eq!(Says::of(b"_\r\n"), Says::Rests);
        assert_eq!(Says::of(b":56\r\n"), Says::Moves, "a key that exists is served by a node that gives others away");
        assert_eq!(Says::of(b"-ASK 1 h:1\r\n"), Says::Moves);
        assert_eq!(Says::of(b"-MOVED 1 h:1\r\n"), Says::Elsewhere);
        assert_eq!(Says::of(b""), Says::Elsewhere);
        assert!(matches!(Says::of(b"-NOPERM no\r\n"), Says::Refuses(_)));
        assert_eq!(Says::Rests.and(Says::Moves), Says::Moves);
        assert_eq!(Says::Elsewhere.and(Says::Rests), Says::Elsewhere);
    }
}
