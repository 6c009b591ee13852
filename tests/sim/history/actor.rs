//! One client, what it knows of its own keys, and what it may therefore be told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use slotway::demo::embedded::Random;
use tokio::time::Instant;

use super::ops::{CLIENTS, End, KEYS, Op, integer, own_key, parts};
use super::shared::Shared;
use crate::client::Client;
use crate::proxy::{ms, pass};
use crate::world::World;

/// Pipelines of each client.
const BATCHES: u64 = 25;
/// Longer than any request and those before it may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a key may hold.
#[derive(Clone, Debug, Default)]
struct Belief {
    /// The last write that was acknowledged: its number, or nothing for a DEL.
    acknowledged: Option<u64>,
    /// Writes whose fate is unknown: any of them may be found at any later time.
    unknown: BTreeSet<Option<u64>>,
}

impl Belief {
    fn note(&mut self, written: Option<u64>, end: &End) {
        match end {
            End::Reply(_) => self.acknowledged = written,
            End::Unknown => drop(self.unknown.insert(written)),
            End::NotRun | End::Missing => {}
        }
    }

    fn allows(&self, number: Option<u64>) -> bool {
        number == self.acknowledged || self.unknown.contains(&number)
    }
}

/// Writes of a pipeline whose fate is unknown.
type Unknown = BTreeSet<(u64, Option<u64>)>;

/// One client and what it knows.
pub(super) struct Actor {
    number: u64,
    random: Random,
    writes: u64,
    beliefs: Vec<Belief>,
    /// Steps of its own counter: the last that was told, and those that nobody knows of.
    steps: u64,
    maybe_steps: u64,
    /// What the shared counters last told on this connection.
    counts: BTreeMap<u64, u64>,
    /// What waits in queues of its own, as far as it knows.
    left: Vec<u64>,
    shared: Rc<RefCell<Shared>>,
}

impl Actor {
    pub(super) fn new(number: u64, random: Random, shared: Rc<RefCell<Shared>>) -> Self {
        let beliefs = vec![Belief::default(); KEYS as usize];
        Self {
            number,
            random,
            writes: 0,
            beliefs,
            steps: 0,
            maybe_steps: 0,
            counts: BTreeMap::new(),
            left: Vec::new(),
            shared,
        }
    }

    /// Runs pipelines; some are left before they are answered.
    pub(super) async fn run(mut self, world: Rc<World>) {
        let mut client = self.connect(&world).await;
        for _ in 0..BATCHES {
            let depth = 1 + if self.random.one_in(2) { 0 } else { self.random.below(25) };
            let ops: Vec<Op> = (0..depth).map(|_| self.draw()).collect();
            self.send(&mut client, &ops).await;
            if self.random.one_in(8) {
                pass(ms(self.random.below(30))).await;
                ops.iter().for_each(|op| self.abandon(op));
                client = self.connect(&world).await;
                continue;
            }
            self.hear(&mut client, &ops).await;
            pass(ms(self.random.below(40))).await;
        }
        // What is there in the end.
        let all: Vec<Op> = (0..KEYS).map(Op::Get).collect();
        pass(ms(10_000)).await;
        self.send(&mut client, &all).await;
        self.hear(&mut client, &all).await;
        for number in std::mem::take(&mut self.left) {
            let left = client.say(&format!("LPOP {{c{}}}q{number}", self.number)).await;
            assert!(left.contains(&format!("{}.{number}", self.number)), "{number} was never taken, and is {left}");
        }
    }

    fn draw(&mut self) -> Op {
        self.writes += 1;
        Op::draw(&mut self.random, self.writes)
    }

    async fn connect(&mut self, world: &World) -> Client {
        self.counts.clear();
        let mut client = world.client().await;
        if self.random.one_in(2) {
            client.say("HELLO 3").await;
        }
        client
    }

    async fn send(&self, client: &mut Client, ops: &[Op]) {
        for op in ops {
            if let Op::Publish(channel, number, is_shard) = op {
                let name = if *is_shard { format!("gazette{channel}") } else { format!("news{channel}") };
                let mut shared = self.shared.borrow_mut();
                shared.published.entry(name).or_default().insert(format!("{}.{number}", self.number));
            }
        }
        let bytes: Vec<u8> = ops.iter().flat_map(|op| op.bytes(self.number)).collect();
        client.send(&bytes).await.expect("the proxy reads");
    }

    async fn hear(&mut self, client: &mut Client, ops: &[Op]) {
        let read_so_far: BTreeMap<u64, usize> = {
            let shared = self.shared.borrow();
            let lists = ops.iter().filter_map(|op| if let Op::Range(list) = op { Some(*list) } else { None });
            lists.map(|list| (list, shared.read_so_far(list))).collect()
        };
        let (mut heard, mut late, begun) = (Vec::new(), BTreeSet::new(), Instant::now());
        for (at, op) in ops.iter().enumerate() {
            let mut replies = Vec::new();
            for _ in 0..op.replies() {
                let reply = tokio::time::timeout(PATIENCE, client.reply()).await;
                let reply = reply.unwrap_or_else(|_| panic!("no reply to {op:?}"));
                let reply = reply.unwrap_or_else(|error| panic!("{op:?}: {error}"));
                self.shared.borrow_mut().hear(self.number, &reply);
                replies.push(reply);
            }
            if begun.elapsed() > ms(450) {
                late.insert(at);
            }
            let last = replies.pop().expect("at least one reply");
            heard.push((replies, End::of(last, op)));
        }
        // A read that was sent again may see a later write of its pipeline whose fate is unknown.
        let unknown = ops.iter().zip(&heard).filter(|(_, (_, end))| matches!(end, End::Unknown));
        let unknown: Unknown = unknown.flat_map(|(op, _)| op.writes()).collect();
        let told = Told { client: self.number, ops, heard };
        for (at, (op, (before, end))) in ops.iter().zip(&told.heard).enumerate() {
            let is_missing = matches!(end, End::Missing);
            let behind = ops.get(at + 1..).unwrap_or_default();
            let is_overtaken = behind.iter().any(|other| other.counter().is_some() && other.counter() == op.counter());
            // What came of the first try is told when there was no time for another, too.
            assert!(!is_missing || is_overtaken || late.contains(&at), "a node missed a script");
            self.settle(op, before, end, &unknown, &read_so_far);
        }
    }

    fn settle(
        &mut self,
        op: &Op,
        before: &[Vec<u8>],
        end: &End,
        unknown: &Unknown,
        read_so_far: &BTreeMap<u64, usize>,
    ) {
        match op {
            Op::Get(key) => self.check_reads(&[*key], end, unknown),
            Op::Mget(keys) => self.check_reads(keys, end, unknown),
            Op::Peek(other, key) => self.check_peek(*other, *key, end),
            Op::Exists(keys) => self.check_sum(keys, end, unknown),
            Op::Set(..) | Op::Del(_) => self.written(op, end),
            Op::Multi(key, _) => self.check_transaction(op, *key, before, end, unknown),
            Op::Watched(key, _) => self.check_watched(op, *key, before, end, unknown),
            Op::Queue(number) => self.check_queue(*number, before, end),
            Op::Incr(counter) | Op::Script(counter, _) => self.counted(*counter, end),
            Op::Push(list, number) => {
                let id = format!("{}.{number}", self.number);
                self.shared.borrow_mut().lists.entry(*list).or_default().note(id, end);
            }
            Op::Range(list) => {
                if let End::Reply(reply) = end {
                    let found = parts(reply).into_iter().flatten().collect();
                    self.shared.borrow_mut().listed(*list, found, read_so_far.get(list).copied().unwrap_or(0));
                }
            }
            Op::Feed(pool, number) => {
                let id = format!("{}.{number}", self.number);
                self.shared.borrow_mut().pools.entry(*pool).or_default().note(id, end);
            }
            Op::Take(pool) => self.shared.borrow_mut().took(*pool, end),
            Op::Publish(..) => {
                if let End::Reply(reply) = end {
                    integer(reply);
                }
            }
        }
    }

    /// What keys give is the last acknowledged write or one of unknown fate.
    fn check_reads(&self, keys: &[u64], end: &End, unknown: &Unknown) {
        let End::Reply(reply) = end else { return };
        let found = parts(reply);
        assert_eq!(found.len(), keys.len(), "{}", reply.escape_ascii());
        for (key, value) in keys.iter().zip(&found) {
            self.check_value(*key, value.as_ref(), unknown);
        }
    }

    fn check_value(&self, key: u64, found: Option<&String>, unknown: &Unknown) {
        let name = own_key(self.number, key);
        let number = found.map(|value| {
            let number = value.strip_prefix(&format!("{name}=")).and_then(|number| number.parse().ok());
            number.unwrap_or_else(|| panic!("{name} holds {value:?}"))
        });
        let belief = &self.beliefs[key as usize];
        let is_allowed = belief.allows(number) || unknown.contains(&(key, number));
        assert!(is_allowed, "{name} holds write {number:?}, but {belief:?} is known");
    }

    fn check_peek(&self, other: u64, key: u64, end: &End) {
        let End::Reply(reply) = end else { return };
        assert!(other < CLIENTS, "a client that is none");
        let name = format!("{}=", own_key(other, key));
        let is_its_own = parts(reply)[0].as_ref().is_none_or(|value| value.starts_with(&name));
        assert!(is_its_own, "{} is of {name}", reply.escape_ascii());
    }

    /// How many keys there are, of which some may or may not be.
    fn check_sum(&self, keys: &[u64], end: &End, unknown: &Unknown) {
        let End::Reply(reply) = end else { return };
        let (mut least, mut most) = (0, 0);
        for &key in keys {
            let belief = &self.beliefs[key as usize];
            let may = |is_there: bool| {
                let mut perhaps = unknown.iter().filter(|(of, _)| *of == key).map(|(_, written)| written);
                belief.acknowledged.is_some() == is_there
                    || belief.unknown.iter().any(|written| written.is_some() == is_there)
                    || perhaps.any(|written| written.is_some() == is_there)
            };
            least += u64::from(!may(false));
            most += u64::from(may(true));
        }
        let sum = integer(reply);
        assert!((least..=most).contains(&sum), "{sum} of {keys:?} exist, not {least} to {most}");
    }

    fn written(&mut self, op: &Op, end: &End) {
        if let End::Reply(reply) = end {
            let wanted: &[u8] = if matches!(op, Op::Del(_)) { b":" } else { b"+OK\r\n" };
            assert!(reply.starts_with(wanted), "{}", reply.escape_ascii());
        }
        for (key, written) in op.writes() {
            self.beliefs[key as usize].note(written, end);
        }
    }

    fn check_transaction(&mut self, op: &Op, key: u64, before: &[Vec<u8>], end: &End, unknown: &Unknown) {
        assert!(before.iter().all(|reply| reply.starts_with(b"+")), "{before:?} came before EXEC's {op:?}");
        match end {
            End::Reply(reply) => {
                let told = parts(reply);
                let [Some(steps), Some(ok), value] = told.as_slice() else { panic!("{told:?} to {op:?}") };
                let steps: u64 = steps.strip_prefix(':').and_then(|n| n.parse().ok()).expect("a number of steps");
                let due = self.steps + 1..=self.steps + 1 + self.maybe_steps;
                assert!(due.contains(&steps) && ok == "+OK", "step {steps}, not {due:?}: {told:?}");
                self.maybe_steps -= steps - self.steps - 1;
                self.steps = steps;
                self.beliefs[key as usize].note(op.writes()[0].1, end);
                self.check_value(1 - key, value.as_ref(), unknown);
            }
            End::Unknown => self.abandon(op),
            End::NotRun | End::Missing => {}
        }
    }

    fn check_watched(&mut self, op: &Op, key: u64, before: &[Vec<u8>], end: &End, unknown: &Unknown) {
        if let Some(reply) = before.get(1).filter(|reply| !reply.starts_with(b"-")) {
            self.check_reads(&[key], &End::Reply(reply.clone()), unknown);
        }
        if let End::Reply(reply) = end {
            match parts(reply).as_slice() {
                [None] => return,
                [Some(ok)] if ok == "+OK" => {}
                other => panic!("{other:?} to {op:?}"),
            }
        }
        self.beliefs[key as usize].note(op.writes()[0].1, end);
    }

    /// What was pushed is what is taken. While no node can be reached, waiting may come to nothing: then it is left.
    fn check_queue(&mut self, number: u64, before: &[Vec<u8>], end: &End) {
        let End::Reply(reply) = end else { return };
        let push = End::of(before[0].clone(), &Op::Queue(number));
        let expected = [Some(format!("{{c{}}}q{number}", self.number)), Some(format!("{}.{number}", self.number))];
        let told = parts(reply);
        match push {
            End::Reply(_) if told == [None] => self.left.push(number),
            End::Reply(_) => assert_eq!(told, expected, "what was pushed is not taken"),
            End::NotRun | End::Missing => assert_eq!(told, [None], "what was refused is taken"),
            End::Unknown => assert!(told == [None] || told == expected, "{told:?}, not {expected:?}"),
        }
    }

    fn counted(&mut self, counter: u64, end: &End) {
        self.shared.borrow_mut().counted(counter, end);
        if let End::Reply(reply) = end {
            let before = self.counts.insert(counter, integer(reply)).unwrap_or(0);
            assert!(integer(reply) > before, "counter{counter} was {before} and is {}", reply.escape_ascii());
        }
    }

    /// Nobody will say what became of a request.
    fn abandon(&mut self, op: &Op) {
        match op {
            Op::Multi(key, number) => {
                self.maybe_steps += 1;
                self.beliefs[*key as usize].note(Some(*number), &End::Unknown);
            }
            Op::Watched(key, number) => self.beliefs[*key as usize].note(Some(*number), &End::Unknown),
            Op::Queue(_) => {}
            _ => self.settle(op, &[], &End::Unknown, &BTreeSet::new(), &BTreeMap::new()),
        }
    }
}

/// A pipeline and what was told, which is shown if anything is wrong with it.
struct Told<'a> {
    client: u64,
    ops: &'a [Op],
    heard: Vec<(Vec<Vec<u8>>, End)>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("client {} was told:", self.client);
            for (op, (before, end)) in self.ops.iter().zip(&self.heard) {
                let before: Vec<String> = before.iter().map(|reply| reply.escape_ascii().to_string()).collect();
                eprintln!("  {op:?}: {} {end:?}", before.join(" "));
            }
        }
    }
}

/// One client that listens, now and then on a new connection.
pub(super) async fn listener(
    world: Rc<World>,
    mut random: Random,
    shared: Rc<RefCell<Shared>>,
    done: Rc<RefCell<bool>>,
) {
    while !*done.borrow() {
        let mut client = world.client().await;
        if random.one_in(2) {
            client.say("HELLO 3").await;
        }
        for words in ["SUBSCRIBE news0 news1 news2", "SSUBSCRIBE gazette0", "SSUBSCRIBE gazette1", "PSUBSCRIBE n*0"] {
            client.tell(words).await;
        }
        let until = Instant::now() + ms(random.below(4000));
        let mut heard: BTreeSet<Vec<Option<String>>> = BTreeSet::new();
        while let Ok(reply) = tokio::time::timeout_at(until, client.reply()).await {
            let reply = reply.expect("a subscriber is kept");
            shared.borrow_mut().hear(99, &reply);
            let told = parts(&reply);
            let is_message =
                told.first().is_some_and(|kind| kind.as_ref().is_some_and(|kind| kind.ends_with("message")));
            if let (true, [.., Some(channel), Some(message)]) = (is_message, told.as_slice()) {
                let shared = shared.borrow();
                let is_true = shared.published.get(channel).is_some_and(|all| all.contains(message));
                assert!(is_true, "{message} was never published on {channel}");
                assert!(heard.insert(told.clone()), "{told:?} was told twice");
            }
        }
        pass(ms(random.below(50))).await;
    }
}
