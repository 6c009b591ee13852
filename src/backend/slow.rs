//! Which requests were slow, and which replies large: noticed by the turn's clock when their replies come, at no cost to those that were not.
//!
//! Requests wait in a connection in the order of their age, but for those that came to it by a detour; so one look
//! at the oldest, once a read, tells whether any may have been slow. None is large if all that came in a read is not.
//! Who asks for them is the worker's business.

use std::time::Duration;

use super::pipeline::Pipeline;
use super::record::Pending;
use super::view::NodeId;
use super::{Backend, Millis};
use crate::resp::{Proto, reply};

/// So many are kept until they are taken; more in one turn are not worth a line each.
const MOST: usize = 256;
/// So much of a frame is kept.
const MAX_FRAME: usize = 1 << 20;

/// A request that took long.
#[derive(Debug, PartialEq, Eq)]
pub struct Slow {
    /// Tells its client, as its ticket does.
    pub client_key: u64,
    /// Its place among the requests of its client.
    pub sequence: u32,
    /// The canonical frame.
    pub frame: Box<[u8]>,
    /// Microseconds from its arrival until it had left for the node that ended it.
    pub waited_us: u64,
    /// Microseconds from then to the reply.
    pub node_us: u64,
    /// That node, if there was one.
    pub node: Option<Box<str>>,
}

/// Where a request was when it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whereabouts {
    /// The node that had it, or should have had.
    pub(super) node: Option<NodeId>,
    /// When it had left, in microseconds of the worker's clock; `None` is at once.
    pub(super) left_us: Option<u32>,
}

impl Whereabouts {
    /// It has not left.
    pub(super) const fn here(node: Option<NodeId>, now_us: u32) -> Self {
        Self { node, left_us: Some(now_us) }
    }

    /// It was answered last, of those in `pipeline`.
    pub(super) fn popped(pipeline: &Pipeline) -> Self {
        Self { node: Some(pipeline.node), left_us: pipeline.lag.left_at(pipeline.popped().wrapping_sub(1)) }
    }

    /// It left at once, for this node.
    pub(super) const fn there(node: NodeId) -> Self {
        Self { node: Some(node), left_us: None }
    }
}

/// A reply that was large.
#[derive(Debug, PartialEq, Eq)]
pub struct BigReply {
    /// The canonical frame of its request.
    pub frame: Box<[u8]>,
    /// How long it was.
    pub bytes: usize,
    /// Of the reply to an `MGET`: number and length of its longest element.
    pub largest: Option<(usize, usize)>,
}

/// What was noticed, and what is looked for.
pub(super) struct Watchful {
    threshold: Millis,
    found: Vec<(Slow, Option<NodeId>)>,
    /// Replies that are longer are noted.
    big_above: usize,
    big: Vec<BigReply>,
}

impl Watchful {
    pub(super) const fn new(threshold: Duration) -> Self {
        Self { threshold: threshold.as_millis() as Millis, found: Vec::new(), big_above: usize::MAX, big: Vec::new() }
    }

    /// Whether a request of `pipeline` may have been slow.
    pub(super) fn expects_slow(&self, pipeline: &Pipeline, now: Millis) -> bool {
        pipeline.has_detours() || pipeline.head_age(now).is_some_and(|age| age >= self.threshold)
    }

    /// Whether there may be a large reply in so many bytes.
    pub(super) const fn expects_big(&self, bytes: usize) -> bool {
        bytes > self.big_above
    }

    /// Notes a reply, if it is large; `tell` is called for the first.
    #[cold]
    pub(super) fn look_at_size(&mut self, reply: &[u8], frame: &[u8], tell: impl FnOnce()) {
        if reply.len() <= self.big_above || self.big.len() >= MOST || frame.len() > MAX_FRAME {
            return;
        }
        if self.big.is_empty() {
            tell();
        }
        let largest = if names_values(frame) { longest(reply) } else { None };
        self.big.push(BigReply { frame: frame.into(), bytes: reply.len(), largest });
    }

    /// Notes a request that ends now, if it took long; `token` is to be told when it is the first.
    #[cold]
    pub(super) fn look(&mut self, pending: &Pending, frame: &[u8], was: Whereabouts, now_us: u32, tell: impl FnOnce()) {
        let took = now_us.wrapping_sub(pending.born);
        // What waits for data is not slow.
        if pending.traits.blocks()
            || Millis::from(took / 1000) < self.threshold
            || self.found.len() >= MOST
            || frame.len() > MAX_FRAME
        {
            return;
        }
        if self.found.is_empty() {
            tell();
        }
        let waited = was.left_us.map_or(0, |left| left.wrapping_sub(pending.born)).min(took);
        let slow = Slow {
            client_key: pending.ticket.client_key(),
            sequence: pending.ticket.sequence(),
            frame: frame.into(),
            waited_us: u64::from(waited),
            node_us: u64::from(took - waited),
            node: None,
        };
        self.found.push((slow, was.node));
    }
}

/// Whether a frame is that of an `MGET`.
fn names_values(frame: &[u8]) -> bool {
    let name = frame.split(|byte| *byte == b'\n').nth(2);
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"MGET\r"))
}

/// Number and length of the longest element of an array.
fn longest(reply: &[u8]) -> Option<(usize, usize)> {
    // What is a reply in RESP2 is one in RESP3.
    let sizes = reply::elements(reply, Proto::Resp3)?.map(<[u8]>::len);
    sizes.enumerate().max_by_key(|(number, len)| (*len, usize::MAX - number))
}

impl Backend {
    /// Notes a request that ends now, if it took long.
    pub(super) fn note_slow(&mut self, pending: &Pending, frame: &[u8], was: Whereabouts) {
        let around = &self.around;
        self.watchful.look(pending, frame, was, self.now_us, || around.ready.push(around.desk));
    }

    /// The requests that were slow since the last call.
    pub fn take_slow(&mut self) -> Vec<Slow> {
        let found = std::mem::take(&mut self.watchful.found);
        let addr = |node: NodeId| Some(self.nodes.get(usize::from(node))?.addr.to_string().into());
        found.into_iter().map(|(slow, node)| Slow { node: node.and_then(addr), ..slow }).collect()
    }

    /// Replies that are longer are noted from now on.
    pub const fn note_big_above(&mut self, bytes: usize) {
        self.watchful.big_above = bytes;
    }

    /// The replies that were large since the last call.
    pub fn take_big(&mut self) -> Vec<BigReply> {
        std::mem::take(&mut self.watchful.big)
    }
}
