//! How durations are spread: fixed buckets from 10 µs to 10 s, ten to a decade, each a plain counter.
//!
//! Fine enough for a percentile that is right to a quarter, and the bounds that Prometheus is shown are among them,
//! so its buckets are sums and no estimates.

use super::Counter;

/// How many bounds there are.
const BOUNDS: usize = 61;
/// How many buckets: one more, for what is longer than the last bound.
const BUCKETS: usize = BOUNDS + 1;

/// The upper ends of the buckets, inclusive, in microseconds.
static BOUNDS_US: [u32; BOUNDS] = {
    let decade = [10, 12, 16, 20, 25, 32, 40, 50, 63, 80];
    let mut bounds = [10_000_000; BOUNDS];
    let (mut at, mut scale) = (0, 1);
    while at < BOUNDS - 1 {
        bounds[at] = decade[at % 10] * scale;
        at += 1;
        if at % 10 == 0 {
            scale *= 10;
        }
    }
    bounds
};

/// The bounds that are shown to Prometheus, in microseconds.
pub const SCRAPED_US: [u32; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Eight steps for each power of two: where the search for a bucket begins.
static STARTS: [u8; 256] = {
    let mut starts = [0; 256];
    let mut step = 0;
    while step < 256 {
        let (power, eighth) = (step / 8, step as u64 % 8);
        let least = if power < 3 { 0 } else { (8 + eighth) << (power - 3) };
        let mut bucket = 0;
        while bucket < BOUNDS && (BOUNDS_US[bucket] as u64) < least {
            bucket += 1;
        }
        starts[step] = bucket as u8;
        step += 1;
    }
    starts
};

/// The bucket of a duration.
#[inline]
fn bucket(micros: u32) -> usize {
    let power = (micros | 1).ilog2();
    let eighth = if power < 3 { 0 } else { (micros >> (power - 3)) & 7 };
    // Below 256: a power is at most 31.
    let mut at = usize::from(STARTS[(power * 8 + eighth) as usize & 255]);
    while BOUNDS_US.get(at).is_some_and(|&bound| bound < micros) {
        at += 1;
    }
    at
}

/// Durations with one writer.
#[derive(Debug)]
pub struct Histogram {
    counts: [Counter; BUCKETS],
    sum_us: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| Counter::default()), sum_us: Counter::default() }
    }
}

impl Histogram {
    /// Counts `times` durations of `micros` each; only the one writer may.
    #[inline]
    pub fn record(&self, micros: u32, times: u32) {
        if let Some(count) = self.counts.get(bucket(micros)) {
            count.add(u64::from(times));
        }
        self.sum_us.add(u64::from(micros) * u64::from(times));
    }
}

/// Durations as they were counted up to some moment, or between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    counts: [u64; BUCKETS],
    sum_us: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_us: 0 }
    }
}

impl Distribution {
    /// Adds what `histogram` has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            *sum += count.value();
        }
        self.sum_us += histogram.sum_us.value();
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.sum_us += other.sum_us;
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*before);
        }
        Self { counts, sum_us: self.sum_us.saturating_sub(earlier.sum_us) }
    }

    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All durations together, in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// The duration, in microseconds, that the part `quantile` (0 to 1) of them does not exceed; `None` without any.
    /// Within a bucket they are taken to be spread evenly; what is longer than the last bound counts as that.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> Option<f64> {
        let wanted = self.count() as f64 * quantile;
        if self.count() == 0 {
            return None;
        }
        let (mut seen, mut low) = (0.0, 0.0);
        for (&count, &bound) in self.counts.iter().zip(&BOUNDS_US) {
            let (count, high) = (count as f64, f64::from(bound));
            if count > 0.0 && seen + count >= wanted {
                return Some(low + (high - low) * ((wanted - seen) / count).clamp(0.0, 1.0));
            }
            seen += count;
            low = high;
        }
        Some(low)
    }

    /// For each bound of [`SCRAPED_US`], how many durations do not exceed it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u32, u64)> {
        let (mut at, mut seen) = (0, 0);
        SCRAPED_US.into_iter().map(move |bound| {
            while BOUNDS_US.get(at).is_some_and(|&end| end <= bound) {
                seen += self.counts.get(at).copied().unwrap_or(0);
                at += 1;
            }
            (bound, seen)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_scraped_is_among_the_bounds() {
        assert!(BOUNDS_US.is_sorted());
        for bound in SCRAPED_US {
            assert!(BOUNDS_US.contains(&bound), "{bound}");
        }
    }

    fn of(durations: &[(u32, u32)]) -> Distribution {
        let histogram = Histogram::default();
        for &(micros, times) in durations {
            histogram.record(micros, times);
        }
        let mut all = Distribution::default();
        all.add(&histogram);
        all
    }

    #[test]
    fn quantiles_lie_in_the_bucket_of_what_they_stand_for() {
        let all = of(&[(100, 98), (5_000, 2)]);
        assert_eq!(all.count(), 100);
        assert!((80.0..=100.0).contains(&all.quantile_us(0.5).unwrap()));
        assert!((4_000.0..=5_000.0).contains(&all.quantile_us(0.99).unwrap()));
        assert!((all.sum_seconds() - 0.0198).abs() < 1e-9);
        assert_eq!(Distribution::default().quantile_us(0.5), None);
        assert!((of(&[(u32::MAX, 1)]).quantile_us(0.5).unwrap() - 1e7).abs() < 1.0);
    }

    #[test]
    fn cumulative_counts_end_at_the_bound() {
        let all = of(&[(0, 1), (50, 1), (51, 1), (100, 1), (10_000_001, 1)]);
        let counts: Vec<u64> = all.cumulative().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[16]), (2, 4, 4));
        assert_eq!(all.count(), 5);
        assert_eq!(all.since(&of(&[(0, 1)])).count(), 4);
    }

    proptest! {
        #[test]
        fn the_bucket_is_the_first_that_is_long_enough(micros in any::<u32>(), shift in 0..32_u32) {
            let micros = micros >> shift;
            prop_assert_eq!(bucket(micros), BOUNDS_US.iter().position(|&bound| micros <= bound).unwrap_or(BOUNDS));
        }
    }
}
