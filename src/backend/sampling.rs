//! What others want to know of a backend from time to time: gauges, and one request drawn as a sample.

use std::collections::BTreeMap;

use super::Backend;
use super::pipeline::State;
use super::retry::Mark;
use crate::net::Addr;

/// A request that was just written to its node, watched until its reply is there.
#[derive(Clone, Copy, Debug)]
pub struct Sample(Mark);

impl Backend {
    /// Shows how many connections, requests and bytes there are for each node now.
    pub fn show_gauges(&self) {
        let mut sums = BTreeMap::<_, [u64; 3]>::new();
        for (_, pipeline) in &self.pipelines {
            let [open, in_flight, queued] = sums.entry(pipeline.node).or_default();
            *open += u64::from(matches!(pipeline.state, State::Ready(_) | State::Draining(_)));
            *in_flight += pipeline.in_flight() as u64;
            *queued += pipeline.queued() as u64;
        }
        for (id, node) in &self.nodes {
            let [open, in_flight, queued] = sums.get(&(id as u16)).copied().unwrap_or_default();
            node.tally.connections.set(open);
            node.tally.in_flight.set(in_flight);
            node.tally.queued.set(queued);
        }
    }

    /// The last request that was written, if it came from its client in this turn.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        let pipeline = self.pipelines.get(self.flushed as usize)?;
        let is_new = !pipeline.has_unsent() && pipeline.newest_born() == Some(self.now_us);
        if is_new { Mark::of(self.flushed, &self.pipelines).map(Sample) } else { None }
    }

    /// Whether the request has its reply.
    #[must_use]
    pub fn is_answered(&self, sample: &Sample) -> bool {
        sample.0.is_passed(&self.pipelines)
    }

    /// The node that owns `slot`, as this worker knows it.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<&Addr> {
        self.nodes.get(usize::from(self.view.owner(slot))).map(|node| &node.addr)
    }

    /// Whether both slots belong to one node.
    #[must_use]
    pub fn share_a_node(&self, one: u16, other: u16) -> bool {
        self.view.owner(one) == self.view.owner(other)
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
}
