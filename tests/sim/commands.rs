//! What a client asks for is what it gets: commands over many slots, compared with a plain map.

use std::collections::BTreeMap;
use std::time::Duration;

use slotway::demo::embedded::{Auth, Endpoint, Options, Random};

use crate::client::{Client, frame};
use crate::net::{Plan, Way};
use crate::proxy::{bulk, ms, proxied, proxied_with};
use crate::world::{World, seeds};

/// What a server without slots would hold.
type Model = BTreeMap<String, String>;

/// Draws a command, applies it to the model, and gives it with the reply that it must have.
fn command(random: &mut Random, model: &mut Model, n: u64) -> (Vec<String>, String) {
    let mut key = || format!("k{}", random.below(40));
    let some: Vec<String> = (0..5).map(|_| key()).collect();
    let one = some[0].clone();
    let held = |model: &Model, key: &String| model.get(key).map_or(r"$-1\r\n".to_owned(), |value| bulk(value));
    let count = |keys: &[String], model: &Model| keys.iter().filter(|key| model.contains_key(*key)).count();
    let words = |name: &str, rest: &[String]| [&[name.to_owned()], rest].concat();
    match random.below(6) {
        0 => {
            let reply = held(model, &one);
            (words("GET", &[one]), reply)
        }
        1 => {
            model.insert(one.clone(), format!("v{n}"));
            (words("SET", &[one, format!("v{n}")]), r"+OK\r\n".to_owned())
        }
        2 => {
            let values: String = some.iter().map(|key| held(model, key)).collect();
            (words("MGET", &some), format!(r"*{}\r\n{values}", some.len()))
        }
        3 => {
            let pairs: Vec<String> =
                some.iter().enumerate().flat_map(|(i, k)| [k.clone(), format!("m{n}.{i}")]).collect();
            model.extend(pairs.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            (words("MSET", &pairs), r"+OK\r\n".to_owned())
        }
        4 => (words("EXISTS", &some), format!(r":{}\r\n", count(&some, model))),
        _ => {
            let gone = some.iter().filter(|key| model.remove(*key).is_some()).count();
            (words(if n.is_multiple_of(2) { "DEL" } else { "UNLINK" }, &some), format!(r":{gone}\r\n"))
        }
    }
}

/// Sends pipelines of random depth and checks each reply.
async fn converse(client: &mut Client, random: &mut Random, model: &mut Model, commands: u64) {
    let mut n = 0;
    while n < commands {
        let depth = 1 + random.below(30);
        let mut requests = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..depth {
            let (words, reply) = command(random, model, n);
            let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            requests.extend(frame(&args));
            expected.push((words, reply));
            n += 1;
        }
        client.send(&requests).await.expect("the proxy reads");
        for (words, reply) in expected {
            assert_eq!(client.hear().await, reply, "{words:?}");
        }
    }
}

#[test]
fn commands_over_many_slots_do_what_one_server_does() {
    for seed in seeds(10) {
        proxied(seed, async |mut world: World| {
            let mut client = world.client().await;
            converse(&mut client, &mut world.random, &mut Model::new(), 300).await;
        });
    }
}

#[test]
fn pieces_and_delays_on_either_side_change_nothing() {
    for seed in seeds(5) {
        for (fragment, delay) in [(1, 0), (3, 1), (100, 5)] {
            proxied(seed, async |mut world: World| {
                let way = Way { fragment, delay: ms(delay), end: None };
                for node in world.cluster.nodes() {
                    world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
                }
                // One byte at a time is slower than the deadline where each byte waits.
                let near = Way { fragment, ..Way::default() };
                world.net.plan(&world.front, Plan { read: near, write: near, ..Plan::default() });
                let mut client = world.client().await;
                converse(&mut client, &mut world.random, &mut Model::new(), 60).await;
            });
        }
    }
}

#[test]
fn old_servers_and_all_kinds_of_endpoints_are_understood() {
    for seed in seeds(1) {
        for endpoint in [Endpoint::Ip, Endpoint::Hostname, Endpoint::Question, Endpoint::Empty] {
            for cluster_shards_supported in [true, false] {
                let options = Options { endpoint, cluster_shards_supported, ..Options::default() };
                proxied_with(
                    seed,
                    options,
                    |_| {},
                    async |mut world: World| {
                        let [from, to, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
                        let key = world.key_of(from, 0);
                        let mut client = world.client().await;
                        converse(&mut client, &mut world.random, &mut Model::new(), 50).await;
                        world.cluster.move_slot(slotway::demo::embedded::slot(key.as_bytes()), to);
                        assert_eq!(client.say(&format!("SET {key} here")).await, r"+OK\r\n", "{endpoint:?}");
                        assert_eq!(client.say(&format!("GET {key}")).await, bulk("here"));
                    },
                );
            }
        }
    }
}

#[test]
fn nodes_with_a_password_are_shown_it() {
    for user in [None, Some("proxy".to_owned())] {
        let auth = Auth { user: user.clone(), password: "secret".to_owned() };
        let options = Options { auth: Some(auth), ..Options::default() };
        let right = |config: &mut slotway::config::Config| {
            config.backend.credentials =
                Some(slotway::backend::Credentials { username: user, password: "secret".to_owned() });
        };
        proxied_with(1, options, right, async |mut world: World| {
            let mut client = world.client().await;
            converse(&mut client, &mut world.random, &mut Model::new(), 50).await;
            assert!(client.say("HELLO 3").await.starts_with("%7"));
            assert_eq!(client.say("GET nothing").await, r"_\r\n");
        });
    }
}

#[test]
fn a_wrong_password_for_the_nodes_is_never_shown_as_the_clients() {
    let auth = Auth { user: None, password: "secret".to_owned() };
    let options = Options { auth: Some(auth), ..Options::default() };
    proxied_with(
        1,
        options,
        |_| {},
        async |world: World| {
            let reply = world.client().await.say("GET k").await;
            assert!(reply.starts_with("-CLUSTERDOWN") || reply.starts_with("-PROXYUNSENT"), "{reply}");
        },
    );
}

#[test]
fn resp3_begins_in_the_middle_of_a_pipeline() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let keys = world.keys();
            world.cluster.delay(world.cluster.primaries()[0], Duration::from_millis(50));
            let mut client = world.client().await;
            let all = keys.join(" ");
            for _ in 0..3 {
                for proto in [3, 2] {
                    let (null, old) = if proto == 3 { ("_", "$-1") } else { ("$-1", "_") };
                    for words in
                        [&format!("GET {}", keys[0]), &format!("HELLO {proto}"), &format!("MGET {all}"), "PING"]
                    {
                        client.tell(words).await;
                    }
                    assert_eq!(client.hear().await, format!(r"{old}\r\n"));
                    assert!(client.hear().await.starts_with(if proto == 3 { "%7" } else { "*14" }));
                    assert_eq!(client.hear().await, format!(r"*3\r\n{}", format!(r"{null}\r\n").repeat(3)));
                    assert_eq!(client.hear().await, r"+PONG\r\n");
                }
            }
            client.tell("HELLO 3").await;
            client.tell("RESET").await;
            client.tell(&format!("GET {}", keys[1])).await;
            assert!(client.hear().await.starts_with("%7"));
            assert_eq!(client.hear().await, r"+RESET\r\n");
            assert_eq!(client.hear().await, r"$-1\r\n");
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed: u64| {
        let trace = std::cell::RefCell::new(Vec::new());
        proxied(seed, async |mut world: World| {
            world.cluster.log(10_000);
            let way = Way { fragment: 7, delay: ms(3), end: None };
            for node in world.cluster.nodes() {
                world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
            }
            let mut client = world.client().await;
            converse(&mut client, &mut world.random, &mut Model::new(), 100).await;
            let seen = world.cluster.take_log().into_iter().map(|seen| (seen.at_ms, seen.connection, seen.args));
            trace.replace(seen.collect());
        });
        trace.into_inner()
    };
    for seed in seeds(3) {
        let first = run(seed);
        for _ in 0..3 {
            assert_eq!(run(seed), first);
        }
    }
}
