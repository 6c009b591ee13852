//! The nodes, and one shared connection to each: requests go in with a ticket, replies come out through it.
//!
//! [`Backend`] belongs to one worker. It knows who owns which slot ([`view`]), opens a [`pipeline`] for each node
//! and protocol when the first request needs it, and deals with everything that a node may answer which is not
//! the client's business: MOVED, ASK, "not now", a broken connection. The client room never learns of them.
//!
//! - `send`, `flush`, `read`: the way of a request, called by the worker's turn (this file)
//! - [`answers`]: what follows from an error reply
//! - [`absent`]: nodes that are out of reach
//! - [`here`]: requests that only one node may answer
//! - [`repair`]: lost connections, new maps
//! - [`deadlines`]: what time ends

mod absent;
mod answers;
mod blocked;
mod canary;
mod deadlines;
mod dedicated;
mod dialing;
mod health;
mod here;
mod large;
mod options;
mod pipeline;
mod prelude;
mod record;
mod redirect;
mod repair;
mod report;
mod retry;
mod sampling;
mod scripts;
mod slow;
mod timing;
mod view;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use slab::Slab;
use tokio::sync::mpsc;

use crate::cluster::Hint;
pub use crate::cluster::dial::Credentials;
use crate::net::{Addr, Net, Ready, Token};
use crate::replies::{ClientId, Replies, Ticket};
use crate::resp::Proto;
use crate::telemetry::{Fault, NodeTally, Nodes, Tally};
use dedicated::{Loan, Pool};
use dialing::Dialed;
pub use large::Upload;
pub use options::{Counts, Options};
use pipeline::{LoanKey, Pipeline, State};
pub use prelude::{EXEC, MULTI};
use record::{Expect, Pending, Taken, Traits};
pub use report::NodeReport;
use retry::Retries;
pub use sampling::Sample;
pub use scripts::Scripts;
pub use slow::Slow;
use slow::Watchful;
use view::{NOBODY, NodeId, View};

/// Milliseconds since the worker began; read once a turn.
pub type Millis = u64;
/// A pipeline's place in the backend.
pub type PipelineId = u32;

/// How often one connection is read in one turn before the others get theirs.
const READS_A_TURN: usize = 4;
/// Nothing waits for a time.
const NEVER: Millis = Millis::MAX;

/// A request on its way to the owner of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The canonical frame.
    pub frame: &'a [u8],
    /// The slot of its keys; for a request without keys, one that its node owns.
    pub slot: u16,
    /// Whether it only reads, and so may be sent again.
    pub read: bool,
    /// The protocol that its client speaks.
    pub proto: Proto,
}

/// Where a request for a slot is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Into this pipeline.
    Pipe(PipelineId),
    /// Into one that is yet to be made, or nowhere for now: the slot has no owner.
    New,
}

/// One node that requests are sent to.
struct Node {
    addr: Addr,
    /// The pipeline for each protocol.
    pipes: [Option<PipelineId>; 2],
    tally: Arc<NodeTally>,
    /// Those that are not shared.
    pool: Pool,
    /// Whether the map that was adopted last names it.
    listed: bool,
    /// Connections to it that broke or could not be made.
    lost: u64,
}

impl Node {
    /// Whether it left the map and nothing leads to it any longer.
    fn is_unused(&self) -> bool {
        !self.listed && self.pipes == [None; 2] && self.pool.open == 0
    }
}

/// What a backend needs from outside.
pub struct Surroundings {
    /// Where connections come from.
    pub net: Arc<dyn Net>,
    /// The worker's ready list.
    pub ready: Arc<Ready>,
    /// The token of each pipeline is its id with these bits set.
    pub token: Token,
    /// Pushed on the ready list when a dialling task has ended.
    pub dialed: Token,
    /// Pushed on the ready list when requests were slow.
    pub desk: Token,
    /// What clients have loaded.
    pub scripts: Arc<Scripts>,
    /// To discovery; when it is full a hint is dropped: the next one will do.
    pub hints: mpsc::Sender<Hint>,
    /// Which worker it is, for what is counted for nodes.
    pub worker: usize,
    /// What this worker counts.
    pub tally: Arc<Tally>,
    /// What is counted for nodes.
    pub tallies: Arc<Nodes>,
}

/// The nodes and connections of one worker.
pub struct Backend {
    options: Options,
    around: Surroundings,
    nodes: Slab<Node>,
    by_addr: HashMap<Addr, NodeId>,
    view: View,
    /// Each primary with a slot that it owns, for requests without a key.
    primaries: Vec<u16>,
    /// Each primary, those without slots too.
    leaders: Vec<NodeId>,
    next_primary: usize,
    pipelines: Slab<Pipeline>,
    generation: u32,
    /// The pipeline that was written last.
    flushed: PipelineId,
    /// Pipelines to write.
    dirty: Vec<PipelineId>,
    /// What single clients have been lent.
    loans: BTreeMap<LoanKey, Loan>,
    retries: Retries,
    dialed: Rc<RefCell<Vec<Dialed>>>,
    /// Scripts on their way to nodes that miss them.
    sent_scripts: Vec<scripts::Sent>,
    now: Millis,
    /// The same in microseconds; wraps.
    now_us: u32,
    /// When something has to be looked at again.
    wake_at: Millis,
    /// Whether a request was refused a lane since a pipeline last had room again.
    refused: bool,
    /// Whether a pipeline that was full has room again.
    drained: bool,
    /// Clients whose upload may go on.
    woken: Vec<ClientId>,
    jitter: u32,
    watchful: Watchful,
    /// What happened, for `INFO` and the metrics.
    pub counts: Counts,
}

impl Backend {
    /// A backend without nodes; [`adopt`](Self::adopt) gives it some.
    #[must_use]
    pub fn new(options: Options, around: Surroundings, seed: u32) -> Self {
        let watchful = Watchful::new(options.slow_threshold);
        Self {
            options,
            around,
            nodes: Slab::new(),
            by_addr: HashMap::new(),
            view: View::new(),
            primaries: Vec::new(),
            leaders: Vec::new(),
            next_primary: seed as usize,
            pipelines: Slab::new(),
            generation: 0,
            flushed: 0,
            dirty: Vec::new(),
            loans: BTreeMap::new(),
            retries: Retries::default(),
            dialed: Rc::default(),
            sent_scripts: Vec::new(),
            now: 0,
            now_us: 0,
            wake_at: NEVER,
            refused: false,
            drained: false,
            woken: Vec::new(),
            jitter: seed | 1,
            watchful,
            counts: Counts::default(),
        }
    }

    /// Tells the time of this turn, in microseconds since the worker began.
    #[inline]
    pub fn set_now(&mut self, micros: u64) {
        let now = micros / 1000;
        self.now = now;
        self.now_us = micros as u32;
        self.view.pass(now);
    }

    /// When [`tick`](Self::tick) wants to be called, if at all.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Millis> {
        if self.wake_at == NEVER { None } else { Some(self.wake_at) }
    }

    const fn wake_by(&mut self, at: Millis) {
        if at < self.wake_at {
            self.wake_at = at;
        }
    }

    /// Counts the changes of slots' owners that this worker has seen.
    #[inline]
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.view.epoch()
    }

    /// Whether a client whose requests under way were routed at `epoch` or later may send to `slot` now.
    #[inline]
    #[must_use]
    pub fn may_follow(&self, slot: u16, epoch: u32) -> bool {
        self.view.may_follow(slot, epoch)
    }

    /// The pipeline to the owner of `slot`, or `None` while it has no room for another request.
    #[inline]
    pub fn lane(&mut self, slot: u16, proto: Proto) -> Option<Lane> {
        let node = self.nodes.get(usize::from(self.view.owner(slot)));
        let Some(pipe) = node.and_then(|node| node.pipes[proto as usize]) else { return Some(Lane::New) };
        let queued = self.pipelines.get(pipe as usize).map_or(0, Pipeline::queued);
        if queued < self.options.node_queue_bytes {
            return Some(Lane::Pipe(pipe));
        }
        self.refused = true;
        None
    }

    /// Whether pipelines that were full have room again; asking forgets it.
    pub const fn take_drained(&mut self) -> bool {
        std::mem::replace(&mut self.drained, false)
    }

    /// A slot of some primary, another one each time, for requests without a key; slot 0 while none is known.
    pub fn any_slot(&mut self) -> u16 {
        self.next_primary = self.next_primary.wrapping_add(1);
        let at = self.next_primary.checked_rem(self.primaries.len()).unwrap_or(0);
        self.primaries.get(at).copied().unwrap_or(0)
    }

    /// Sends a request by the lane of its slot; the reply comes through `ticket`.
    #[inline]
    pub fn send(&mut self, request: Outgoing<'_>, lane: Lane, ticket: Ticket) {
        let traits = Traits::new(request.read);
        self.send_as(traits, request, lane, ticket);
    }

    /// Sends a whole transaction, MULTI and EXEC included, as one request: nothing can come between its parts, and
    /// the reply is that of EXEC.
    pub fn send_unit(&mut self, request: Outgoing<'_>, lane: Lane, ticket: Ticket) {
        let traits = if request.read { Traits::ReadUnit } else { Traits::WriteUnit };
        self.send_as(traits, request, lane, ticket);
    }

    #[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
    #[inline(always)]
    fn send_as(&mut self, traits: Traits, request: Outgoing<'_>, lane: Lane, ticket: Ticket) {
        let pending = self.pending(traits, &request, ticket);
        if self.wake_at == NEVER {
            self.wake_at = self.now + self.timeout();
        }
        match lane {
            Lane::Pipe(pipe) if self.retries.is_empty() => self.push(pipe, request.frame, pending),
            _ => self.send_first(request, pending),
        }
    }

    #[inline]
    const fn pending(&self, traits: Traits, request: &Outgoing<'_>, ticket: Ticket) -> Pending {
        Pending {
            ticket,
            len: request.frame.len() as u32,
            epoch: self.view.epoch(),
            born: self.now_us,
            slot: request.slot,
            hops: 0,
            traits,
        }
    }

    #[inline]
    fn push(&mut self, pipe: PipelineId, frame: &[u8], pending: Pending) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else {
            debug_assert!(false, "a node names a pipeline that is gone");
            return;
        };
        pipeline.push(frame, Expect::Deliver(pending));
        if !pipeline.dirty {
            pipeline.dirty = true;
            self.dirty.push(pipe);
        }
    }

    /// Sends to a node that has no pipeline yet, or puts the request off: while nobody owns its slot, and while
    /// one that it must not overtake waits.
    #[cold]
    fn send_first(&mut self, request: Outgoing<'_>, pending: Pending) {
        let Outgoing { frame, slot, proto, .. } = request;
        let taken = |pending| Taken::unsent(pending, frame);
        let owner = self.view.owner(slot);
        if owner == NOBODY || self.retries.blocks(&pending) {
            self.hint(Hint::Unowned);
            return self.put_off(proto, taken(pending), &[], None);
        }
        let pipe = self.pipe(owner, proto);
        match self.retries.elsewhere(&pending, pipe, &self.pipelines) {
            Some(other) => self.put_off(proto, taken(pending), &[], Some(other)),
            None => self.push(pipe, frame, pending),
        }
    }

    /// The pipeline to `node`, made if there is none.
    fn pipe(&mut self, node: NodeId, proto: Proto) -> PipelineId {
        let Some(known) = self.nodes.get_mut(usize::from(node)) else {
            debug_assert!(false, "a pipeline was asked for to a node that is gone");
            return PipelineId::MAX;
        };
        *known.pipes[proto as usize].get_or_insert_with(|| {
            self.generation = self.generation.wrapping_add(1);
            let pipeline =
                Pipeline::new(node, proto, self.options.max_reply_bytes, self.generation, Arc::clone(&known.tally));
            self.pipelines.insert(pipeline) as PipelineId
        })
    }

    /// Writes each pipeline that has something new, once.
    pub fn flush(&mut self, replies: &mut Replies) {
        while let Some(pipe) = self.dirty.pop() {
            let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { continue };
            pipeline.dirty = false;
            match pipeline.state {
                State::Ready(_) | State::Draining(_) => {
                    self.flushed = pipe;
                    if let Err(error) = pipeline.write() {
                        self.counts.out_of_step += u64::from(!pipeline.is_in_step());
                        self.lose(pipe, Fault::Lost, &error, replies);
                    } else if pipeline.passage.is_some() {
                        self.uploaded(pipe);
                    }
                }
                State::Down { .. } | State::Connecting => self.wait_or_dial(pipe, replies),
            }
        }
    }

    /// How many tickets are in here: each request is in one pipeline or waits for its next try.
    #[must_use]
    pub fn tickets(&self) -> u64 {
        let in_pipelines: usize = self.pipelines.iter().map(|(_, pipeline)| pipeline.tickets()).sum();
        (in_pipelines + self.retries.len()) as u64
    }

    /// Whether [`flush`](Self::flush) has something to do.
    #[must_use]
    pub const fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The connection of `pipe` became readable or writable.
    pub fn read(&mut self, pipe: PipelineId, scratch: &mut [u8], replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if pipeline.has_unsent() && !pipeline.dirty {
            pipeline.dirty = true;
            self.dirty.push(pipe);
        }
        for _ in 0..READS_A_TURN {
            let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
            if pipeline.passage.is_some() && self.must_pause(pipe, replies) {
                return;
            }
            let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
            let (State::Ready(link) | State::Draining(link)) = &mut pipeline.state else { return };
            let received = match link.read(scratch) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.lose(pipe, Fault::Lost, &"the node closed the connection", replies),
                Poll::Ready(Ok(bytes)) => scratch.get(..bytes).unwrap_or_default(),
                Poll::Ready(Err(error)) => return self.lose(pipe, Fault::Lost, &error, replies),
            };
            if let Err(broken) = self.received(pipe, received, replies) {
                self.counts.note(&broken);
                return self.lose(pipe, Fault::Protocol, &broken, replies);
            }
            if self.finished(pipe) {
                return;
            }
        }
        self.around.ready.push(self.around.token | pipe);
    }

    fn hint(&self, hint: Hint) {
        // Full means that discovery has plenty of reasons to look already.
        let _ = self.around.hints.try_send(hint);
    }

    const fn timeout(&self) -> Millis {
        self.options.request_timeout.as_millis() as Millis
    }
}
