//! Publish and subscribe through the proxy: what clients are told, in which order, and what becomes of their
//! subscriptions when nodes, slots and other clients come and go.

use slotway::config::Config;
use slotway::demo::embedded::{NodeId, Options, Script, slot};

use crate::client::{Client, frame};
use crate::proxy::{bulk, drained, ms, pass, proxied, proxied_with};
use crate::world::{World, seeds};

/// A confirmation or message in RESP2, escaped; counts are written as `:1`.
fn parts(mark: char, parts: &[&str]) -> String {
    let one = |part: &&str| if part.starts_with(':') { format!(r"{part}\r\n") } else { bulk(part) };
    format!(r"{mark}{}\r\n{}", parts.len(), parts.iter().map(one).collect::<String>())
}

pub(crate) fn two(words: &[&str]) -> String {
    parts('*', words)
}

fn three(words: &[&str]) -> String {
    parts('>', words)
}

/// A subscriber in RESP2.
pub(crate) async fn subscriber(world: &World, words: &str) -> Client {
    let mut client = world.client().await;
    let told = client.say(words).await;
    assert!(told.contains("subscribe"), "{words}: {told}");
    client
}

/// Connections at all nodes that are subscribed to a name.
pub(crate) fn held(world: &World, kind: usize, name: &str) -> usize {
    world.cluster.nodes().into_iter().map(|node| world.cluster.subscribed(node, kind, name.as_bytes())).sum()
}

/// The next message, or what else there is in time.
pub(crate) async fn next(client: &mut Client) -> String {
    match tokio::time::timeout(ms(5000), client.hear()).await {
        Ok(reply) => reply,
        Err(_) => "(nothing)".to_owned(),
    }
}

/// That nothing has come and nothing comes soon.
pub(crate) async fn silent(client: &mut Client) {
    if let Ok(heard) = tokio::time::timeout(ms(300), client.hear()).await {
        panic!("heard {heard}");
    }
}

pub(crate) fn owner(world: &World, name: &str) -> NodeId {
    world.cluster.owner(slot(name.as_bytes())).expect("an owner")
}

pub(crate) fn other_primary(world: &World, than: NodeId) -> NodeId {
    world.cluster.primaries().into_iter().find(|&node| node != than).expect("three primaries")
}

#[test]
fn both_protocols_get_what_one_server_would_give() {
    proxied(1, async |world: World| {
        let mut old = world.client().await;
        let mut new = world.client().await;
        new.say("HELLO 3").await;
        assert_eq!(old.say("SUBSCRIBE a").await, two(&["subscribe", "a", ":1"]));
        assert_eq!(old.say("PSUBSCRIBE a*").await, two(&["psubscribe", "a*", ":2"]));
        assert_eq!(old.say("SSUBSCRIBE a").await, two(&["ssubscribe", "a", ":1"]));
        assert_eq!(new.say("SUBSCRIBE a").await, three(&["subscribe", "a", ":1"]));
        assert_eq!(new.say("PSUBSCRIBE a*").await, three(&["psubscribe", "a*", ":2"]));
        assert_eq!(new.say("SSUBSCRIBE a").await, three(&["ssubscribe", "a", ":1"]));
        let mut third = world.client().await;
        assert_eq!(third.say("PUBLISH a hi").await, r":4\r\n");
        assert_eq!(third.say("SPUBLISH a ho").await, r":2\r\n");
        for (client, mark) in [(&mut old, '*'), (&mut new, '>')] {
            let mut heard = vec![next(client).await, next(client).await, next(client).await];
            heard.sort();
            let mut due = vec![
                parts(mark, &["message", "a", "hi"]),
                parts(mark, &["pmessage", "a*", "a", "hi"]),
                parts(mark, &["smessage", "a", "ho"]),
            ];
            due.sort();
            assert_eq!(heard, due);
        }
        assert_eq!(old.say("PING").await, two(&["pong", ""]));
        assert_eq!(new.say("PING").await, r"+PONG\r\n");
        assert!(old.say("GET k").await.starts_with("-ERR Can\\'t execute \\'get\\': only (P|S)SUBSCRIBE"));
        assert_eq!(new.say("GET k").await, r"_\r\n");
        assert_eq!(old.say("UNSUBSCRIBE").await, two(&["unsubscribe", "a", ":1"]));
        assert_eq!(old.say("PUNSUBSCRIBE").await, two(&["punsubscribe", "a*", ":0"]));
        assert_eq!(old.say("SUNSUBSCRIBE none").await, two(&["sunsubscribe", "none", ":1"]));
        assert_eq!(old.say("SUNSUBSCRIBE").await, two(&["sunsubscribe", "a", ":0"]));
        assert_eq!(old.say("UNSUBSCRIBE").await, r"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
        assert_eq!(old.say("GET k").await, r"$-1\r\n");
        silent(&mut new).await;
    });
}

#[test]
fn many_clients_are_one_subscription_and_count_as_many() {
    proxied(1, async |world: World| {
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(subscriber(&world, "SUBSCRIBE news").await);
        }
        clients.push(subscriber(&world, "PSUBSCRIBE n*").await);
        assert_eq!((held(&world, 0, "news"), held(&world, 1, "n*")), (1, 1));
        let mut asking = world.client().await;
        assert_eq!(asking.say("PUBLISH news x").await, r":6\r\n");
        assert_eq!(asking.say("PUBLISH nobody x").await, r":1\r\n");
        assert_eq!(asking.say("PUBLISH elsewhere x").await, r":0\r\n");
        assert_eq!(asking.say("PUBSUB NUMSUB news none").await, r"*4\r\n$4\r\nnews\r\n:5\r\n$4\r\nnone\r\n:0\r\n");
        assert_eq!(asking.say("PUBSUB CHANNELS").await, r"*1\r\n$4\r\nnews\r\n");
        assert_eq!(asking.say("PUBSUB NUMPAT").await, r":1\r\n");
        drop(clients.split_off(1));
        pass(ms(10)).await;
        assert_eq!((held(&world, 0, "news"), held(&world, 1, "n*")), (1, 0));
        assert_eq!(asking.say("PUBLISH news x").await, r":1\r\n");
        clients[0].say("UNSUBSCRIBE").await;
        pass(ms(10)).await;
        assert_eq!(held(&world, 0, "news"), 0, "nobody is left");
        assert_eq!(asking.say("PUBLISH news x").await, r":0\r\n");
        assert_eq!(asking.say("PUBSUB CHANNELS").await, r"*0\r\n");
        // One that somebody else has at the node counts too.
        let net = &world.net;
        let node = world.cluster.addr(owner(&world, "news"));
        let mut direct = Client::over(net.dial(&node).await.expect("a node"));
        direct.say("SUBSCRIBE news").await;
        let _again = subscriber(&world, "SUBSCRIBE news").await;
        assert_eq!(asking.say("PUBLISH news x").await, r":2\r\n");
        assert_eq!(asking.say("PUBSUB NUMSUB news").await, r"*2\r\n$4\r\nnews\r\n:2\r\n");
    });
}

#[test]
fn messages_stand_between_replies_and_never_inside() {
    for seed in seeds(4) {
        proxied(seed, async |world: World| {
            for (at, node) in world.cluster.primaries().into_iter().enumerate() {
                world.cluster.delay(node, ms(3 * at as u64));
            }
            let mut client = world.client().await;
            client.say("HELLO 3").await;
            for n in 0..30 {
                client.say(&format!("SET key:{n} {}", "v".repeat(1 + n * 40))).await;
            }
            client.say("SUBSCRIBE news").await;
            let mut random = slotway::demo::embedded::Random::new(seed);
            let (mut asked, mut published) = (0, 0);
            for _ in 0..60 {
                for _ in 0..random.below(20) {
                    client.tell(&format!("GET key:{}", asked % 30)).await;
                    asked += 1;
                }
                for _ in 0..random.below(4) {
                    world.cluster.publish(world.cluster.nodes()[0], "news", &published.to_string());
                    published += 1;
                }
                pass(ms(random.below(3))).await;
            }
            let (mut replies, mut messages) = (0, 0);
            while replies + messages < asked + published {
                let heard = next(&mut client).await;
                if heard.starts_with('>') {
                    assert_eq!(heard, three(&["message", "news", &messages.to_string()]));
                    messages += 1;
                } else {
                    assert_eq!(heard, bulk(&"v".repeat(1 + replies % 30 * 40)));
                    replies += 1;
                }
            }
            assert_eq!((replies, messages), (asked, published));
        });
    }
}

#[test]
fn a_subscribe_in_a_pipeline_keeps_its_place() {
    for seed in seeds(3) {
        proxied(seed, async |world: World| {
            for node in world.cluster.primaries() {
                world.cluster.delay(node, ms(1 + seed));
            }
            let mut client = world.client().await;
            client.say("HELLO 3").await;
            let lines = ["SET k 1", "SUBSCRIBE a b", "GET k", "SUBSCRIBE c", "UNSUBSCRIBE a", "GET k", "PUBLISH b x"];
            let all: Vec<u8> =
                lines.iter().flat_map(|line| frame(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())).collect();
            client.send(&all).await.expect("the proxy reads");
            for due in [
                r"+OK\r\n".to_owned(),
                three(&["subscribe", "a", ":1"]),
                three(&["subscribe", "b", ":2"]),
                bulk("1"),
                three(&["subscribe", "c", ":3"]),
                three(&["unsubscribe", "a", ":2"]),
                bulk("1"),
            ] {
                assert_eq!(next(&mut client).await, due);
            }
            let mut last = [next(&mut client).await, next(&mut client).await];
            last.sort();
            assert_eq!(last, [r":1\r\n".to_owned(), three(&["message", "b", "x"])]);
        });
    }
}

#[test]
fn keyspace_notifications_come_from_every_primary_and_others_only_once() {
    let options = Options { keyspace_events: true, ..Options::default() };
    proxied_with(
        1,
        options,
        |_| {},
        async |world: World| {
            let mut all = subscriber(&world, "PSUBSCRIBE *").await;
            let mut keys = subscriber(&world, "PSUBSCRIBE __keyevent@0__:set").await;
            let mut events = subscriber(&world, "SUBSCRIBE __keyevent@0__:set").await;
            let mut other = world.client().await;
            for key in world.keys() {
                other.say(&format!("SET {key} 1")).await;
                let channel = "__keyevent@0__:set";
                assert_eq!(next(&mut keys).await, two(&["pmessage", channel, channel, &key]));
                assert_eq!(next(&mut events).await, two(&["message", channel, &key]));
                let mut heard = [next(&mut all).await, next(&mut all).await];
                heard.sort();
                let space = two(&["pmessage", "*", &format!("__keyspace@0__:{key}"), "set"]);
                let mut due = [two(&["pmessage", "*", channel, &key]), space];
                due.sort();
                assert_eq!(heard, due);
            }
            for n in 0..20 {
                assert_eq!(other.say(&format!("PUBLISH channel:{n} x")).await, r":1\r\n");
                assert_eq!(next(&mut all).await, two(&["pmessage", "*", &format!("channel:{n}"), "x"]));
            }
            for client in [&mut all, &mut keys, &mut events] {
                silent(client).await;
            }
            assert_eq!(other.say("PUBSUB NUMPAT").await, r":2\r\n");
            assert_eq!(
                other.say("PUBSUB NUMSUB __keyevent@0__:set").await,
                format!(r"*2\r\n{}:1\r\n", bulk("__keyevent@0__:set"))
            );
            // A replica that takes over tells of its keys, and the old primary no more.
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            world.cluster.failover(world.cluster.siblings(node)[0]);
            pass(ms(12_000)).await;
            other.say(&format!("SET {key} 2")).await;
            assert_eq!(next(&mut events).await, two(&["message", "__keyevent@0__:set", &key]));
            silent(&mut events).await;
        },
    );
}

#[test]
fn a_slow_subscriber_is_closed_and_counted_and_others_are_not() {
    let tight = |config: &mut Config| config.client.max_subscriber_bytes = 200_000;
    proxied_with(1, Options::default(), tight, async |world: World| {
        let mut slow = subscriber(&world, "SUBSCRIBE a").await;
        let mut quick = subscriber(&world, "SUBSCRIBE a").await;
        let text = "m".repeat(1000);
        for _ in 0..600 {
            world.cluster.publish(owner(&world, "a"), "a", &text);
            assert_eq!(next(&mut quick).await, two(&["message", "a", &text]));
        }
        assert_eq!(world.counted("slow_subscribers").await, 1);
        let got = slow.rest().await.len();
        assert!(got < 300_000, "it was cut off, after {got} bytes");
        let mut other = world.client().await;
        assert_eq!(other.say("PUBLISH a x").await, r":1\r\n");
    });
}

#[test]
fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    for seed in seeds(2) {
        proxied(seed, async |mut world: World| {
            for node in world.cluster.primaries() {
                world.cluster.delay(node, ms(10));
            }
            let mut staying = subscriber(&world, "SUBSCRIBE shared").await;
            for _ in 0..60 {
                let mut client = world.client().await;
                client.tell("SUBSCRIBE shared x y z").await;
                client.tell("SSUBSCRIBE s").await;
                client.tell("PSUBSCRIBE *").await;
                pass(ms(world.random.below(60))).await;
                drop(client);
                pass(ms(world.random.below(5))).await;
                // The next one in its place hears nothing that it did not ask for.
                let mut plain = world.client().await;
                world.cluster.publish(world.cluster.nodes()[1], "x", "stray");
                assert_eq!(plain.say("PING").await, r"+PONG\r\n");
            }
            pass(ms(100)).await;
            for (kind, name) in [(0, "x"), (0, "y"), (0, "z"), (1, "*"), (2, "s")] {
                assert_eq!(held(&world, kind, name), 0, "{name}");
            }
            world.cluster.publish(world.cluster.nodes()[1], "shared", "still");
            assert_eq!(next(&mut staying).await, two(&["message", "shared", "still"]));
        });
    }
}

#[test]
fn a_subscribe_that_no_node_confirms_is_refused_and_undone() {
    proxied(1, async |world: World| {
        let mut client = world.client().await;
        world.cluster.pause(owner(&world, "a"));
        let told = client.say("SUBSCRIBE a").await;
        assert!(told.starts_with("-PROXYUNSENT not subscribed"), "{told}");
        assert_eq!(client.say("PING").await, r"+PONG\r\n", "no subscriber");
        world.cluster.resume(owner(&world, "a"));
        let node = owner(&world, "b");
        world.cluster.script(node, Script::refuse(&b"-NOPERM this user has no permissions\r\n"[..]).on("subscribe"));
        assert_eq!(client.say("SUBSCRIBE b").await, r"-NOPERM this user has no permissions\r\n");
        assert_eq!(client.say("PING").await, r"+PONG\r\n");
        assert_eq!(client.say("SUBSCRIBE b").await, two(&["subscribe", "b", ":1"]));
    });
}

#[test]
fn silence_does_not_end_a_subscriber_but_reset_quit_and_a_drain_do() {
    let idle = |config: &mut Config| config.client.idle_timeout = ms(2000);
    drained(1, idle, async |world: World, shutdown| {
        let mut client = subscriber(&world, "SUBSCRIBE a").await;
        let mut silent = world.client().await;
        pass(ms(10_000)).await;
        assert_eq!(silent.hear().await, "(unexpected end of file)");
        world.cluster.publish(world.cluster.nodes()[0], "a", "x");
        assert_eq!(next(&mut client).await, two(&["message", "a", "x"]));
        assert_eq!(client.say("RESET").await, r"+RESET\r\n");
        assert_eq!(client.say("GET k").await, r"$-1\r\n");
        assert_eq!(client.say("SUBSCRIBE a").await, two(&["subscribe", "a", ":1"]));
        let mut second = subscriber(&world, "SUBSCRIBE a").await;
        assert_eq!(second.say("QUIT").await, r"+OK\r\n");
        assert_eq!(second.hear().await, "(unexpected end of file)");
        let begun = tokio::time::Instant::now();
        shutdown.begin();
        assert_eq!(client.hear().await, "(unexpected end of file)");
        assert!((ms(20_000)..ms(21_000)).contains(&begun.elapsed()), "when the time is up");
    });
}
