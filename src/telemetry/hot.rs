//! Keys that many requests name, and keys with large values, as one worker sees them.
//!
//! Hot keys are looked for in some requests only: how many lie between two that are looked at is drawn by lot, so that
//! no rhythm of a client hides a key, and follows the load, so that a second costs the same however many requests it
//! brings. A key's weight is that of the requests which its sample stands for; all weights are halved twice a minute, so
//! that what is shown is what is hot now. While it is off, a request pays one comparison with [`Hot::next`].
//!
//! Large values are all noted: they are few.

use super::heavy::{Ranking, Sketch};

/// What one request weighs: enough that it fades in steps.
pub const UNIT: u64 = 16;
/// All weights are halved after so many milliseconds.
const HALF_LIFE_MS: u64 = 30_000;
/// The load is looked at so often.
const WINDOW_MS: u64 = 100;
/// Until the load is known every request is looked at; a tenth of a second's samples are enough to know it.
const FIRST_STRIDE: u64 = 1;
/// More never lie between two on average.
const MAX_STRIDE: u64 = 1 << 16;
/// How many large values are remembered.
const BIG: usize = 128;

/// What is looked for and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotOptions {
    /// `[hotkeys] enabled`: whether from the start.
    pub enabled: bool,
    /// `[hotkeys] samples`: how many requests a second and thread are looked at.
    pub samples: usize,
    /// `[hotkeys] capacity`: how many keys each thread counts.
    pub capacity: usize,
    /// `[hotkeys] big_above`: requests and replies that are larger are noted.
    pub big_above: usize,
}

impl Default for HotOptions {
    fn default() -> Self {
        Self { enabled: false, samples: 10_000, capacity: 1024, big_above: 64 << 10 }
    }
}

/// A key with a large value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Big {
    /// The key, or the beginning of it.
    pub key: Box<[u8]>,
    /// The command that was seen last with it.
    pub command: Box<str>,
    /// The largest request that named it.
    pub request_bytes: u64,
    /// The largest reply to one.
    pub reply_bytes: u64,
    /// How often one of both was large.
    pub times: u64,
    /// When that was last, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Big {
    /// The larger of request and reply.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.request_bytes.max(self.reply_bytes)
    }

    /// What was seen of the same key elsewhere or later.
    fn add(&mut self, other: Self) {
        self.request_bytes = self.request_bytes.max(other.request_bytes);
        self.reply_bytes = self.reply_bytes.max(other.reply_bytes);
        self.times += other.times;
        if other.at_ms >= self.at_ms {
            self.at_ms = other.at_ms;
            self.command = other.command;
        }
    }
}

/// What a worker has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HotReport {
    /// Whether it looks now.
    pub on: bool,
    /// For how long the weights were gathered; what is older counts less.
    pub seconds: f64,
    /// Requests that were looked at since it began.
    pub sampled: u64,
    /// The keys; weights are in [`UNIT`]s.
    pub keys: Ranking,
    /// Large values, the largest first.
    pub big: Vec<Big>,
}

impl HotReport {
    /// What several workers have found.
    #[must_use]
    pub fn merge(reports: impl IntoIterator<Item = Self>) -> Self {
        let (mut all, mut rankings, mut big) = (Self::default(), Vec::new(), Vec::new());
        for report in reports {
            all.on |= report.on;
            all.seconds = all.seconds.max(report.seconds);
            all.sampled += report.sampled;
            rankings.push(report.keys);
            report.big.into_iter().for_each(|one| note(&mut big, one, usize::MAX));
        }
        all.keys = super::heavy::merge(rankings);
        all.big = big;
        all.sort();
        all
    }

    /// The heaviest keys alone, so many at most; the others are unseen then.
    #[must_use]
    pub fn head(mut self, most: usize) -> Self {
        if let Some(cut) = self.keys.things.get(most) {
            self.keys.unseen = self.keys.unseen.max(cut.weight);
        }
        self.keys.things.truncate(most);
        self
    }

    fn sort(&mut self) {
        self.big.sort_by(|a, b| b.bytes().cmp(&a.bytes()).then_with(|| a.key.cmp(&b.key)));
    }

    /// Requests a second that a weight stands for.
    #[must_use]
    pub fn per_second(&self, weight: u64) -> f64 {
        if self.seconds > 0.0 { weight as f64 / UNIT as f64 / self.seconds } else { 0.0 }
    }

    /// The part of all requests with keys that a weight stands for.
    #[must_use]
    pub fn share(&self, weight: u64) -> f64 {
        if self.keys.total > 0 { weight as f64 / self.keys.total as f64 } else { 0.0 }
    }
}

/// Keeps the largest; one that is there already grows.
fn note(list: &mut Vec<Big>, one: Big, most: usize) {
    if let Some(known) = list.iter_mut().find(|known| known.key == one.key) {
        return known.add(one);
    }
    if list.len() < most {
        return list.push(one);
    }
    if let Some(least) = list.iter_mut().min_by_key(|known| known.bytes())
        && least.bytes() < one.bytes()
    {
        *least = one;
    }
}

/// What one worker knows of its keys.
#[derive(Debug)]
pub struct Hot {
    /// The number of the next request that is looked at; there is none while it is off.
    pub next: u64,
    /// Requests that are larger are noted; there are none while it is off.
    pub big_above: usize,
    options: HotOptions,
    sketch: Sketch,
    big: Vec<Big>,
    /// How many requests lie between two samples on average, now and when the next one was chosen.
    stride: u64,
    drawn_by: u64,
    /// What each key of the request at hand weighs.
    weight: u64,
    dice: u64,
    sampled: u64,
    /// When the load was looked at last, and how many requests there had been.
    window: (u64, u64),
    /// For how long weights were gathered until `halved_at`, what is older counting less; and when it began anew.
    span_ms: u64,
    halved_at: u64,
}

impl Hot {
    /// One that looks if `options` say so; `seed` is for what it draws by lot.
    #[must_use]
    pub fn new(options: HotOptions, seed: u64) -> Self {
        let mut hot = Self {
            next: u64::MAX,
            big_above: usize::MAX,
            sketch: Sketch::new(options.capacity),
            options,
            big: Vec::new(),
            stride: FIRST_STRIDE,
            drawn_by: FIRST_STRIDE,
            weight: UNIT,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sampled: 0,
            window: (0, 0),
            span_ms: 0,
            halved_at: 0,
        };
        if options.enabled {
            hot.switch(true, 0, 0);
        }
        hot
    }

    /// Whether it looks.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.next != u64::MAX
    }

    /// Begins to look, or ends. What was found stays until it begins anew. `now` is in milliseconds, `requests` how many
    /// there have been.
    pub fn switch(&mut self, on: bool, now: u64, requests: u64) {
        if on == self.is_on() {
            return;
        }
        if on {
            self.reset(now);
            (self.stride, self.drawn_by) = (FIRST_STRIDE, FIRST_STRIDE);
            self.window = (now, requests);
            self.big_above = self.options.big_above;
            self.next = requests + 1;
        } else {
            self.age(now);
            self.span_ms += now - self.halved_at;
            self.halved_at = now;
            self.next = u64::MAX;
            self.big_above = usize::MAX;
        }
    }

    /// Forgets what was found.
    pub fn reset(&mut self, now: u64) {
        self.sketch.clear();
        self.big.clear();
        self.sampled = 0;
        self.span_ms = 0;
        self.halved_at = now;
    }

    /// A request is looked at: chooses the next one.
    pub fn draw(&mut self, now: u64, requests: u64) {
        self.weight = self.drawn_by * UNIT;
        self.look_at_load(now, requests);
        self.sampled += 1;
        self.choose(requests);
    }

    /// Chooses from 1 to twice the stride less 1, each as often: the stride on average.
    fn choose(&mut self, requests: u64) {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.next = requests + 1 + self.dice % (2 * self.stride - 1);
        self.drawn_by = self.stride;
    }

    fn look_at_load(&mut self, now: u64, requests: u64) {
        let (since, before) = self.window;
        let (elapsed, more) = (now.saturating_sub(since), requests.saturating_sub(before));
        let samples = self.options.samples.max(1) as u64;
        if elapsed >= WINDOW_MS || (self.stride == 1 && more >= samples / 10) {
            let a_second = more.saturating_mul(1000) / elapsed.max(1);
            self.stride = (a_second / samples).clamp(1, MAX_STRIDE);
            self.window = (now, requests);
            self.age(now);
        }
    }

    /// The request that is looked at names this key.
    pub fn see(&mut self, key: &[u8]) {
        self.sketch.add(key, self.weight);
    }

    /// Notes a large request, or a large reply to one.
    pub fn see_big(&mut self, one: Big) {
        note(&mut self.big, one, BIG);
    }

    /// Halves the weights as often as it is due.
    fn age(&mut self, now: u64) {
        for _ in 0..u64::BITS {
            if now < self.halved_at + HALF_LIFE_MS {
                return;
            }
            self.sketch.halve();
            self.span_ms = u64::midpoint(self.span_ms, HALF_LIFE_MS);
            self.halved_at += HALF_LIFE_MS;
        }
        // Nothing is left of what was so long ago.
        self.sketch.clear();
        self.halved_at = now;
    }

    /// What was found until now, after so many requests.
    pub fn report(&mut self, now: u64, requests: u64) -> HotReport {
        let mut span_ms = self.span_ms;
        if self.is_on() {
            self.age(now);
            self.look_at_load(now, requests);
            if self.next > requests + 2 * self.stride {
                // The load has fallen asleep: the next sample shall not wait until it wakes.
                self.choose(requests);
            }
            span_ms = self.span_ms + now.saturating_sub(self.halved_at);
        }
        let mut report = HotReport {
            on: self.is_on(),
            seconds: span_ms as f64 / 1000.0,
            sampled: self.sampled,
            keys: self.sketch.ranking(),
            big: self.big.clone(),
        };
        report.sort();
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(samples: usize) -> Hot {
        Hot::new(HotOptions { enabled: true, samples, ..HotOptions::default() }, 7)
    }

    /// Lets `seconds` pass with so many requests each; every third is for `hot`, the others each for another key.
    fn load(hot: &mut Hot, from_ms: u64, seconds: u64, each: u64, requests: &mut u64) {
        for n in 0..seconds * each {
            *requests += 1;
            if *requests >= hot.next {
                hot.draw(from_ms + n * 1000 / each, *requests);
                if n % 3 == 0 { hot.see(b"hot") } else { hot.see(&n.to_le_bytes()) }
            }
        }
    }

    #[test]
    fn a_second_costs_the_same_whatever_the_load() {
        for each in [100, 5_000, 200_000] {
            let (mut hot, mut requests) = (on(1000), 0);
            load(&mut hot, 0, 10, each, &mut requests);
            let report = hot.report(10_000, requests);
            let wanted = 10 * each.min(1000);
            assert!(
                (wanted * 8 / 10..=wanted * 13 / 10 + 3000).contains(&report.sampled),
                "{each}: {}",
                report.sampled
            );
            let first = &report.keys.things[0];
            assert_eq!(&*first.name, b"hot");
            let (share, rate) = (report.share(first.weight), report.per_second(first.weight));
            assert!((share - 0.333).abs() < 0.03, "{each}: {share}");
            assert!((rate / each as f64 - 0.333).abs() < 0.05, "{each}: {rate}");
        }
    }

    #[test]
    fn what_is_hot_now_is_shown_and_its_rate_with_it() {
        let (mut hot, mut requests) = (on(1000), 0);
        load(&mut hot, 0, 120, 1000, &mut requests);
        let mut report = hot.report(120_000, requests);
        let rate = report.per_second(report.keys.things[0].weight);
        assert!((rate - 333.0).abs() < 25.0, "{rate}");
        // Silence: it fades.
        report = hot.report(300_000, requests);
        assert!(report.per_second(report.keys.things[0].weight) < 10.0, "{report:?}");
        assert_eq!(hot.report(10_000_000_000, requests).keys.things, []);
    }

    #[test]
    fn it_costs_nothing_when_it_is_off_and_keeps_what_it_found() {
        let mut hot = Hot::new(HotOptions::default(), 7);
        assert_eq!((hot.next, hot.big_above), (u64::MAX, usize::MAX));
        hot.switch(true, 5_000, 40);
        assert_eq!((hot.next, hot.big_above), (41, 64 << 10));
        hot.draw(5_000, 41);
        hot.see(b"k");
        hot.see_big(Big { key: (*b"k").into(), reply_bytes: 70_000, times: 1, ..Big::default() });
        hot.switch(false, 7_000, 50);
        for _ in 0..2 {
            let report = hot.report(90_000, 50);
            assert!(!report.on && (report.seconds - 2.0).abs() < 0.01, "{report:?}");
            assert_eq!((report.keys.things.len(), report.big.len(), report.sampled), (1, 1, 1));
        }
        hot.switch(true, 100_000, 60);
        assert_eq!(hot.report(100_000, 60), HotReport { on: true, ..HotReport::default() });
    }

    #[test]
    fn the_largest_values_are_kept() {
        let mut hot = on(1000);
        for n in 0..300_u64 {
            let key = n.to_string().into_bytes().into();
            hot.see_big(Big { key, request_bytes: 1000 + n * 7 % 300, times: 1, ..Big::default() });
        }
        hot.see_big(Big { key: (*b"0").into(), reply_bytes: 9000, times: 1, ..Big::default() });
        let report = hot.report(1, 0);
        assert_eq!((report.big.len(), report.big[0].bytes(), report.big[1].bytes()), (BIG, 9000, 1299));
        let twice = HotReport::merge([report.clone(), report]);
        assert_eq!((twice.big.len(), twice.big[1].times), (BIG, 2));
    }
}
