//! Random clients, a cluster in trouble, and what must hold nevertheless.
//!
//! Each client has keys of its own, whose values say which key and which write they are, and shares counters and
//! lists with the others. Meanwhile slots move, primaries fail over and die, connections are cut, nodes stall and
//! answer late, bytes come in pieces. Some values are large enough to pass through in pieces, some writes are transactions.
//! Checked: every request is answered, by a reply of its kind; a read gives the
//! last acknowledged write before it in the pipeline (or one whose fate is unknown); acknowledged increments and
//! pushes are there once, unknown ones at most once, refused ones not at all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use slotway::config::Config;
use slotway::demo::embedded::{Cluster, NodeId, Options, Random, Script, slot};

use crate::client::{Client, frame};
use crate::net::{Plan, Way};
use crate::proxy::{ms, pass, proxied_with};
use crate::world::{World, seeds};

/// Clients at the same time.
const CLIENTS: u64 = 6;
/// Keys of each client, shared counters, shared lists.
const KEYS: u64 = 4;
const SHARED: u64 = 3;
/// Pipelines of each client.
const BATCHES: u64 = 25;
/// Above this, requests and replies are passed on in pieces here.
const LARGE: usize = 300;
/// Longer than any request and those before it may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A value that says which key and which write it is; some are large.
fn value(client: u64, key: u64, number: u64) -> String {
    let filler = if number.is_multiple_of(4) { LARGE + (number % 64) as usize } else { 0 };
    format!("{}={number}~{}", own_key(client, key), "x".repeat(filler))
}

fn own_key(client: u64, key: u64) -> String {
    // Two of the keys share a slot, so that some requests of several keys are not split.
    if key < 2 { format!("{{c{client}}}k{key}") } else { format!("c{client}:k{key}") }
}

/// What a client asks for. Writes carry a number that is never used twice.
#[derive(Clone, Debug)]
enum Op {
    Get(u64),
    Mget(Vec<u64>),
    Set(Vec<u64>, u64),
    Del(Vec<u64>),
    /// The keys that share a slot, in one transaction.
    Exec(u64),
    /// Another client's key.
    Peek(u64, u64),
    Incr(u64),
    Push(u64, u64),
}

impl Op {
    fn draw(random: &mut Random, number: u64) -> Self {
        let key = random.below(KEYS);
        let some: BTreeSet<u64> = (0..3).map(|_| random.below(KEYS)).collect();
        let some: Vec<u64> = some.into_iter().collect();
        match random.below(10) {
            0..=2 => Self::Get(key),
            3 => Self::Mget(some),
            4 | 5 => Self::Set(vec![key], number),
            6 if random.one_in(2) => Self::Exec(number),
            6 => Self::Set(some, number),
            7 if random.one_in(3) => Self::Del(some),
            7 => Self::Peek(random.below(CLIENTS), key),
            8 => Self::Incr(random.below(SHARED)),
            _ => Self::Push(random.below(SHARED), number),
        }
    }

    fn frame(&self, client: u64) -> Vec<u8> {
        let keys = |keys: &[u64]| keys.iter().map(|key| own_key(client, *key)).collect::<Vec<_>>();
        let (name, rest) = match self {
            Self::Get(key) => ("GET", vec![own_key(client, *key)]),
            Self::Mget(some) => ("MGET", keys(some)),
            Self::Set(some, number) => {
                let pairs = some.iter().flat_map(|key| [own_key(client, *key), value(client, *key, *number)]);
                (if some.len() == 1 { "SET" } else { "MSET" }, pairs.collect())
            }
            Self::Del(some) => ("DEL", keys(some)),
            Self::Exec(number) => {
                let set =
                    |key| frame(&[b"SET", own_key(client, key).as_bytes(), value(client, key, *number).as_bytes()]);
                return [frame(&[b"MULTI"]), set(0), set(1), frame(&[b"EXEC"])].concat();
            }
            Self::Peek(other, key) => ("GET", vec![own_key(*other, *key)]),
            Self::Incr(counter) => ("INCR", vec![format!("counter{counter}")]),
            Self::Push(list, number) => ("RPUSH", vec![format!("list{list}"), format!("{client}.{number}")]),
        };
        let words: Vec<&[u8]> = std::iter::once(name.as_bytes()).chain(rest.iter().map(String::as_bytes)).collect();
        frame(&words)
    }
}

impl Op {
    /// How many replies it has; the last one counts.
    const fn replies(&self) -> usize {
        if matches!(self, Self::Exec(_)) { 4 } else { 1 }
    }

    const fn reads(&self) -> bool {
        matches!(self, Self::Get(_) | Self::Mget(_) | Self::Peek(..))
    }
}

/// What a key may hold.
#[derive(Clone, Debug, Default)]
struct Belief {
    /// The last write that was acknowledged: its number, or nothing for a DEL.
    acknowledged: Option<u64>,
    /// Writes whose fate is unknown: any of them may be found at any later time.
    unknown: BTreeSet<Option<u64>>,
}

/// What all clients have learnt of what they share.
#[derive(Default)]
struct Shared {
    /// Each value that an increment was answered with.
    counted: BTreeMap<u64, BTreeSet<u64>>,
    /// Increments whose fate is unknown.
    maybe: BTreeMap<u64, u64>,
    pushed: BTreeMap<u64, Vec<String>>,
    maybe_pushed: BTreeMap<u64, BTreeSet<String>>,
}

/// How a request ended.
enum End {
    Reply(Vec<u8>),
    NotRun,
    Unknown,
}

/// Reads an outcome; whatever else comes fails the scenario.
fn outcome(reply: Vec<u8>, op: &Op) -> End {
    let text = String::from_utf8_lossy(&reply).into_owned();
    match text.split(' ').next().unwrap_or_default() {
        "-PROXYUNKNOWN" => End::Unknown,
        "-PROXYUNSENT" | "-CLUSTERDOWN" | "-TRYAGAIN" | "-LOADING" | "-EXECABORT" => match op {
            // Some parts of a split request may have run where another was refused.
            Op::Set(keys, _) | Op::Del(keys) if keys.len() > 1 => End::Unknown,
            _ => End::NotRun,
        },
        other => {
            assert!(!other.starts_with('-'), "{text:?} to {op:?}");
            End::Reply(reply)
        }
    }
}

/// The bulk strings of a flat reply; `None` for nulls.
fn bulks(reply: &[u8]) -> Vec<Option<String>> {
    let text = String::from_utf8_lossy(reply).into_owned();
    let mut lines = text.split("\r\n");
    let mut out = Vec::new();
    while let Some(line) = lines.next() {
        match line {
            "" => {}
            "$-1" | "_" => out.push(None),
            line if line.starts_with('$') => out.push(lines.next().map(ToOwned::to_owned)),
            line => assert!(line.starts_with('*'), "{line:?} in {text:?}"),
        }
    }
    out
}

fn integer(reply: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(reply);
    text.trim().strip_prefix(':').and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no integer: {text:?}"))
}

/// One client and what it knows.
struct Actor {
    number: u64,
    random: Random,
    writes: u64,
    beliefs: Vec<Belief>,
    shared: Rc<RefCell<Shared>>,
}

impl Actor {
    /// What a key gives is the last acknowledged write or one of unknown fate.
    fn check_read(&self, key: u64, found: Option<&String>, unknown: &BTreeSet<(u64, Option<u64>)>) {
        let name = own_key(self.number, key);
        let number = found.map(|value| {
            let number = value.strip_prefix(&format!("{name}=")).and_then(|rest| rest.split('~').next()?.parse().ok());
            assert!(number.is_none_or(|number| *value == self::value(self.number, key, number)), "{value:?}");
            number.unwrap_or_else(|| panic!("{name} holds {value:?}"))
        });
        let belief = &self.beliefs[key as usize];
        let allowed =
            number == belief.acknowledged || belief.unknown.contains(&number) || unknown.contains(&(key, number));
        assert!(allowed, "{name} holds write {number:?}, but {belief:?} is known");
    }

    fn settle(&mut self, op: &Op, end: End, unknown: &BTreeSet<(u64, Option<u64>)>) {
        let mut shared = self.shared.borrow_mut();
        match (op, end) {
            (_, End::NotRun) | (Op::Get(_) | Op::Mget(_) | Op::Peek(..), End::Unknown) => {}
            (Op::Get(key), End::Reply(reply)) => self.check_read(*key, bulks(&reply)[0].as_ref(), unknown),
            (Op::Mget(keys), End::Reply(reply)) => {
                let found = bulks(&reply);
                assert_eq!(found.len(), keys.len());
                for (key, value) in keys.iter().zip(&found) {
                    self.check_read(*key, value.as_ref(), unknown);
                }
            }
            (Op::Peek(other, key), End::Reply(reply)) => {
                let name = format!("{}=", own_key(*other, *key));
                assert!(
                    bulks(&reply)[0].as_ref().is_none_or(|value| value.starts_with(&name)),
                    "{reply:?} is of {name}"
                );
            }
            (Op::Set(keys, number), end) => {
                for key in keys {
                    note(&mut self.beliefs[*key as usize], Some(*number), &end, b"+OK\r\n");
                }
            }
            (Op::Exec(number), end) => {
                for key in 0..2 {
                    note(&mut self.beliefs[key], Some(*number), &end, b"*2\r\n+OK\r\n+OK\r\n");
                }
            }
            (Op::Del(keys), end) => {
                for key in keys {
                    note(&mut self.beliefs[*key as usize], None, &end, b":");
                }
            }
            (Op::Incr(counter), End::Reply(reply)) => {
                let fresh = shared.counted.entry(*counter).or_default().insert(integer(&reply));
                assert!(fresh, "two increments of counter{counter} gave {}", integer(&reply));
            }
            (Op::Incr(counter), End::Unknown) => *shared.maybe.entry(*counter).or_default() += 1,
            (Op::Push(list, number), End::Reply(reply)) => {
                integer(&reply);
                shared.pushed.entry(*list).or_default().push(format!("{}.{number}", self.number));
            }
            (Op::Push(list, number), End::Unknown) => {
                shared.maybe_pushed.entry(*list).or_default().insert(format!("{}.{number}", self.number));
            }
        }
    }

    /// Runs pipelines; some are left before they are answered.
    async fn run(mut self, world: Rc<World>) {
        let mut client = self.connect(&world).await;
        for _ in 0..BATCHES {
            let depth = 1 + if self.random.one_in(2) { 0 } else { self.random.below(25) };
            let mut ops: Vec<Op> = (0..depth)
                .map(|_| {
                    self.writes += 1;
                    Op::draw(&mut self.random, self.writes)
                })
                .collect();
            // What comes behind a transaction may be run in front of it while its slot moves: see docs/faults.md.
            if let Some(end) = ops.iter().position(|op| matches!(op, Op::Exec(_))) {
                ops.truncate(end + 1);
            }
            let bytes: Vec<u8> = ops.iter().flat_map(|op| op.frame(self.number)).collect();
            client.send(&bytes).await.expect("the proxy reads");
            if self.random.one_in(8) {
                pass(ms(self.random.below(30))).await;
                self.abandon(&ops);
                client = self.connect(&world).await;
                continue;
            }
            if !self.hear(&mut client, &ops).await {
                client = self.connect(&world).await;
            }
            pass(ms(self.random.below(40))).await;
        }
        // What is there in the end.
        let all: Vec<Op> = (0..KEYS).map(Op::Get).collect();
        pass(ms(10_000)).await;
        let bytes: Vec<u8> = all.iter().flat_map(|op| op.frame(self.number)).collect();
        for _ in 0..20 {
            client.send(&bytes).await.expect("the proxy reads");
            if self.hear(&mut client, &all).await {
                return;
            }
            client = self.connect(&world).await;
        }
        panic!("no reading to the end");
    }

    async fn connect(&mut self, world: &World) -> Client {
        let mut client = world.client().await;
        if self.random.one_in(2) {
            client.say("HELLO 3").await;
        }
        client
    }

    /// Takes the replies. False if the connection ended, as it does when a node is lost in the middle of a large reply.
    async fn hear(&mut self, client: &mut Client, ops: &[Op]) -> bool {
        let mut ends = Vec::new();
        'pipeline: for op in ops {
            for nth in 1..=op.replies() {
                let reply = tokio::time::timeout(PATIENCE, client.reply()).await;
                match reply.unwrap_or_else(|_| panic!("no reply to {op:?}")) {
                    Ok(reply) if nth == op.replies() => ends.push(outcome(reply, op)),
                    Ok(reply) => assert!(matches!(&reply[..], b"+OK\r\n" | b"+QUEUED\r\n"), "{}", reply.escape_ascii()),
                    Err(error) => {
                        assert!(op.reads(), "{op:?}: {error}");
                        break 'pipeline;
                    }
                }
            }
        }
        let is_whole = ends.len() == ops.len();
        ends.resize_with(ops.len(), || End::Unknown);
        // A read that was sent again may see a later write of its pipeline whose fate is unknown.
        let unknown = ops.iter().zip(&ends).filter(|(_, end)| matches!(end, End::Unknown));
        let unknown = unknown.flat_map(|(op, _)| writes(op)).collect();
        for (op, end) in ops.iter().zip(ends) {
            self.settle(op, end, &unknown);
        }
        is_whole
    }

    /// Nobody will say what became of these.
    fn abandon(&mut self, ops: &[Op]) {
        for op in ops {
            self.settle(op, End::Unknown, &BTreeSet::new());
        }
    }
}

/// The keys that a request writes, and what.
fn writes(op: &Op) -> Vec<(u64, Option<u64>)> {
    match op {
        Op::Set(keys, number) => keys.iter().map(|key| (*key, Some(*number))).collect(),
        Op::Del(keys) => keys.iter().map(|key| (*key, None)).collect(),
        Op::Exec(number) => vec![(0, Some(*number)), (1, Some(*number))],
        _ => Vec::new(),
    }
}

fn note(belief: &mut Belief, written: Option<u64>, end: &End, expected: &[u8]) {
    match end {
        End::Reply(reply) => {
            assert!(reply.starts_with(expected), "{} and not {}", reply.escape_ascii(), expected.escape_ascii());
            belief.acknowledged = written;
        }
        End::Unknown => drop(belief.unknown.insert(written)),
        End::NotRun => {}
    }
}

/// Makes trouble until `done`, and puts everything right in the end.
async fn trouble(cluster: Cluster, mut random: Random, done: Rc<RefCell<bool>>) {
    let keys = (0..CLIENTS).flat_map(|client| (0..KEYS).map(move |key| own_key(client, key)));
    let shared = (0..SHARED).flat_map(|n| [format!("counter{n}"), format!("list{n}")]);
    let slots: Vec<u16> = keys.chain(shared).map(|key| slot(key.as_bytes())).collect();
    while !*done.borrow() {
        pass(ms(random.below(50))).await;
        let of = *random.pick(&slots).expect("some slots");
        let node = *random.pick(&cluster.primaries()).expect("some primaries");
        match random.below(12) {
            // A second move may not begin before the first has ended: keys would be left behind.
            0 | 1 => {
                cluster.finish_migration(of);
                cluster.move_slot(of, node);
            }
            2 | 3 => {
                cluster.finish_migration(of);
                cluster.begin_migration(of, node);
            }
            4 => drop(cluster.migrate_some(of, 1)),
            5 => slots.iter().for_each(|&of| cluster.finish_migration(of)),
            6 => cluster.failover(cluster.siblings(node)[0]),
            7 => die(&cluster, &mut random, node).await,
            8 => drop(cluster.cut_connections(node)),
            9 => {
                cluster.pause(node);
                pass(ms(if random.one_in(4) { 3000 } else { random.below(200) })).await;
                cluster.resume(node);
            }
            10 => cluster.delay(node, ms(random.below(20))),
            _ => cluster.script(node, misfortune(&mut random)),
        }
    }
    for node in cluster.nodes() {
        cluster.delay(node, ms(0));
    }
    for of in slots {
        cluster.finish_migration(of);
    }
}

/// A primary dies, its replica is elected, and it comes back.
async fn die(cluster: &Cluster, random: &mut Random, node: NodeId) {
    cluster.kill(node);
    pass(ms(random.below(800))).await;
    cluster.failover(cluster.siblings(node)[0]);
    pass(ms(random.below(200))).await;
    cluster.revive(node);
}

fn misfortune(random: &mut Random) -> Script {
    match random.below(4) {
        0 => Script::cut_unrun(),
        1 if random.one_in(2) => Script::cut_after(random.below(500) as usize),
        1 => Script::cut_after(random.below(6) as usize),
        2 => Script::hold(ms(random.below(3000))),
        _ => Script::refuse("-LOADING Redis is loading the dataset in memory\r\n"),
    }
}

/// Reads until no misfortune that still waits at a node stands in the way.
async fn read(client: &mut Client, args: &[&[u8]]) -> Vec<u8> {
    for _ in 0..100 {
        let reply = client.call(args).await.expect("a reply");
        if !reply.starts_with(b"-") {
            return reply;
        }
    }
    panic!("nothing but errors");
}

/// Every acknowledged increment and push is there once, unknown ones at most once.
async fn check_shared(world: &World, shared: &Shared) {
    let mut client = world.client().await;
    for n in 0..SHARED {
        let value = read(&mut client, &[b"GET", format!("counter{n}").as_bytes()]).await;
        let value: u64 = bulks(&value)[0].as_ref().map_or(0, |text| text.parse().expect("a number"));
        let acknowledged = shared.counted.get(&n).map_or(0, BTreeSet::len) as u64;
        let most = acknowledged + shared.maybe.get(&n).copied().unwrap_or(0);
        assert!((acknowledged..=most).contains(&value), "counter{n} is {value}, not {acknowledged}..={most}");
        let list = read(&mut client, &[b"LRANGE", format!("list{n}").as_bytes(), b"0", b"-1"]).await;
        let found: Vec<String> = bulks(&list).into_iter().flatten().collect();
        let pushed = shared.pushed.get(&n).cloned().unwrap_or_default();
        let maybe = shared.maybe_pushed.get(&n).cloned().unwrap_or_default();
        let once: BTreeSet<&String> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "list{n} holds something twice: {found:?}");
        assert!(pushed.iter().all(|id| once.contains(id)), "list{n} lost something of {pushed:?}: {found:?}");
        assert!(found.iter().all(|id| pushed.contains(id) || maybe.contains(id)), "list{n} holds what was refused");
    }
}

/// One run.
async fn history(world: World, seed: u64) {
    let mut random = Random::new(seed ^ 0x5107);
    for node in world.cluster.nodes() {
        let way = Way { fragment: [0, 0, 50, 7][random.below(4) as usize], delay: ms(random.below(4)), end: None };
        world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
    }
    world.net.plan(&world.front, Plan::fragments([0, 100, 9][random.below(3) as usize]));
    let done = Rc::new(RefCell::new(false));
    let chaos = tokio::task::spawn_local(trouble(world.cluster.clone(), Random::new(random.bits()), Rc::clone(&done)));
    let (world, shared) = (Rc::new(world), Rc::new(RefCell::new(Shared::default())));
    let actors: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let beliefs = vec![Belief::default(); KEYS as usize];
            let random = Random::new(random.bits());
            let actor = Actor { number, random, writes: 0, beliefs, shared: Rc::clone(&shared) };
            tokio::task::spawn_local(actor.run(Rc::clone(&world)))
        })
        .collect();
    for actor in actors {
        if let Err(error) = actor.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    *done.borrow_mut() = true;
    chaos.await.expect("the trouble ends");
    pass(ms(20_000)).await;
    let shared = shared.take();
    check_shared(&world, &shared).await;
    assert_eq!(world.counted("connected_clients").await, 1);
}

#[test]
fn random_histories_hold() {
    for seed in seeds(40) {
        let change = |config: &mut Config| config.backend.stream_above = LARGE;
        proxied_with(seed, Options::default(), change, async |world: World| history(world, seed).await);
    }
}
