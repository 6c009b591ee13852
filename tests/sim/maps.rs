//! The map of the cluster never goes back, and is found wherever it can be found.

use slotway::config::Config;
use slotway::demo::embedded::{Options, Seen};
use slotway::net::Addr;
use tokio::time::Instant;

use crate::net::{Dialing, Plan};
use crate::proxy::{bulk, ms, pass, proxied, proxied_with};
use crate::world::{World, seeds};

#[test]
fn a_minority_that_comes_back_never_wins() {
    for seed in seeds(5) {
        let often = |config: &mut Config| config.cluster.refresh_interval = ms(200);
        proxied_with(seed, Options::default(), often, async |world: World| {
            let old = world.cluster.primaries()[0];
            let key = world.key_of(old, 0);
            let mut client = world.client().await;
            client.say(&format!("SET {key} before")).await;
            world.cluster.isolate(old);
            world.cluster.failover(world.cluster.siblings(old)[0]);
            let new = world.cluster.primaries()[0];
            assert_ne!(old, new);
            // The old primary still answers on its own map; what it is told is lost. Once the proxy has heard
            // of the new one it never goes back, although it asks every node in turn.
            let start = Instant::now();
            while client.say("INFO proxy").await.contains('x') && world.cluster.counts(new).commands < 3 {
                assert!(start.elapsed() < ms(5000), "the proxy has not heard of the failover");
                pass(ms(50)).await;
            }
            pass(ms(500)).await;
            world.cluster.log(10_000);
            for n in 0..50 {
                assert_eq!(client.say(&format!("SET {key} after{n}")).await, r"+OK\r\n");
                pass(ms(100)).await;
            }
            // While nobody else answers, it is asked for its map.
            let others: Vec<_> = world.cluster.nodes().into_iter().filter(|&node| node != old).collect();
            for &node in &others {
                world.cluster.pause(node);
            }
            for _ in 0..4 {
                let reply = client.say(&format!("APPEND {key} lost")).await;
                assert!(reply.starts_with("-PROXYUN"), "{reply}");
                pass(ms(1000)).await;
            }
            for &node in &others {
                world.cluster.resume(node);
            }
            pass(ms(1500)).await;
            assert_eq!(client.say(&format!("SET {key} after49")).await, r"+OK\r\n");
            let log = world.cluster.take_log();
            let asked = log.iter().filter(|seen| seen.node == old && seen.args[0] == b"CLUSTER").count();
            assert!(asked > 0, "nothing was tested: the old primary was not asked for its map");
            let written = |seen: &&Seen| matches!(seen.args[0].as_slice(), b"SET" | b"APPEND");
            let written: Vec<_> = log.iter().filter(written).map(|seen| seen.node).collect();
            assert!(written.len() > 50 && written.iter().all(|&node| node == new), "{written:?}");
            world.cluster.rejoin(old);
            pass(ms(1000)).await;
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("after49"), "nothing was written to the old one");
        });
    }
}

#[test]
fn any_seed_that_answers_is_enough() {
    let seeds = |config: &mut Config| {
        let last = config.cluster.seeds.pop().expect("six nodes");
        config.cluster.seeds = vec![Addr::tcp("10.0.0.1", 1), Addr::tcp("10.0.0.2", 2), last];
    };
    proxied_with(1, Options::default(), seeds, async |world: World| {
        let mut client = world.client().await;
        for key in world.keys() {
            assert_eq!(client.say(&format!("SET {key} 1")).await, r"+OK\r\n");
        }
    });
}

#[test]
fn clients_are_let_in_before_the_cluster_is_there() {
    proxied(1, async |world: World| {
        // All nodes die, and are back later: requests wait, and go on.
        for node in world.cluster.nodes() {
            world.cluster.kill(node);
        }
        let cluster = world.cluster.clone();
        tokio::task::spawn_local(async move {
            pass(ms(1000)).await;
            for node in cluster.nodes() {
                cluster.revive(node);
            }
        });
        let mut client = world.client().await;
        assert_eq!(client.say("SET a 1").await, r"+OK\r\n");
    });
}

#[test]
fn a_node_that_hangs_does_not_keep_the_map_from_being_fetched() {
    for seed in seeds(3) {
        proxied(seed, async |world: World| {
            let [from, to, hung] = world.cluster.primaries()[..] else { panic!("three primaries") };
            let key = world.key_of(from, 0);
            world.net.plan(&world.cluster.addr(hung), Plan::dialing(Dialing::Unanswered));
            world.cluster.pause(hung);
            let mut client = world.client().await;
            client.say(&format!("SET {key} 1")).await;
            // Its replica takes over; the proxy must learn of it although the primary cannot be asked.
            let lost = world.key_of(hung, 0);
            world.cluster.failover(world.cluster.siblings(hung)[0]);
            let start = Instant::now();
            while client.say(&format!("SET {lost} 1")).await != r"+OK\r\n" {
                assert!(start.elapsed() < ms(6000), "the map was not fetched");
            }
            world.cluster.move_slot(slotway::demo::embedded::slot(key.as_bytes()), to);
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("1"));
        });
    }
}

#[test]
fn refreshes_are_few_however_many_redirects_there_are() {
    proxied(1, async |world: World| {
        let primaries = world.cluster.primaries();
        let mut client = world.client().await;
        pass(ms(1000)).await;
        world.cluster.log(100_000);
        let start = Instant::now();
        for n in 0..300_usize {
            let key = format!("k{}", n % 50);
            world.cluster.move_slot(slotway::demo::embedded::slot(key.as_bytes()), primaries[n % 3]);
            assert!(!client.say(&format!("GET {key}")).await.starts_with('-'));
            pass(ms(5)).await;
        }
        let took = start.elapsed().as_millis() as usize;
        let asked = world
            .cluster
            .take_log()
            .iter()
            .filter(|seen| seen.args[0] == b"CLUSTER" && seen.args[1] == b"SHARDS")
            .count();
        assert!(asked <= took / 100 + 2, "{asked} refreshes in {took} ms");
        assert!(asked > 3);
    });
}
