//! The canary: a connection whose replies have slipped against its requests is found, closed and counted, and what it
//! had under way gets replies of its own.

use slotway::config::Config;
use slotway::demo::embedded::{Options, Script};

use crate::proxy::{bulk, ms, pass, proxied, proxied_with};
use crate::world::{World, seeds};

const EVERY_MS: u64 = 100;

fn with_canary(seed: u64, scenario: impl AsyncFnOnce(World)) {
    let change = |config: &mut Config| config.backend.canary = ms(EVERY_MS);
    proxied_with(seed, Options::default(), change, scenario);
}

/// How many canaries the nodes have seen since the log was taken last.
fn canaries(world: &World) -> usize {
    world.cluster.take_log().iter().filter(|seen| seen.args[0].eq_ignore_ascii_case(b"ECHO")).count()
}

#[test]
fn a_connection_in_step_is_left_alone() {
    for seed in seeds(3) {
        with_canary(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let mut client = world.client().await;
            world.cluster.log(10_000);
            for n in 0..200 {
                assert_eq!(client.say(&format!("SET {key} {n}")).await, r"+OK\r\n");
                assert_eq!(client.say(&format!("GET {key}")).await, bulk(&n.to_string()));
                pass(ms(7)).await;
            }
            let begun = world.cluster.counts(node).connections;
            // Idle ones, and nodes that do not take the command now.
            for excuse in ["LOADING Redis is loading", "NOPERM no permissions", "BUSY a script runs"] {
                world.cluster.script(node, Script::refuse(format!("-{excuse}\r\n")).on("ECHO").times(3));
                pass(ms(1000)).await;
            }
            let seen = canaries(&world);
            assert!((30..60).contains(&seen), "{seen} in 4.4 s");
            assert_eq!(world.cluster.counts(node).connections, begun, "none was replaced");
            assert_eq!((world.counted("out_of_step").await, world.counted("node_connections_lost").await), (0, 0));
        });
    }
}

#[test]
fn it_is_off_unless_wanted() {
    proxied(1, async |world: World| {
        world.cluster.log(10_000);
        for key in world.keys() {
            world.client().await.say(&format!("SET {key} x")).await;
        }
        pass(ms(60_000)).await;
        assert_eq!(canaries(&world), 0);
    });
}

#[test]
fn a_reply_that_is_left_out_is_found_by_the_canary() {
    for seed in seeds(3) {
        with_canary(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let (key, other) = (world.key_of(node, 0), world.key_of(node, 1));
            let mut client = world.client().await;
            client.say(&format!("MSET {key} mine {other} other")).await;
            world.cluster.script(node, Script::replace("").on("GET"));
            // Nobody else asks: what comes next on the connection is the canary's number.
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"), "asked again in time");
            assert_eq!(world.counted("out_of_step").await, 1);
            // A write is not sent twice.
            world.cluster.script(node, Script::replace("").on("APPEND"));
            let reply = client.say(&format!("APPEND {other} s")).await;
            assert!(reply.starts_with("-PROXYUNKNOWN"), "{reply}");
            assert_eq!(client.say(&format!("GET {other}")).await, bulk("others"));
            assert_eq!(world.counted("out_of_step").await, 2);
        });
    }
}

#[test]
fn a_canary_that_is_left_out_or_changed_gives_the_connection_away() {
    for seed in seeds(3) {
        for instead in ["", "$1\r\nx\r\n", "+OK\r\n", "$16\r\n0123456789abcdef\r\n", "-ERR unknown command\r\n"] {
            with_canary(seed, async |world: World| {
                let node = world.cluster.primaries()[0];
                let key = world.key_of(node, 0);
                let mut client = world.client().await;
                client.say(&format!("SET {key} mine")).await;
                world.cluster.script(node, Script::replace(instead).on("ECHO"));
                pass(ms(EVERY_MS * 3 / 2)).await;
                // A reply that slipped by one place is given to nobody.
                assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"), "{instead:?}");
                assert_eq!(world.counted("out_of_step").await, 1, "{instead:?}");
                assert_eq!(world.counted("node_connections_lost").await, 1, "{instead:?}");
            });
        }
    }
}

#[test]
fn a_node_that_stops_before_a_canary_costs_what_it_always_costs() {
    with_canary(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        client.say(&format!("SET {key} mine")).await;
        world.cluster.pause(node);
        pass(ms(5000)).await;
        assert_eq!(world.counted("out_of_step").await, 0);
        world.cluster.resume(node);
        pass(ms(1500)).await;
        assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"));
        assert_eq!(world.counted("unasked_replies").await, 0, "the late canary came on a connection that was closed");
    });
}
