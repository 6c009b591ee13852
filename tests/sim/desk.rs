//! What clients may ask about each other, with several workers: rosters, ends, pauses, silence, watching, slowness.

use slotway::client::{ClusterView, Split};
use slotway::config::Config;
use slotway::demo::embedded::Options;

use crate::client::{Client, frame};
use crate::proxy::{bulk, ms, pass, proxied_with};
use crate::world::{World, seeds};

/// Runs a scenario with three workers; clients are handed to them in turn.
fn workers(scenario: impl AsyncFn(World)) {
    for seed in seeds(3) {
        proxied_with(seed, Options::default(), |config| config.worker.workers = 3, async |world| scenario(world).await);
    }
}

async fn id(client: &mut Client) -> u64 {
    let reply = client.say("CLIENT ID").await;
    reply.trim_start_matches(':').trim_end_matches(r"\r\n").parse().expect("a number")
}

/// The `field`s of all lines of CLIENT LIST.
async fn listed(client: &mut Client, ask: &str, field: &str) -> Vec<String> {
    let text = client.say(ask).await;
    let values =
        text.split(' ').filter_map(|pair| pair.rsplit_once(r"\n").map_or(pair, |(_, pair)| pair).strip_prefix(field));
    values.filter_map(|pair| pair.strip_prefix('=')).map(str::to_owned).collect()
}

#[test]
fn a_list_shows_the_clients_of_all_workers_in_the_order_of_their_ids() {
    workers(async |world| {
        let mut clients = Vec::new();
        for n in 0..7 {
            let mut client = world.client().await;
            assert_eq!(client.say(&format!("CLIENT SETNAME c{n}")).await, r"+OK\r\n");
            clients.push(client);
        }
        let names: Vec<String> = (0..7).map(|n| format!("c{n}")).collect();
        assert_eq!(listed(&mut clients[3], "CLIENT LIST", "name").await, names);
        let (a, b) = (id(&mut clients[5]).await, id(&mut clients[1]).await);
        assert_eq!(listed(&mut clients[0], &format!("CLIENT LIST ID {a} 999 {b}"), "name").await, ["c5", "c1"]);
        assert_eq!(listed(&mut clients[0], "CLIENT LIST TYPE pubsub", "name").await, [""; 0]);
        assert_eq!(listed(&mut clients[0], "CLIENT INFO", "cmd").await, ["client|info"]);
    });
}

#[test]
fn a_client_is_killed_wherever_it_is_and_oneself_only_after_the_answer() {
    workers(async |world| {
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = world.client().await;
            let id = id(&mut client).await;
            clients.push((client, id));
        }
        let (mut own, own_id) = clients.remove(0);
        for (mut other, id) in clients.drain(..2) {
            assert_eq!(own.say(&format!("CLIENT KILL ID {id}")).await, r":1\r\n");
            assert_eq!(other.rest().await, b"", "it was closed");
            assert_eq!(own.say(&format!("CLIENT KILL ID {id}")).await, r":0\r\n");
        }
        assert_eq!(own.say("CLIENT KILL TYPE normal").await, r":2\r\n", "itself is spared");
        own.tell(&format!("CLIENT KILL ID {own_id} SKIPME no")).await;
        own.tell("PING").await;
        assert_eq!(own.rest().await, b":1\r\n", "what comes behind is not taken");
    });
}

#[test]
fn a_pause_holds_clients_of_all_workers_until_it_is_over_or_ended() {
    workers(async |world| {
        let (mut first, mut second) = (world.client().await, world.client().await);
        assert_eq!(first.say("CLIENT PAUSE 5000 WRITE").await, r"+OK\r\n");
        assert_eq!(second.say("GET k").await, r"$-1\r\n", "reads go on");
        let began = tokio::time::Instant::now();
        assert_eq!(second.say("SET k v").await, r"+OK\r\n");
        assert!(began.elapsed() >= ms(4990) && began.elapsed() < ms(5200), "{:?}", began.elapsed());
        assert_eq!(first.say("CLIENT PAUSE 60000 WRITE").await, r"+OK\r\n");
        second.tell("INCR n").await;
        pass(ms(1000)).await;
        let mut third = world.client().await;
        assert_eq!(third.say("CLIENT UNPAUSE").await, r"+OK\r\n");
        let began = tokio::time::Instant::now();
        assert_eq!(second.hear().await, r":1\r\n");
        assert!(began.elapsed() < ms(100));
        assert_eq!(first.say("CLIENT PAUSE 300").await, r"+OK\r\n");
        let began = tokio::time::Instant::now();
        assert_eq!(third.say("PING").await, r"+PONG\r\n");
        assert!(began.elapsed() >= ms(290), "all commands wait");
    });
}

#[test]
fn a_client_that_wants_no_replies_gets_none_and_those_it_wants_stay_in_order() {
    workers(async |world| {
        let mut client = world.client().await;
        let keys = world.keys();
        for key in &keys {
            client.tell(&format!("SET {key} {key}")).await;
            client.tell("CLIENT REPLY SKIP").await;
            client.tell(&format!("GET {key}")).await;
            client.tell(&format!("GET {key}")).await;
        }
        for key in &keys {
            assert_eq!(client.hear().await, r"+OK\r\n");
            assert_eq!(client.hear().await, bulk(key));
        }
        client.tell("CLIENT REPLY OFF").await;
        for key in &keys {
            client.tell(&format!("GET {key}")).await;
        }
        client.tell(&format!("MGET {}", keys.join(" "))).await;
        for word in ["PING", "NOSUCH", "GET", "CLIENT LIST", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "ECHO heard"] {
            client.tell(word).await;
        }
        assert_eq!(client.hear().await, r"+OK\r\n");
        assert_eq!(client.hear().await, bulk("heard"));
        client.tell("CLIENT REPLY OFF").await;
        assert_eq!(client.say("RESET").await, r"+RESET\r\n");
        assert_eq!(client.say("PING").await, r"+PONG\r\n");
    });
}

#[test]
fn a_watcher_sees_what_clients_of_all_workers_send_and_no_secret() {
    workers(async |world| {
        let mut watcher = world.client().await;
        assert_eq!(watcher.say("MONITOR").await, r"+OK\r\n");
        let mut others = Vec::new();
        for n in 0..4 {
            let mut other = world.client().await;
            other.send(&frame(&[b"SET", b"k", format!("v{n}\r\n\"").as_bytes()])).await.expect("the proxy reads");
            assert_eq!(other.hear().await, r"+OK\r\n");
            let line = watcher.hear().await;
            assert!(line.ends_with(&format!(r#"] \"SET\" \"k\" \"v{n}\\r\\n\\\"\"\r\n"#)), "{line}");
            others.push(other);
        }
        others[1].say("AUTH me secret").await;
        assert!(watcher.hear().await.ends_with(r#"] \"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"#));
        others[2].say("CLIENT LIST").await;
        assert_eq!(others[2].say("PING").await, r"+PONG\r\n");
        assert!(watcher.hear().await.ends_with(r#"] \"PING\"\r\n"#), "what operators do is not shown");
        assert_eq!(watcher.say("GET k").await, r"-ERR Replica can\'t interact with the keyspace\r\n");
        assert_eq!(watcher.say("RESET").await, r"+RESET\r\n");
        // Its own last commands may have been shown behind that.
        let mut rest = String::new();
        others[3].say("PING").await;
        for _ in 0..3 {
            rest += &watcher.say("ECHO x").await;
        }
        assert!(!rest.contains("PING"), "{rest}");
    });
}

#[test]
fn a_watcher_that_goes_away_costs_nothing_afterwards_and_a_slow_one_is_closed() {
    workers(async |world| {
        let mut watcher = world.client().await;
        assert_eq!(watcher.say("MONITOR").await, r"+OK\r\n");
        drop(watcher);
        let mut client = world.client().await;
        assert_eq!(client.say("SET k v").await, r"+OK\r\n");
        let mut slow = world.client().await;
        assert_eq!(slow.say("MONITOR").await, r"+OK\r\n");
        let big = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            assert_eq!(client.call(&[b"SET", b"k", &big]).await.expect("an answer"), b"+OK\r\n");
        }
        assert_eq!(listed(&mut client, "CLIENT LIST", "flags").await, ["N"], "the watcher was closed");
    });
}

#[test]
fn slow_requests_of_all_workers_are_logged_with_their_client_latest_first() {
    workers(async |world| {
        let (node, key) = (world.cluster.primaries()[1], world.key_of(world.cluster.primaries()[1], 0));
        let mut clients = Vec::new();
        for n in 0..3 {
            let mut client = world.client().await;
            assert_eq!(client.say(&format!("CLIENT SETNAME c{n}")).await, r"+OK\r\n");
            assert_eq!(client.say(&format!("SET {key} v")).await, r"+OK\r\n");
            clients.push(client);
        }
        assert_eq!(clients[0].say("SLOWLOG LEN").await, r":0\r\n");
        world.cluster.delay(node, ms(30));
        for (n, client) in clients.iter_mut().enumerate() {
            client.say(&format!("GET {key}")).await;
            client.say(&format!("LPUSH {key} {n}")).await;
        }
        world.cluster.delay(node, ms(0));
        pass(ms(10)).await;
        assert_eq!(clients[1].say("SLOWLOG LEN").await, r":6\r\n");
        let told = clients[2].say("SLOWLOG GET 2").await;
        assert!(told.starts_with(r"*2\r\n*6\r\n:5\r\n"), "{told}");
        assert!(told.contains(&format!(r"*3\r\n{}{}{}", bulk("LPUSH"), bulk(&key), bulk("2"))), "{told}");
        assert!(told.ends_with(&bulk("c2")), "{told}");
        let micros: u64 =
            told.split(r"\r\n:").nth(3).and_then(|text| text.split('\\').next()).unwrap().parse().unwrap();
        assert!((30_000..60_000).contains(&micros), "{told}");
        let told = clients[2].say("PROXY SLOWLOG 1").await;
        let part = |name: &str| -> u64 {
            let text = told.split(&format!(r"{}:", bulk(name))).nth(1).and_then(|text| text.split('\\').next());
            text.unwrap_or_else(|| panic!("no {name} in {told}")).parse().expect("a number")
        };
        assert_eq!((part("waiting"), part("writing"), part("node")), (0, 0, micros));
        assert!(told.contains(&bulk(&world.cluster.addr(node).to_string())), "{told}");
        assert_eq!(clients[0].say("SLOWLOG RESET").await, r"+OK\r\n");
        assert_eq!(clients[1].say("SLOWLOG GET -1").await, r"*0\r\n");
    });
}

#[test]
fn the_slow_log_tells_waiting_node_and_writing_apart() {
    workers(async |world| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        let big = vec![b'x'; 3 << 20];
        client.call(&[b"SET", key.as_bytes(), &big]).await.expect("an answer");
        client.say("SLOWLOG RESET").await;
        // No connection to the node for a while: what comes meanwhile waits.
        world.cluster.kill(node);
        pass(ms(50)).await;
        client.tell(&format!("STRLEN {key}")).await;
        pass(ms(400)).await;
        world.cluster.revive(node);
        client.hear().await;
        let told = world.client().await.say("PROXY SLOWLOG -1").await;
        let part = |told: &str, name: &str| -> u64 {
            let text = told.split(&format!(r"{}:", bulk(name))).nth(1).and_then(|text| text.split('\\').next());
            text.unwrap_or_else(|| panic!("no {name} in {told}")).parse().expect("a number")
        };
        assert!(part(&told, "waiting") >= 300_000 && part(&told, "node") < 100_000, "{told}");
        // A client that takes its reply late.
        client.say("SLOWLOG RESET").await;
        world.cluster.delay(node, ms(30));
        client.send(&frame(&[b"GET", key.as_bytes()])).await.expect("the proxy reads");
        pass(ms(700)).await;
        assert!(client.hear().await.len() > big.len());
        pass(ms(10)).await;
        let told = world.client().await.say("PROXY SLOWLOG 1").await;
        assert!((30_000..300_000).contains(&part(&told, "node")), "{told}");
        assert!(part(&told, "writing") >= 300_000, "{told}");
    });
}

/// Runs a scenario with options.
fn with(change: impl Fn(&mut Config), scenario: impl AsyncFn(World)) {
    proxied_with(1, Options::default(), change, async |world| scenario(world).await);
}

#[test]
fn what_operators_deny_is_denied_and_what_they_allow_is_not() {
    let rules = |config: &mut Config| {
        config.client.deny = vec!["@dangerous".to_owned(), "incr".to_owned()];
        config.client.allow = vec!["dbsize".to_owned(), "keys".to_owned()];
    };
    with(rules, async |world| {
        let mut client = world.client().await;
        for denied in ["FLUSHALL", "INCR k"] {
            let refused = client.say(denied).await;
            assert!(refused.starts_with("-NOPERM this user has no permissions to run the"), "{denied}: {refused}");
        }
        assert_eq!(client.say("SET k v").await, r"+OK\r\n");
        assert_eq!(client.say("KEYS *").await, format!(r"*1\r\n{}", bulk("k")));
        assert!(client.say("PROXY EXPLAIN INCR k").await.contains("NOPERM"));
    });
}

#[test]
fn commands_over_several_slots_are_split_as_configured() {
    for (split, reads, writes) in [(Split::Reads, true, false), (Split::Off, false, false), (Split::All, true, true)] {
        with(
            move |config| config.client.split = split,
            async |world| {
                let (mut client, keys) = (world.client().await, world.keys());
                let crosses = |reply: &str| reply.starts_with("-CROSSSLOT Keys in request don");
                let several = keys.join(" ");
                assert_eq!(!crosses(&client.say(&format!("MGET {several}")).await), reads);
                assert_eq!(!crosses(&client.say(&format!("DEL {several}")).await), writes);
                assert!(!crosses(&client.say(&format!("DEL {} {}", keys[0], keys[0])).await));
            },
        );
    }
}

#[test]
fn clients_of_a_cluster_see_one_node_with_every_slot_if_configured() {
    with(
        |config| config.client.cluster = ClusterView::Single,
        async |world| {
            let mut client = world.client().await;
            let id = client.say("CLUSTER MYID").await;
            let id = id.split(r"\r\n").nth(1).expect("an id").to_owned();
            for ask in ["CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES"] {
                let told = client.say(ask).await;
                assert!(told.contains(&id) && told.contains("16383"), "{ask}: {told}");
            }
            assert!(client.say("CLUSTER INFO").await.contains("cluster_state:ok"));
            assert!(client.say("INFO cluster").await.contains("cluster_enabled:1"));
            assert!(client.say("CLUSTER FORGET x").await.starts_with("-ERR"));
        },
    );
    with(
        |_| {},
        async |world| {
            let refused = world.client().await.say("CLUSTER SLOTS").await;
            assert_eq!(refused, r"-ERR This instance has cluster support disabled\r\n");
        },
    );
}

#[test]
fn the_proxy_tells_what_it_would_do_and_of_its_nodes() {
    workers(async |world| {
        let (mut client, keys) = (world.client().await, world.keys());
        for key in &keys {
            assert_eq!(client.say(&format!("SET {key} v")).await, r"+OK\r\n");
        }
        let told = client.say("PROXY NODES").await;
        assert!(told.starts_with(r"*6\r\n*18\r\n"), "{told}");
        assert_eq!(told.matches(&format!("{}:1", bulk("connections"))).count(), 3, "{told}");
        let told = client.say(&format!("PROXY EXPLAIN MGET {}", keys.join(" "))).await;
        assert!(told.contains("split by slot") && keys.iter().all(|key| told.contains(key)), "{told}");
        assert!(client.say("PROXY EXPLAIN RENAME a b").await.contains("CROSSSLOT"));
        assert!(client.say("PROXY EXPLAIN SHUTDOWN").await.contains("refused"));
        assert!(client.say("PROXY TOPOLOGY").await.contains(&format!("{}:16384", bulk("slots-covered"))));
        assert_eq!(client.say("PROXY KEYSLOT foo").await, r":12182\r\n");
        assert!(client.say("PROXY CONFIG").await.contains("[listen]"));
        assert!(client.say("PROXY HOTKEYS").await.contains("PROXY HOTKEYS ON begins"));
    });
}
