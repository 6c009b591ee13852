//! Random clients, a cluster in trouble, and what must hold nevertheless.
//!
//! Each client has keys of its own, whose values say which key and which write they are, and shares counters, lists,
//! pools and channels with the others. Meanwhile slots move, primaries fail over and die, slots lose their owner,
//! connections are cut, swallowed and refused, nodes stall, refuse and answer late, bytes come in pieces. Checked: every
//! request is answered, by a reply of its kind; a read gives the last acknowledged write before it in the pipeline (or
//! one whose fate is unknown); lists only grow; acknowledged increments, pushes and steps of transactions are there
//! once, unknown ones at most once, refused ones not at all; what was taken out of a pool is gone, and nothing else is;
//! messages are told once, to those who listen.
//!
//! `SLOTWAY_SEED` repeats one run, `SLOTWAY_SEEDS` makes as many, `SLOTWAY_MINUTES` goes on for so long, with seeds that
//! no earlier run had. `SLOTWAY_TELL=1` prints what clients hear and when, and what nodes heard.

mod actor;
mod ops;
mod shared;
mod trouble;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use slotway::client::Transactions;
use slotway::config::Config;
use slotway::demo::embedded::{Endpoint, Options, Random};

use self::actor::{Actor, listener};
use self::ops::{CLIENTS, SCRIPT};
use self::shared::Shared;
use self::trouble::Trouble;
use crate::net::{Plan, Way};
use crate::proxy::{ms, pass, proxied_with};
use crate::world::{World, asked, seeds};

/// How many clients listen to messages.
const LISTENERS: usize = 2;

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    trace: u64,
    /// Replies, and errors by their first word.
    seen: BTreeMap<String, u64>,
}

/// Runs one history of random clients in front of a random cluster.
fn history(seed: u64) -> Outcome {
    let mut random = Random::new(seed ^ 0x0c0_ffee);
    let options = Options {
        full_coverage: random.one_in(2),
        cluster_shards_supported: !random.one_in(4),
        endpoint: [Endpoint::Ip, Endpoint::Ip, Endpoint::Hostname, Endpoint::Empty][random.below(4) as usize],
        ..Options::default()
    };
    let change = |config: &mut Config| {
        if random.one_in(3) {
            config.backend.request_timeout = ms(500);
        }
        if random.one_in(3) {
            config.backend.canary = ms(100);
        }
        if random.one_in(3) {
            config.client.transactions = Transactions::PerSlot;
        }
        if random.one_in(3) {
            config.backend.node_queue_bytes = 2048;
        }
        if is_told() {
            println!("seed {seed}: {:?} {:?}", config.backend, config.client.transactions);
        }
    };
    let outcome = RefCell::new(None);
    proxied_with(seed, options, change, async |world: World| {
        outcome.replace(Some(clients(world, Random::new(seed ^ 0x5107)).await));
    });
    outcome.take().expect("the scenario has run")
}

async fn clients(world: World, mut random: Random) -> Outcome {
    for node in world.cluster.nodes() {
        let way = Way { fragment: [0, 0, 50, 7][random.below(4) as usize], delay: ms(random.below(4)), end: None };
        world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
    }
    world.net.plan(&world.front, Plan::fragments([0, 100, 9][random.below(3) as usize]));
    world.client().await.call(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]).await.expect("a reply");
    if is_told() {
        world.cluster.log(1 << 20);
    }
    let done = Rc::new(RefCell::new(false));
    let (cluster, net) = (world.cluster.clone(), world.net.clone());
    let trouble = Trouble { cluster, net, random: Random::new(random.bits()) };
    let mut around = vec![tokio::task::spawn_local(trouble.run(Rc::clone(&done)))];
    let (world, shared) = (Rc::new(world), Rc::new(RefCell::new(Shared::new())));
    for _ in 0..LISTENERS {
        let (world, shared, random) = (Rc::clone(&world), Rc::clone(&shared), Random::new(random.bits()));
        around.push(tokio::task::spawn_local(listener(world, random, shared, Rc::clone(&done))));
    }
    let actors: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let actor = Actor::new(number, Random::new(random.bits()), Rc::clone(&shared));
            tokio::task::spawn_local(actor.run(Rc::clone(&world)))
        })
        .collect();
    for actor in actors {
        let ended = actor.await;
        if ended.is_err() {
            show(&world);
        }
        rejoin(ended);
    }
    *done.borrow_mut() = true;
    for one in around {
        rejoin(one.await);
    }
    pass(ms(20_000)).await;
    show(&world);
    shared.borrow().check(&world).await;
    assert_eq!(world.counted("connected_clients").await, 1);
    let shared = shared.borrow();
    Outcome { trace: shared.trace, seen: shared.seen.clone() }
}

/// Whether what happens is printed.
pub(super) fn is_told() -> bool {
    asked("SLOTWAY_TELL").is_some()
}

/// Shows what nodes heard, if that is wanted.
fn show(world: &World) {
    for seen in world.cluster.take_log() {
        let request = seen.args.join(&b' ').escape_ascii().to_string();
        println!("{} ms, {:?}, connection {}: {request}: {}", seen.at_ms, seen.node, seen.connection, seen.reply);
    }
}

/// What fails in a task fails the scenario.
fn rejoin(result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}

#[test]
fn random_histories_hold() {
    let Some(minutes) = asked("SLOTWAY_MINUTES") else {
        for seed in seeds(40) {
            history(seed);
        }
        return;
    };
    let begun = Instant::now();
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() << 24;
    let (mut runs, mut all, mut told) = (0, BTreeMap::new(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        for (kind, count) in history(seed).seen {
            *all.entry(kind).or_insert(0_u64) += count;
        }
        seed += 1;
        runs += 1;
        if begun.elapsed() > told + Duration::from_secs(60) {
            told = begun.elapsed();
            println!("after {} s, {runs} histories up to seed {seed}: {all:?}", told.as_secs());
        }
    }
    println!("{runs} histories in {minutes} minutes without a violation: {all:?}");
}

#[test]
fn a_seed_repeats_its_history_exactly() {
    for seed in seeds(6) {
        let first = history(seed);
        assert_eq!(first, history(seed), "seed {seed}");
        assert_ne!(first.trace, history(seed + 1_000_000).trace);
    }
}
