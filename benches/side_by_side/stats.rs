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

/// A target in a comparison: its name, and the number that counts.
pub(crate) type Side<'a> = (&'a str, Pick);

/// The ratio of two targets over the same rounds, the numbers of the given workloads added up within a round. A round
/// in which either gave an error or a wrong reply does not count: refusing is cheaper than serving.
pub(crate) fn ratio(samples: &[Sample], works: &[&str], ours: Side<'_>, theirs: Side<'_>) -> Option<Spread> {
    let rounds = samples.iter().map(|sample| sample.round).max()?;
    let sum = |round, (target, pick): Side<'_>| -> Option<f64> {
        let of = |work: &&str| {
            let mut all = samples.iter().filter(|sample| sample.errors + sample.wrong == 0);
            pick(all.find(|sample| sample.round == round && sample.target == target && sample.work == *work)?)
        };
        works.iter().map(of).sum()
    };
    Spread::of((1..=rounds).filter_map(|round| Some(sum(round, ours)? / sum(round, theirs)?)))
}
