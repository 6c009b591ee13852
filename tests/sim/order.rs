//! Replies in the order of their requests, and requests for one key in the order in which they came.

use slotway::demo::embedded::{Script, slot};

use crate::client::frame;
use crate::net::{Plan, Way};
use crate::proxy::{bulk, ms, pass, proxied, proxied_with};
use crate::world::{World, seeds};

#[test]
fn replies_keep_their_order_over_shards_of_unlike_speed() {
    for seed in seeds(5) {
        proxied(seed, async |mut world: World| {
            for (node, delay) in world.cluster.primaries().into_iter().zip([0, 30, 7]) {
                world.cluster.delay(node, ms(delay));
            }
            let mut client = world.client().await;
            let mut requests = Vec::new();
            let mut expected = Vec::new();
            for n in 0..2000 {
                let key = format!("k{}", world.random.below(50));
                let text = format!("{key}.{n}");
                match world.random.below(4) {
                    0 => requests.extend(frame(&[b"ECHO", text.as_bytes()])),
                    _ => requests.extend(frame(&[b"GETSET", key.as_bytes(), text.as_bytes()])),
                }
                expected.push((key, text));
            }
            client.send(&requests).await.expect("the proxy reads");
            let mut held = std::collections::BTreeMap::new();
            for (key, text) in expected {
                let reply = client.hear().await;
                if reply != bulk(&text) {
                    assert_eq!(reply, held.insert(key, bulk(&text)).unwrap_or(r"$-1\r\n".to_owned()));
                }
            }
        });
    }
}

/// One client pipelines `SET k n` and `GET k` for growing n while `trouble` happens to the slot of k: values
/// never go back, every `GET` gives what the `SET` before it wrote, and the last value stays.
async fn counts_up(mut world: World, rounds: u64, trouble: impl Fn(&World, u64, u16)) {
    let key = world.key_of(world.cluster.primaries()[0], 0);
    let of = slot(key.as_bytes());
    let mut client = world.client().await;
    let (mut sent, mut heard) = (0, 0);
    for round in 0..rounds {
        for _ in 0..=world.random.below(12) {
            sent += 1;
            client.tell(&format!("SET {key} {sent}")).await;
            client.tell(&format!("GET {key}")).await;
        }
        trouble(&world, round, of);
        pass(ms(world.random.below(4))).await;
        // Some rounds overlap: the next begins before the replies of this one are read.
        if world.random.one_in(2) {
            continue;
        }
        while heard < sent {
            heard += 1;
            assert_eq!(client.hear().await, r"+OK\r\n", "SET {heard}");
            assert_eq!(client.hear().await, bulk(&heard.to_string()), "GET behind SET {heard}");
        }
    }
    while heard < sent {
        heard += 1;
        assert_eq!(client.hear().await, r"+OK\r\n", "SET {heard}");
        assert_eq!(client.hear().await, bulk(&heard.to_string()), "GET behind SET {heard}");
    }
    assert_eq!(world.client().await.say(&format!("GET {key}")).await, bulk(&sent.to_string()));
}

/// The network between proxy and nodes takes its time, so that many requests are under way.
fn slow(world: &World) {
    let way = Way { fragment: 0, delay: ms(3), end: None };
    for node in world.cluster.nodes() {
        world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
    }
}

#[test]
fn one_key_keeps_its_order_while_its_slot_moves() {
    for seed in seeds(20) {
        proxied(seed, async |world: World| {
            slow(&world);
            counts_up(world, 40, |world, round, of| {
                let primaries = world.cluster.primaries();
                if round % 6 == 0 {
                    world.cluster.move_slot(of, primaries[(round as usize / 6) % 3]);
                }
            })
            .await;
        });
    }
}

#[test]
fn one_key_keeps_its_order_while_its_slot_migrates_key_by_key() {
    for seed in seeds(20) {
        proxied(seed, async |world: World| {
            slow(&world);
            counts_up(world, 60, |world, round, of| {
                let primaries = world.cluster.primaries();
                match round % 6 {
                    0 => world.cluster.begin_migration(of, primaries[(round as usize / 6) % 3]),
                    3 => drop(world.cluster.migrate_some(of, 10)),
                    5 => world.cluster.finish_migration(of),
                    _ => {}
                }
            })
            .await;
        });
    }
}

#[test]
fn one_key_keeps_its_order_through_planned_failovers() {
    for seed in seeds(20) {
        proxied(seed, async |world: World| {
            slow(&world);
            // Not so often that a slot is back at its first owner while requests are still on their way there: those
            // would be run, and earlier ones that were refused would have to be given up.
            counts_up(world, 80, |world, round, of| {
                if round % 12 == 1 {
                    let owner = world.cluster.owner(of).expect("an owner");
                    world.cluster.failover(world.cluster.siblings(owner)[0]);
                }
            })
            .await;
        });
    }
}

#[test]
fn one_key_keeps_its_order_while_the_cluster_is_down_and_up_again() {
    for seed in seeds(20) {
        proxied(seed, async |world: World| {
            slow(&world);
            counts_up(world, 40, |world, round, of| {
                if round % 4 == 1 {
                    let cluster = world.cluster.clone();
                    let owner = cluster.primaries()[0];
                    cluster.unassign(of);
                    tokio::task::spawn_local(async move {
                        pass(ms(20 + round)).await;
                        cluster.assign(of, owner);
                    });
                }
            })
            .await;
        });
    }
}

#[test]
fn a_request_that_was_put_off_is_not_overtaken() {
    // The node refuses the first of three and would run the others.
    for refusal in ["-CLUSTERDOWN The cluster is down\r\n", "-LOADING Redis is loading\r\n", "-TRYAGAIN later\r\n"] {
        proxied(1, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            world.cluster.script(node, Script::refuse(refusal).on("SET"));
            let mut client = world.client().await;
            for n in 1..=3 {
                client.tell(&format!("SET {key} {n}")).await;
            }
            let first = client.hear().await;
            assert_eq!((client.hear().await, client.hear().await), (r"+OK\r\n".into(), r"+OK\r\n".into()));
            let kept = client.say(&format!("GET {key}")).await;
            assert_eq!(kept, bulk("3"), "the first was answered {first}");
        });
    }
}

#[test]
fn a_redirect_to_a_node_that_is_not_known_yet_is_not_overtaken() {
    for seed in seeds(10) {
        proxied_with(
            seed,
            slotway::demo::embedded::Options::default(),
            |_| {},
            async |world: World| {
                slow(&world);
                let node = world.cluster.primaries()[0];
                let key = world.key_of(node, 0);
                let of = slot(key.as_bytes());
                let away = format!("-MOVED {of} 10.9.9.9:1\r\n");
                let mut client = world.client().await;
                for n in 1..=40 {
                    if n % 7 == 0 {
                        world.cluster.script(node, Script::refuse(away.as_str()).on("SET"));
                    }
                    client.tell(&format!("SET {key} {n}")).await;
                    pass(ms(1)).await;
                }
                for _ in 1..=40 {
                    client.hear().await;
                }
                assert_eq!(client.say(&format!("GET {key}")).await, bulk("40"));
            },
        );
    }
}
