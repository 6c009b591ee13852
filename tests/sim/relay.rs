//! The network itself, tried with the simplest thing that can stand in front: a relay to the first node.

use std::time::Duration;

use slotway::demo::embedded::Options;
use slotway::net::Addr;

use crate::client::{Client, frame};
use crate::net::{Dialing, End, Plan, Way};
use crate::world::{Stage, World, seeds, world};

/// Passes bytes between every client and the first node.
async fn relay(stage: Stage) -> Addr {
    let mut listener = stage.net.listen(&stage.listen).expect("a free address");
    let front = listener.local_addr();
    tokio::task::spawn_local(async move {
        while let Ok(client) = listener.accept().await {
            let (net, node) = (stage.net.clone(), stage.seeds[0].clone());
            tokio::task::spawn_local(async move {
                let (mut client, _) = client.into_stream().expect("a stream in memory");
                if let Ok(mut node) = net.connect(&node).await {
                    // Either side may end it in any way.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
                }
            });
        }
    });
    front
}

fn one_node() -> Options {
    Options { primaries: 1, replicas: 0, ..Options::default() }
}

fn node(world: &World) -> Addr {
    world.cluster.addr(world.cluster.nodes()[0])
}

/// Sends many requests at once and expects their replies in order.
async fn converse(client: &mut Client, rounds: usize) {
    let value = "v".repeat(300);
    for round in 0..rounds {
        let key = format!("k{round}");
        let mut requests = frame(&[b"SET", key.as_bytes(), value.as_bytes()]);
        requests.extend(frame(&[b"GET", key.as_bytes()]));
        requests.extend(frame(&[b"ECHO", b""]));
        client.send(&requests).await.expect("the relay reads");
        assert_eq!(client.reply().await.expect("a reply"), b"+OK\r\n");
        assert_eq!(client.reply().await.expect("a reply"), format!("$300\r\n{value}\r\n").as_bytes());
        assert_eq!(client.reply().await.expect("a reply"), b"$0\r\n\r\n");
    }
}

#[test]
fn bytes_arrive_whole_in_whatever_pieces() {
    for seed in seeds(5) {
        for most in [0, 1, 7, 4096] {
            world(seed, one_node(), relay, async |world| {
                world.net.plan(&node(&world), Plan::fragments(most));
                world.net.plan(&world.front, Plan::fragments(most));
                converse(&mut world.client().await, 5).await;
            });
        }
    }
}

#[test]
fn a_delay_takes_time_and_nothing_else() {
    world(1, one_node(), relay, async |world| {
        let slow = Way { delay: Duration::from_millis(100), ..Way::default() };
        world.net.plan(&node(&world), Plan::reading(slow));
        let start = tokio::time::Instant::now();
        converse(&mut world.client().await, 20).await;
        let took = start.elapsed();
        assert!(took > Duration::from_millis(200) && took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn connects_are_refused_late_or_never_answered() {
    world(1, one_node(), relay, async |world| {
        let node = node(&world);
        world.net.plan_once(&node, Plan::dialing(Dialing::Refused));
        assert_eq!(world.client().await.say("PING").await, "(unexpected end of file)");
        let start = tokio::time::Instant::now();
        world.net.plan_once(&node, Plan::dialing(Dialing::Late(Duration::from_secs(3))));
        assert_eq!(world.client().await.say("PING").await, r"+PONG\r\n");
        assert_eq!(start.elapsed().as_secs(), 3);
        world.net.plan_once(&node, Plan::dialing(Dialing::Unanswered));
        let mut client = world.client().await;
        tokio::time::timeout(Duration::from_mins(1), client.say("PING")).await.expect_err("no answer, ever");
        assert_eq!(world.client().await.say("PING").await, r"+PONG\r\n");
    });
}

#[test]
fn connections_end_where_the_plan_says() {
    for after in [0, 1, 4, 5, 6, 7] {
        for end in [End::Reset, End::HalfClose] {
            world(after as u64, one_node(), relay, async |world| {
                let way = Way { end: Some((after, end)), ..Way::default() };
                world.net.plan(&node(&world), Plan::reading(way));
                let mut client = world.client().await;
                client.send(&frame(&[b"PING"])).await.expect("the relay reads");
                let rest = client.rest().await;
                assert_eq!(rest, b"+PONG\r\n"[..after.min(rest.len())], "{end:?} after {after}");
                assert!(matches!(end, End::Reset) || rest.len() == after, "a half-close loses nothing");
            });
        }
    }
}

#[test]
fn what_is_swallowed_never_arrives_and_nobody_is_told() {
    world(1, one_node(), relay, async |world| {
        world.cluster.log(10);
        let whole = frame(&[b"SET", b"a", b"1"]).len();
        let way = Way { end: Some((whole, End::Blackhole)), ..Way::default() };
        world.net.plan(&node(&world), Plan::writing(way));
        let mut client = world.client().await;
        assert_eq!(client.say("SET a 1").await, r"+OK\r\n");
        tokio::time::timeout(Duration::from_mins(1), client.say("SET a 2")).await.expect_err("no answer, ever");
        assert_eq!(world.cluster.take_log().len(), 1);
    });
}

#[test]
fn a_write_cut_in_the_middle_reaches_the_node_in_part() {
    world(1, one_node(), relay, async |world| {
        world.cluster.log(10);
        let way = Way { end: Some((10, End::Reset)), ..Way::default() };
        world.net.plan_once(&node(&world), Plan::writing(way));
        assert_eq!(world.client().await.say("SET a 1").await, "(unexpected end of file)");
        assert!(world.cluster.take_log().is_empty());
        assert_eq!(world.client().await.say("GET a").await, r"$-1\r\n");
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed: u64| {
        let trace = std::cell::RefCell::new(Vec::new());
        world(seed, one_node(), relay, async |mut world| {
            world.cluster.log(1000);
            let way = Way { fragment: 5, delay: Duration::from_millis(20), end: None };
            world.net.plan(&node(&world), Plan { read: way, write: way, ..Plan::default() });
            let mut client = world.client().await;
            for _ in 0..20 {
                let word = ["SADD s a b c d e f g", "SPOP s", "RANDOMKEY", "INCR n"];
                client.say(world.random.pick(&word).expect("one of four")).await;
            }
            trace.replace(world.cluster.take_log());
        });
        trace.into_inner()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn framing_that_is_not_canonical_fails_a_scenario() {
    let failed = std::panic::catch_unwind(|| {
        world(1, one_node(), relay, async |world| {
            world.client().await.send(b"PING\r\n").await.expect("the relay reads");
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
    });
    let panic = failed.expect_err("the scenario fails");
    assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("not canonical")));
}

#[test]
fn a_failure_names_its_seed() {
    let failed = std::panic::catch_unwind(|| {
        world(4711, one_node(), relay, async |world| {
            assert_eq!(world.client().await.say("PING").await, "something else");
        });
    });
    let panic = failed.expect_err("the scenario fails");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.starts_with("seed 4711"), "{text}");
}
