//! What to do when something ends before its reply: broken connections, new maps.
//!
//! The rule of it all: a write goes out again only if it certainly did not run. A request of which the last
//! byte has not left cannot have run; of the others only reads are sent again.

use std::fmt::Display;

use super::dedicated::{Pool, not_run};
use super::pipeline::{Holder, State};
use super::record::{Pending, Taken, Traits};
use super::retry::{self, Delayed, Mark};
use super::timing::Run;
use super::view::{NOBODY, NodeId};
use super::{Backend, Dialed, NEVER, Node, PipelineId, dedicated};
use crate::cluster::Hint;
use crate::cluster::slot::SLOTS;
use crate::cluster::topology::{Role, Topology};
use crate::net::{Addr, Link};
use crate::replies::Replies;
use crate::resp::Proto;
use crate::telemetry::Fault;

/// What a client is told that waited in vain for a connection of its own.
pub(super) const NO_CONNECTION: &[u8] =
    b"-ERR max number of connections for blocked and watching clients reached (limits.dedicated)\r\n";

impl Backend {
    /// Takes in the connections that dialling tasks have brought.
    pub fn take_dialed(&mut self, replies: &mut Replies) {
        let dialed = std::mem::take(&mut *self.dialed.borrow_mut());
        for Dialed { pipe, generation, result } in dialed {
            let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { continue };
            if pipeline.generation != generation || !matches!(pipeline.state, State::Connecting) {
                continue;
            }
            match result {
                Ok((stream, name)) => {
                    pipeline.name = name;
                    let token = self.around.token | pipe;
                    pipeline.state = State::Ready(Link::new(stream, self.around.ready.waker(token)));
                    pipeline.health.opened(self.now);
                    pipeline.tally.connected.add(1);
                    self.expect_canaries(pipe);
                    // Read once, so that the link's waker is known to the runtime.
                    self.around.ready.push(token);
                }
                Err(error) => {
                    pipeline.tally.refused.add(1);
                    self.lose(pipe, Fault::Connect, &error, replies);
                }
            }
        }
    }

    /// The connection of `pipe` is gone: ends or sends on what it had, and tries again later.
    pub(super) fn lose(&mut self, pipe: PipelineId, fault: Fault, why: &dyn Display, replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if !matches!(pipeline.holder, Holder::Shared | Holder::Aside) {
            if matches!(pipeline.holder, Holder::Lent(_)) {
                pipeline.tally.fault(fault, &why.to_string());
            }
            return self.lose_own(pipe, why, replies);
        }
        let was_ready = matches!(pipeline.state, State::Ready(_));
        let gone = pipeline.holder == Holder::Aside || matches!(pipeline.state, State::Draining(_));
        let (node, proto) = (pipeline.node, pipeline.proto);
        let addr = self.nodes.get(usize::from(node)).map_or_else(|| Addr::tcp("?", 0), |node| node.addr.clone());
        if !pipeline.health.is_doubtful() && !gone {
            tracing::warn!("connection to {addr}: {why}");
        }
        let wait = pipeline.health.lost(was_ready, self.now, &mut self.jitter);
        pipeline.state = State::Down { retry_at: self.now + wait };
        pipeline.deadline = NEVER;
        self.counts.lost += 1;
        match fault {
            // Its requests are counted one by one.
            Fault::Timeout => pipeline.tally.note(&why.to_string()),
            _ => pipeline.tally.fault(fault, &why.to_string()),
        }
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.lost += 1;
        }
        self.break_stream(pipe, replies);
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let requests = pipeline.take_all();
        if std::mem::take(&mut self.refused) {
            // Whoever found the connection full finds another one, or none: in this turn or in one more.
            self.drained = true;
            self.around.ready.push(self.around.dialed);
        }
        self.hint(Hint::Unreachable(addr.clone()));
        let overtaken = retry::overtaken_reads(&requests);
        for (request, overtaken) in requests.into_iter().zip(overtaken) {
            if overtaken {
                let text = format!(
                    "PROXYUNSENT not executed: the connection to {addr} was lost, and a later command on the key may have been executed"
                );
                replies.fail(request.pending.ticket, &text);
            } else {
                self.after_loss(node, proto, request, &addr, replies);
            }
        }
        if gone {
            self.remove_pipeline(pipe);
        }
    }

    pub(super) fn after_loss(
        &mut self,
        lost: NodeId,
        proto: Proto,
        request: Taken,
        addr: &Addr,
        replies: &mut Replies,
    ) {
        let traits = request.pending.traits;
        if traits == Traits::Here {
            let text = format!("PROXYUNKNOWN the connection to {addr} was lost");
            return replies.fail(request.pending.ticket, &text);
        }
        if traits == Traits::Exec && !request.may_have_run {
            return replies.deliver(request.pending.ticket, not_run(proto));
        }
        if traits == Traits::Upload && !request.may_have_run {
            let text = format!("PROXYUNSENT not executed: the connection to {addr} was lost before all of it had left");
            return replies.fail(request.pending.ticket, &text);
        }
        if !request.may_have_run {
            return self.send_anew(lost, proto, request);
        }
        if traits == Traits::ReadBlock {
            let request = self.rearm(request);
            return self.put_off(proto, request, &[], None);
        }
        if request.pending.traits.is_read() && request.pending.hops < self.options.max_redirects {
            if let Some(request) = self.hop(request, replies) {
                self.send_anew(lost, proto, request);
            }
            return;
        }
        let text = format!("PROXYUNKNOWN the connection to {addr} was lost: the command may have been executed");
        let run = Run::of(&request.pending);
        let node = self.nodes.get(usize::from(lost)).map(|node| &*node.tally);
        replies.fail(request.pending.ticket, &text);
        run.end(node, self.clock(), replies);
    }

    /// Sends a request that went down with the connection to `lost`. One that had been sent there by another node
    /// must not come behind later ones that are still with that other node.
    pub(super) fn send_anew(&mut self, lost: NodeId, proto: Proto, request: Taken) {
        match self.view.owner(request.pending.slot) {
            owner if owner == NOBODY || owner == lost || request.pending.traits.is_bound() => {
                self.send_again(proto, request);
            }
            owner => {
                let pipe = self.pipe(owner, proto);
                self.put_off(proto, request, &[], Some(pipe));
            }
        }
    }

    /// Sends a request that did not run to whoever owns its slot now.
    pub(super) fn send_again(&mut self, proto: Proto, request: Taken) {
        let traits = request.pending.traits.plain();
        let len = request.frame.len() as u32;
        let pending = Pending { len, traits, epoch: self.view.epoch(), ..request.pending };
        self.wake_by(self.now + self.timeout().saturating_sub(pending.age(self.now)));
        match self.view.owner(pending.slot) {
            NOBODY => self.put_off(proto, Taken { pending, ..request }, &[], None),
            _ if self.retries.blocks(&pending) => self.put_off(proto, Taken { pending, ..request }, &[], None),
            owner => {
                let Some(pipe) = self.way(&pending, owner, proto) else {
                    return self.put_off(proto, Taken { pending, ..request }, NO_CONNECTION, None);
                };
                match self.retries.elsewhere(&pending, pipe, &self.pipelines) {
                    Some(other) => self.put_off(proto, Taken { pending, ..request }, &[], Some(other)),
                    None => self.divert(pipe, &request.frame, pending, false),
                }
            }
        }
    }

    /// The connection to `node` for this request: the shared one, or its client's own.
    pub(super) fn way(&mut self, pending: &Pending, node: NodeId, proto: Proto) -> Option<PipelineId> {
        if pending.traits.is_bound() {
            self.lend(dedicated::key(pending), node, proto)
        } else {
            Some(self.pipe(node, proto))
        }
    }

    /// Puts a request into a pipeline that does not come straight from its client; with an ASKING in front or not.
    pub(super) fn divert(&mut self, pipe: PipelineId, frame: &[u8], pending: Pending, asking: bool) {
        if pending.traits.is_bound() {
            return self.put_in(pipe, frame, pending, asking);
        }
        let (key, sequence) = (retry::key(&pending), pending.ticket.sequence());
        if asking {
            self.push_asking(pipe, frame, pending);
        } else {
            self.push(pipe, frame, pending);
        }
        if let Some(pipeline) = self.pipelines.get_mut(pipe as usize) {
            pipeline.note_detour();
        }
        if let Some(mark) = Mark::of(pipe, &self.pipelines) {
            self.retries.went(key, sequence, mark, &self.pipelines);
        }
    }

    pub(super) fn push_asking(&mut self, pipe: PipelineId, frame: &[u8], pending: Pending) {
        if let Some(pipeline) = self.pipelines.get_mut(pipe as usize) {
            pipeline.push_asking(frame, pending);
            self.touch(pipe);
        }
    }

    /// There is something to be written.
    pub(super) fn touch(&mut self, pipe: PipelineId) {
        if let Some(pipeline) = self.pipelines.get_mut(pipe as usize)
            && !pipeline.dirty
        {
            pipeline.dirty = true;
            self.dirty.push(pipe);
        }
    }

    /// Sends a request again a little later, when all that is under way on `after` is answered. The client may be
    /// told `refusal` if it comes to nothing; empty if its node said nothing of use.
    pub(super) fn put_off(&mut self, proto: Proto, request: Taken, refusal: &[u8], after: Option<PipelineId>) {
        self.counts.put_off += 1;
        let mark = after.and_then(|pipe| Mark::of(pipe, &self.pipelines));
        let refusal = refusal.into();
        let due = self.retries.put_off(self.now, Delayed { proto, request, refusal, mark });
        self.wake_by(due);
    }

    /// Takes over a new map: routes by it from now on, and sends on what waits for nodes that lost their slots.
    pub fn adopt(&mut self, map: &Topology, replies: &mut Replies) {
        for (_, node) in &mut self.nodes {
            node.listed = false;
        }
        let ids: Vec<NodeId> = map.nodes.iter().map(|node| self.node_id(&node.addr)).collect();
        for slot in 0..SLOTS {
            let owner = map.slots.get(usize::from(slot)).and_then(|&index| ids.get(usize::from(index)));
            self.view.set(slot, owner.copied().unwrap_or(NOBODY));
        }
        self.leaders =
            (map.nodes.iter().zip(&ids)).filter(|(node, _)| node.role == Role::Primary).map(|(_, &id)| id).collect();
        self.primaries = (0u16..)
            .zip(&map.nodes)
            .filter(|(_, node)| node.role == Role::Primary)
            .filter_map(|(index, _)| map.slots.iter().position(|&owner| owner == index))
            .map(|slot| slot as u16)
            .collect();
        // A slot that found its node full may have another node now.
        self.drained |= std::mem::take(&mut self.refused);
        self.reroute(replies);
    }

    fn node_id(&mut self, addr: &Addr) -> NodeId {
        if let Some(&id) = self.by_addr.get(addr) {
            if let Some(node) = self.nodes.get_mut(usize::from(id)) {
                node.listed = true;
            }
            return id;
        }
        self.new_node(addr, true)
    }

    fn new_node(&mut self, addr: &Addr, listed: bool) -> NodeId {
        let tally = self.around.tallies.join(&addr.to_string(), self.around.worker);
        let pool = Pool::default();
        let node = Node { addr: addr.clone(), pipes: [None; 2], tally, pool, listed, lost: 0 };
        let id = self.nodes.insert(node) as NodeId;
        self.by_addr.insert(addr.clone(), id);
        id
    }

    /// The node that a redirect to `addr` leads to: one of the map, or one that the operator allows.
    pub(super) fn redirect_target(&mut self, addr: Addr) -> Option<NodeId> {
        let addr = self.options.addresses.outside(addr);
        if let Some(&id) = self.by_addr.get(&addr) {
            return Some(id);
        }
        // Until a map names it, it stays as long as the next map.
        self.options.addresses.allows(&addr).then(|| self.new_node(&addr, false))
    }

    /// What waits unsent for a node that no longer owns its slot goes to the one that does.
    fn reroute(&mut self, replies: &mut Replies) {
        let pipes: Vec<PipelineId> = self.pipelines.iter().map(|(id, _)| id as PipelineId).collect();
        for pipe in pipes {
            let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { continue };
            let (node, proto) = (pipeline.node, pipeline.proto);
            let stays = matches!(pipeline.state, State::Ready(_));
            let view = &self.view;
            let strays = if stays { Vec::new() } else { pipeline.take_unsent(|p| view.owner(p.slot) != node) };
            let generation = pipeline.generation;
            for request in strays {
                if request.pending.traits == Traits::Here {
                    replies.fail(request.pending.ticket, "PROXYUNSENT not executed: the slot has a new owner");
                } else {
                    self.send_again(proto, request);
                }
            }
            let is_same = self.pipelines.get(pipe as usize).is_some_and(|pipeline| pipeline.generation == generation);
            if is_same && self.nodes.get(usize::from(node)).is_some_and(|node| !node.listed) {
                self.retire(pipe, replies);
            }
            self.hurry(pipe);
        }
        let idle: Vec<usize> = self.nodes.iter().filter(|(_, node)| node.is_unused()).map(|(id, _)| id).collect();
        for id in idle {
            let node = self.nodes.remove(id);
            self.by_addr.remove(&node.addr);
        }
    }

    /// The node of `pipe` left the map: the connection is closed once everything is answered.
    fn retire(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        if pipeline.holder != Holder::Shared {
            return self.retire_own(pipe);
        }
        if pipeline.in_flight() == 0 {
            return self.remove_pipeline(pipe);
        }
        match std::mem::replace(&mut pipeline.state, State::Down { retry_at: 0 }) {
            State::Ready(link) | State::Draining(link) => pipeline.state = State::Draining(link),
            State::Down { .. } | State::Connecting => {
                let (node, proto) = (pipeline.node, pipeline.proto);
                let requests = pipeline.take_all();
                let addr = Addr::tcp("a node that left the cluster", 0);
                for request in requests {
                    self.after_loss(node, proto, request, &addr, replies);
                }
                self.remove_pipeline(pipe);
            }
        }
    }

    /// Closes a draining pipeline that has nothing left to do, and puts one by that is not shared; true if it is gone.
    pub(super) fn finished(&mut self, pipe: PipelineId) -> bool {
        let pipeline = self.pipelines.get(pipe as usize);
        pipeline.is_some_and(|pipeline| !pipeline.is_common() && pipeline.in_flight() == 0) && self.finish(pipe)
    }

    /// Nothing is under way on a connection that is draining, or is not shared.
    #[cold]
    fn finish(&mut self, pipe: PipelineId) -> bool {
        match self.pipelines.get(pipe as usize).map(|pipeline| pipeline.holder) {
            Some(Holder::Shared) => self.remove_pipeline(pipe),
            _ => self.settle(pipe),
        }
        !self.pipelines.contains(pipe as usize)
    }

    fn remove_pipeline(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.try_remove(pipe as usize) else { return };
        debug_assert_eq!(pipeline.in_flight(), 0, "a pipeline was removed with requests in it");
        if let Some(node) = self.nodes.get_mut(usize::from(pipeline.node)) {
            match pipeline.holder {
                Holder::Shared => node.pipes[pipeline.proto as usize] = None,
                _ => node.pool.open -= 1,
            }
        }
    }
}
