//! Connections that are lent to one client: for WATCH until EXEC, for a command that blocks, for WAIT,
//! for what must not stand behind others.
//!
//! A loan is kept for each client that has one; the session only knows what it began. A connection goes back to
//! the idle ones of its node only when all that was sent on it is answered and nothing of its client is left on
//! it; after WATCH that is proven by the answer to an UNWATCH. Otherwise it is closed.
//!
//! ```text
//!                    lend                     answered, nothing watched
//!   (dial) ──► Lent ◄────── Idle ◄──────────────────────────────────────── Lent
//!               │            ▲  answered                                    │
//!               │            └──────── Cleaning ◄─── UNWATCH ───────────────┤ watched
//!               └─► closed: lost, its client gone, or not proven clean ◄────┘
//! ```

use std::fmt::Display;
use std::sync::Arc;

use super::pipeline::{Holder, LoanKey, Passage, Pipeline, State};
use super::record::{Expect, Pending, Taken, Traits};
use super::view::NodeId;
use super::{Backend, Millis, NEVER, Outgoing, PipelineId, blocked};
use crate::cluster::Hint;
use crate::net::Addr;
use crate::replies::{Replies, Ticket};
use crate::resp::Proto;

/// In a [`LoanKey`]: for what the client watches.
const WATCHING: u32 = u32::MAX;
/// In a [`LoanKey`]: for what it waits.
const BLOCKED: u32 = u32::MAX - 1;
/// In a [`LoanKey`]: for the large request that it sends.
pub(super) const UPLOADING: u32 = u32::MAX - 2;

/// How many idle connections are kept for each node and protocol.
const IDLE: usize = 32;
const UNWATCH: &[u8] = b"*1\r\n$7\r\nUNWATCH\r\n";

/// The connections of one node that are not shared.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: [Vec<PipelineId>; 2],
    /// Ready to be shared when the shared one is set aside.
    pub(super) spare: [Vec<PipelineId>; 2],
    /// Lent, idle and in between.
    pub(super) open: usize,
}

/// What a client holds.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) pipe: Option<PipelineId>,
    proto: Proto,
    slot: u16,
    /// How many WATCH the client has sent; EXEC is sent only to a connection that has accepted as many.
    watches: u32,
    /// Whether the keys are watched at the target of an ASK.
    asking: bool,
    /// When the client's own timeout ends.
    until: Option<Millis>,
    /// Whether a node had the request already: what follows counts as waiting, not as a failure.
    waited: bool,
}

/// The loan that a request under way uses.
pub(super) const fn key(pending: &Pending) -> LoanKey {
    let client = pending.ticket.client_key();
    match (pending.traits, pending.ticket.part()) {
        (Traits::Watch | Traits::Exec, _) => (client, WATCHING),
        (Traits::Probe | Traits::Upload, _) => (client, UPLOADING),
        (_, None) => (client, BLOCKED),
        (_, Some(part)) => (client, part),
    }
}

/// What EXEC answers when a watched key was changed.
pub(super) const fn not_run(proto: Proto) -> &'static [u8] {
    match proto {
        Proto::Resp2 => b"*-1\r\n",
        Proto::Resp3 => b"_\r\n",
    }
}

impl Backend {
    /// Sends WATCH on a connection of the client's own. The client must have nothing under way.
    pub fn watch(&mut self, request: Outgoing<'_>, ticket: Ticket) {
        let pending = self.pending(Traits::Watch, &request, ticket);
        let loan = self.loans.entry(key(&pending)).or_insert_with(|| Loan::new(&request, None));
        loan.watches += 1;
        self.send_again(request.proto, Taken::unsent(pending, request.frame));
    }

    /// Sends the transaction of a client that watches keys: where they are watched, or nowhere if that cannot be
    /// any more; then the reply is that a key was changed. The client must have nothing under way.
    pub fn exec_watched(&mut self, request: Outgoing<'_>, ticket: Ticket, replies: &mut Replies) {
        let pending = self.pending(Traits::Exec, &request, ticket);
        let key = key(&pending);
        let pipe = self.watching(key, request.proto);
        let Some((pipe, asking)) = pipe else {
            replies.deliver(pending.ticket, not_run(request.proto));
            return self.release(key.0);
        };
        if let Some(loan) = self.loans.get_mut(&key) {
            loan.watches = 0;
        }
        if let Some(pipeline) = self.pipelines.get_mut(pipe as usize) {
            pipeline.watched = 0;
        }
        self.wake_by(self.now + self.timeout());
        self.put_in(pipe, request.frame, pending, asking);
    }

    /// The connection on which all that this client watches is still watched.
    fn watching(&self, key: LoanKey, proto: Proto) -> Option<(PipelineId, bool)> {
        let loan = self.loans.get(&key).filter(|loan| loan.proto == proto)?;
        let pipeline = self.pipelines.get(loan.pipe? as usize)?;
        let stands = matches!(pipeline.state, State::Ready(_)) && pipeline.watched == loan.watches;
        stands.then_some((loan.pipe?, loan.asking))
    }

    /// Sends a request that may wait for data, on a connection of the client's own, for as long as it says itself.
    pub fn block(&mut self, request: Outgoing<'_>, ticket: Ticket) {
        let traits = if request.read { Traits::ReadBlock } else { Traits::WriteBlock };
        let pending = self.pending(traits, &request, ticket);
        let until = blocked::timeout(request.frame).map(|timeout| self.now + timeout);
        let earlier = self.loans.insert(key(&pending), Loan::new(&request, until));
        debug_assert!(earlier.is_none(), "a client cannot be blocked twice");
        self.send_again(request.proto, Taken::unsent(pending, request.frame));
    }

    /// Sends a request past all that is under way to its node, for which it may wait as long as for any.
    pub fn aside(&mut self, request: Outgoing<'_>, ticket: Ticket) {
        let pending = self.pending(Traits::Aside, &request, ticket);
        self.loans.insert(key(&pending), Loan::new(&request, None));
        self.send_again(request.proto, Taken::unsent(pending, request.frame));
    }

    /// What this client watches is forgotten; its connection is made fit for others.
    pub fn release(&mut self, client: u64) {
        if let Some(pipe) = self.loans.remove(&(client, WATCHING)).and_then(|loan| loan.pipe) {
            self.detach(pipe);
        }
    }

    /// The client is gone, and with it what it waited for: a node must not pop an element for nobody.
    pub fn abandon(&mut self, client: u64, replies: &mut Replies) {
        while let Some((&key, _)) = self.loans.range((client, 0)..=(client, WATCHING)).next() {
            let Some(loan) = self.loans.remove(&key) else { continue };
            let mut requests = self.retries.take_bound((client, loan.slot));
            let is_busy = |pipe| self.pipelines.get(pipe as usize).is_some_and(|pipeline| pipeline.in_flight() > 0);
            match loan.pipe {
                Some(pipe) if is_busy(pipe) => requests.extend(self.discard(pipe)),
                Some(pipe) => self.detach(pipe),
                None => {}
            }
            for request in requests {
                replies.fail(request.pending.ticket, "PROXYUNKNOWN the client is gone");
            }
        }
    }

    /// Ends the waiting of a blocked client, as CLIENT UNBLOCK does: with an error, or as if its time were up.
    pub fn unblock(&mut self, client: u64, with_error: bool, replies: &mut Replies) {
        let keys: Vec<LoanKey> = self.loans.range((client, 0)..=(client, BLOCKED)).map(|(&key, _)| key).collect();
        for key in keys {
            self.unblock_one(key, with_error, replies);
        }
    }

    fn unblock_one(&mut self, key: LoanKey, with_error: bool, replies: &mut Replies) {
        let Some(loan) = self.loans.get(&key) else { return };
        let (slot, proto, held) = (loan.slot, loan.proto, loan.pipe);
        let at_a_node = held.and_then(|pipe| self.pipelines.get(pipe as usize));
        if let Some(pipeline) = at_a_node.filter(|pipeline| matches!(pipeline.state, State::Ready(_))) {
            let (node, name) = (pipeline.node, pipeline.name);
            if let Some((name, ticket)) = name.zip(replies.nobodys()) {
                self.unblock_at(node, name, with_error, (slot, proto), ticket);
            }
            return;
        }
        // No node has it yet.
        let mut requests = self.retries.take_bound((key.0, slot));
        requests.extend(held.into_iter().flat_map(|pipe| self.discard(pipe)));
        for request in requests {
            if with_error {
                replies.fail(request.pending.ticket, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
            } else {
                nothing_came(request.pending.ticket, proto, replies);
            }
        }
        self.close_loan(key);
    }

    /// The connection for a bound request to `node`; `None` if there are too many already, or if nobody waits for
    /// the reply any longer.
    pub(super) fn lend(&mut self, key: LoanKey, node: NodeId, proto: Proto) -> Option<PipelineId> {
        let held = self.loans.get(&key)?.pipe;
        if let Some(pipe) = held {
            if self.pipelines.get(pipe as usize).is_some_and(|pipeline| pipeline.node == node) {
                return Some(pipe);
            }
            self.detach(pipe);
        }
        let known = self.nodes.get_mut(usize::from(node))?;
        let (pool, tally) = (&mut known.pool, &known.tally);
        let idle = pool.idle[proto as usize].pop();
        let pipe = match idle {
            Some(pipe) => pipe,
            None if pool.open >= self.options.dedicated => return None,
            None => {
                pool.open += 1;
                self.generation = self.generation.wrapping_add(1);
                let pipeline =
                    Pipeline::new(node, proto, self.options.max_reply_bytes, self.generation, Arc::clone(tally));
                self.pipelines.insert(pipeline) as PipelineId
            }
        };
        self.pipelines.get_mut(pipe as usize)?.holder = Holder::Lent(key);
        self.loans.get_mut(&key)?.pipe = Some(pipe);
        Some(pipe)
    }

    /// Puts a bound request into the connection that is lent for it.
    pub(super) fn put_in(&mut self, pipe: PipelineId, frame: &[u8], pending: Pending, asking: bool) {
        let (limit, blocks, key) = (self.timeout(), pending.traits.blocks(), key(&pending));
        let until = self.loans.get_mut(&key).and_then(|loan| {
            loan.asking = asking;
            loan.until
        });
        if let Some(pipeline) = self.pipelines.get_mut(pipe as usize) {
            pipeline.deadline = if blocks { until.map_or(NEVER, |until| until + limit) } else { NEVER };
            pipeline.passage = (pending.traits == Traits::Probe).then_some(Passage::Probing);
        }
        if asking {
            self.push_asking(pipe, frame, pending);
        } else {
            self.push(pipe, frame, pending);
        }
    }

    /// Takes a connection from its client: to the idle ones if it is clean, through UNWATCH if it will be, or away.
    fn detach(&mut self, pipe: PipelineId) {
        let deadline = self.now + self.timeout();
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        pipeline.deadline = NEVER;
        if !matches!(pipeline.state, State::Ready(_)) || pipeline.in_flight() > 0 {
            let left = self.discard(pipe);
            debug_assert!(left.is_empty(), "a connection was taken from a client that still uses it");
        } else if pipeline.watched > 0 {
            pipeline.holder = Holder::Cleaning;
            pipeline.watched = 0;
            pipeline.deadline = deadline;
            pipeline.push(UNWATCH, Expect::Clean { len: UNWATCH.len() as u32 });
            self.wake_by(deadline);
            self.touch(pipe);
        } else {
            self.put_by(pipe);
        }
    }

    fn put_by(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        pipeline.holder = Holder::Idle;
        pipeline.deadline = NEVER;
        pipeline.passage = None;
        if !matches!(pipeline.state, State::Ready(_)) {
            drop(self.discard(pipe));
            return;
        }
        let proto = pipeline.proto;
        let idle = self.nodes.get_mut(usize::from(pipeline.node)).map(|node| &mut node.pool.idle[proto as usize]);
        match idle {
            Some(idle) if idle.len() < IDLE => idle.push(pipe),
            _ => drop(self.discard(pipe)),
        }
    }

    /// Closes a connection that is not shared; gives the requests that were on it.
    pub(super) fn discard(&mut self, pipe: PipelineId) -> Vec<Taken> {
        let Some(mut pipeline) = self.pipelines.try_remove(pipe as usize) else { return Vec::new() };
        debug_assert_ne!(pipeline.holder, Holder::Shared, "only connections of their own are thrown away");
        if let Some(node) = self.nodes.get_mut(usize::from(pipeline.node)) {
            node.pool.open -= 1;
            node.pool.idle[pipeline.proto as usize].retain(|&idle| idle != pipe);
            node.pool.spare[pipeline.proto as usize].retain(|&spare| spare != pipe);
        }
        if let Holder::Lent(key) = pipeline.holder
            && let Some(loan) = self.loans.get_mut(&key)
            && loan.pipe == Some(pipe)
        {
            loan.pipe = None;
        }
        pipeline.take_all()
    }

    /// Everything on a connection that is not shared may have been answered: it goes back, if its client needs it
    /// no longer.
    pub(super) fn settle(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.get(pipe as usize).filter(|pipeline| pipeline.in_flight() == 0) else {
            return;
        };
        match pipeline.holder {
            Holder::Shared | Holder::Idle => {}
            Holder::Cleaning => self.put_by(pipe),
            Holder::Aside => self.put_back(pipe),
            Holder::Lent(key) => {
                let is_ready = matches!(pipeline.state, State::Ready(_));
                let loan = self.loans.get_mut(&key);
                if loan.as_ref().is_some_and(|loan| loan.watches > 0 && is_ready) {
                    return;
                }
                if let Some(loan) = loan {
                    loan.pipe = None;
                }
                self.detach(pipe);
                self.close_loan(key);
            }
        }
    }

    /// A connection that is not shared is gone: ends or sends on what it had.
    pub(super) fn lose_own(&mut self, pipe: PipelineId, why: &dyn Display, replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let (node, proto) = (pipeline.node, pipeline.proto);
        let Holder::Lent(key) = pipeline.holder else {
            // Nobody's: nodes close those that are silent for long.
            drop(self.discard(pipe));
            return;
        };
        let addr = self.nodes.get(usize::from(node)).map_or_else(|| Addr::tcp("?", 0), |node| node.addr.clone());
        tracing::debug!("connection of one client to {addr}: {why}");
        self.counts.lost += 1;
        let requests = if matches!(pipeline.state, State::Connecting | State::Down { .. }) {
            // It is tried again with growing waits, like a shared one.
            let wait = pipeline.health.lost(false, self.now, &mut self.jitter);
            pipeline.state = State::Down { retry_at: self.now + wait };
            pipeline.take_all()
        } else {
            self.discard(pipe)
        };
        self.hint(Hint::Unreachable(addr.clone()));
        for request in requests {
            self.after_loss(node, proto, request, &addr, replies);
        }
        self.settle(pipe);
        self.close_loan(key);
    }

    /// The node of a connection that is not shared left the map: closed when everything is answered.
    pub(super) fn retire_own(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        match std::mem::replace(&mut pipeline.state, State::Down { retry_at: NEVER }) {
            State::Ready(link) | State::Draining(link) if pipeline.in_flight() > 0 => {
                pipeline.state = State::Draining(link);
            }
            _ => {
                let (node, proto) = (pipeline.node, pipeline.proto);
                for request in self.discard(pipe) {
                    self.send_anew(node, proto, request);
                }
            }
        }
    }

    /// A client that is blocked on a node which lost its slot is told so by that node, if it still can. It is patient
    /// again when the slot is back: maps of the time of a failover contradict each other.
    pub(super) fn hurry(&mut self, pipe: PipelineId) {
        let timeout = self.timeout();
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let Holder::Lent(key) = pipeline.holder else { return };
        let Some(loan) = self.loans.get(&key).filter(|_| pipeline.in_flight() > 0) else { return };
        if loan.asking || self.view.owner(loan.slot) == pipeline.node {
            pipeline.deadline = loan.until.map_or(NEVER, |until| until + timeout);
        } else {
            pipeline.deadline = pipeline.deadline.min(self.now + timeout);
        }
        let deadline = pipeline.deadline;
        self.wake_by(deadline);
    }

    /// Forgets a loan of which nothing is left.
    pub(super) fn close_loan(&mut self, key: LoanKey) {
        if let Some(loan) = self.loans.get(&key)
            && loan.pipe.is_none()
            && loan.watches == 0
            && !self.retries.holds_bound((key.0, loan.slot))
        {
            self.loans.remove(&key);
        }
    }

    /// Whether the time of a request is over for which a node could not be found. A client that was blocked already
    /// goes on waiting for as long as it said: its request is patient anew.
    pub(super) fn is_over(&self, pending: &mut Pending) -> bool {
        if pending.age(self.now) < self.timeout() {
            return false;
        }
        let loan = self.loans.get(&key(pending)).filter(|loan| pending.traits.blocks() && loan.waited);
        let may_wait = loan.is_some_and(|loan| loan.until.is_none_or(|until| self.now < until));
        if may_wait {
            pending.born = self.now_us;
        }
        !may_wait
    }

    /// Ends a request that no node could be found for, if its client only waits until its time is over.
    pub(super) fn end_waiting(&mut self, request: Taken, proto: Proto, replies: &mut Replies) -> Option<Taken> {
        let key = key(&request.pending);
        if request.pending.traits.blocks() && self.loans.get(&key).is_some_and(|loan| loan.waited) {
            nothing_came(request.pending.ticket, proto, replies);
            return None;
        }
        Some(request)
    }

    /// Makes a blocking request that ended before its time ready for the next try: with the time that is left, and
    /// with patience for the way there anew.
    pub(super) fn rearm(&mut self, mut request: Taken) -> Taken {
        request.pending.born = self.now_us;
        let loan = self.loans.get_mut(&key(&request.pending));
        if let Some(until) = loan.and_then(|loan| {
            loan.waited = true;
            loan.until
        }) && let Some(frame) = blocked::with_timeout(&request.frame, until.saturating_sub(self.now))
        {
            request.pending.len = frame.len() as u32;
            request.frame = frame;
        }
        request
    }
}

/// Answers a blocking request as if its time were up.
fn nothing_came(ticket: Ticket, proto: Proto, replies: &mut Replies) {
    // A part is one of several nodes that were asked how many replicas have a write.
    let reply = if ticket.part().is_some() { b":0\r\n" } else { not_run(proto) };
    replies.deliver(ticket, reply);
}

impl Loan {
    /// Whether the node was reached by an ASK.
    pub(super) const fn is_asking(&self) -> bool {
        self.asking
    }

    pub(super) const fn new(request: &Outgoing<'_>, until: Option<Millis>) -> Self {
        let (proto, slot) = (request.proto, request.slot);
        Self { pipe: None, proto, slot, watches: 0, asking: false, until, waited: false }
    }
}
