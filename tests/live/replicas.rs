//! Reads from replicas of real servers: what the nodes count is the witness of where they went.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{Client, PATIENCE, Proxy, alone, cluster, frame, own_cluster, slot, tell};

/// A proxy that reads so.
fn proxy_reading(cluster: &Cluster, from: &str) -> Proxy {
    Proxy::start(&cluster.addrs(), &[], &[("SLOTWAY__CLUSTER__READ_FROM", from)])
}

/// How often each node has run a command.
fn calls(cluster: &Cluster, command: &str) -> Vec<u64> {
    let count = |node| {
        let info = cluster.call(node, &["INFO", "commandstats"]).unwrap();
        let text = info.text().unwrap_or_default().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    (0..6).map(count).collect()
}

/// A key whose slot this primary owns, and its replica.
fn shard(cluster: &Cluster, primary: usize, n: usize) -> (String, usize) {
    let seen = cluster.seen_by(primary).unwrap();
    let own = seen.into_iter().find(|seen| seen.myself).unwrap();
    let key = (0..).map(|i| format!("replicas-{i}")).filter(|key| own.owns(slot(key.as_bytes()))).nth(n).unwrap();
    (key, cluster.replicas_of(primary).unwrap()[0])
}

/// Replication is not waited for by a write.
fn wait_for_replicas() {
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn the_nodes_count_where_reads_went() {
    let cluster = cluster();
    for (from, least, most) in
        [("primary", 0, 0), ("prefer_primary", 0, 0), ("prefer_replica", 40, 40), ("replica", 40, 40), ("any", 10, 30)]
    {
        let proxy = proxy_reading(cluster, from);
        let (key, replica) = shard(cluster, cluster.primaries().unwrap()[0], 0);
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(proxy.addr())).collect();
        clients[0].call(&["SET", &key, "v"]).ok();
        wait_for_replicas();
        // Other tests use this cluster, too: by a command that they do not.
        let before = calls(cluster, "substr")[replica];
        for client in &mut clients {
            for _ in 0..5 {
                assert_eq!(client.call(&["SUBSTR", &key, "0", "-1"]).bulk(), Some(b"v".as_slice()));
            }
        }
        let there = calls(cluster, "substr")[replica] - before;
        assert!((least..=most).contains(&there), "{from}: {there} of 40 at the replica");
    }
}

#[test]
fn every_kind_of_read_is_answered_by_replicas() {
    let cluster = cluster();
    let proxy = proxy_reading(cluster, "replica");
    let (key, _) = shard(cluster, cluster.primaries().unwrap()[1], 1);
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut client = Client::connect(proxy.addr());
        client.line(hello).ok();
        let name = |kind: &str| format!("{{{key}}}{kind}");
        for line in [
            format!("SET {} text", name("s")),
            format!("RPUSH {} a b", name("l")),
            format!("HSET {} f v", name("h")),
            format!("SADD {} m", name("set")),
            format!("ZADD {} 1 z", name("z")),
            format!("XADD {} * f v", name("x")),
            format!("PFADD {} e", name("p")),
            "FUNCTION LOAD REPLACE \"#!lua name=replicas\\nredis.register_function{function_name='replicas_get', callback=function(k) return redis.call('GET', k[1]) end, flags={'no-writes'}}\"".to_owned(),
        ] {
            client.line(&line).ok();
        }
        wait_for_replicas();
        let sha = client.line("SCRIPT LOAD \"return redis.call('GET', KEYS[1])\"").ok();
        let sha = String::from_utf8_lossy(sha.bulk().unwrap()).into_owned();
        for line in [
            format!("GET {}", name("s")),
            format!("STRLEN {}", name("s")),
            format!("LRANGE {} 0 -1", name("l")),
            format!("HGETALL {}", name("h")),
            format!("SMEMBERS {}", name("set")),
            format!("ZRANGE {} 0 -1 WITHSCORES", name("z")),
            format!("XREAD COUNT 1 STREAMS {} 0", name("x")),
            format!("XINFO STREAM {}", name("x")),
            format!("PFCOUNT {}", name("p")),
            format!("SORT_RO {} ALPHA", name("l")),
            format!("EVAL_RO \"return redis.call('GET', KEYS[1])\" 1 {}", name("s")),
            format!("EVALSHA_RO {sha} 1 {}", name("s")),
            format!("FCALL_RO replicas_get 1 {}", name("s")),
            format!("MGET {} {} other another", name("s"), name("l")),
            format!("EXISTS {} {} other another", name("s"), name("l")),
            format!("TTL {}", name("s")),
            format!("DUMP {}", name("s")),
        ] {
            client.line(&line).ok();
        }
        // A cursor of one node means nothing to another: these go on at the primary.
        for line in [format!("HSCAN {} 0", name("h")), format!("SSCAN {} 0", name("set"))] {
            client.line(&line).ok();
        }
    }
    let scans = calls(cluster, "hscan");
    let primaries = cluster.primaries().unwrap();
    assert!((0..6).all(|node| primaries.contains(&node) || scans[node] == 0), "{scans:?}");
}

/// Clients that read keys which nobody writes.
struct Readers {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(Vec<String>, Duration)>>,
}

impl Readers {
    fn start(addr: SocketAddr, keys: &[String]) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let reader = |_| {
            let (stop, count, keys) = (Arc::clone(&stop), Arc::clone(&count), keys.to_vec());
            std::thread::spawn(move || {
                let mut client = Client::connect(addr);
                let (mut wrong, mut slowest) = (Vec::new(), Duration::ZERO);
                while !stop.load(Ordering::Relaxed) && wrong.len() < 10 {
                    let begun = Instant::now();
                    client.send(&keys.iter().flat_map(|key| frame(&["GET", key])).collect::<Vec<u8>>());
                    for key in &keys {
                        let reply = client.read();
                        if reply.bulk() != Some(key.as_bytes()) {
                            wrong.push(format!("{key}: {reply:?} after {:?}", begun.elapsed()));
                        }
                    }
                    slowest = slowest.max(begun.elapsed());
                    count.fetch_add(keys.len() as u64, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
                (wrong, slowest)
            })
        };
        let threads = (0..4).map(reader).collect();
        Self { stop, count, threads }
    }

    fn so_far(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends them: what was wrong, and how long the slowest batch took.
    fn stop(self) -> (Vec<String>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = (Vec::new(), Duration::ZERO);
        for thread in self.threads {
            let (wrong, slowest) = thread.join().unwrap();
            all.0.extend(wrong);
            all.1 = all.1.max(slowest);
        }
        all
    }
}

/// Sets keys of all shards to their own names.
fn fill(addr: SocketAddr) -> Vec<String> {
    let keys: Vec<String> = (0..30).map(|n| format!("read-{n}")).collect();
    let mut client = Client::connect(addr);
    keys.iter().for_each(|key| drop(client.call(&["SET", key, key]).ok()));
    wait_for_replicas();
    keys
}

#[test]
fn replicas_that_are_killed_cost_no_error() {
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxy = proxy_reading(&cluster, "prefer_replica");
    let keys = fill(proxy.addr());
    let readers = Readers::start(proxy.addr(), &keys);
    let primaries = cluster.primaries().unwrap();
    for primary in primaries {
        let replica = cluster.replicas_of(primary).unwrap()[0];
        std::thread::sleep(Duration::from_secs(1));
        cluster.kill(replica).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        cluster.restart(replica).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
    }
    let count = readers.so_far();
    let (wrong, slowest) = readers.stop();
    tell(&format!("{count} reads while each replica was killed and came back: slowest batch {slowest:?}"));
    assert!(wrong.is_empty() && count > 1000, "{count} reads: {wrong:#?}");
}

#[test]
fn a_replica_that_hangs_costs_no_error() {
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxy = proxy_reading(&cluster, "prefer_replica");
    let keys = fill(proxy.addr());
    let readers = Readers::start(proxy.addr(), &keys);
    let replica = cluster.replicas_of(cluster.primaries().unwrap()[0]).unwrap()[0];
    std::thread::sleep(Duration::from_millis(500));
    cluster.pause(replica).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    cluster.resume(replica).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let (wrong, slowest) = readers.stop();
    tell(&format!("a replica was stopped for 6 s: slowest batch {slowest:?}"));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(slowest < Duration::from_millis(1500), "{slowest:?}");
}

#[test]
fn failovers_cost_readers_no_error() {
    let _alone = alone();
    for from in ["prefer_replica", "any", "prefer_primary"] {
        let cluster = own_cluster(&Options::default());
        let proxy = proxy_reading(&cluster, from);
        let keys = fill(proxy.addr());
        let readers = Readers::start(proxy.addr(), &keys);
        std::thread::sleep(Duration::from_secs(1));
        let primaries = cluster.primaries().unwrap();
        let heir = cluster.replicas_of(primaries[0]).unwrap()[0];
        cluster.fail_over(heir, PATIENCE).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
        let planned = readers.so_far();
        cluster.kill(primaries[1]).unwrap();
        std::thread::sleep(Duration::from_secs(6));
        cluster.restart(primaries[1]).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let count = readers.so_far();
        let (wrong, slowest) = readers.stop();
        tell(&format!(
            "{from}: {planned} reads through a planned failover, {count} with a lost primary: slowest batch {slowest:?}"
        ));
        assert!(wrong.is_empty(), "{from}: {wrong:#?}");
    }
}
