//! Clients that work and keep account: what they read must be what they wrote.
//!
//! Each worker owns its keys, so it knows what every reply has to say: a value names its key and its number, a counter
//! counts its acknowledged steps. Replies are judged in the order of the requests, which is also the order in which
//! requests for one key must run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::{Client, frame};
use super::random::Random;
use super::reply::{Reply, Value};

/// What a load does and may meet.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    /// How many clients.
    pub(crate) workers: usize,
    /// Hash tags; each worker has keys in each of their slots.
    pub(crate) tags: Vec<String>,
    /// How many keys a worker has in each tag.
    pub(crate) keys_per_tag: usize,
    /// How many keys without a tag a worker has.
    pub(crate) loose_keys: usize,
    /// Errors that a client may see: how they begin. All of them mean that a write was not done, but for
    /// `PROXYUNKNOWN`, which is allowed only where acknowledged writes may be lost.
    pub(crate) errors: Vec<&'static str>,
    /// Slots whose acknowledged writes may be lost, because their primary is killed: replication is asynchronous.
    pub(crate) may_lose: Vec<(u16, u16)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Replies read.
    pub(crate) replies: u64,
    /// Allowed errors seen.
    pub(crate) errors: u64,
    /// Everything that must not be.
    pub(crate) violations: Vec<String>,
    /// The longest time that a batch took.
    pub(crate) slowest: Duration,
}

/// A running load.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    replies: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Outcome>>,
}

impl Load {
    /// Starts the workers.
    pub(crate) fn start(addr: SocketAddr, plan: &Plan, seed: u64) -> Self {
        let (stop, replies) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let workers = (0..plan.workers)
            .map(|number| {
                let mut worker = Worker::new(addr, plan, number, seed);
                let (stop, replies) = (Arc::clone(&stop), Arc::clone(&replies));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) && worker.outcome.violations.is_empty() {
                        worker.batch();
                        replies.fetch_add(std::mem::take(&mut worker.fresh), Ordering::Relaxed);
                    }
                    worker.settle();
                    worker.outcome
                })
            })
            .collect();
        Self { stop, replies, workers }
    }

    /// How many replies have come so far.
    pub(crate) fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    /// Waits until so many more replies have come. A load that stands still ends the wait after `limit`, one whose
    /// client saw what must not be ends it at once.
    pub(crate) fn wait_for(&self, more: u64, limit: Duration) {
        let (goal, begun) = (self.replies() + more, Instant::now());
        let broken = || self.workers.iter().any(JoinHandle::is_finished);
        while self.replies() < goal && begun.elapsed() < limit && !broken() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it: each worker reads all of its keys once more.
    pub(crate) fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Outcome::default();
        for worker in self.workers {
            let outcome = worker.join().unwrap_or_else(|panic| {
                let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                Outcome { violations: vec![format!("a client gave up: {why}")], ..Outcome::default() }
            });
            all.replies += outcome.replies;
            all.errors += outcome.errors;
            all.violations.extend(outcome.violations);
            all.slowest = all.slowest.max(outcome.slowest);
        }
        all
    }
}

/// One key and what its owner knows of it.
struct Key {
    name: String,
    /// The number in the last value that was sent; 0 is none.
    sent: u64,
    /// The number in the last value that was acknowledged.
    acknowledged: u64,
    /// The counter beside it, by acknowledged steps.
    count: i64,
    may_lose: bool,
}

enum Request {
    Set(usize, u64),
    Get(usize),
    Incr(usize),
    /// Keys of any slots.
    Mget(Vec<usize>),
    Mset(Vec<(usize, u64)>),
}

struct Worker {
    client: Client,
    random: Random,
    plan: Plan,
    keys: Vec<Key>,
    outcome: Outcome,
    /// Replies since they were last reported.
    fresh: u64,
    seed: u64,
}

impl Worker {
    fn new(addr: SocketAddr, plan: &Plan, number: usize, seed: u64) -> Self {
        let tagged =
            plan.tags.iter().flat_map(|tag| (0..plan.keys_per_tag).map(move |n| format!("{{{tag}}}:{number}:{n}")));
        let names = tagged.chain((0..plan.loose_keys).map(|n| format!("load:{seed}:{number}:{n}")));
        let lossy = |name: &str| {
            plan.may_lose.iter().any(|&(first, last)| (first..=last).contains(&super::slot(name.as_bytes())))
        };
        let key = |name: String| Key { may_lose: lossy(&name), name, sent: 0, acknowledged: 0, count: 0 };
        Self {
            client: Client::connect(addr),
            random: Random::new(seed ^ (number as u64 + 1) << 32),
            plan: plan.clone(),
            keys: names.map(key).collect(),
            outcome: Outcome::default(),
            fresh: 0,
            seed,
        }
    }

    /// Sends a few requests in one write, reads their replies and judges them.
    fn batch(&mut self) {
        let requests: Vec<_> = (0..=self.random.below(8)).map(|_| self.request()).collect();
        self.exchange(&requests);
    }

    fn request(&mut self) -> Request {
        let at = self.random.below(self.keys.len());
        // The counter has the key's name and so may lie in another slot, unless there is a tag.
        match self.random.below(10) {
            0..=2 => Request::Set(at, self.next_number(at)),
            3..=5 => Request::Get(at),
            6 => Request::Incr(at),
            7 | 8 => {
                Request::Mget((0..8).map(|n| if n < 2 { at } else { self.random.below(self.keys.len()) }).collect())
            }
            // A part of a split write may fail by itself, so only where no error is allowed.
            _ if self.plan.errors.is_empty() => {
                let other = self.random.below(self.keys.len());
                Request::Mset(vec![(at, self.next_number(at)), (other, self.next_number(other))])
            }
            _ => Request::Get(at),
        }
    }

    fn next_number(&mut self, at: usize) -> u64 {
        self.keys[at].sent += 1;
        self.keys[at].sent
    }

    fn exchange(&mut self, requests: &[Request]) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| frame(&self.words(request))).collect();
        let begun = Instant::now();
        self.client.send(&bytes);
        for request in requests {
            match self.client.try_read() {
                Ok(reply) => self.judge(request, &reply),
                Err(why) => return self.violation(&format!("no reply to {:?}: {why}", self.words(request))),
            }
        }
        self.outcome.slowest = self.outcome.slowest.max(begun.elapsed());
        self.outcome.replies += requests.len() as u64;
        self.fresh += requests.len() as u64;
    }

    fn words(&self, request: &Request) -> Vec<String> {
        let name = |at: &usize| self.keys[*at].name.clone();
        let value = |at: &usize, number: &u64| format!("{}|{number}", self.keys[*at].name);
        match request {
            Request::Set(at, number) => vec!["SET".to_owned(), name(at), value(at, number)],
            Request::Get(at) => vec!["GET".to_owned(), name(at)],
            Request::Incr(at) => vec!["INCR".to_owned(), self.counter(*at)],
            Request::Mget(ats) => std::iter::once("MGET".to_owned()).chain(ats.iter().map(name)).collect(),
            Request::Mset(pairs) => std::iter::once("MSET".to_owned())
                .chain(pairs.iter().flat_map(|(at, number)| [name(at), value(at, number)]))
                .collect(),
        }
    }

    /// Always in the key's own slot.
    fn counter(&self, at: usize) -> String {
        let name = &self.keys[at].name;
        if name.starts_with('{') { format!("{name}:count") } else { format!("{{{name}}}:count") }
    }

    fn judge(&mut self, request: &Request, reply: &Reply) {
        if let Some(error) = reply.error() {
            return self.judge_error(request, error);
        }
        match request {
            Request::Set(at, number) if reply.raw == b"+OK\r\n" => self.keys[*at].acknowledged = *number,
            Request::Mset(pairs) if reply.raw == b"+OK\r\n" => {
                for &(at, number) in pairs {
                    self.keys[at].acknowledged = number;
                }
            }
            Request::Get(at) => self.judge_value(*at, &reply.value),
            Request::Mget(ats) => match &reply.value {
                Value::Many(b'*', values) if values.len() == ats.len() => {
                    ats.iter().zip(values).for_each(|(&at, value)| self.judge_value(at, value));
                }
                _ => self.violation(&format!("MGET answered {reply:?}")),
            },
            Request::Incr(at) => match reply.value {
                Value::Int(count) if self.keys[*at].may_lose || count == self.keys[*at].count + 1 => {
                    self.keys[*at].count = count;
                }
                _ => {
                    self.violation(&format!("{} answered {reply:?} after {}", self.counter(*at), self.keys[*at].count));
                }
            },
            _ => self.violation(&format!("{:?} answered {reply:?}", self.words(request))),
        }
    }

    fn judge_error(&mut self, request: &Request, error: &str) {
        self.outcome.errors += 1;
        let may_lose = match request {
            Request::Set(at, _) | Request::Incr(at) => self.keys[*at].may_lose,
            _ => true,
        };
        let allowed = self.plan.errors.iter().any(|start| error.starts_with(start));
        if !allowed || (error.starts_with("PROXYUNKNOWN") && !may_lose) {
            self.violation(&format!("{:?} answered -{error}", self.words(request)));
        }
    }

    fn judge_value(&mut self, at: usize, value: &Value) {
        let key = &self.keys[at];
        let number = match value {
            Value::Null => Some(0),
            Value::Bulk(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| {
                let (name, number) = text.split_once('|')?;
                number.parse().ok().filter(|_| name == key.name)
            }),
            _ => None,
        };
        let right = number.is_some_and(|number| number == key.acknowledged || (key.may_lose && number <= key.sent));
        if !right {
            let why =
                format!("{} holds {value:?} after {} acknowledged and {} sent", key.name, key.acknowledged, key.sent);
            self.violation(&why);
        }
    }

    /// Reads every key and steps every counter once more, when all should be well again.
    fn settle(&mut self) {
        self.plan.errors.clear();
        for at in 0..self.keys.len() {
            if !self.outcome.violations.is_empty() {
                return;
            }
            self.exchange(&[Request::Get(at), Request::Incr(at)]);
        }
    }

    fn violation(&mut self, what: &str) {
        self.outcome.violations.push(format!("LIVE_SEED={}: {what}", self.seed));
    }
}
