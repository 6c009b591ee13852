//! Subscriptions that outlive what they stood on: cut connections, silent nodes, failovers, slots that move.

use slotway::config::Config;
use slotway::demo::embedded::{Options, slot};

use crate::proxy::{ms, pass, proxied, proxied_with};
use crate::pubsub::{held, next, other_primary, owner, silent, subscriber, two};
use crate::world::{World, seeds};

#[test]
fn a_cut_connection_is_back_with_everything() {
    for seed in seeds(3) {
        proxied(seed, async |world: World| {
            let mut client = subscriber(&world, "SUBSCRIBE a").await;
            for line in ["SUBSCRIBE b", "PSUBSCRIBE c*", "SSUBSCRIBE d"] {
                client.say(line).await;
            }
            for round in 0..4 {
                for node in world.cluster.nodes() {
                    world.cluster.cut_connections(node);
                }
                pass(ms(200)).await;
                let mut other = world.client().await;
                for line in ["PUBLISH a 1", "PUBLISH b 2", "PUBLISH cc 3", "SPUBLISH d 4"] {
                    assert_eq!(other.say(line).await, r":1\r\n", "{line} in round {round}");
                }
                let mut heard = Vec::new();
                for _ in 0..4 {
                    heard.push(next(&mut client).await);
                }
                heard.sort();
                let mut due = vec![
                    two(&["message", "a", "1"]),
                    two(&["message", "b", "2"]),
                    two(&["pmessage", "c*", "cc", "3"]),
                    two(&["smessage", "d", "4"]),
                ];
                due.sort();
                assert_eq!(heard, due);
            }
            silent(&mut client).await;
        });
    }
}

#[test]
fn a_node_that_says_nothing_is_given_up() {
    proxied(1, async |world: World| {
        let mut client = subscriber(&world, "SUBSCRIBE a").await;
        let node = owner(&world, "a");
        world.cluster.pause(node);
        pass(ms(8000)).await;
        world.cluster.failover(world.cluster.siblings(node)[0]);
        pass(ms(1500)).await;
        world.cluster.publish(owner(&world, "a"), "a", "x");
        assert_eq!(next(&mut client).await, two(&["message", "a", "x"]));
        world.cluster.resume(node);
        silent(&mut client).await;
    });
}

#[test]
fn after_a_failover_all_is_back_within_a_second_of_the_map() {
    for seed in seeds(3) {
        for kill in [false, true] {
            proxied(seed, async |world: World| {
                let mut client = subscriber(&world, "SUBSCRIBE a").await;
                client.say("SSUBSCRIBE a").await;
                client.say("PSUBSCRIBE a?").await;
                let node = owner(&world, "a");
                if kill {
                    world.cluster.kill(node);
                    pass(ms(700)).await;
                }
                world.cluster.failover(world.cluster.siblings(node)[0]);
                // The interval at which the map is asked for, when nothing is wrong, and the second.
                pass(ms(if kill { 1000 } else { 12_000 })).await;
                let mut other = world.client().await;
                assert_eq!(other.say("PUBLISH a 1").await, r":1\r\n");
                assert_eq!(other.say("SPUBLISH a 2").await, r":1\r\n");
                assert_eq!(next(&mut client).await, two(&["message", "a", "1"]));
                assert_eq!(next(&mut client).await, two(&["smessage", "a", "2"]));
                silent(&mut client).await;
                assert_eq!((held(&world, 0, "a"), held(&world, 2, "a")), (1, 1), "one place each");
            });
        }
    }
}

#[test]
fn a_shard_channel_follows_its_slot() {
    for seed in seeds(3) {
        proxied(seed, async |world: World| {
            let mut client = subscriber(&world, "SSUBSCRIBE s").await;
            let mut other = world.client().await;
            for round in 0..5 {
                let to = other_primary(&world, owner(&world, "s"));
                world.cluster.move_slot(slot(b"s"), to);
                pass(ms(20)).await;
                assert_eq!(world.cluster.subscribed(to, 2, b"s"), 1, "round {round}: it is there at once");
                assert_eq!(other.say(&format!("SPUBLISH s {round}")).await, r":1\r\n");
                assert_eq!(next(&mut client).await, two(&["smessage", "s", &round.to_string()]));
                pass(ms(300)).await;
            }
            silent(&mut client).await;
            assert_eq!(client.say("SUNSUBSCRIBE s").await, two(&["sunsubscribe", "s", ":0"]));
            pass(ms(10)).await;
            assert_eq!(held(&world, 2, "s"), 0);
        });
    }
}

#[test]
fn a_moved_channel_loses_and_doubles_no_message() {
    for seed in seeds(6) {
        let often = |config: &mut Config| config.cluster.refresh_interval = ms(100);
        proxied_with(seed, Options::default(), often, async |mut world: World| {
            let primaries = world.cluster.primaries();
            for &node in &primaries {
                world.cluster.lag(node, ms(world.random.below(12)));
            }
            let mut client = subscriber(&world, "SUBSCRIBE c").await;
            client.say("PSUBSCRIBE c*").await;
            client.say("PSUBSCRIBE *").await;
            let from = primaries[seed as usize % 3];
            let count = 1200;
            for n in 0..count {
                if n % 300 == 150 {
                    for name in [&b"c"[..], b"c*", b"*"] {
                        let now = world.cluster.owner(slot(name)).expect("an owner");
                        world.cluster.move_slot(slot(name), other_primary(&world, now));
                    }
                }
                world.cluster.publish(from, "c", &n.to_string());
                pass(ms(world.random.below(3))).await;
            }
            pass(ms(500)).await;
            let mut due = [0; 3];
            while due != [count; 3] {
                let heard = next(&mut client).await;
                let kind = if heard.contains("pmessage") { 1 + usize::from(!heard.contains(r"\nc*\r")) } else { 0 };
                let n = due[kind].to_string();
                let patterns = ["", "c*", "*"];
                let whole =
                    if kind == 0 { two(&["message", "c", &n]) } else { two(&["pmessage", patterns[kind], "c", &n]) };
                assert_eq!(heard, whole, "in order, each once");
                due[kind] += 1;
            }
            silent(&mut client).await;
        });
    }
}

#[test]
fn publish_counts_nobody_who_will_not_hear() {
    for seed in seeds(3) {
        proxied(seed, async |mut world: World| {
            let mut client = subscriber(&world, "SUBSCRIBE a").await;
            let mut other = world.client().await;
            for n in 0..60 {
                if n % 20 == 10 {
                    let node = owner(&world, "a");
                    world.cluster.kill(node);
                    world.cluster.failover(world.cluster.siblings(node)[0]);
                    world.cluster.delay(owner(&world, "a"), ms(world.random.below(4)));
                    pass(ms(world.random.below(8))).await;
                    world.cluster.revive(node);
                }
                let count = other.say(&format!("PUBLISH a {n}")).await;
                // One that was not counted, or whose count was lost, may have been heard before.
                let due = two(&["message", "a", &n.to_string()]);
                let mut is_due = count == r":1\r\n";
                while is_due {
                    let heard = next(&mut client).await;
                    assert_ne!(heard, "(nothing)", "message {n} was counted");
                    is_due = heard != due;
                }
                pass(ms(world.random.below(30))).await;
            }
        });
    }
}
