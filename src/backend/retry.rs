//! Requests that a node did not run and that are sent again a little later.
//!
//! Those of one client for one slot wait together and go in the order in which they came. A later one joins them
//! and does not pass; one that was under way already and is run nevertheless ends the wait of those before it,
//! which are answered with the node's refusal.
//!
//! Requests that went another way than straight to the owner of their slot leave a trail, so that later ones go
//! the same way or wait.

use std::collections::{BTreeMap, BTreeSet};

use slab::Slab;

use super::pipeline::Pipeline;
use super::record::{Pending, Taken, Traits};
use super::{Millis, PipelineId};
use crate::command::{self, keys};
use crate::replies::Replies;
use crate::resp::Proto;
use crate::resp::request::{Args, Decoder, Limits, Step};

/// What was under way on a connection at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) pipe: PipelineId,
    generation: u32,
    /// How many requests it had been given.
    pushed: u64,
}

impl Mark {
    /// What is under way on the connection of `pipe` now.
    pub(super) fn of(pipe: PipelineId, pipelines: &Slab<Pipeline>) -> Option<Self> {
        let pipeline = pipelines.get(pipe as usize)?;
        Some(Self { pipe, generation: pipeline.generation, pushed: pipeline.pushed() })
    }

    /// Whether all of it is answered or given up.
    pub(super) fn is_passed(&self, pipelines: &Slab<Pipeline>) -> bool {
        let pipeline = pipelines.get(self.pipe as usize).filter(|pipeline| pipeline.generation == self.generation);
        pipeline.is_none_or(|pipeline| pipeline.popped() >= self.pushed)
    }
}

/// Where the last request went that a client's request for a slot must not overtake.
struct Trail {
    mark: Mark,
    sequence: u32,
    /// The first of those that may still be under way.
    first: u32,
}

/// A client's requests for a slot, and the first of them that is under way another way.
pub(super) type Detour = ((u64, u16), u32);

/// A request that waits for its time.
pub(super) struct Delayed {
    pub(super) proto: Proto,
    pub(super) request: Taken,
    /// What the node said; empty if none was asked.
    pub(super) refusal: Box<[u8]>,
    /// Before this much is answered, one of the requests behind it may still turn out to have been run.
    pub(super) mark: Option<Mark>,
}

impl Delayed {
    /// Answers the request as not executed.
    pub(super) fn give_up(self, replies: &mut Replies) {
        if self.refusal.is_empty() {
            let text = "CLUSTERDOWN not executed: no node could run the command in time";
            replies.fail(self.request.pending.ticket, text);
        } else {
            replies.deliver_error(self.request.pending.ticket, &self.refusal);
        }
    }
}

/// What one client wants of one slot.
#[derive(Default)]
struct Group {
    due: Millis,
    /// In the order in which they came from the client.
    waiting: Vec<Delayed>,
}

/// What waits to be sent again. Bounded, because each entry is a request that its client is charged with.
#[derive(Default)]
pub(super) struct Retries {
    groups: BTreeMap<(u64, u16), Group>,
    trails: BTreeMap<(u64, u16), Trail>,
    /// How many trails there may be before those that have ended are looked for.
    most_trails: usize,
}

/// So few trails are not worth a search.
const MIN_TRAILS: usize = 256;
/// The first wait of a request that a node put off, in milliseconds. Later ones are half of its age.
const FIRST_MS: Millis = 1;
/// The longest wait between two tries, in milliseconds.
pub(super) const LAST_MS: Millis = 16;

/// How long a request waits that has been sent on this often in a row, in milliseconds: two redirects are usual where
/// a slot moves; more mean that nodes disagree about its owner, which passes when the news has reached all of them.
pub(super) const fn patience(hops: u8) -> Millis {
    match hops {
        0..=2 => 0,
        3 => 10,
        4 => 50,
        _ => 250,
    }
}

impl Retries {
    /// Whether nothing waits, and nothing is on another way than straight to the owner of its slot.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.trails.is_empty()
    }

    /// The connection on which a request may still be under way that this one must not overtake, if it is another
    /// one than `pipe`.
    pub(super) fn elsewhere(
        &self,
        pending: &Pending,
        pipe: PipelineId,
        pipelines: &Slab<Pipeline>,
    ) -> Option<PipelineId> {
        let trail = self.trails.get(&key(pending)).filter(|trail| trail.mark.pipe != pipe)?;
        let is_before = pending.ticket.comes_after(trail.sequence);
        (is_before && !trail.mark.is_passed(pipelines)).then_some(trail.mark.pipe)
    }

    /// Remembers that a request went where `mark` is.
    pub(super) fn went(&mut self, key: (u64, u16), sequence: u32, mark: Mark, pipelines: &Slab<Pipeline>) {
        let before = self.trails.get(&key).filter(|trail| !trail.mark.is_passed(pipelines));
        let first = before.map_or(sequence, |trail| trail.first);
        self.trails.insert(key, Trail { mark, sequence, first });
        if self.trails.len() > self.most_trails.max(MIN_TRAILS) {
            self.forget(pipelines);
            self.most_trails = self.trails.len() * 2;
        }
    }

    /// Forgets the trails of requests that have been answered.
    pub(super) fn forget(&mut self, pipelines: &Slab<Pipeline>) {
        self.trails.retain(|_, trail| !trail.mark.is_passed(pipelines));
    }

    /// Puts a request off, longer each time. Gives when it is due.
    pub(super) fn put_off(&mut self, now: Millis, delayed: Delayed) -> Millis {
        let pending = &delayed.request.pending;
        let group = self.groups.entry(key(pending)).or_default();
        let wait = (pending.age(now) / 2).clamp(FIRST_MS, LAST_MS).max(patience(pending.hops));
        group.due = group.due.max(now + wait);
        let at = group.waiting.partition_point(|other| other.request.pending.ticket.comes_before(&pending.ticket));
        group.waiting.insert(at, delayed);
        group.due
    }

    /// Whether a request that came before this one, from the same client for the same slot, waits.
    pub(super) fn blocks(&self, pending: &Pending) -> bool {
        let first = self.groups.get(&key(pending)).and_then(|group| group.waiting.first());
        first.is_some_and(|first| first.request.pending.ticket.comes_before(&pending.ticket))
    }

    /// A request, whose frame this is, was run: those with one of its keys that came before it must not be run any
    /// more, or they would be overtaken. Reads do not mind each other.
    #[cold]
    pub(super) fn overtaken_by(&mut self, pending: &Pending, frame: &[u8], replies: &mut Replies) {
        let Some(group) = self.groups.get_mut(&key(pending)) else { return };
        let is_overtaken = |other: &mut Delayed| {
            let Taken { pending: earlier, frame: waiting, .. } = &other.request;
            let both_read = earlier.traits.is_read() && pending.traits.is_read();
            !both_read && earlier.ticket.comes_before(&pending.ticket) && share_a_key(waiting, frame)
        };
        for delayed in group.waiting.extract_if(.., is_overtaken) {
            delayed.give_up(replies);
        }
        if group.waiting.is_empty() {
            self.groups.remove(&key(pending));
        }
    }

    /// Whether a write to one of its keys that came before this read, whose frame this is, waits, or a request for its slot
    /// is under way `elsewhere`: its reply must not be given, for it tells what was there before that write.
    #[cold]
    pub(super) fn precede(&self, pending: &Pending, frame: &[u8], elsewhere: &[Detour]) -> bool {
        if pending.traits != Traits::Read {
            return false;
        }
        if elsewhere.iter().any(|(of, sequence)| *of == key(pending) && pending.ticket.comes_after(*sequence)) {
            return true;
        }
        let Some(group) = self.groups.get(&key(pending)) else { return false };
        group.waiting.iter().any(|Delayed { request, .. }| {
            let earlier = &request.pending;
            !earlier.traits.is_read()
                && earlier.ticket.comes_before(&pending.ticket)
                && share_a_key(&request.frame, frame)
        })
    }

    /// What is under way on another connection than `pipe` and straight to the owner of its slot.
    pub(super) fn elsewhere_than(&self, pipe: PipelineId, pipelines: &Slab<Pipeline>) -> Vec<Detour> {
        let others =
            self.trails.iter().filter(|(_, trail)| trail.mark.pipe != pipe && !trail.mark.is_passed(pipelines));
        others.map(|(&of, trail)| (of, trail.first)).collect()
    }

    /// Takes those whose time has come, and those that `expired` names.
    pub(super) fn due(
        &mut self,
        now: Millis,
        pipelines: &Slab<Pipeline>,
        expired: impl Fn(&Pending) -> bool,
    ) -> Vec<Delayed> {
        let mut out = Vec::new();
        for group in self.groups.values_mut().filter(|group| group.due <= now) {
            if group.waiting.iter().filter_map(|delayed| delayed.mark.as_ref()).all(|mark| mark.is_passed(pipelines)) {
                out.append(&mut group.waiting);
            } else {
                out.extend(group.waiting.extract_if(.., |delayed| expired(&delayed.request.pending)));
                group.due = now + FIRST_MS;
            }
        }
        self.groups.retain(|_, group| !group.waiting.is_empty());
        out
    }

    /// Takes the requests of this client for this slot that go over connections of its own.
    pub(super) fn take_bound(&mut self, key: (u64, u16)) -> Vec<Taken> {
        let Some(group) = self.groups.get_mut(&key) else { return Vec::new() };
        let bound = group.waiting.extract_if(.., |delayed| delayed.request.pending.traits.is_bound());
        let taken = bound.map(|delayed| delayed.request).collect();
        if group.waiting.is_empty() {
            self.groups.remove(&key);
        }
        taken
    }

    /// Whether such a request waits.
    pub(super) fn holds_bound(&self, key: (u64, u16)) -> bool {
        let bound = |group: &Group| group.waiting.iter().any(|delayed| delayed.request.pending.traits.is_bound());
        self.groups.get(&key).is_some_and(bound)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.groups.values().map(|group| group.waiting.len()).sum()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.groups.values().map(|group| group.due).min()
    }
}

/// Requests with the same key must keep their order.
pub(super) const fn key(pending: &Pending) -> (u64, u16) {
    (pending.ticket.client_key(), pending.slot)
}

/// Keys that writes name; `None` stands for what cannot be read.
type Named = BTreeSet<Option<Box<[u8]>>>;

/// Which of the requests that went down with a connection are reads behind which the same client's write to the same
/// key may have run: sent again they would see what came after them.
pub(super) fn overtaken_reads(requests: &[Taken]) -> Vec<bool> {
    let mut written: BTreeMap<(u64, u16), Named> = BTreeMap::new();
    let mut overtaken = vec![false; requests.len()];
    for (request, overtaken) in requests.iter().zip(&mut overtaken).rev().filter(|(request, _)| request.may_have_run) {
        let of = key(&request.pending);
        if !request.pending.traits.is_read() {
            let named = keys_of(&request.frame).map(|keys| keys.into_iter().map(Some).collect());
            written.entry(of).or_default().append(&mut named.unwrap_or_else(|| BTreeSet::from([None])));
        } else if let Some(written) = written.get(&of) {
            let is_written = |keys: Vec<Box<[u8]>>| keys.into_iter().any(|key| written.contains(&Some(key)));
            *overtaken = written.contains(&None) || keys_of(&request.frame).is_none_or(is_written);
        }
    }
    overtaken
}

/// Whether two requests name the same key. What cannot be read is taken for yes.
fn share_a_key(one: &[u8], other: &[u8]) -> bool {
    match (keys_of(one), keys_of(other)) {
        (Some(one), Some(other)) => one.iter().any(|key| other.contains(key)),
        _ => true,
    }
}

/// The keys that the canonical frames of a request name.
fn keys_of(frames: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };
    let (mut args, mut found, mut rest) = (Args::default(), Vec::new(), frames);
    while !rest.is_empty() {
        let Ok(Step::Request { used, inline: false }) = Decoder::default().step(rest, &mut args, &limits) else {
            return None;
        };
        let request = args.request(rest, used, false);
        let spec = command::lookup(request.name())?.resolve(&request)?;
        keys::each_key(spec, &request, |at| found.extend(request.arg(at).map(Into::into))).ok()?;
        rest = rest.get(used..)?;
    }
    Some(found)
}
