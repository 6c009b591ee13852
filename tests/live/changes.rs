//! The cluster changes under load: slots move, primaries are replaced, primaries die. Clients hardly notice.

use std::process::Command;
use std::time::Duration;

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{
    Client, Load, Outcome, PATIENCE, Plan, Proxy, Random, alone, direct, long, own_cluster, slot, tell,
};

/// Fails the test if anything happened that must not.
#[track_caller]
fn flawless(what: &str, outcome: &Outcome) {
    let shown: Vec<_> = outcome.violations.iter().take(5).collect();
    assert!(
        shown.is_empty(),
        "{what}: {} violations in {} replies: {shown:#?}",
        outcome.violations.len(),
        outcome.replies
    );
    assert!(outcome.replies > 0, "{what}: nothing was asked");
    tell(&format!(
        "{what}: {} replies, {} errors seen by clients, slowest batch {:?}",
        outcome.replies, outcome.errors, outcome.slowest
    ));
}

/// Tags whose slots lie between `first` and `last`.
fn tags(count: usize, first: u16, last: u16) -> Vec<String> {
    let all = (0..).map(|n| format!("t{n}"));
    all.filter(|tag| (first..=last).contains(&slot(tag.as_bytes()))).take(count).collect()
}

/// How often the nodes have answered with an error of this kind.
fn errors_of(cluster: &Cluster, kind: &str) -> u64 {
    let count = |node| {
        let info = cluster.call(node, &["INFO", "errorstats"]).unwrap();
        let line = info.text().unwrap_or_default().lines().find_map(|line| {
            line.strip_prefix(&format!("errorstat_{kind}:count=")).map(|count| count.trim().parse::<u64>().unwrap())
        });
        line.unwrap_or(0)
    };
    cluster.running().into_iter().map(count).sum()
}

#[test]
fn slots_move_under_load_by_redis_cli_without_an_error() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    // The tool takes the lowest slots of the source first, and those are where the load is.
    let plan = Plan { workers: 4, tags: tags(10, 0, 199), keys_per_tag: 60, loose_keys: 200, ..Plan::default() };
    let load = Load::start(proxy.addr(), &plan, Random::seed());
    load.wait_for(20_000, PATIENCE);
    for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
        reshard(&cluster, from, to, 200);
        // The tool refuses to begin before all nodes agree.
        cluster.wait_settled(PATIENCE).unwrap();
    }
    load.wait_for(5_000, PATIENCE);
    let outcome = load.stop();
    flawless("reshard", &outcome);
    let (moved, ask) = (errors_of(&cluster, "MOVED"), errors_of(&cluster, "ASK"));
    assert!(moved > 0 && ask > 0, "the nodes redirected {moved} times by MOVED and {ask} times by ASK: not tested");
}

/// Moves slots as operators do.
fn reshard(cluster: &Cluster, from: usize, to: usize, slots: usize) {
    let id = |node| cluster.call(node, &["CLUSTER", "MYID"]).unwrap().text().unwrap().to_owned();
    let output = Command::new("redis-cli")
        .args(["--cluster", "reshard", &cluster.addrs()[from].to_string()])
        .args(["--cluster-from", &id(from), "--cluster-to", &id(to)])
        .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
        .output()
        .unwrap_or_else(|error| panic!("redis-cli: {error}; it comes with the package redis-tools"));
    let text = String::from_utf8_lossy(&output.stdout);
    let end: Vec<_> = text.lines().rev().take(5).collect();
    assert!(output.status.success(), "redis-cli --cluster reshard: {end:?}");
}

#[test]
fn planned_failovers_under_load_cost_no_error_and_no_write() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let plan = Plan { workers: 4, loose_keys: 500, ..Plan::default() };
    let load = Load::start(proxy.addr(), &plan, Random::seed());
    for round in 0..if long() { 100 } else { 6 } {
        load.wait_for(3_000, PATIENCE);
        let primary = cluster.primaries().unwrap()[round % 3];
        let replica = cluster.replicas_of(primary).unwrap()[0];
        cluster.fail_over(replica, PATIENCE).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
    }
    load.wait_for(3_000, PATIENCE);
    flawless("planned failovers", &load.stop());
}

#[test]
fn a_killed_primary_costs_only_errors_that_say_what_happened() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    for round in 0..if long() { 20 } else { 2 } {
        let victim = cluster.primaries().unwrap()[round % 3];
        let port = cluster.addrs()[victim].port();
        let seen = cluster.seen_by(victim).unwrap();
        let slots = seen.into_iter().find(|node| node.port == port).unwrap().slots;
        let errors = vec!["PROXYUNSENT ", "PROXYUNKNOWN ", "CLUSTERDOWN "];
        let plan = Plan { workers: 4, loose_keys: 300, errors, may_lose: slots.clone(), ..Plan::default() };
        let load = Load::start(proxy.addr(), &plan, Random::seed() + round as u64);
        load.wait_for(10_000, PATIENCE);
        cluster.kill(victim).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
        // The election is over: what the proxy still believes may cost a moment, but no more.
        std::thread::sleep(Duration::from_secs(1));
        every_slot_answers(&proxy);
        load.wait_for(2_000, PATIENCE);
        flawless("killed primary", &load.stop());
        cluster.restart(victim).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
    }
}

/// Writes and reads a key in many slots of each node.
fn every_slot_answers(proxy: &Proxy) {
    let mut client = Client::connect(proxy.addr());
    for n in 0..500 {
        let (key, value) = (format!("after:{n}"), format!("value {n}"));
        assert_eq!(client.call(&["SET", &key, &value]).text(), "+OK\r\n", "{key}");
        assert_eq!(client.call(&["GET", &key]).bulk(), Some(value.as_bytes()), "{key}");
    }
}

#[test]
fn chaos_for_a_while_costs_no_wrong_reply() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let seed = Random::seed();
    let mut random = Random::new(seed);
    let errors = vec!["PROXYUNSENT ", "PROXYUNKNOWN ", "CLUSTERDOWN "];
    let plan = Plan { workers: 4, loose_keys: 500, errors, may_lose: vec![(0, 16_383)], ..Plan::default() };
    let load = Load::start(proxy.addr(), &plan, seed);
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(if long() { 600 } else { 20 }) {
        let primaries = cluster.primaries().unwrap();
        let primary = primaries[random.below(primaries.len())];
        match random.below(4) {
            0 => {
                cluster.kill(primary).unwrap();
                cluster.wait_settled(PATIENCE).unwrap();
                cluster.restart(primary).unwrap();
            }
            1 => cluster.fail_over(cluster.replicas_of(primary).unwrap()[0], PATIENCE).unwrap(),
            2 => {
                cluster.pause(primary).unwrap();
                std::thread::sleep(Duration::from_millis(random.below(6000) as u64));
                cluster.resume(primary).unwrap();
            }
            _ => {
                for _ in 0..50 {
                    cluster.move_slot(random.below(16_384) as u16, primary).unwrap();
                }
            }
        }
        cluster.wait_settled(PATIENCE).unwrap();
        load.wait_for(1_000, PATIENCE);
    }
    std::thread::sleep(Duration::from_secs(2));
    flawless("chaos", &load.stop());
}
