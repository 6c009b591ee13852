//! The interleaved rounds: every target runs every workload once a round, in an order that turns round by round.
//!
//! CPU time is read before the first request and after the last reply, while the connections are open and warm, so
//! neither connecting nor closing counts. A target that fails is left out from then on, and named.

use std::cell::OnceCell;

use serde::Serialize;

use crate::load::{Fleet, Outcome};
use crate::plan::{Space, Work, Workload};
use crate::targets::{Missing, Running};
use crate::wire::Keyspace;
use crate::{Result, cpu, plan};

/// The keyspaces, each made when it is first used.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    small: OnceCell<Keyspace>,
    large: OnceCell<Keyspace>,
    kb64: OnceCell<Keyspace>,
    mb1: OnceCell<Keyspace>,
    mb16: OnceCell<Keyspace>,
    mb64: OnceCell<Keyspace>,
}

impl Spaces {
    /// The keyspace that a workload uses.
    pub(crate) fn of(&self, space: Space) -> &Keyspace {
        let cell = match space {
            Space::Small => &self.small,
            Space::Large => &self.large,
            Space::Kb64 => &self.kb64,
            Space::Mb1 => &self.mb1,
            Space::Mb16 => &self.mb16,
            Space::Mb64 => &self.mb64,
        };
        cell.get_or_init(|| Keyspace::new(space))
    }
}

/// What one target did in one workload of one round.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    /// Counted from 1.
    pub(crate) round: u32,
    /// The workload's name.
    pub(crate) work: &'static str,
    /// The target's name.
    pub(crate) target: &'static str,
    /// Replies received.
    pub(crate) replies: u64,
    /// Replies per second (keys per second for MGET).
    pub(crate) per_second: f64,
    /// The proxy's CPU time per request (per key for MGET), microseconds.
    pub(crate) proxy_us: Option<f64>,
    /// The same of the servers behind it.
    pub(crate) nodes_us: f64,
    /// The proxy's resident memory at its peak, bytes.
    pub(crate) peak: Option<u64>,
    /// Median latency of a batch, microseconds.
    pub(crate) p50_us: f64,
    /// The latency that 99 of 100 batches do not exceed, microseconds.
    pub(crate) p99_us: f64,
    /// Error replies.
    pub(crate) errors: u64,
    /// Replies of the wrong type, count or content.
    pub(crate) wrong: u64,
    /// The first of either.
    pub(crate) complaint: Option<String>,
}

/// Puts keyspaces behind a target. Fails when the target answers anything but OK.
pub(crate) fn preload(running: &Running, wanted: &[Space], spaces: &Spaces) -> Result<()> {
    for &space in wanted {
        let keys = spaces.of(space);
        let (_, count, size) = space.shape();
        let depth = (64 * 1024 / size).clamp(1, 64);
        let connections = (count as usize).min(4);
        let load = Workload { work: Work::Preload, space, connections, ..plan::mixed(depth, u64::from(count)) };
        let outcome = Fleet::connect(&running.destination, keys, load.connections)?.run(&load, 0)?;
        if let Some(complaint) = outcome.complaint {
            return Err(format!("preloading was answered {complaint}").into());
        }
    }
    Ok(())
}

/// Runs all rounds. Targets that fail are taken out of `running` and named in `lost`.
pub(crate) fn run(
    rounds: u32,
    workloads: &[Workload],
    running: &mut Vec<Running>,
    spaces: &Spaces,
    lost: &mut Vec<Missing>,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    let rounds = if workloads.is_empty() { 0 } else { rounds };
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: {} workloads, {} targets", workloads.len(), running.len());
        for (index, load) in workloads.iter().enumerate() {
            let seed = (u64::from(round) << 32) | index as u64;
            running.retain_mut(|target| {
                if target.scene != load.scene || load.without.contains(&target.name) {
                    return true;
                }
                match measure(target, load, spaces, round, seed) {
                    Ok(sample) => {
                        samples.push(sample);
                        true
                    }
                    Err(error) => {
                        lost.push(Missing { name: target.name, why: failure(target, load, &*error) });
                        false
                    }
                }
            });
        }
        running.reverse();
    }
    samples
}

fn failure(target: &mut Running, load: &Workload, error: &dyn std::error::Error) -> String {
    let end = target.child.as_mut().and_then(|child| {
        let status = child.ended().ok().flatten()?;
        Some(format!("; it ended with {status}: {}", child.last_words()))
    });
    format!("failed in {}: {error}{}", load.name, end.unwrap_or_default())
}

fn measure(target: &Running, load: &Workload, spaces: &Spaces, round: u32, seed: u64) -> Result<Sample> {
    let mut fleet = Fleet::connect(&target.destination, spaces.of(load.space), load.connections)?;
    fleet.run(&load.sized(load.warm_up()), !seed)?;
    let proxy = || target.pid().map(cpu::time).transpose();
    target.pid().map(cpu::forget_peak).transpose()?;
    let (proxy_before, nodes_before) = (proxy()?, cpu::times(&target.nodes)?);
    let outcome = fleet.run(load, seed)?;
    let (proxy_after, nodes_after) = (proxy()?, cpu::times(&target.nodes)?);
    let peak = target.pid().map(cpu::peak).transpose()?;
    let sample = sample(target, load, round, outcome, proxy_after.zip(proxy_before), (nodes_after, nodes_before));
    Ok(Sample { peak, ..sample })
}

fn sample(
    target: &Running,
    load: &Workload,
    round: u32,
    outcome: Outcome,
    proxy: Option<(u64, u64)>,
    nodes: (u64, u64),
) -> Sample {
    let keys = (outcome.replies * load.keys()) as f64;
    let each = |(after, before): (u64, u64)| after.saturating_sub(before) as f64 / 1e3 / keys;
    Sample {
        round,
        work: load.name,
        target: target.name,
        replies: outcome.replies,
        per_second: keys / outcome.elapsed.as_secs_f64(),
        proxy_us: proxy.map(each),
        nodes_us: each(nodes),
        peak: None,
        p50_us: outcome.quantile(0.50),
        p99_us: outcome.quantile(0.99),
        errors: outcome.errors,
        wrong: outcome.wrong,
        complaint: outcome.complaint,
    }
}
