//! Reads that others than the primary may answer: which node is asked, and who is asked next when it does not answer.
//!
//! The turn of the replicas is drawn from client and slot, so that a client sees one replica's view of a key for as
//! long as that replica answers, while clients and slots spread evenly. A node whose connection failed is left out
//! until a new one answers, which is tried beside the reads; one that says that it cannot answer now, for a moment.
//!
//! ```text
//!           by client and slot             lost, late, loading, cut off from its primary
//!   read ────────────────────► a replica ─────────────────────────────────► the next ──► the primary
//!                                  │ MOVED, or a script that it does not know                ▲
//!                                  └─────────────────────────────────────────────────────────┘
//! ```
//!
//! The client's side keeps the order: it sends no write to a slot while such a read for it is under way.

use super::pipeline::State;
use super::record::{Pending, Taken, Traits};
use super::redirect::Verdict;
use super::retry;
use super::timing::Run;
use super::view::{NOBODY, NodeId};
use super::{Backend, Lane, Millis, NEVER, Outgoing, PipelineId, place};
use crate::cluster::Hint;
use crate::cluster::topology::{Role, Topology};
use crate::replies::{Replies, Ticket};
use crate::resp::Proto;
use crate::telemetry::Fault;

/// For how long a replica is left alone after it said that it cannot answer, in milliseconds.
const REFUSED_MS: Millis = 250;
/// What a client is told whose reads must go to replicas, when there are none.
const NO_REPLICA: &[u8] =
    b"-PROXYUNSENT not executed: the slot has no replica that can be read from (cluster.read_from)\r\n";

/// Where the reads of a client go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// To the primary.
    #[default]
    Primary,
    /// To the primary; to a replica when the primary is out of reach.
    PreferPrimary,
    /// To a replica; to the primary when no replica can answer.
    PreferReplica,
    /// To replicas alone.
    Replica,
    /// To the primary and its replicas alike.
    Any,
}

/// A node to read from: its number, and whether as a replica.
type Reader = (NodeId, bool);

impl Backend {
    /// Takes over from a new map who can be read from in place of each primary.
    pub(super) fn learn_replicas(&mut self, map: &Topology, ids: &[NodeId]) {
        for (_, node) in &mut self.nodes {
            node.replicas.clear();
            node.cut_off.clear();
        }
        for (node, &id) in map.nodes.iter().zip(ids) {
            let Role::Replica { of } = node.role else { continue };
            let primary = ids.get(usize::from(of)).and_then(|&id| self.nodes.get_mut(usize::from(id)));
            match primary.filter(|_| node.online) {
                Some(primary) if node.is_linked => primary.replicas.push(id),
                Some(primary) => primary.cut_off.push(id),
                None => {}
            }
        }
    }

    /// Whether the map names `node` as a replica that can be read from.
    pub(super) fn is_replica(&self, node: NodeId) -> bool {
        self.nodes.iter().any(|(_, primary)| primary.is_followed_by(node))
    }

    /// The lane for a read of `slot`, or `None` while nobody who may be read from has room.
    pub fn read_lane(&mut self, slot: u16, proto: Proto, from: ReadFrom, client: u64) -> Option<Lane> {
        let reader =
            self.reader(slot, proto, (from, client), None).or_else(|| self.last_resort(slot, proto, from, client));
        let Some((node, reads)) = reader else { return Some(Lane::New) };
        let pipe = self.pipe_as(node, proto, reads);
        if self.has_room(pipe) {
            return Some(Lane::Pipe(pipe));
        }
        self.refused = true;
        None
    }

    fn has_room(&self, pipe: PipelineId) -> bool {
        self.pipelines.get(pipe as usize).is_some_and(|pipeline| pipeline.queued() < self.options.node_queue_bytes)
    }

    /// Sends the part of a read that was split, which was let in as a whole: whoever has room.
    pub fn send_read_part(&mut self, part: Outgoing<'_>, from: ReadFrom, ticket: Ticket) {
        let lane = self.read_lane(part.slot, part.proto, from, ticket.client_key()).unwrap_or(Lane::New);
        self.send_read(part, from, lane, ticket);
    }

    /// Sends a read by its lane; the reply comes through `ticket`.
    pub fn send_read(&mut self, request: Outgoing<'_>, from: ReadFrom, lane: Lane, ticket: Ticket) {
        let traits = if from == ReadFrom::Replica { Traits::SpreadReplica } else { Traits::Spread };
        let pending = self.pending(traits, &request, ticket);
        if self.wake_at == NEVER {
            self.wake_at = self.now + self.timeout();
        }
        let Outgoing { frame, slot, proto, .. } = request;
        let Lane::Pipe(pipe) = lane else {
            return self.nobody_reads(proto, Taken::unsent(pending, frame), slot);
        };
        if self.retries.is_empty() {
            return self.push_read(pipe, frame, pending);
        }
        if self.retries.blocks(&pending) {
            return self.put_off(proto, Taken::unsent(pending, frame), &[], None);
        }
        match self.retries.elsewhere(&pending, pipe, &self.pipelines) {
            Some(other) => self.put_off(proto, Taken::unsent(pending, frame), &[], Some(other)),
            None => self.push_read(pipe, frame, pending),
        }
    }

    fn push_read(&mut self, pipe: PipelineId, frame: &[u8], pending: Pending) {
        if self.pipelines.get(pipe as usize).is_some_and(|pipeline| pipeline.reads) {
            self.wake_by(self.now + self.patience());
        }
        self.push(pipe, frame, pending);
    }

    /// How long a replica may take before another node is asked: half of the time that a request has.
    pub(super) const fn patience(&self) -> Millis {
        let half = self.timeout() / 2;
        if half == 0 { 1 } else { half }
    }

    /// There is nobody to read from: the read waits for one, until its deadline.
    fn nobody_reads(&mut self, proto: Proto, request: Taken, slot: u16) {
        self.hint(Hint::Unowned);
        let refusal = if self.view.owner(slot) == NOBODY { &[][..] } else { NO_REPLICA };
        self.put_off(proto, request, refusal, None);
    }

    /// Who is asked first, if there is anybody of whom nothing bad is known; `avoid` was asked just now.
    fn reader(
        &mut self,
        slot: u16,
        proto: Proto,
        (from, client): (ReadFrom, u64),
        avoid: Option<NodeId>,
    ) -> Option<Reader> {
        let candidates = self.candidates(slot, from)?;
        // What is on the move may be at the other primary already, of which replicas know nothing.
        let first = if self.view.is_moving(slot) && from != ReadFrom::Replica { ReadFrom::PreferPrimary } else { from };
        let turn = turn(client, slot);
        (0..candidates.count).find_map(|at| {
            let reader = self.candidate(&candidates, first, turn, at)?;
            (Some(reader.0) != avoid && self.is_fit(reader, proto)).then_some(reader)
        })
    }

    /// Who is asked when something bad is known of everybody: a replica that answers, if only with a refusal; else the
    /// primary, or a replica where it must be one, and the read waits for it.
    fn last_resort(&mut self, slot: u16, proto: Proto, from: ReadFrom, client: u64) -> Option<Reader> {
        let candidates = self.candidates(slot, from)?;
        let turn = turn(client, slot);
        let connected = |this: &Self, (node, reads): Reader| {
            let pipe = this.nodes.get(usize::from(node))?.pipes[place(proto, reads)]?;
            let pipeline = this.pipelines.get(pipe as usize)?;
            matches!(pipeline.state, State::Ready(_)).then_some((node, reads))
        };
        let answering = (0..candidates.count).find_map(|at| {
            let reader = self.candidate(&candidates, from, turn, at)?;
            connected(self, reader).filter(|_| reader.1 && self.has_room_for(reader, proto))
        });
        let primary = (from != ReadFrom::Replica).then_some((candidates.owner, false));
        answering.or(primary).or_else(|| self.candidate(&candidates, from, turn, 0))
    }

    fn has_room_for(&self, (node, reads): Reader, proto: Proto) -> bool {
        let pipe = self.nodes.get(usize::from(node)).and_then(|node| node.pipes[place(proto, reads)]);
        pipe.is_none_or(|pipe| self.has_room(pipe))
    }

    fn candidates(&self, slot: u16, from: ReadFrom) -> Option<Candidates> {
        let owner = self.view.owner(slot);
        let node = self.nodes.get(usize::from(owner))?;
        let wanted = node.replicas.len() + usize::from(from != ReadFrom::Replica);
        Some(Candidates { owner, wanted, count: wanted + node.cut_off.len() })
    }

    /// The candidate at a place of the order in which they are asked: the wanted ones as `from` has it, then replicas
    /// that do not hear their primary.
    fn candidate(&self, of: &Candidates, from: ReadFrom, turn: usize, at: usize) -> Option<Reader> {
        let node = self.nodes.get(usize::from(of.owner))?;
        let one_of = |nodes: &[NodeId], nth: usize| {
            let at = turn.wrapping_add(nth).checked_rem(nodes.len())?;
            nodes.get(at).map(|&node| (node, true))
        };
        let primary = Some((of.owner, false));
        if at >= of.wanted {
            return one_of(&node.cut_off, at - of.wanted);
        }
        match from {
            ReadFrom::Primary => primary,
            ReadFrom::PreferPrimary if at == 0 => primary,
            ReadFrom::PreferPrimary => one_of(&node.replicas, at - 1),
            ReadFrom::PreferReplica if at == node.replicas.len() => primary,
            ReadFrom::PreferReplica | ReadFrom::Replica => one_of(&node.replicas, at),
            // One of all, and from there on round.
            ReadFrom::Any => match turn.wrapping_add(at) % of.wanted {
                0 => primary,
                nth => node.replicas.get(nth - 1).map(|&node| (node, true)),
            },
        }
    }

    /// Whether nothing bad is known of a node. One whose connection failed is tried anew beside the reads when it is
    /// time, so that none of them waits for the outcome.
    fn is_fit(&mut self, (node, reads): Reader, proto: Proto) -> bool {
        let Some(known) = self.nodes.get(usize::from(node)) else { return false };
        if reads && self.now < known.refused_until {
            return false;
        }
        let Some(pipe) = known.pipes[place(proto, reads)] else { return true };
        let has_room = self.has_room(pipe);
        let Some(pipeline) = self.pipelines.get(pipe as usize) else { return false };
        match pipeline.state {
            State::Ready(_) => has_room,
            State::Connecting => has_room && !pipeline.health.is_doubtful(),
            State::Draining(_) => false,
            State::Down { .. } if !pipeline.health.is_doubtful() => has_room,
            State::Down { retry_at } => {
                if retry_at <= self.now {
                    self.dial(pipe);
                }
                false
            }
        }
    }

    /// Sends a read that has to be sent again to whoever can answer it, but not to `avoid` if there is another.
    pub(super) fn reread(&mut self, proto: Proto, mut request: Taken, avoid: Option<NodeId>) {
        request.pending.len = request.frame.len() as u32;
        request.pending.epoch = self.view.epoch();
        if request.pending.age(self.now) >= self.patience() {
            // No connection is given up for what came to it late.
            request.pending.hops = request.pending.hops.max(1);
        }
        let (slot, client) = (request.pending.slot, request.pending.ticket.client_key());
        self.wake_by(self.now + self.timeout().saturating_sub(request.pending.age(self.now)));
        if self.retries.blocks(&request.pending) {
            return self.put_off(proto, request, &[], None);
        }
        let from = preference(&request);
        let reader =
            self.reader(slot, proto, (from, client), avoid).or_else(|| self.last_resort(slot, proto, from, client));
        let Some((node, reads)) = reader else { return self.nobody_reads(proto, request, slot) };
        let pipe = self.pipe_as(node, proto, reads);
        match self.retries.elsewhere(&request.pending, pipe, &self.pipelines) {
            Some(other) => self.put_off(proto, request, &[], Some(other)),
            None => {
                self.wake_by(self.now + self.patience());
                self.divert(pipe, &request.frame, request.pending, false);
            }
        }
    }

    /// A node did not answer a request as it should. Gives the request back if it is to be treated like any other.
    pub(super) fn read_elsewhere(
        &mut self,
        (pipe, proto): (PipelineId, Proto),
        verdict: &Verdict,
        reply: &[u8],
        mut request: Taken,
        replies: &mut Replies,
    ) -> Option<Taken> {
        if !request.pending.traits.is_spread() {
            return Some(request);
        }
        let at_replica = self.pipelines.get(pipe as usize).is_some_and(|pipeline| pipeline.reads);
        match verdict {
            Verdict::Pass | Verdict::Unauthenticated => return Some(request),
            Verdict::Later(_) | Verdict::Stale if at_replica => self.refused_read(pipe, proto, reply, request, replies),
            Verdict::Later(_) | Verdict::Stale => return Some(request),
            Verdict::Moved(_) if at_replica => {
                // Its primary knows better: a replica hears of moves last, and must not send writes astray.
                self.counts.moved += 1;
                if let Some(pipeline) = self.pipelines.get(pipe as usize) {
                    pipeline.tally.moved.add(1);
                }
                self.hint(Hint::Moved);
                self.read_from_primary(proto, request, replies);
            }
            Verdict::Missing if at_replica => {
                self.teach_replica(pipe, &request, replies);
                self.read_from_primary(proto, request, replies);
            }
            Verdict::Moved(_) | Verdict::Ask(_) | Verdict::Missing => {
                request.pending.traits = Traits::Read;
                return Some(request);
            }
        }
        None
    }

    /// From now on the read is for the primary alone.
    fn read_from_primary(&mut self, proto: Proto, request: Taken, replies: &mut Replies) {
        let Some(mut request) = self.hop(request, replies) else { return };
        request.pending.traits = Traits::Read;
        self.send_again(proto, request);
    }

    /// A replica cannot answer now: it is left alone for a while, and another node is asked at once. If there is none,
    /// the read is sent again until its deadline; then the replica's answer is the client's.
    fn refused_read(
        &mut self,
        pipe: PipelineId,
        proto: Proto,
        reply: &[u8],
        mut request: Taken,
        replies: &mut Replies,
    ) {
        let Some(node) = self.pipelines.get(pipe as usize).map(|pipeline| pipeline.node) else { return };
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.refused_until = self.now + REFUSED_MS;
        }
        if reply.starts_with(b"-CLUSTERDOWN") {
            self.hint(Hint::Unowned);
        }
        request.pending.hops = 0;
        let (slot, client) = (request.pending.slot, request.pending.ticket.client_key());
        if request.pending.age(self.now) + retry::LAST_MS >= self.timeout() {
            self.end_refused(pipe, reply, request, replies);
        } else if self.reader(slot, proto, (preference(&request), client), Some(node)).is_some() {
            self.reread(proto, request, Some(node));
        } else {
            self.put_off(proto, request, reply, Some(pipe));
        }
    }

    fn end_refused(&self, pipe: PipelineId, reply: &[u8], request: Taken, replies: &mut Replies) {
        let run = Run::of(&request.pending);
        let tally = self.pipelines.get(pipe as usize).map(|pipeline| &*pipeline.tally);
        if let Some(tally) = tally {
            tally.error(reply);
        }
        replies.deliver_error(request.pending.ticket, reply);
        run.end(tally, self.clock(), replies);
    }

    /// Looks after the reads on a replica's connection: what waits for half of its time is read elsewhere. Without an
    /// answer to what was sent the connection is given up, like any whose replies may come late.
    pub(super) fn tick_reads(&mut self, pipe: PipelineId, replies: &mut Replies) {
        let (now, patience) = (self.now, self.patience());
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize).filter(|pipeline| pipeline.reads) else { return };
        let Some(age) = pipeline.oldest_spread_age(now) else { return };
        if age < patience {
            return self.wake_by(now + (patience - age).max(1));
        }
        if matches!(pipeline.state, State::Ready(_) | State::Draining(_)) {
            return self.lose(pipe, Fault::Timeout, &"the replica did not answer in half of the time", replies);
        }
        let (node, proto) = (pipeline.node, pipeline.proto);
        let is_late =
            |pending: &Pending| pending.traits == Traits::Spread && pending.hops == 0 && pending.age(now) >= patience;
        for request in pipeline.take_unsent(is_late) {
            self.reread(proto, request, Some(node));
        }
    }
}

/// Who can be asked for a slot.
struct Candidates {
    owner: NodeId,
    /// How many are what the client wants.
    wanted: usize,
    /// All of them.
    count: usize,
}

/// Where the round of the replicas begins for a client and a slot. Clients are numbered one after the other.
const fn turn(client: u64, slot: u16) -> usize {
    ((client >> 32) as usize).wrapping_add(slot as usize)
}

/// Who is asked for a read that is sent again.
fn preference(request: &Taken) -> ReadFrom {
    match request.pending.traits {
        Traits::SpreadReplica => ReadFrom::Replica,
        _ => ReadFrom::PreferReplica,
    }
}
