//! What can be made to go wrong: nodes that die, stall, linger or lie.

use std::rc::Rc;
use std::time::Duration;

use super::{Cluster, NodeId};

/// A lie or an accident that waits for its request.
#[derive(Clone, Debug)]
pub struct Script {
    command: Option<String>,
    pub(super) act: Act,
    times: u32,
}

/// What happens instead of a plain reply.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// The request runs; these bytes are the answer.
    Replace(Vec<u8>),
    /// The request does not run; these bytes are the answer.
    Refuse(Vec<u8>),
    /// These bytes come before the reply.
    Before(Vec<u8>),
    /// These bytes come after the reply.
    After(Vec<u8>),
    /// The reply is cut off after so many bytes, and the connection with it.
    Cut(usize),
    /// The connection is cut before the request runs.
    CutUnrun,
    /// The reply, and those behind it, come so much later.
    Hold(Duration),
}

impl Script {
    fn new(act: Act) -> Self {
        Self { command: None, act, times: 1 }
    }

    /// The request runs, but these raw bytes are the answer (none at all, if empty).
    #[must_use]
    pub fn replace(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Act::Replace(bytes.into()))
    }

    /// The request does not run, and these raw bytes are the answer.
    #[must_use]
    pub fn refuse(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Act::Refuse(bytes.into()))
    }

    /// These raw bytes come before the reply.
    #[must_use]
    pub fn before(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Act::Before(bytes.into()))
    }

    /// These raw bytes come after the reply.
    #[must_use]
    pub fn after(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Act::After(bytes.into()))
    }

    /// The request runs; the connection is cut after the first `bytes` bytes of its reply.
    #[must_use]
    pub fn cut_after(bytes: usize) -> Self {
        Self::new(Act::Cut(bytes))
    }

    /// The connection is cut before the request runs.
    #[must_use]
    pub fn cut_unrun() -> Self {
        Self::new(Act::CutUnrun)
    }

    /// The request runs at once; its reply and those behind it come `later`.
    #[must_use]
    pub fn hold(later: Duration) -> Self {
        Self::new(Act::Hold(later))
    }

    /// Waits for a request of this command; otherwise the next request of any kind is taken.
    #[must_use]
    pub fn on(mut self, command: &str) -> Self {
        self.command = Some(command.to_ascii_lowercase());
        self
    }

    /// Happens `n` times and not once.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.times = n;
        self
    }
}

impl Cluster {
    /// The process dies: connections are cut, connects are refused. Its keys are there again if it comes back.
    pub fn kill(&self, node: NodeId) {
        let mut state = self.state();
        let this = &mut state.nodes[node.0];
        this.alive = false;
        for line in std::mem::take(&mut this.lines).into_values() {
            line.hang_up();
        }
        this.doorbell.notify_one();
    }

    /// The process is back, as a replica if another node took its place.
    pub fn revive(&self, node: NodeId) {
        let mut state = self.state();
        state.nodes[node.0].alive = true;
        state.nodes[node.0].paused = false;
        state.map_mut().failed.remove(&node.0);
        state.nodes[node.0].doorbell.notify_one();
    }

    /// Whether the node's process runs.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.state().nodes[node.0].alive
    }

    /// The node takes connections and bytes but answers nothing, as a process stopped by SIGSTOP does.
    pub fn pause(&self, node: NodeId) {
        let mut state = self.state();
        state.nodes[node.0].paused = true;
        state.nodes[node.0].wake();
    }

    /// The node goes on, with what came in the meantime first.
    pub fn resume(&self, node: NodeId) {
        let mut state = self.state();
        state.nodes[node.0].paused = false;
        state.nodes[node.0].wake();
    }

    /// As a replica, the node says that it does not hear its primary, or that it does again. It has the keys all the same.
    pub fn unlink(&self, node: NodeId, cut_off: bool) {
        self.state().nodes[node.0].unlinked = cut_off;
    }

    /// The node holds back what it answers to each batch of requests by this much; zero ends it.
    pub fn delay(&self, node: NodeId, each: Duration) {
        self.state().nodes[node.0].delay = each;
    }

    /// Adds a lie or an accident to those that wait at the node. Of several that fit, the oldest comes first.
    pub fn script(&self, node: NodeId, script: Script) {
        self.state().nodes[node.0].scripts.push_back(script);
    }

    /// How many scripts still wait at the node.
    #[must_use]
    pub fn scripts_left(&self, node: NodeId) -> usize {
        self.state().nodes[node.0].scripts.len()
    }

    /// How often the scripts that wait at the node will go off.
    #[must_use]
    pub fn times_left(&self, node: NodeId) -> usize {
        self.state().nodes[node.0].scripts.iter().map(|script| script.times as usize).sum()
    }

    /// Sends raw bytes to every connection of the node, without any of them having asked.
    pub fn send_unasked(&self, node: NodeId, bytes: &[u8]) {
        for line in self.state().nodes[node.0].lines.values() {
            line.unasked.borrow_mut().extend_from_slice(bytes);
            line.bell.notify_one();
        }
    }

    /// Cuts the connections of a node that stays up; how many there were.
    pub fn cut_connections(&self, node: NodeId) -> usize {
        let lines = std::mem::take(&mut self.state().nodes[node.0].lines);
        for line in lines.values() {
            line.hang_up();
        }
        lines.len()
    }

    /// The node no longer hears from the others: it keeps the map it has, and what is written to it is lost
    /// when it rejoins.
    pub fn isolate(&self, node: NodeId) {
        let mut state = self.state();
        let state = &mut *state;
        if state.nodes[node.0].old_map.is_none() {
            state.nodes[node.0].old_map = Some(Rc::clone(&state.map));
            let fork = state.dbs[state.nodes[node.0].db].clone();
            state.nodes[node.0].db = state.dbs.len();
            state.dbs.push(fork);
        }
    }

    /// The node hears from the others again and believes what they say.
    ///
    /// The primary of a shard that nobody replaced keeps what was written to it while it was alone.
    pub fn rejoin(&self, node: NodeId) {
        let mut state = self.state();
        let state = &mut *state;
        if state.nodes[node.0].old_map.take().is_none() {
            return;
        }
        let shard = state.map.shard_of(node.0);
        let fork = std::mem::take(&mut state.dbs[state.nodes[node.0].db]);
        if state.map.is_primary(node.0) {
            state.dbs[shard] = fork;
        }
        state.nodes[node.0].db = shard;
    }
}

/// The script that a request of this command sets off, if one waits for it.
pub(super) fn take(scripts: &mut std::collections::VecDeque<Script>, command: &[u8]) -> Option<Act> {
    let fits = |script: &Script| match &script.command {
        Some(name) => name.as_bytes().eq_ignore_ascii_case(command),
        None => true,
    };
    let at = scripts.iter().position(fits)?;
    let script = scripts.get_mut(at)?;
    let act = script.act.clone();
    script.times = script.times.saturating_sub(1);
    if script.times == 0 {
        scripts.remove(at);
    }
    Some(act)
}
