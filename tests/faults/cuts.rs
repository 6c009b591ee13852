//! Connections that end where they should not, bytes that come late, one by one, or not at all.

use std::time::{Duration, Instant};

use crate::harness::{Random, long};
use crate::history::{History, Kind, Work};
use crate::injector::{Cut, End, Way, Weather};
use crate::report::{Row, ms};
use crate::stage::{Stage, alone};

const NODES: usize = 6;

/// Waits until all that may be wrong with the nodes is over.
fn clear(stage: &Stage) {
    for node in 0..NODES {
        stage.injector.weather(node, Weather::default());
        while stage.injector.cuts_left(node) > 0 {
            // A cut that found no connection is used up here.
            stage.injector.reset(node);
            stage.client().call(&["GET", &stage.key_of(node, 0)]);
        }
        stage.injector.reset(node);
    }
    std::thread::sleep(Duration::from_millis(500));
    stage.wait_served();
}

fn random_end(random: &mut Random) -> End {
    match random.below(12) {
        0 => End::Blackhole,
        1..4 => End::Garbage,
        4..7 => End::HalfClose,
        _ => End::Reset,
    }
}

#[test]
fn t17_nothing_runs_twice_wherever_connections_are_cut() {
    let _alone = alone();
    let stage = Stage::start(&[("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "500ms")]);
    let seed = Random::seed();
    let mut random = Random::new(seed);
    let kinds = vec![Kind::Incr, Kind::Incr, Kind::Push, Kind::Push, Kind::Range];
    let work = Work { clients: 12, keys: 6, tags: Vec::new(), kinds, depth: 12, seed };
    let history = History::start(stage.addr(), &work);
    let (goal, limit) = if long() { (100_000, Duration::from_mins(5)) } else { (10_000, Duration::from_secs(15)) };
    let begun = Instant::now();
    while (history.requests() < goal || stage.injector.cuts_made() < goal / 300) && begun.elapsed() < limit {
        assert!(!history.is_broken(), "{:#?}", history.stop().violations);
        let (node, end) = (random.below(3), random_end(&mut random));
        let way = if random.one_in(2) { Way::ToNode } else { Way::ToProxy };
        let after = random.below(if way == Way::ToNode { 500 } else { 60 });
        // In the middle of a value it would be a part of that value: nobody could tell.
        let (way, after) = if end == End::Garbage { (Way::ToProxy, 0) } else { (way, after) };
        if stage.injector.cuts_left(node) == 0 {
            stage.injector.cut_next(node, Cut { way, after, end });
            stage.injector.reset(node);
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    let (cuts, requests) = (stage.injector.cuts_made(), history.requests());
    for node in 0..3 {
        while stage.injector.cuts_left(node) > 0 && !history.is_broken() {
            stage.injector.reset(node);
            std::thread::sleep(Duration::from_millis(50));
        }
        stage.injector.reset(node);
    }
    std::thread::sleep(Duration::from_secs(2));
    let account = history.stop();
    account.check("T17");
    let count = |code: &str| account.errors.iter().filter(|((_, found), _)| found == code).map(|(_, n)| n).sum::<u64>();
    let (unknown, unsent) = (count("PROXYUNKNOWN"), count("PROXYUNSENT"));
    assert_eq!(unknown + unsent, account.errors_of(|_| true), "no other errors: {:?}", account.errors);
    assert!(cuts > 20 && unknown > 0, "{cuts} cuts, {unknown} unknown: nothing was tested");
    Row {
        test: "T17",
        what: "connections to nodes are cut at any byte, either way: reset, half-closed, swallowed, garbage",
        client: "reads go on; a write of which all had left gets PROXYUNKNOWN, others wait or get PROXYUNSENT",
        passes: "0 executed twice, PROXYUNSENT executed 0 times",
        figures: format!(
            "{requests} requests, {cuts} cuts, {unknown} PROXYUNKNOWN, {unsent} PROXYUNSENT; 0 twice, 0 lost"
        ),
    }
    .tell();
}

#[test]
fn t2_late_replies_reach_nobody() {
    let _alone = alone();
    let stage =
        Stage::start(&[("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "200ms"), ("SLOTWAY__CLUSTER__CONNECT_TIMEOUT", "200ms")]);
    let seed = Random::seed();
    let mut random = Random::new(seed);
    let kinds = vec![Kind::Set, Kind::Get, Kind::Incr, Kind::Push, Kind::Range, Kind::Mget, Kind::Eval];
    let work = Work { clients: 12, keys: 6, tags: Vec::new(), kinds, depth: 6, seed };
    let history = History::start(stage.addr(), &work);
    let before: u64 = (0..3).map(|node| stage.injector.accepted(node)).sum();
    let rounds = if long() { 100 } else { 6 };
    for round in 0..rounds {
        let delay = Duration::from_millis(200 + random.below(400) as u64);
        stage.injector.weather(round % 3, Weather { delay, ..Weather::default() });
        std::thread::sleep(Duration::from_millis(700));
        stage.injector.weather(round % 3, Weather::default());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!history.is_broken(), "{:#?}", history.stop().violations);
    }
    std::thread::sleep(Duration::from_millis(1500));
    let account = history.stop();
    account.check("T2");
    let opened = (0..3).map(|node| stage.injector.accepted(node)).sum::<u64>() - before;
    assert!(opened >= rounds as u64, "{opened} new connections: late ones are not used again");
    Row {
        test: "T2",
        what: "replies come at one to three times the deadline",
        client: "an error at the deadline, and never somebody's late reply",
        passes: "0 wrong replies; each such connection closed",
        figures: format!(
            "{} requests, {} errors, 0 wrong; {opened} connections replaced",
            account.requests,
            account.errors_of(|_| true)
        ),
    }
    .tell();
}

#[test]
fn t6_bytes_that_come_one_by_one_and_late_change_nothing() {
    let _alone = alone();
    let stage = Stage::start(&[]);
    let seed = Random::seed();
    let work = Work { clients: 8, keys: 6, tags: Vec::new(), kinds: Kind::MIXED.to_vec(), depth: 6, seed };
    let history = History::start(stage.addr(), &work);
    let goal = if long() { 30_000 } else { 1_000 };
    for (delay, single_bytes) in [(0, true), (5, false), (20, true)] {
        let weather = Weather { delay: Duration::from_millis(delay), single_bytes, ..Weather::default() };
        (0..NODES).for_each(|node| stage.injector.weather(node, weather));
        history.wait_for(goal, Duration::from_mins(2));
        assert!(!history.is_broken(), "{:#?}", history.stop().violations);
    }
    clear_weather(&stage);
    let account = history.stop();
    account.check("T6");
    assert!(account.errors.is_empty(), "{:?}", account.errors);
    Row {
        test: "T6",
        what: "bytes of the nodes come one by one, each piece up to 20 ms late",
        client: "latency",
        passes: "the same replies, no error",
        figures: format!("{} requests, 0 errors, slowest {}", account.requests, ms(account.slowest)),
    }
    .tell();
}

fn clear_weather(stage: &Stage) {
    (0..NODES).for_each(|node| stage.injector.weather(node, Weather::default()));
}

#[test]
fn t17_a_node_that_is_swallowed_costs_its_own_keys_and_comes_back() {
    let _alone = alone();
    let stage = Stage::start(&[("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "500ms")]);
    let (near, far) = (stage.key_of(0, 0), stage.key_of(1, 0));
    let (mut client, mut other) = (stage.client(), stage.client());
    client.call(&["SET", &near, "0"]).ok();
    stage.injector.weather(0, Weather { blackhole: true, ..Weather::default() });
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        let reply = client.call(&["INCR", &near]);
        assert!(reply.error().is_some_and(|error| error.starts_with("PROXYUN")), "{reply:?}");
        slowest = slowest.max(begun.elapsed());
        other.call(&["SET", &far, "x"]).ok();
    }
    assert!(slowest <= Duration::from_millis(520 + 30), "{slowest:?}");
    clear(&stage);
    let count = client.call(&["INCR", &near]).ok().int();
    assert!((1..=2).contains(&count), "{count}: only the one that had left may have run");
    Row {
        test: "T17",
        what: "a node's network swallows everything, and comes back",
        client: "PROXYUNKNOWN once, then PROXYUNSENT at the deadline; other keys notice nothing",
        passes: "an error at the deadline + 20 ms",
        figures: format!("slowest error {} with a deadline of 500 ms", ms(slowest)),
    }
    .tell();
}
