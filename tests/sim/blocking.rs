//! Commands that wait: order, limits, clients that leave, nodes that fail under them.

use slotway::config::Config;
use slotway::demo::embedded::{Options, slot};
use tokio::time::Instant;

use crate::proxy::{bulk, drained, ms, pass, proxied, proxied_with};
use crate::world::{World, seeds};

fn popped(key: &str, value: &str) -> String {
    format!(r"*2\r\n{}{}", bulk(key), bulk(value))
}

async fn blocked_clients(world: &World) -> u64 {
    let info = world.client().await.say("INFO clients").await;
    let number = info.split("blocked_clients:").nth(1).and_then(|rest| rest.split('\\').next());
    number.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no blocked_clients in {info}"))
}

#[test]
fn a_blocked_client_gets_what_comes_and_its_requests_keep_their_order() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let key = world.key_of(world.cluster.primaries()[0], 0);
            let (mut waits, mut gives) = (world.client().await, world.client().await);
            for n in 0..5 {
                for line in ["INCR {@}n", "BLPOP @ 0", "INCR {@}n", "BRPOP @ 0", "GET {@}n"] {
                    waits.tell(&line.replace('@', &key)).await;
                }
                assert_eq!(waits.hear().await, format!(r":{}\r\n", 2 * n + 1), "the earlier reply comes first");
                pass(ms(3000)).await;
                assert_eq!(gives.say(&format!("GET {{{key}}}n")).await, bulk(&(2 * n + 1).to_string()));
                gives.say(&format!("RPUSH {key} a b")).await;
                assert_eq!(waits.hear().await, popped(&key, "a"));
                assert_eq!(waits.hear().await, format!(r":{}\r\n", 2 * n + 2));
                assert_eq!(waits.hear().await, popped(&key, "b"));
                assert_eq!(waits.hear().await, bulk(&(2 * n + 2).to_string()));
            }
        });
    }
}

#[test]
fn its_time_ends_when_the_client_said() {
    proxied(1, async |world: World| {
        let key = world.keys().remove(0);
        let mut client = world.client().await;
        for (seconds, null) in [("0.1", r"*-1\r\n"), ("7", r"*-1\r\n"), ("7", r"_\r\n")] {
            if null == r"_\r\n" {
                client.say("HELLO 3").await;
            }
            let start = Instant::now();
            assert_eq!(client.say(&format!("BLPOP {key} {seconds}")).await, null);
            let wanted = ms((seconds.parse::<f64>().expect("a number") * 1000.0) as u64);
            let took = start.elapsed();
            assert!(took >= wanted && took <= wanted + ms(5), "{took:?} for {seconds}");
        }
    });
}

#[test]
fn a_client_that_leaves_takes_no_element_with_it() {
    for seed in seeds(20) {
        proxied(seed, async |mut world: World| {
            let key = world.key_of(world.cluster.primaries()[0], 0);
            let mut other = world.client().await;
            for round in 0..20 {
                let mut leaver = world.client().await;
                leaver.tell(&format!("BLPOP {key} 0")).await;
                pass(ms(world.random.below(4))).await;
                drop(leaver);
                pass(ms(1)).await;
                assert_eq!(other.say(&format!("RPUSH {key} x")).await, r":1\r\n", "round {round}");
                assert_eq!(other.say(&format!("LPOP {key}")).await, bulk("x"), "round {round}");
            }
            assert_eq!(blocked_clients(&world).await, 0);
        });
    }
}

#[test]
fn a_blocked_client_is_not_bound_by_the_deadline_of_requests() {
    proxied(1, async |world: World| {
        let key = world.keys().remove(0);
        let (mut waits, mut gives) = (world.client().await, world.client().await);
        waits.tell(&format!("BLPOP {key} 0")).await;
        pass(ms(600_000)).await;
        assert_eq!(blocked_clients(&world).await, 1);
        gives.say(&format!("RPUSH {key} late")).await;
        assert_eq!(waits.hear().await, popped(&key, "late"));
    });
}

#[test]
fn it_follows_its_slot_and_its_primary() {
    for seed in seeds(10) {
        for what in 0..4 {
            proxied(seed, async |mut world: World| {
                let [node, target, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
                let key = world.key_of(node, 0);
                let of = slot(key.as_bytes());
                let (mut waits, mut gives) = (world.client().await, world.client().await);
                let start = Instant::now();
                if what == 3 {
                    world.cluster.begin_migration(of, target);
                }
                waits.tell(&format!("BLPOP {key} 10")).await;
                pass(ms(3000 + world.random.below(100))).await;
                match what {
                    0 => world.cluster.failover(world.cluster.siblings(node)[0]),
                    1 => world.cluster.move_slot(of, target),
                    2 => {
                        world.cluster.move_slot(of, target);
                        world.cluster.failover(world.cluster.siblings(target)[0]);
                    }
                    _ => world.cluster.finish_migration(of),
                }
                pass(ms(500)).await;
                if seed % 2 == 0 {
                    gives.say(&format!("RPUSH {key} here")).await;
                    assert_eq!(waits.hear().await, popped(&key, "here"), "case {what}");
                } else {
                    assert_eq!(waits.hear().await, r"*-1\r\n", "case {what}");
                    let took = start.elapsed();
                    assert!(took >= ms(9990) && took <= ms(10_100), "{took:?}: the time that was left, case {what}");
                }
            });
        }
    }
}

#[test]
fn a_lost_connection_is_told_as_it_is() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let mut client = world.client().await;
            client.tell(&format!("BLPOP {key} 0")).await;
            pass(ms(100)).await;
            world.cluster.cut_connections(node);
            let reply = client.hear().await;
            assert!(reply.starts_with("-PROXYUNKNOWN"), "{reply}");
            assert_eq!(client.say(&format!("BLPOP {key} 0.05")).await, r"*-1\r\n");
        });
    }
}

#[test]
fn a_dead_node_is_waited_for_and_then_told_unsent() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        world.cluster.kill(node);
        let start = Instant::now();
        let reply = client.say(&format!("BLPOP {key} 0")).await;
        assert!(reply.starts_with("-PROXYUNSENT"), "{reply}");
        assert!(start.elapsed() <= ms(2100), "{:?}", start.elapsed());
        let cluster = world.cluster.clone();
        tokio::task::spawn_local(async move {
            pass(ms(1000)).await;
            cluster.failover(cluster.siblings(node)[0]);
        });
        client.tell(&format!("BLPOP {key} 0")).await;
        pass(ms(3000)).await;
        let mut gives = world.client().await;
        assert_eq!(gives.say(&format!("RPUSH {key} x")).await, r":1\r\n");
        assert_eq!(client.hear().await, popped(&key, "x"));
    });
}

#[test]
fn a_node_that_froze_and_was_replaced_does_not_hold_its_clients_for_ever() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        client.tell(&format!("BLPOP {key} 0")).await;
        pass(ms(100)).await;
        world.cluster.pause(node);
        world.cluster.failover(world.cluster.siblings(node)[0]);
        let start = Instant::now();
        let mut other = world.client().await;
        other.say(&format!("SET {{{key}}}x 1")).await;
        let reply = client.hear().await;
        assert!(reply.starts_with("-PROXYUNKNOWN"), "{reply}");
        assert!(start.elapsed() <= ms(16_000), "{:?}", start.elapsed());
    });
}

#[test]
fn there_is_a_limit_and_it_is_told() {
    let change = |config: &mut Config| config.backend.dedicated = 3;
    proxied_with(1, Options::default(), change, async |world: World| {
        let key = world.keys().remove(0);
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = world.client().await;
            client.tell(&format!("BLPOP {key} 0")).await;
            clients.push(client);
        }
        pass(ms(10)).await;
        let mut more = world.client().await;
        let reply = more.say(&format!("BLPOP {key} 0")).await;
        assert!(reply.starts_with("-ERR max number of connections for blocked and watching clients"), "{reply}");
        assert!(more.say(&format!("WATCH {key}")).await.starts_with("-ERR max number"));
        more.tell(&format!("BLPOP {key} 0")).await;
        pass(ms(500)).await;
        drop(clients.pop());
        pass(ms(100)).await;
        world.client().await.say(&format!("RPUSH {key} a b c")).await;
        assert_eq!(more.hear().await, popped(&key, "c"), "the place of the one that left");
    });
}

#[test]
fn connections_are_used_again_when_they_are_clean() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        client.say(&format!("RPUSH {key} a")).await;
        for _ in 0..20 {
            client.say(&format!("BLPOP {key} 0.001")).await;
            client.say(&format!("WATCH {key}")).await;
            client.say("UNWATCH").await;
            pass(ms(1)).await;
        }
        let made = world.cluster.counts(node).connections;
        assert!(made <= 5, "{made} connections were made");
    });
}

#[test]
fn a_drain_wakes_those_who_are_blocked_when_its_time_is_up() {
    drained(
        1,
        |_| {},
        async |world: World, shutdown| {
            let key = world.keys().remove(0);
            let mut client = world.client().await;
            client.tell(&format!("BLPOP {key} 0")).await;
            pass(ms(100)).await;
            let begun = Instant::now();
            shutdown.begin();
            assert_eq!(client.hear().await, r"*-1\r\n");
            assert!(begun.elapsed() >= ms(20_000), "{:?}", begun.elapsed());
            assert_eq!(client.rest().await, b"");
        },
    );
}

#[test]
fn wait_asks_every_primary() {
    proxied(1, async |world: World| {
        let mut client = world.client().await;
        client.say(&format!("SET {} 1", world.keys()[0])).await;
        assert_eq!(client.say("WAIT 1 100").await, r":1\r\n");
        world.cluster.kill(world.cluster.siblings(world.cluster.primaries()[2])[0]);
        assert_eq!(client.say("WAIT 1 100").await, r":0\r\n");
        assert_eq!(client.say("WAIT x 100").await, r"-ERR value is not an integer or out of range\r\n");
    });
}

#[test]
fn a_blocked_client_can_be_unblocked_wherever_it_waits() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let (mut waits, mut other) = (world.client().await, world.client().await);
            let id = waits.say("CLIENT ID").await.trim_start_matches(':').trim_end_matches(r"\r\n").to_owned();
            for dead in [false, true] {
                if dead {
                    world.cluster.kill(node);
                }
                for (how, reply) in
                    [("TIMEOUT", r"*-1\r\n"), ("ERROR", r"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")]
                {
                    waits.tell(&format!("BLPOP {key} 0")).await;
                    pass(ms(50)).await;
                    assert_eq!(other.say(&format!("CLIENT UNBLOCK {id} {how}")).await, r":1\r\n");
                    assert_eq!(waits.hear().await, reply, "dead: {dead}");
                    assert_eq!(other.say(&format!("CLIENT UNBLOCK {id} {how}")).await, r":0\r\n");
                }
            }
        });
    }
}

#[test]
fn a_client_that_waited_goes_on_waiting_while_there_is_no_primary() {
    for (seconds, reply) in [("60", "popped"), ("10", "null")] {
        proxied(1, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let mut client = world.client().await;
            let start = Instant::now();
            client.tell(&format!("BLPOP {key} {seconds}")).await;
            pass(ms(1000)).await;
            // It is sent away, and what follows dies at once.
            world.cluster.failover(world.cluster.siblings(node)[0]);
            world.cluster.kill(world.cluster.siblings(node)[0]);
            pass(ms(20_000)).await;
            if reply == "popped" {
                world.cluster.failover(node);
                pass(ms(2000)).await;
                world.client().await.say(&format!("RPUSH {key} x")).await;
                assert_eq!(client.hear().await, popped(&key, "x"));
            } else {
                assert_eq!(client.hear().await, r"*-1\r\n");
                assert!(start.elapsed() >= ms(10_000) && start.elapsed() < ms(21_100), "{:?}", start.elapsed());
            }
        });
    }
}
