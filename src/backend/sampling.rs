//! What others want to know of a backend from time to time: gauges, and one request drawn as a sample.

use std::collections::BTreeMap;

use super::Backend;
use super::pipeline::State;
use super::retry::Mark;

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
}
