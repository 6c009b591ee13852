//! Clients that keep account of what they were told, and the check of it: each acknowledged write is there, nothing
//! is there twice, a read never goes back behind an earlier one, every value belongs to its key.
//!
//! Each client owns its keys, so it knows what a reply may be. Values name their key, their writer and a number; ids
//! pushed to lists are never used again. What a client was told may have run counts as "perhaps", for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::{Client, Random, Reply, Value, frame};

/// What clients do.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) clients: usize,
    /// Each client has so many keys of each kind.
    pub(crate) keys: usize,
    /// Keys lie in the slots of these tags, or anywhere if there are none.
    pub(crate) tags: Vec<String>,
    /// The kinds of requests, each as often as it stands here.
    pub(crate) kinds: Vec<Kind>,
    /// So many requests are sent in one write at most.
    pub(crate) depth: usize,
    pub(crate) seed: u64,
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Set,
    Get,
    Incr,
    Push,
    Range,
    Mget,
    Mset,
    Exists,
    Eval,
    Multi,
    Blpop,
    Xadd,
}

impl Kind {
    /// All of them, single keys more often.
    pub(crate) const MIXED: [Self; 16] = [
        Self::Set,
        Self::Set,
        Self::Get,
        Self::Get,
        Self::Get,
        Self::Incr,
        Self::Incr,
        Self::Push,
        Self::Range,
        Self::Mget,
        Self::Mset,
        Self::Exists,
        Self::Eval,
        Self::Multi,
        Self::Blpop,
        Self::Xadd,
    ];

    /// Whether it may name keys of several slots, or several keys of one.
    pub(crate) const fn is_multi_key(self) -> bool {
        matches!(self, Self::Mget | Self::Mset | Self::Exists | Self::Multi)
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Errors by what was asked and their first word.
    pub(crate) errors: BTreeMap<(Kind, String), u64>,
    /// Everything that must not be.
    pub(crate) violations: Vec<String>,
    /// The longest that one write and its replies took.
    pub(crate) slowest: Duration,
}

impl Account {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (what, count) in other.errors {
            *self.errors.entry(what).or_default() += count;
        }
        self.violations.extend(other.violations);
        self.slowest = self.slowest.max(other.slowest);
    }

    /// Errors of requests of which `which` is true.
    pub(crate) fn errors_of(&self, which: impl Fn(Kind) -> bool) -> u64 {
        self.errors.iter().filter(|((kind, _), _)| which(*kind)).map(|(_, count)| count).sum()
    }

    /// Fails the test if a reply was wrong.
    #[track_caller]
    pub(crate) fn check(&self, what: &str) {
        let shown: Vec<_> = self.violations.iter().take(5).collect();
        assert!(shown.is_empty(), "{what}: {} violations: {shown:#?}", self.violations.len());
        assert!(self.requests > 0, "{what}: nothing was asked");
    }
}

/// Clients at work.
pub(crate) struct History {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Account>>,
}

impl History {
    /// Begins.
    pub(crate) fn start(addr: SocketAddr, work: &Work) -> Self {
        let (stop, requests) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |number| {
            let (stop, requests, work) = (Arc::clone(&stop), Arc::clone(&requests), work.clone());
            std::thread::spawn(move || Actor::new(addr, work, number).run(&stop, &requests))
        };
        let clients = (0..work.clients).map(client).collect();
        Self { stop, requests, clients }
    }

    /// How many requests were answered so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether a client has given up.
    pub(crate) fn is_broken(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Waits until so many more requests were answered, or `limit` is over.
    pub(crate) fn wait_for(&self, more: u64, limit: Duration) {
        let (goal, begun) = (self.requests() + more, Instant::now());
        while self.requests() < goal && begun.elapsed() < limit && !self.is_broken() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends: each client reads all of its keys once more.
    pub(crate) fn stop(self) -> Account {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Account::default();
        for client in self.clients {
            all.add(client.join().unwrap_or_else(|panic| {
                let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                Account { violations: vec![format!("a client gave up: {why}")], ..Account::default() }
            }));
        }
        all
    }
}

/// What a client knows of one of its keys; each kind of value has a name of its own.
#[derive(Default)]
struct Key {
    tag: String,
    /// Lists and queues are begun anew when they are long, or when an error leaves open what is in them.
    generation: u64,
    broken: bool,
    /// Numbers of values: the last one sent, the last one acknowledged, those that were perhaps written.
    sent: u64,
    value: u64,
    perhaps: BTreeSet<u64>,
    /// Steps of the counter: acknowledged, perhaps, and what it last said.
    steps: u64,
    perhaps_steps: u64,
    count: u64,
    /// Ids on the list, in their order, those that are perhaps there, and what was last read.
    ids: Vec<String>,
    perhaps_ids: BTreeSet<String>,
    read: Vec<String>,
    /// Entries of the stream, acknowledged and perhaps.
    entries: u64,
    perhaps_entries: u64,
}

/// A request with what it is about.
struct Request {
    kind: Kind,
    keys: Vec<usize>,
    numbers: Vec<u64>,
    replies: usize,
    bytes: Vec<u8>,
}

struct Actor {
    client: Client,
    number: usize,
    random: Random,
    work: Work,
    keys: Vec<Key>,
    account: Account,
}

impl Actor {
    fn new(addr: SocketAddr, work: Work, number: usize) -> Self {
        let tag = |key: usize| match work.tags.as_slice() {
            [] => format!("{}:{number}:{key}", work.seed),
            tags => tags[(number * work.keys + key) % tags.len()].clone(),
        };
        let keys = (0..work.keys).map(|key| Key { tag: tag(key), ..Key::default() }).collect();
        let random = Random::new(work.seed ^ (number as u64 + 1) << 32);
        Self { client: Client::connect(addr), number, random, keys, work, account: Account::default() }
    }

    fn run(mut self, stop: &AtomicBool, requests: &AtomicU64) -> Account {
        while !stop.load(Ordering::Relaxed) && self.account.violations.is_empty() {
            let batch: Vec<Request> = (0..=self.random.below(self.work.depth)).map(|_| self.request()).collect();
            self.exchange(&batch);
            self.renew();
            requests.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        self.settle();
        self.account
    }

    fn name(&self, what: &str, key: usize) -> String {
        format!("{what}:{{{}}}:{}:{}:{key}", self.keys[key].tag, self.number, self.work.seed)
    }

    fn request(&mut self) -> Request {
        let kind = self.work.kinds[self.random.below(self.work.kinds.len())];
        let first = self.random.below(self.keys.len());
        let mut keys = vec![first];
        let more = match kind {
            Kind::Mget => 7,
            Kind::Mset => 1,
            Kind::Exists => 3,
            _ => 0,
        };
        for _ in 0..more {
            keys.push(self.random.below(self.keys.len()));
        }
        self.build(kind, keys)
    }

    fn build(&mut self, kind: Kind, mut keys: Vec<usize>) -> Request {
        if kind == Kind::Mset {
            keys.dedup();
        }
        let numbers: Vec<u64> = match kind {
            Kind::Set | Kind::Mset | Kind::Push | Kind::Blpop | Kind::Xadd => keys
                .iter()
                .map(|&key| {
                    self.keys[key].sent += 1;
                    self.keys[key].sent
                })
                .collect(),
            _ => Vec::new(),
        };
        let names = |what: &str| keys.iter().map(|&key| self.name(what, key)).collect::<Vec<_>>();
        let key = keys[0];
        let id = numbers.first().map(|number| self.id(key, *number)).unwrap_or_default();
        let with = |command: &str, names: Vec<String>| frame(&[vec![command.to_owned()], names].concat());
        let (value, count) = (self.name("value", key), self.name("count", key));
        let list = format!("{}:{}", self.name("list", key), self.keys[key].generation);
        let (queue, stream) = (self.queue(key), self.name("stream", key));
        let (bytes, replies) = match kind {
            Kind::Set => (frame(&["SET", &value, &self.value(key, numbers[0])]), 1),
            Kind::Get => (frame(&["GET", &value]), 1),
            Kind::Incr => (frame(&["INCR", &count]), 1),
            Kind::Push => (frame(&["RPUSH", &list, &id]), 1),
            Kind::Range => (frame(&["LRANGE", &list, "0", "-1"]), 1),
            Kind::Mget => (with("MGET", names("value")), 1),
            Kind::Mset => {
                let pairs = keys
                    .iter()
                    .zip(&numbers)
                    .flat_map(|(&key, &number)| [self.name("value", key), self.value(key, number)]);
                (with("MSET", pairs.collect()), 1)
            }
            Kind::Exists => (with("EXISTS", names("count")), 1),
            Kind::Eval => (frame(&["EVAL", SCRIPT, "1", &value, "argument"]), 1),
            Kind::Multi => {
                let parts = [frame(&["MULTI"]), frame(&["INCR", &count]), frame(&["GET", &value]), frame(&["EXEC"])];
                (parts.concat(), 4)
            }
            Kind::Blpop => ([frame(&["RPUSH", &queue, &id]), frame(&["BLPOP", &queue, "5"])].concat(), 2),
            Kind::Xadd => (frame(&["XADD", &stream, "*", "id", &id]), 1),
        };
        Request { kind, keys, numbers, replies, bytes }
    }

    fn queue(&self, key: usize) -> String {
        format!("{}:{}", self.name("queue", key), self.keys[key].generation)
    }

    fn id(&self, key: usize, number: u64) -> String {
        format!("{}.{key}.{number}", self.number)
    }

    fn value(&self, key: usize, number: u64) -> String {
        format!("{}|{number}", self.name("value", key))
    }

    fn exchange(&mut self, batch: &[Request]) {
        let bytes: Vec<u8> = batch.iter().flat_map(|request| request.bytes.iter().copied()).collect();
        let begun = Instant::now();
        self.client.send(&bytes);
        for request in batch {
            let replies: Result<Vec<Reply>, String> = (0..request.replies).map(|_| self.client.try_read()).collect();
            match replies {
                Ok(replies) => self.judge(request, &replies),
                Err(why) => return self.violation(request, &format!("no reply: {why}")),
            }
            self.account.requests += 1;
        }
        self.account.slowest = self.account.slowest.max(begun.elapsed());
    }

    fn judge(&mut self, request: &Request, replies: &[Reply]) {
        let error = replies.iter().rev().find_map(|reply| reply.error());
        if let Some(error) = error {
            let code = error.split(' ').next().unwrap_or_default().to_owned();
            let ran = code == "PROXYUNKNOWN" || request.kind == Kind::Mset || request.kind == Kind::Blpop;
            *self.account.errors.entry((request.kind, code)).or_default() += 1;
            return if ran {
                self.perhaps(request);
            };
        }
        let last = &replies[replies.len() - 1];
        let key = request.keys[0];
        match request.kind {
            Kind::Set | Kind::Mset => self.judge_written(request, last),
            Kind::Get => self.judge_value(request, key, &last.value),
            Kind::Incr => self.judge_step(request, &last.value),
            Kind::Push => self.judge_pushed(request, &last.value),
            Kind::Range => self.judge_list(request, &last.value),
            Kind::Mget => match &last.value {
                Value::Many(b'*', values) if values.len() == request.keys.len() => {
                    for (&key, value) in request.keys.iter().zip(values) {
                        self.judge_value(request, key, value);
                    }
                }
                _ => self.violation(request, &format!("{last:?}")),
            },
            Kind::Exists => {
                let least = request.keys.iter().filter(|&&key| self.keys[key].steps > 0).count() as i64;
                let perhaps = |key: &&usize| self.keys[**key].steps + self.keys[**key].perhaps_steps > 0;
                let most = request.keys.iter().filter(perhaps).count() as i64;
                if !matches!(last.value, Value::Int(sum) if (least..=most).contains(&sum)) {
                    self.violation(request, &format!("{last:?}, not {least} to {most}"));
                }
            }
            Kind::Eval => match &last.value {
                Value::Many(b'*', values) if values.len() == 3 && values[0] == bulk(&self.name("value", key)) => {
                    self.judge_value(request, key, &values[2]);
                }
                _ => self.violation(request, &format!("{last:?}")),
            },
            Kind::Multi => match &last.value {
                Value::Many(b'*', values) if values.len() == 2 => {
                    self.judge_step(request, &values[0]);
                    self.judge_value(request, key, &values[1]);
                }
                _ => self.violation(request, &format!("{replies:?}")),
            },
            Kind::Blpop => self.judge_popped(request, &last.value),
            Kind::Xadd => {
                self.keys[key].entries += 1;
                if !matches!(&last.value, Value::Bulk(id) if id.contains(&b'-')) {
                    self.violation(request, &format!("{last:?}"));
                }
            }
        }
    }

    /// What was perhaps run.
    fn perhaps(&mut self, request: &Request) {
        let ids: Vec<String> = request.numbers.iter().map(|number| self.id(request.keys[0], *number)).collect();
        for (at, &key) in request.keys.iter().enumerate() {
            let known = &mut self.keys[key];
            match request.kind {
                Kind::Set | Kind::Mset => drop(known.perhaps.insert(request.numbers[at])),
                Kind::Incr | Kind::Multi => known.perhaps_steps += 1,
                Kind::Push => known.perhaps_ids.extend(ids.iter().cloned()),
                Kind::Xadd => known.perhaps_entries += 1,
                Kind::Blpop => known.broken = true,
                _ => {}
            }
        }
    }

    fn judge_written(&mut self, request: &Request, reply: &Reply) {
        if reply.raw != b"+OK\r\n" {
            return self.violation(request, &format!("{reply:?}"));
        }
        for (&key, &number) in request.keys.iter().zip(&request.numbers) {
            self.keys[key].value = number;
        }
    }

    fn judge_value(&mut self, request: &Request, key: usize, value: &Value) {
        let name = self.name("value", key);
        let number = match value {
            Value::Null => Some(0),
            Value::Bulk(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| {
                let (of, number) = text.rsplit_once('|')?;
                number.parse().ok().filter(|_| of == name)
            }),
            _ => None,
        };
        let known = &self.keys[key];
        if !number.is_some_and(|number| number == known.value || known.perhaps.contains(&number)) {
            let why = format!("{name} is {value:?}, not {} or one of {:?}", known.value, known.perhaps);
            self.violation(request, &why);
        }
    }

    fn judge_step(&mut self, request: &Request, value: &Value) {
        let known = &mut self.keys[request.keys[0]];
        known.steps += 1;
        let (least, most) = (known.steps.max(known.count + 1), known.steps + known.perhaps_steps);
        match value {
            Value::Int(count) if (least..=most).contains(&(*count as u64)) => known.count = *count as u64,
            _ => self.violation(request, &format!("{value:?}, not {least} to {most}")),
        }
    }

    fn judge_pushed(&mut self, request: &Request, value: &Value) {
        let key = request.keys[0];
        let id = self.id(key, request.numbers[0]);
        let known = &mut self.keys[key];
        known.ids.push(id);
        let (least, most) = (known.ids.len(), known.ids.len() + known.perhaps_ids.len());
        if !matches!(value, Value::Int(length) if (least..=most).contains(&(*length as usize))) {
            self.violation(request, &format!("{value:?}, not {least} to {most}"));
        }
    }

    /// A list holds every acknowledged id once, in order, and perhaps others; and it goes on from what was read.
    fn judge_list(&mut self, request: &Request, value: &Value) {
        let Value::Many(b'*', values) = value else { return self.violation(request, &format!("{value:?}")) };
        let text = |value: &Value| {
            if let Value::Bulk(id) = value { String::from_utf8_lossy(id).into_owned() } else { String::new() }
        };
        let found: Vec<String> = values.iter().map(text).collect();
        let known = &mut self.keys[request.keys[0]];
        let sure: Vec<&String> = found.iter().filter(|id| !known.perhaps_ids.contains(*id)).collect();
        let once = found.iter().collect::<BTreeSet<_>>().len() == found.len();
        let right = sure.iter().copied().eq(&known.ids) && once && found.starts_with(&known.read);
        if right {
            known.read = found;
        } else {
            let why =
                format!("{found:?}, not {:?} and perhaps {:?}, after {:?}", known.ids, known.perhaps_ids, known.read);
            self.violation(request, &why);
        }
    }

    /// Long lists are left alone; their keys go on with new ones.
    fn renew(&mut self) {
        for known in self.keys.iter_mut().filter(|known| known.ids.len() > 100 || known.broken) {
            known.generation += 1;
            known.broken = false;
            known.ids.clear();
            known.perhaps_ids.clear();
            known.read.clear();
        }
    }

    fn judge_popped(&mut self, request: &Request, value: &Value) {
        let key = request.keys[0];
        let expected = [bulk(&self.queue(key)), bulk(&self.id(key, request.numbers[0]))];
        if !matches!(value, Value::Many(b'*', values) if *values == expected) {
            self.violation(request, &format!("{value:?}, not {expected:?}"));
        }
    }

    /// Reads everything once more, when all should be well again.
    fn settle(&mut self) {
        for key in 0..self.keys.len() {
            if !self.account.violations.is_empty() {
                return;
            }
            let kinds = [Kind::Get, Kind::Incr, Kind::Range];
            let batch: Vec<Request> = kinds.iter().map(|&kind| self.build(kind, vec![key])).collect();
            self.exchange(&batch);
            let length = self.client.call(&["XLEN", &self.name("stream", key)]);
            let known = &self.keys[key];
            let (least, most) = (known.entries, known.entries + known.perhaps_entries);
            if !matches!(length.value, Value::Int(length) if (least..=most).contains(&(length as u64))) {
                let why = format!("client {}: a stream has {length:?} entries, not {least} to {most}", self.number);
                self.account.violations.push(why);
            }
        }
    }

    fn violation(&mut self, request: &Request, what: &str) {
        let bytes = request.bytes.escape_ascii();
        let text = format!("LIVE_SEED={} client {}: {bytes} was answered by {what}", self.work.seed, self.number);
        self.account.violations.push(text);
    }
}

/// Its three answers name its key, its argument and the key's value.
const SCRIPT: &str = "return {KEYS[1], ARGV[1], redis.call('get', KEYS[1])}";

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}
