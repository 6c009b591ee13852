//! Medians, quartiles, and ratios between two targets.
//!
//! A ratio is taken within one round, where both sides met the same disturbances; the median is taken over the rounds.

use serde::Serialize;

use crate::rounds::Sample;

/// The middle of some numbers and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The first quartile.
    pub(crate) low: f64,
    /// The median.
    pub(crate) median: f64,
    /// The third quartile.
    pub(crate) high: f64,
}

impl Spread {
    /// The spread of some numbers; `None` if there are none.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| between(&sorted, share);
        Some(Self { low: at(0.25)?, median: at(0.5)?, high: at(0.75)? })
    }
}

/// The value at a share of the sorted numbers, interpolated.
fn between(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let low = *sorted.get(place.floor() as usize)?;
    let high = *sorted.get(place.ceil() as usize)?;
    Some(low + (high - low) * place.fract())
}

/// One number of a sample, if the target has it.
pub(crate) type Pick = fn(&Sample) -> Option<f64>;

/// A target's median of one number in one workload.
pub(crate) fn median(samples: &[Sample], target: &str, work: &str, pick: Pick) -> Option<f64> {
    let of = samples.iter().filter(|sample| sample.target == target && sample.work == work);
    Spread::of(of.filter_map(pick)).map(|spread| spread.median)
}

/// One side of a comparison: a target, the workloads whose numbers are added up within a round, and the number.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) target: &'a str,
    pub(crate) works: &'a [&'a str],
    pub(crate) pick: Pick,
}

impl Side<'_> {
    /// What counts of a round. One in which the target gave an error or a wrong reply does not count: refusing is
    /// cheaper than serving.
    fn of(&self, samples: &[Sample], round: u32) -> Option<f64> {
        let own = samples.iter().filter(|sample| sample.round == round && sample.target == self.target);
        let sound: Vec<&Sample> = own.filter(|sample| sample.errors + sample.wrong == 0).collect();
        let of = |work: &&str| (self.pick)(sound.iter().find(|sample| sample.work == *work)?);
        self.works.iter().map(of).sum()
    }
}

/// What `fold` makes of two sides in each round, over the rounds in which both have their numbers.
fn fold(
    samples: &[Sample],
    ours: Side<'_>,
    theirs: Side<'_>,
    fold: impl Fn(f64, f64) -> Option<f64>,
) -> Option<Spread> {
    let rounds = samples.iter().map(|sample| sample.round).max()?;
    let each = |round| fold(ours.of(samples, round)?, theirs.of(samples, round)?);
    Spread::of((1..=rounds).filter_map(each))
}

/// The ratio of two sides over the same rounds.
pub(crate) fn ratio(samples: &[Sample], ours: Side<'_>, theirs: Side<'_>) -> Option<Spread> {
    fold(samples, ours, theirs, |ours, theirs| Some(ours / theirs))
}

/// By how much one side is more than another.
pub(crate) fn excess(samples: &[Sample], ours: Side<'_>, theirs: Side<'_>) -> Option<Spread> {
    fold(samples, ours, theirs, |ours, theirs| Some(ours - theirs))
}
