//! Requests and replies that pass through while they come: whole, in order, at nobody's expense, and honest about what
//! became of them when something breaks in the middle.

use slotway::config::Config;
use slotway::demo::embedded::{Options, Script, slot};
use tokio::time::Instant;

use crate::client::{Client, frame};
use crate::net::{End, Plan, Way};
use crate::proxy::{bulk, ms, pass, proxied_with};
use crate::world::{World, seeds};

/// What is large here.
const LARGE: usize = 100_000;

fn with_streams(seed: u64, scenario: impl AsyncFnOnce(World)) {
    let change = |config: &mut Config| config.backend.stream_above = LARGE;
    proxied_with(seed, Options::default(), change, scenario);
}

/// A value that tells its place in itself, so that a piece in the wrong place shows.
fn value(len: usize, mark: u8) -> Vec<u8> {
    let words = (0..).flat_map(|n: u32| n.to_be_bytes());
    words.take(len).map(|byte| byte ^ mark).collect()
}

fn told(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

async fn get(client: &mut Client, key: &str) -> Vec<u8> {
    client.call(&[b"GET", key.as_bytes()]).await.expect("a reply")
}

/// Sends while it reads, as clients do that use both directions.
async fn exchange(world: &World, bytes: &[u8], replies: usize) -> Vec<u8> {
    let mut client = world.client().await;
    client.send(bytes).await.expect("the proxy reads");
    let mut out = Vec::new();
    for _ in 0..replies {
        out.extend(client.reply().await.expect("a reply"));
    }
    out
}

#[test]
fn large_values_come_back_as_they_went_whatever_the_pieces() {
    for seed in seeds(10) {
        with_streams(seed, async |mut world: World| {
            for node in world.cluster.nodes() {
                world.net.plan(&world.cluster.addr(node), Plan::fragments(1 + world.random.below(70_000) as usize));
            }
            world.net.plan(&world.front, Plan::fragments(1 + world.random.below(70_000) as usize));
            let mut client = world.client().await;
            for (n, key) in world.keys().iter().enumerate() {
                for len in [LARGE - 100, LARGE, LARGE + 1, 1_000_000 + world.random.below(1000) as usize] {
                    let value = value(len, n as u8);
                    let set = client.call(&[b"SET", key.as_bytes(), &value, b"XX"]).await;
                    assert_eq!(set.expect("a reply"), b"$-1\r\n", "{key} {len}");
                    let set = client.call(&[b"SET", key.as_bytes(), &value]).await;
                    assert_eq!(set.expect("a reply"), b"+OK\r\n", "{key} {len}");
                    assert!(get(&mut client, key).await == told(&value), "{key} {len}");
                    assert_eq!(client.say(&format!("DEL {key}")).await, r":1\r\n");
                }
            }
        });
    }
}

#[test]
fn what_is_pipelined_around_large_ones_keeps_its_order() {
    for seed in seeds(10) {
        with_streams(seed, async |mut world: World| {
            let keys = world.keys();
            let (first, second) = (value(300_000, 1), value(500_000, 2));
            let key = keys[world.random.below(3) as usize].as_bytes();
            let mut bytes = Vec::new();
            for args in [
                &[b"SET", key, b"small"][..],
                &[b"SET", key, &first],
                &[b"GET", key],
                &[b"SET", keys[0].as_bytes(), &second],
                &[b"GET", keys[0].as_bytes()],
                &[b"GET", keys[1].as_bytes()],
                &[b"SET", key, b"end"],
                &[b"GET", key],
            ] {
                bytes.extend(frame(args));
            }
            let middle = if key == keys[1].as_bytes() { told(&first) } else { b"$-1\r\n".to_vec() };
            let expected =
                [b"+OK\r\n+OK\r\n", &told(&first)[..], b"+OK\r\n", &told(&second), &middle, b"+OK\r\n", &told(b"end")]
                    .concat();
            assert!(exchange(&world, &bytes, 8).await == expected, "a client that sends everything before it reads");
        });
    }
}

#[test]
fn a_slow_reader_holds_up_nobody_else() {
    for seed in seeds(5) {
        with_streams(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let (large, small) = (world.key_of(node, 0), world.key_of(node, 1));
            let value = value(5_000_000, 3);
            let mut slow = world.client().await;
            slow.call(&[b"SET", large.as_bytes(), &value]).await.expect("a reply");
            slow.tell(&format!("GET {large}")).await;
            pass(ms(100)).await;
            let mut other = world.client().await;
            for n in 0..100 {
                let start = Instant::now();
                assert_eq!(other.say(&format!("SET {small} {n}")).await, r"+OK\r\n");
                assert_eq!(other.say(&format!("GET {small}")).await, bulk(&n.to_string()));
                assert!(start.elapsed() <= ms(5), "{:?}", start.elapsed());
                pass(ms(50)).await;
            }
            // Longer than any deadline: a client may read as slowly as it likes.
            assert!(slow.reply().await.expect("the rest") == told(&value));
            assert_eq!(slow.say(&format!("GET {small}")).await, bulk("99"));
        });
    }
}

#[test]
fn what_waits_behind_a_large_reply_on_its_connection_does_not_wait_for_its_reader() {
    with_streams(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let (large, small) = (world.key_of(node, 0), world.key_of(node, 1));
        let value = value(3_000_000, 3);
        let mut slow = world.client().await;
        slow.call(&[b"SET", large.as_bytes(), &value]).await.expect("a reply");
        let mut other = world.client().await;
        world.cluster.delay(node, ms(20));
        slow.tell(&format!("GET {large}")).await;
        other.tell(&format!("SET {small} 1")).await;
        world.cluster.delay(node, ms(0));
        let start = Instant::now();
        assert_eq!(other.hear().await, r"+OK\r\n");
        assert!(start.elapsed() <= ms(50), "{:?}", start.elapsed());
        assert!(slow.reply().await.expect("the rest") == told(&value));
    });
}

#[test]
fn a_stale_map_does_not_cost_a_large_request() {
    for seed in seeds(10) {
        with_streams(seed, async |mut world: World| {
            let [from, to, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
            let key = world.key_of(from, 0);
            let slot = slot(key.as_bytes());
            let mut client = world.client().await;
            client.say(&format!("SET {key} old")).await;
            let value = value(400_000, 4);
            if world.random.one_in(2) {
                // Moved for good, or on the move with the key gone already.
                world.cluster.move_slot(slot, to);
            } else {
                world.cluster.begin_migration(slot, to);
                assert!(world.cluster.migrate_key(key.as_bytes()));
            }
            assert_eq!(client.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply"), b"+OK\r\n");
            assert!(get(&mut client, &key).await == told(&value));
        });
    }
}

#[test]
fn a_slot_that_moves_under_a_large_request_is_told_as_not_executed() {
    with_streams(1, async |world: World| {
        let [from, to, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
        let key = world.key_of(from, 0);
        let value = value(400_000, 4);
        let request = frame(&[b"SET", key.as_bytes(), &value]);
        let mut client = world.client().await;
        client.send(&request[..200_000]).await.expect("the proxy reads");
        pass(ms(10)).await;
        world.cluster.move_slot(slot(key.as_bytes()), to);
        client.send(&request[200_000..]).await.expect("the proxy reads");
        let reply = client.hear().await;
        assert!(reply.starts_with("-PROXYUNSENT not executed"), "{reply}");
        assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
        assert_eq!(client.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply"), b"+OK\r\n", "now it may");
    });
}

#[test]
fn a_node_that_is_lost_in_the_middle_did_not_run_half_a_request() {
    for seed in seeds(10) {
        with_streams(seed, async |mut world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let value = value(400_000, 5);
            let request = frame(&[b"SET", key.as_bytes(), &value]);
            let cut = 120_000 + world.random.below(request.len() as u64 - 120_000) as usize;
            let mut client = world.client().await;
            client.send(&request[..cut]).await.expect("the proxy reads");
            pass(ms(10)).await;
            world.cluster.cut_connections(node);
            pass(ms(10)).await;
            client.send(&request[cut..]).await.expect("the proxy reads");
            client.tell("PING").await;
            let reply = client.hear().await;
            assert!(reply.starts_with("-PROXYUNSENT not executed"), "{reply}");
            assert_eq!(client.hear().await, r"+PONG\r\n", "what follows is read as what it is");
            assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
            assert_eq!(client.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply"), b"+OK\r\n");
        });
    }
}

#[test]
fn a_request_that_had_left_whole_may_have_been_executed() {
    with_streams(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        world.cluster.script(node, Script::cut_after(0).on("SET"));
        let reply = client.call(&[b"SET", key.as_bytes(), &value(300_000, 6)]).await.expect("a reply");
        assert!(reply.starts_with(b"-PROXYUNKNOWN"), "{}", reply.escape_ascii());
    });
}

#[test]
fn a_node_that_stops_taking_a_large_request_is_given_up_at_the_deadline() {
    with_streams(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let value = value(2_000_000, 7);
        let request = frame(&[b"SET", key.as_bytes(), &value]);
        let mut client = world.client().await;
        client.send(&request[..150_000]).await.expect("the proxy reads");
        pass(ms(10)).await;
        world.cluster.pause(node);
        let start = Instant::now();
        let sent = client.send(&request[150_000..]).await;
        sent.expect("what is left of a lost request is read all the same");
        let reply = client.hear().await;
        assert!(reply.starts_with("-PROXYUNSENT"), "{reply}");
        assert!((ms(1900)..=ms(2100)).contains(&start.elapsed()), "{:?}", start.elapsed());
        world.cluster.resume(node);
        pass(ms(1000)).await;
        assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    for seed in seeds(10) {
        with_streams(seed, async |mut world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let request = frame(&[b"SET", key.as_bytes(), &value(400_000, 8)]);
            for _ in 0..3 {
                let cut = 110_000 + world.random.below(200_000) as usize;
                let mut leaving = world.client().await;
                leaving.send(&request[..cut]).await.expect("the proxy reads");
                pass(ms(world.random.below(10))).await;
                drop(leaving);
                pass(ms(5)).await;
                let mut next = world.client().await;
                assert_eq!(next.say(&format!("APPEND {key} x")).await, r":1\r\n");
                let value = value(300_000, 9);
                assert_eq!(next.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply"), b"+OK\r\n");
                next.tell(&format!("GET {key}")).await;
                if world.random.one_in(2) {
                    assert!(next.reply().await.expect("a reply") == told(&value));
                }
                drop(next);
                pass(ms(5)).await;
                assert_eq!(world.client().await.say(&format!("DEL {key}")).await, r":1\r\n");
            }
            pass(ms(2500)).await;
            assert_eq!(world.counted("connected_clients").await, 1);
        });
    }
}

#[test]
fn half_a_reply_ends_with_its_connection() {
    for seed in seeds(5) {
        with_streams(seed, async |mut world: World| {
            let node = world.cluster.primaries()[0];
            let (key, small) = (world.key_of(node, 0), world.key_of(node, 1));
            let value = value(1_000_000, 10);
            let mut client = world.client().await;
            client.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply");
            let sent = 150_000 + world.random.below(800_000) as usize;
            world.cluster.script(node, Script::cut_after(sent).on("GET"));
            client.tell(&format!("GET {key}")).await;
            let half = client.rest().await;
            let whole = told(&value);
            assert!(half.len() < whole.len() && whole.starts_with(&half), "{} bytes", half.len());
            let mut next = world.client().await;
            assert_eq!(next.say(&format!("GET {small}")).await, r"$-1\r\n");
            assert!(get(&mut next, &key).await == whole);
        });
    }
}

#[test]
fn what_is_no_request_in_the_middle_of_a_large_one_runs_nowhere() {
    with_streams(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut request = frame(&[b"SET", key.as_bytes(), &value(300_000, 11), b"NX"]);
        let end = request.len();
        // The line end behind the value.
        request[end - 10] = b'x';
        let mut client = world.client().await;
        client.send(&request).await.expect("the proxy reads");
        assert_eq!(client.rest().await, b"-ERR Protocol error: expected CRLF after a bulk string\r\n");
        let mut next = world.client().await;
        assert_eq!(next.say(&format!("GET {key}")).await, r"$-1\r\n");
        assert_eq!(next.call(&[b"SET", key.as_bytes(), &value(300_000, 1)]).await.expect("a reply"), b"+OK\r\n");
    });
}

#[test]
fn messages_come_behind_a_reply_that_is_on_its_way() {
    with_streams(1, async |world: World| {
        let key = world.keys()[0].clone();
        let value = value(2_000_000, 12);
        let mut client = world.client().await;
        client.say("HELLO 3").await;
        client.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply");
        client.say("SUBSCRIBE news").await;
        client.tell(&format!("GET {key}")).await;
        pass(ms(10)).await;
        for n in 0..3 {
            world.client().await.say(&format!("PUBLISH news {n}")).await;
        }
        pass(ms(10)).await;
        assert!(client.reply().await.expect("a reply") == told(&value));
        for n in 0..3 {
            assert_eq!(client.hear().await, format!(r">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n{n}\r\n"));
        }
    });
}

#[test]
fn a_long_list_streams_as_well() {
    for seed in seeds(3) {
        with_streams(seed, async |world: World| {
            let key = world.keys()[1].clone();
            let mut client = world.client().await;
            let mut expected = b"*3000\r\n".to_vec();
            for n in 0..3000 {
                let element = format!("element-{n}-{}", "x".repeat(n % 90));
                expected.extend(told(element.as_bytes()));
                client.say(&format!("RPUSH {key} {element}")).await;
            }
            client.tell(&format!("LRANGE {key} 0 -1")).await;
            client.tell("PING").await;
            assert!(client.reply().await.expect("a reply") == expected);
            assert_eq!(client.hear().await, r"+PONG\r\n");
        });
    }
}

#[test]
fn a_node_that_stops_in_the_middle_of_a_reply_is_given_up() {
    with_streams(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let value = value(1_000_000, 13);
        let mut client = world.client().await;
        client.call(&[b"SET", key.as_bytes(), &value]).await.expect("a reply");
        let stop = Way { end: Some((400_000, End::Blackhole)), ..Way::default() };
        world.net.plan(&world.cluster.addr(node), Plan::reading(stop));
        world.cluster.cut_connections(node);
        pass(ms(100)).await;
        let start = Instant::now();
        client.tell(&format!("GET {key}")).await;
        let half = client.rest().await;
        assert!(half.len() <= 400_000 && told(&value).starts_with(&half), "{} bytes", half.len());
        assert!((ms(1900)..=ms(2500)).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}
