//! Where a request goes: its row and its arguments in, a [`Route`] out.
//!
//! Slots only; which node owns one is the backend's business, and so is sending. Reads no clock, does no I/O.

use crate::cluster::slot::slot;
use crate::command::keys::{self, KeysError};
use crate::command::{Keys, Merge, Pin, Plan, Refusal, Spec, Wording};
use crate::merge::Gather;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the owner of this slot.
    Slot(u16),
    /// To any primary.
    Any,
    /// In parts to the owners of several slots: [`Parts`] has them.
    Split(Merge),
    /// To every primary.
    Everywhere(Merge),
    /// Nowhere: the proxy answers.
    Local,
    /// To a connection that only its client uses.
    Pin(Pin),
    /// Nowhere: the client begins or ends subscriptions.
    Subscribe,
    /// To the owner of this slot, which is that of a channel.
    Publish(u16),
}

/// Why a request goes nowhere; worded as the client gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its keys are in several slots and it cannot be split.
    #[error("CROSSSLOT Keys in request don't hash to the same slot")]
    CrossSlot,
    /// Its keys cannot be told.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// It acts on one server.
    #[error("ERR '{}' is not available through slotway: it acts on one server; connect to that server itself", .0.full_name())]
    Admin(&'static Spec),
}

/// The keys of a request that is split, by slot and in the caller's order within a slot. One a worker.
#[derive(Debug, Default)]
pub struct Parts {
    /// Slot in the upper half, the key's argument in the lower.
    keys: Vec<u64>,
}

/// One part of a split request.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The slot of all its keys.
    pub slot: u16,
    keys: &'a [u64],
}

impl Part<'_> {
    /// How many keys it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no key; it always has one.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The arguments that are its keys, in the caller's order.
    pub fn arguments(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().map(|&key| key as u32 as usize)
    }

    /// Appends the request for this part alone: the same command, and `step` arguments for each key.
    pub fn write(&self, request: &Request<'_>, step: usize, out: &mut Vec<u8>) {
        encode::array(out, 1 + self.keys.len() * step);
        out.extend_from_slice(request.framed(0).unwrap_or_default());
        for at in self.arguments() {
            for argument in at..at + step {
                out.extend_from_slice(request.framed(argument).unwrap_or_default());
            }
        }
    }
}

impl Parts {
    /// How many keys all parts have together.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.keys.len()
    }

    /// What folds the replies to all parts, for a command with `step` arguments for each key.
    #[must_use]
    pub fn gather(&self, merge: Merge, proto: Proto, step: usize) -> Gather {
        let first = self.iter().filter_map(|part| part.arguments().next()).min().unwrap_or(1);
        let mut order = Vec::with_capacity(self.keys());
        let mut starts = Vec::with_capacity(self.keys());
        for part in self.iter() {
            starts.push(order.len() as u32);
            order.extend(part.arguments().map(|at| ((at - first) / step) as u32));
        }
        match merge {
            Merge::Concat => Gather::ordered(merge, proto, order, starts),
            _ => Gather::new(merge, proto, starts.len() as u32),
        }
    }

    /// The parts, one a slot.
    pub fn iter(&self) -> impl Iterator<Item = Part<'_>> {
        self.keys
            .chunk_by(|a, b| a >> 32 == b >> 32)
            .map(|keys| Part { slot: keys.first().map_or(0, |&key| (key >> 32) as u16), keys })
    }
}

/// How many arguments belong to each key of a split command: 2 for MSET.
#[must_use]
pub fn step(spec: &Spec) -> usize {
    match spec.keys {
        [Keys::Range { step, .. }] => usize::from(*step),
        _ => 1,
    }
}

/// Finds the route of `request`, which is one of `spec`. For [`Route::Split`], `parts` holds the parts after.
#[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
#[inline(always)]
pub fn route(spec: &'static Spec, request: &Request<'_>, parts: &mut Parts) -> Result<Route, Refused> {
    match spec.plan_for(request) {
        Plan::ByKey if spec.has_sole_key() => Ok(sole_slot(request)),
        Plan::ByKey => match one_slot(spec, request) {
            Ok(Some(slot)) => Ok(Route::Slot(slot)),
            Ok(None) => Ok(Route::Any),
            Err(refused) => nodes_word(spec, refused),
        },
        Plan::Split(merge) => split(spec, request, merge, parts),
        Plan::Primaries(merge) | Plan::AllNodes(merge) => Ok(Route::Everywhere(merge)),
        Plan::AnyNode => Ok(Route::Any),
        Plan::Local => Ok(Route::Local),
        Plan::Pin(Pin::Subscribe) => Ok(Route::Subscribe),
        Plan::Publish => Ok(Route::Publish(slot(request.arg(1).unwrap_or_default()))),
        Plan::Refuse(Refusal::Admin) => Err(Refused::Admin(spec)),
        Plan::Pin(pin) => Ok(Route::Pin(pin)),
    }
}

/// Where a server looks at something else before it counts keys (the script, the other options), what is wrong is
/// for a node to say: without keys any one will do, and none runs what is not for its slots.
#[cold]
fn nodes_word(spec: &Spec, refused: Refused) -> Result<Route, Refused> {
    let says_later = match spec.keys {
        [Keys::Counted { wording, .. }] => matches!(wording, Wording::Function | Wording::Script),
        [Keys::Streams] | [Keys::Told { .. }, ..] => true,
        _ => false,
    };
    if says_later && matches!(refused, Refused::Keys(_)) { Ok(Route::Any) } else { Err(refused) }
}

/// Where a request of the commonest form goes: its key is the first argument.
#[inline]
fn sole_slot(request: &Request<'_>) -> Route {
    request.arg(1).map_or(Route::Any, |key| Route::Slot(slot(key)))
}

/// The one slot of all keys; `None` without keys.
pub fn one_slot(spec: &Spec, request: &Request<'_>) -> Result<Option<u16>, Refused> {
    let mut found = None;
    let mut crossed = false;
    keys::each_key(spec, request, |at| {
        let slot = slot(request.arg(at).unwrap_or_default());
        crossed |= found.is_some_and(|other| other != slot);
        found = Some(slot);
    })?;
    if crossed { Err(Refused::CrossSlot) } else { Ok(found) }
}

fn split(spec: &Spec, request: &Request<'_>, merge: Merge, parts: &mut Parts) -> Result<Route, Refused> {
    let keys = &mut parts.keys;
    keys.clear();
    keys::each_key(spec, request, |at| {
        let slot = slot(request.arg(at).unwrap_or_default());
        keys.push(u64::from(slot) << 32 | at as u64);
    })?;
    let Some(&first) = keys.first() else { return Ok(Route::Any) };
    if keys.iter().all(|key| key >> 32 == first >> 32) {
        return Ok(Route::Slot((first >> 32) as u16));
    }
    keys.sort_unstable();
    Ok(Route::Split(merge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup;
    use crate::resp::request::{Args, Decoder, Limits, Step};

    const LIMITS: Limits = Limits { args: 1000, bulk: 1000, frame: 100_000, unauthenticated: false };

    fn routed<T>(line: &str, then: impl FnOnce(&Request<'_>, &Parts, Result<Route, Refused>) -> T) -> T {
        let (mut args, line) = (Args::default(), format!("{line}\r\n"));
        let Ok(Step::Request { used, inline }) = Decoder::default().step(line.as_bytes(), &mut args, &LIMITS) else {
            panic!("no request: {line}")
        };
        let request = args.request(line.as_bytes(), used, inline);
        let spec = lookup(request.name()).unwrap();
        let mut parts = Parts::default();
        let route = route(spec, &request, &mut parts);
        then(&request, &parts, route)
    }

    fn route_of(line: &str) -> Result<Route, Refused> {
        routed(line, |_, _, route| route)
    }

    #[test]
    fn keys_of_one_slot_go_to_its_owner() {
        assert_eq!(route_of("GET foo"), Ok(Route::Slot(12182)));
        assert_eq!(route_of("rename {foo}a {foo}b"), Ok(Route::Slot(12182)));
        assert_eq!(route_of("MGET {foo}a {foo}b"), Ok(Route::Slot(12182)));
        assert_eq!(route_of("EVAL x 0"), Ok(Route::Any));
        assert_eq!(route_of("DBSIZE"), Ok(Route::Everywhere(Merge::Sum)));
    }

    #[test]
    fn keys_of_several_slots_are_refused_unless_the_command_can_be_split() {
        assert_eq!(route_of("RENAME a b"), Err(Refused::CrossSlot));
        assert_eq!(route_of("MSETNX a 1 b 2"), Err(Refused::CrossSlot));
        assert_eq!(route_of("MSET a 1 b 2"), Ok(Route::Split(Merge::AllOk)));
    }

    #[test]
    fn each_part_is_the_same_command_for_one_slot() {
        routed("MSET a 1 b 2 {a}x 3 a 4", |request, parts, _| {
            let texts: Vec<String> = parts
                .iter()
                .map(|part| {
                    let mut out = Vec::new();
                    part.write(request, 2, &mut out);
                    String::from_utf8(out).unwrap().replace("\r\n", " ")
                })
                .collect();
            assert_eq!(texts, ["*3 $4 MSET $1 b $1 2 ", "*7 $4 MSET $1 a $1 1 $4 {a}x $1 3 $1 a $1 4 "]);
        });
    }

    #[test]
    fn what_may_wait_needs_a_connection_of_its_own() {
        assert_eq!(route_of("MULTI"), Ok(Route::Pin(Pin::Transaction)));
        assert_eq!(route_of("BLPOP l 0"), Ok(Route::Pin(Pin::Blocking)));
        assert_eq!(route_of("XREAD BLOCK 0 STREAMS s $"), Ok(Route::Pin(Pin::Blocking)));
        assert_eq!(route_of("XREAD STREAMS {foo} $"), Ok(Route::Slot(12182)));
    }
}
