//! What others want to know of a backend from time to time: gauges, and one request drawn as a sample.

use super::Backend;
use super::pipeline::State;
use super::retry::Mark;

/// A request that was just written to its node, watched until its reply is there.
#[derive(Clone, Copy, Debug)]
pub struct Sample(Mark);

impl Backend {
    /// Shows how many connections, requests and bytes there are for each node now.
    pub fn show_gauges(&self) {
        for (_, node) in &self.nodes {
            let pipes = node.pipes.iter().flatten().filter_map(|&pipe| self.pipelines.get(pipe as usize));
            let (mut open, mut in_flight, mut queued) = (0, 0, 0);
            for pipeline in pipes {
                open += u64::from(matches!(pipeline.state, State::Ready(_) | State::Draining(_)));
                in_flight += pipeline.in_flight() as u64;
                queued += pipeline.queued() as u64;
            }
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
