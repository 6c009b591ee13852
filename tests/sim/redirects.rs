//! Slots that move and nodes that send the proxy elsewhere: clients learn nothing of it.

use slotway::demo::embedded::{Auth, NodeId, Options, Script, slot};
use slotway::net::{Addr, Net as _};

use crate::proxy::{bulk, ms, pass, proxied, proxied_with};
use crate::world::{World, seeds};

/// Two nodes and a key of the first.
fn two_nodes(world: &World) -> (NodeId, NodeId, String, u16) {
    let primaries = world.cluster.primaries();
    let key = world.key_of(primaries[0], 0);
    let of = slot(key.as_bytes());
    (primaries[0], primaries[1], key, of)
}

#[test]
fn a_slot_that_moved_is_found_and_remembered() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let (from, to, key, of) = two_nodes(&world);
            let mut client = world.client().await;
            assert_eq!(client.say(&format!("SET {key} 1")).await, r"+OK\r\n");
            world.cluster.move_slot(of, to);
            for _ in 0..10 {
                assert_eq!(client.say(&format!("GET {key}")).await, bulk("1"));
            }
            assert_eq!(world.cluster.counts(from).redirects, 1, "only the first request went the long way");
            assert_eq!(world.counted("redirects").await, 1);
        });
    }
}

#[test]
fn the_whole_map_is_fetched_after_one_moved() {
    proxied(1, async |world: World| {
        let (from, to, key, _) = two_nodes(&world);
        let keys: Vec<String> = (0..20).map(|n| world.key_of(from, n)).collect();
        for key in &keys {
            world.cluster.move_slot(slot(key.as_bytes()), to);
        }
        let mut client = world.client().await;
        assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
        pass(ms(500)).await;
        for key in &keys {
            assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
        }
        assert_eq!(world.cluster.counts(from).redirects, 1, "the others were known by then");
    });
}

#[test]
fn a_key_that_has_left_is_asked_for_at_the_target() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let (from, to, tag, of) = two_nodes(&world);
            let (left, stayed) = (format!("{{{tag}}}left"), format!("{{{tag}}}stayed"));
            let mut client = world.client().await;
            client.say(&format!("MSET {left} l {stayed} s")).await;
            world.cluster.begin_migration(of, to);
            assert!(world.cluster.migrate_key(left.as_bytes()));
            for _ in 0..3 {
                assert_eq!(client.say(&format!("GET {left}")).await, bulk("l"));
                assert_eq!(client.say(&format!("GET {stayed}")).await, bulk("s"));
                assert_eq!(client.say(&format!("SET {{{tag}}}new x")).await, r"+OK\r\n");
                assert_eq!(client.say(&format!("GET {{{tag}}}new")).await, bulk("x"));
            }
            assert_eq!(world.cluster.counts(from).redirects, 9, "an ASK changes no map");
            assert_eq!(client.say(&format!("DEL {left}")).await, r":1\r\n");
            world.cluster.finish_migration(of);
            assert_eq!(client.say(&format!("MGET {left} {stayed}")).await, format!(r"*2\r\n$-1\r\n{}", bulk("s")));
        });
    }
}

#[test]
fn pipelined_asks_stay_with_their_requests() {
    for seed in seeds(5) {
        proxied(seed, async |mut world: World| {
            let (_, to, tag, of) = two_nodes(&world);
            let mut client = world.client().await;
            for n in 0..20 {
                client.say(&format!("SET {{{tag}}}{n} v{n}")).await;
            }
            world.cluster.begin_migration(of, to);
            world.cluster.migrate_some(of, 10);
            let asked: Vec<u64> = (0..200).map(|_| world.random.below(20)).collect();
            for n in &asked {
                client.tell(&format!("GET {{{tag}}}{n}")).await;
            }
            for n in &asked {
                assert_eq!(client.hear().await, bulk(&format!("v{n}")));
            }
        });
    }
}

#[test]
fn keys_on_both_sides_are_waited_for() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let (_, to, tag, of) = two_nodes(&world);
            let other = world.key_of(to, 0);
            let mut client = world.client().await;
            client.say(&format!("MSET {{{tag}}}a 1 {{{tag}}}b 2 {other} 3")).await;
            world.cluster.begin_migration(of, to);
            world.cluster.migrate_key(format!("{{{tag}}}a").as_bytes());
            let cluster = world.cluster.clone();
            tokio::task::spawn_local(async move {
                pass(ms(300)).await;
                cluster.finish_migration(of);
            });
            for words in [
                format!("MGET {{{tag}}}a {other} {{{tag}}}b"),
                format!("MSET {{{tag}}}a 4 {other} 5 {{{tag}}}b 6"),
                format!("EXISTS {{{tag}}}a {other} {{{tag}}}b {other}"),
                format!("EXISTS {{{tag}}}s {{{tag}}}t"),
                format!("DEL {{{tag}}}a {other} {{{tag}}}b"),
            ] {
                client.tell(&words).await;
            }
            let one_to_three = [bulk("1"), bulk("3"), bulk("2")].concat();
            assert_eq!(client.hear().await, format!(r"*3\r\n{one_to_three}"));
            assert_eq!(client.hear().await, r"+OK\r\n");
            assert_eq!(client.hear().await, r":4\r\n");
            assert_eq!(client.hear().await, r":0\r\n");
            assert_eq!(client.hear().await, r":3\r\n");
            assert!(world.counted("retries").await > 0);
        });
    }
}

#[test]
fn what_no_node_can_run_ends_at_the_deadline_as_it_is() {
    proxied(1, async |world: World| {
        let (_, to, tag, of) = two_nodes(&world);
        let mut client = world.client().await;
        client.say(&format!("MSET {{{tag}}}a 1 {{{tag}}}b 2")).await;
        world.cluster.begin_migration(of, to);
        world.cluster.migrate_key(format!("{{{tag}}}a").as_bytes());
        let start = tokio::time::Instant::now();
        let reply = client.say(&format!("MGET {{{tag}}}a {{{tag}}}b")).await;
        assert!(reply.starts_with("-TRYAGAIN"), "{reply}");
        let took = start.elapsed().as_millis();
        assert!((1900..=2050).contains(&took), "{took} ms");
        world.cluster.unassign(slot(b"nobody"));
        let reply = client.say("GET nobody").await;
        assert!(reply.starts_with("-CLUSTERDOWN"), "{reply}");
    });
}

/// The requests of clients that reached nodes.
fn arrived(world: &World, name: &str) -> usize {
    world.cluster.take_log().iter().filter(|seen| seen.args[0] == name.as_bytes()).count()
}

#[test]
fn redirects_that_go_round_end() {
    for (word, most) in [("MOVED", 5), ("ASK", 5), ("MOVED", 2), ("ASK", 0)] {
        let change = |config: &mut slotway::config::Config| config.backend.max_redirects = most;
        proxied_with(1, Options::default(), change, async |world: World| {
            let (from, to, key, of) = two_nodes(&world);
            world.cluster.log(1000);
            for (at, next) in [(from, to), (to, from)] {
                let lie = format!("-{word} {of} {}\r\n", world.cluster.addr(next));
                world.cluster.script(at, Script::refuse(lie).on("INCR").times(100));
            }
            let mut client = world.client().await;
            let reply = client.say(&format!("INCR {key}")).await;
            assert!(reply.starts_with("-PROXYUNSENT"), "{reply}");
            assert_eq!(arrived(&world, "INCR"), usize::from(most) + 1);
            assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
        });
    }
}

#[test]
fn nobody_is_sent_to_a_host_outside_the_cluster() {
    for word in ["MOVED", "ASK"] {
        proxied(1, async |world: World| {
            let (node, _, key, of) = two_nodes(&world);
            let outside = Addr::tcp("10.9.9.9", 6379);
            let mut trap = world.net.listen(&outside).expect("a free address");
            world.cluster.script(node, Script::refuse(format!("-{word} {of} {outside}\r\n")).on("SET").times(3));
            let mut client = world.client().await;
            assert_eq!(client.say(&format!("SET {key} 1")).await, r"+OK\r\n", "the node was asked again");
            assert_eq!(world.cluster.scripts_left(node), 0);
            let caught = tokio::time::timeout(ms(10_000), trap.accept()).await;
            assert!(caught.is_err(), "the proxy connected to {outside}");
        });
    }
}

#[test]
fn hosts_that_the_operator_allows_are_followed() {
    let allow = |config: &mut slotway::config::Config| {
        config.backend.addresses.allowed = vec!["10.9.0.0/16".parse().expect("a network")];
    };
    for (word, host, allowed) in [("MOVED", "10.9.9.9", true), ("ASK", "10.9.9.9", true), ("ASK", "10.8.9.9", false)] {
        proxied_with(1, Options::default(), allow, async |world: World| {
            let (node, _, key, of) = two_nodes(&world);
            let outside = Addr::tcp(host, 6379);
            let mut trap = world.net.listen(&outside).expect("a free address");
            world.cluster.script(node, Script::refuse(format!("-{word} {of} {outside}\r\n")).on("SET"));
            let mut client = world.client().await;
            client.tell(&format!("SET {key} 1")).await;
            let caught = tokio::time::timeout(ms(1000), trap.accept()).await.is_ok();
            assert_eq!(caught, allowed, "{word} {outside}");
        });
    }
}

#[test]
fn a_node_that_does_not_accept_the_proxy_is_not_the_clients_fault() {
    for refusal in ["-NOAUTH Authentication required.\r\n", "-WRONGPASS invalid username-password pair\r\n"] {
        proxied(1, async |world: World| {
            let (node, _, key, _) = two_nodes(&world);
            let mut client = world.client().await;
            world.cluster.script(node, Script::refuse(refusal).on("SET"));
            let reply = client.say(&format!("SET {key} 1")).await;
            assert!(reply.starts_with("-PROXYUNSENT") && reply.contains("cluster.password"), "{reply}");
            assert_eq!(client.say(&format!("SET {key} 2")).await, r"+OK\r\n");
        });
        // With credentials to show, a new connection is tried.
        let auth = Auth { user: None, password: "secret".to_owned() };
        let options = Options { auth: Some(auth), ..Options::default() };
        let credentials = |config: &mut slotway::config::Config| {
            config.backend.credentials =
                Some(slotway::backend::Credentials { username: None, password: "secret".to_owned() });
        };
        proxied_with(1, options, credentials, async |world: World| {
            let (node, _, key, _) = two_nodes(&world);
            let mut client = world.client().await;
            world.cluster.script(node, Script::refuse(refusal).on("SET"));
            assert_eq!(client.say(&format!("SET {key} 1")).await, r"+OK\r\n", "after {refusal}");
        });
    }
}

#[test]
fn a_redirect_without_a_host_means_the_host_that_answered() {
    for host in ["", "?"] {
        proxied(1, async |world: World| {
            let (from, to, key, of) = two_nodes(&world);
            world.cluster.move_slot(of, to);
            let port = world.cluster.addr(to).port();
            world.cluster.script(from, Script::refuse(format!("-MOVED {of} {host}:{port}\r\n")).on("SET"));
            assert_eq!(world.client().await.say(&format!("SET {key} 1")).await, r"+OK\r\n");
        });
    }
}
