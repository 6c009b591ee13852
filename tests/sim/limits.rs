//! Everything has a limit: clients, silence, output, what waits for a node, and the time to drain.

use std::time::Duration;

use slotway::config::Config;
use slotway::demo::embedded::Options;

use crate::client::frame;
use crate::proxy::{bulk, drained, ms, pass, proxied_with};
use crate::world::{World, seeds};

#[test]
fn clients_above_the_limit_are_told_and_closed() {
    let few = |config: &mut Config| config.worker.max_clients = 3;
    proxied_with(1, Options::default(), few, async |world: World| {
        let mut inside = Vec::new();
        for _ in 0..3 {
            let mut client = world.client().await;
            assert_eq!(client.say("PING").await, r"+PONG\r\n");
            inside.push(client);
        }
        for _ in 0..3 {
            assert_eq!(world.client().await.rest().await, b"-ERR max number of clients reached\r\n");
        }
        drop(inside.pop());
        pass(ms(10)).await;
        assert_eq!(world.client().await.say("PING").await, r"+PONG\r\n");
        assert_eq!(inside[0].say("GET a").await, r"$-1\r\n");
    });
}

#[test]
fn silent_clients_are_closed_and_busy_ones_are_not() {
    let short = |config: &mut Config| config.client.idle_timeout = Duration::from_secs(5);
    proxied_with(1, Options::default(), short, async |world: World| {
        let mut silent = world.client().await;
        silent.say("PING").await;
        let mut busy = world.client().await;
        for second in 0..20 {
            assert_eq!(busy.say("PING").await, r"+PONG\r\n", "in second {second}");
            pass(Duration::from_secs(1)).await;
        }
        let closed = tokio::time::timeout(ms(1), silent.rest()).await;
        assert_eq!(closed.expect("it was closed long ago"), b"");
    });
}

#[test]
fn a_drain_answers_everything_and_then_closes() {
    for seed in seeds(5) {
        drained(
            seed,
            |_| {},
            async |mut world: World, shutdown| {
                let keys = world.keys();
                for node in world.cluster.primaries() {
                    world.cluster.delay(node, ms(200 + world.random.below(300)));
                }
                let mut clients = Vec::new();
                for n in 0..10 {
                    let mut client = world.client().await;
                    for key in &keys {
                        client.tell(&format!("RPUSH {key}{n} x")).await;
                    }
                    client.tell(&format!("MGET {}", keys.join(" "))).await;
                    clients.push(client);
                }
                let mut idle = world.client().await;
                pass(ms(50)).await;
                shutdown.begin();
                for mut client in clients {
                    for _ in &keys {
                        assert_eq!(client.hear().await, r":1\r\n");
                    }
                    assert_eq!(client.hear().await, format!(r"*3\r\n{}", r"$-1\r\n".repeat(3)));
                    assert!(client.rest().await.is_empty());
                }
                assert!(idle.rest().await.is_empty());
                pass(ms(100)).await;
                assert!(world.net.dial(&world.front).await.is_err(), "nobody listens any more");
            },
        );
    }
}

#[test]
fn a_drain_takes_no_longer_than_allowed() {
    let short = |config: &mut Config| {
        config.worker.drain = Duration::from_secs(1);
        config.backend.request_timeout = Duration::from_mins(1);
    };
    drained(1, short, async |world: World, shutdown| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        client.say(&format!("SET {key} 1")).await;
        world.cluster.pause(node);
        client.tell(&format!("GET {key}")).await;
        pass(ms(50)).await;
        shutdown.begin();
        let start = tokio::time::Instant::now();
        assert_eq!(client.hear().await, "(unexpected end of file)");
        assert!(start.elapsed() <= ms(2100), "{:?}", start.elapsed());
    });
}

#[test]
fn a_client_that_does_not_read_waits_alone_and_loses_nothing() {
    for seed in seeds(2) {
        let tight = |config: &mut Config| {
            config.client.max_output_bytes = 100_000;
            config.client.max_in_flight = 50;
            config.client.max_input_bytes = 20_000;
        };
        proxied_with(seed, Options::default(), tight, async |world: World| {
            const COUNT: usize = 3000;
            let keys = world.keys();
            let value = "v".repeat(5000);
            let mut greedy = world.client().await;
            let mut other = world.client().await;
            for key in &keys {
                greedy.say(&format!("SET {key} {value}")).await;
            }
            pass(ms(1000)).await;
            world.cluster.log(100_000);
            let requests: Vec<u8> = (0..COUNT)
                .flat_map(|n| {
                    [frame(&[b"GET", keys[n % 3].as_bytes()]), frame(&[b"ECHO", n.to_string().as_bytes()])].concat()
                })
                .collect();
            // Whatever the proxy and the pipes take; the rest waits.
            let mut sent = 0;
            for piece in requests.chunks(1000) {
                if tokio::time::timeout(ms(50), greedy.send(piece)).await.is_err() {
                    break;
                }
                sent += piece.len();
            }
            assert!(sent < requests.len(), "the proxy stopped reading");
            let asked = world.cluster.take_log().len();
            // In the client's pipe (64 KiB), in the proxy's output, and in flight when that was full.
            let most = (65_536 + 100_000) / value.len() + 2 * 50;
            assert!(asked <= most, "{asked} values were fetched for a client that reads none, {most} are allowed");
            for n in 0..20 {
                assert_eq!(other.say(&format!("SET other{n} {n}")).await, r"+OK\r\n");
                assert_eq!(other.say(&format!("GET other{n}")).await, bulk(&n.to_string()));
            }
            // A piece that was only half sent is finished by nobody: begin anew with a fresh stream of requests.
            let whole = sent / 1000 * 1000;
            assert_eq!(whole, sent);
            read_all(greedy, &requests, sent, COUNT, &value).await;
        });
    }
}

/// Reads every reply while what was not sent is sent, and checks their order.
async fn read_all(mut client: crate::client::Client, requests: &[u8], sent: usize, count: usize, value: &str) {
    // How much of the piece behind `sent` went out before its time was up is not known: leave it out, and read
    // as many replies as whole requests were sent for certain.
    let mut whole = 0;
    let mut at = 0;
    for n in 0..count {
        let key_len = 5;
        at += frame(&[b"GET", &vec![b'k'; key_len]]).len() + frame(&[b"ECHO", n.to_string().as_bytes()]).len();
        if at > sent {
            break;
        }
        whole = n + 1;
    }
    assert!(whole > 10 && requests.len() > sent);
    for n in 0..whole {
        assert_eq!(client.hear().await, bulk(value), "value {n}");
        assert_eq!(client.hear().await, bulk(&n.to_string()));
    }
}

#[test]
fn what_waits_for_a_node_is_limited_and_goes_on_later() {
    for seed in seeds(3) {
        let small = |config: &mut Config| {
            config.backend.node_queue_bytes = 10_000;
            config.backend.request_timeout = Duration::from_mins(1);
        };
        proxied_with(seed, Options::default(), small, async |world: World| {
            let [slow, fast, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
            let (key, far) = (world.key_of(slow, 0), world.key_of(fast, 0));
            let mut clients = Vec::new();
            for _ in 0..10 {
                let mut client = world.client().await;
                client.say(&format!("DEL {key}")).await;
                clients.push(client);
            }
            world.cluster.pause(slow);
            for client in &mut clients {
                for _ in 0..100 {
                    client.tell(&format!("RPUSH {key} {}", "x".repeat(100))).await;
                }
            }
            pass(ms(100)).await;
            let mut other = world.client().await;
            assert_eq!(other.say(&format!("SET {far} 1")).await, r"+OK\r\n", "others go on");
            world.cluster.resume(slow);
            let mut lengths: Vec<usize> = Vec::new();
            for mut client in clients {
                let mut last = 0;
                for _ in 0..100 {
                    let reply = client.hear().await;
                    let length = reply.trim_start_matches(':').trim_end_matches(r"\r\n").parse().expect("a length");
                    assert!(length > last, "in the order of the client");
                    last = length;
                    lengths.push(length);
                }
            }
            lengths.sort_unstable();
            assert!(lengths.into_iter().eq(1..=1000), "each ran once");
        });
    }
}

#[test]
fn clients_that_wait_for_a_node_go_on_when_it_is_lost_or_moves() {
    for lost in [true, false] {
        let small = |config: &mut Config| {
            config.backend.node_queue_bytes = 1000;
            config.cluster.refresh_interval = ms(200);
        };
        proxied_with(1, Options::default(), small, async |world: World| {
            let [node, to, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
            let key = world.key_of(node, 0);
            let mut first = world.client().await;
            let mut second = world.client().await;
            first.say(&format!("SET {key} 0")).await;
            world.cluster.pause(node);
            first.tell(&format!("APPEND {key} {}", "x".repeat(2000))).await;
            pass(ms(10)).await;
            second.tell(&format!("STRLEN {key}")).await;
            pass(ms(10)).await;
            if lost {
                world.cluster.cut_connections(node);
                world.cluster.resume(node);
            } else {
                world.cluster.failover(world.cluster.siblings(node)[0]);
                world.cluster.move_slot(slotway::demo::embedded::slot(key.as_bytes()), to);
            }
            let start = tokio::time::Instant::now();
            let reply = second.hear().await;
            assert!(reply == r":1\r\n" || reply == r":2001\r\n", "{reply}");
            assert!(start.elapsed() <= ms(2200), "{:?}", start.elapsed());
            first.hear().await;
        });
    }
}

#[test]
fn answers_of_the_proxy_itself_are_limited_and_go_on_too() {
    let tight = |config: &mut Config| config.client.max_output_bytes = 10_000;
    proxied_with(1, Options::default(), tight, async |world: World| {
        let text = "e".repeat(1000);
        let mut client = world.client().await;
        client.send(&frame(&[b"ECHO", text.as_bytes()]).repeat(60)).await.expect("the proxy reads");
        for n in 0..60 {
            let reply = tokio::time::timeout(ms(1000), client.hear()).await;
            assert_eq!(reply.unwrap_or_else(|_| panic!("no reply to ECHO {n}")), bulk(&text));
        }
    });
}
