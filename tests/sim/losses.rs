//! Nodes that die and connections that break: nothing runs twice, what is reported as not executed was not, and
//! a late reply is nobody's.

use slotway::demo::embedded::{NodeId, Script};
use tokio::time::Instant;

use crate::net::{Dialing, End, Plan, Way};
use crate::proxy::{bulk, ms, pass, proxied};
use crate::world::{World, seeds};

#[test]
fn a_planned_failover_is_not_seen() {
    for seed in seeds(10) {
        proxied(seed, async |world: World| {
            let keys = world.keys();
            let mut client = world.client().await;
            for round in 0..30 {
                if round % 10 == 5 {
                    let primary = world.cluster.primaries()[round / 10];
                    world.cluster.failover(world.cluster.siblings(primary)[0]);
                }
                for key in &keys {
                    client.tell(&format!("INCR {key}")).await;
                }
                for key in &keys {
                    assert_eq!(client.hear().await, format!(r":{}\r\n", round + 1), "{key}");
                }
                pass(ms(20)).await;
            }
        });
    }
}

#[test]
fn a_killed_primary_costs_only_what_was_under_way() {
    for seed in seeds(10) {
        proxied(seed, async |mut world: World| {
            let primary = world.cluster.primaries()[0];
            let key = world.key_of(primary, 0);
            let mut client = world.client().await;
            client.say(&format!("SET {key} 0")).await;
            world.cluster.kill(primary);
            let cluster = world.cluster.clone();
            let election = ms(world.random.below(1500));
            tokio::task::spawn_local(async move {
                pass(election).await;
                cluster.failover(cluster.siblings(primary)[0]);
            });
            let start = Instant::now();
            assert_eq!(client.say(&format!("INCR {key}")).await, r":1\r\n", "it waited for the election");
            let after = start.elapsed().saturating_sub(election);
            // A replica that was elected is noticed within the 20 ms at which it is asked for its role.
            assert!(after <= ms(30), "{after:?} after the election of {election:?}");
            world.cluster.revive(primary);
            pass(ms(500)).await;
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("1"));
        });
    }
}

#[test]
fn a_primary_that_stays_dead_costs_only_its_own_keys() {
    proxied(1, async |world: World| {
        let [dead, alive, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
        let (lost, kept) = (world.key_of(dead, 0), world.key_of(alive, 0));
        let mut client = world.client().await;
        client.say(&format!("MSET {lost} 1 {kept} 2")).await;
        world.cluster.kill(dead);
        let mut other = world.client().await;
        for _ in 0..3 {
            let start = Instant::now();
            client.tell(&format!("SET {lost} 3")).await;
            assert_eq!(other.say(&format!("GET {kept}")).await, bulk("2"));
            assert!(start.elapsed() <= ms(5), "the other shard is as fast as ever");
            let reply = client.hear().await;
            assert!(reply.starts_with("-PROXYUNSENT"), "{reply}");
            let took = start.elapsed();
            assert!(took >= ms(2000) && took <= ms(2020), "{took:?}");
        }
    });
}

/// How one counter fared.
fn check(reply: &str, ran: usize, what: &str) {
    match reply {
        r":1\r\n" => assert_eq!(ran, 1, "acknowledged: {what}"),
        text if text.starts_with("-PROXYUNKNOWN") => assert!(ran <= 1, "unknown, ran {ran} times: {what}"),
        text if text.starts_with("-PROXYUNSENT") => assert_eq!(ran, 0, "reported as unsent: {what}"),
        other => panic!("{other}: {what}"),
    }
}

/// Pipelines increments of one counter each over a connection that ends so, and checks how often each ran.
async fn cut_stream(world: World, plan: Plan, what: &str) {
    const COUNT: usize = 6;
    pass(ms(1000)).await;
    let node = world.cluster.primaries()[0];
    let tag = world.key_of(node, 0);
    world.net.plan_once(&world.cluster.addr(node), plan);
    world.cluster.log(1000);
    let mut client = world.client().await;
    for n in 0..COUNT {
        client.tell(&format!("INCR {{{tag}}}{n}")).await;
    }
    let mut replies = Vec::new();
    for _ in 0..COUNT {
        replies.push(client.hear().await);
    }
    pass(ms(5000)).await;
    let log = world.cluster.take_log();
    for (n, reply) in replies.iter().enumerate() {
        let key = format!("{{{tag}}}{n}");
        let ran = log.iter().filter(|seen| seen.ran && seen.args == [b"INCR".as_slice(), key.as_bytes()]).count();
        check(reply, ran, &format!("INCR {n} of a connection that {what}"));
    }
    // The connection may have been just long enough for the counters, and swallow one request more.
    let first = client.say(&format!("SET {tag} 1")).await;
    assert!(first == r"+OK\r\n" || first.starts_with("-PROXYUNKNOWN"), "{first} after {what}");
    assert_eq!(client.say(&format!("SET {tag} 2")).await, r"+OK\r\n", "it goes on after {what}");
}

#[test]
fn nothing_runs_twice_wherever_a_connection_is_cut() {
    let request = crate::client::frame(&[b"INCR", b"{key-0}0"]).len();
    for seed in seeds(1) {
        for after in 0..=6 * (request + 2) {
            for end in [End::Reset, End::HalfClose, End::Blackhole] {
                let way = Way { end: Some((after, end)), ..Way::default() };
                let what = format!("{end:?} after {after} bytes written");
                proxied(seed, async |world: World| cut_stream(world, Plan::writing(way), &what).await);
            }
        }
        for after in 0..=6 * 4 {
            for end in [End::Reset, End::HalfClose, End::Blackhole] {
                let way = Way { end: Some((after, end)), ..Way::default() };
                let what = format!("{end:?} after {after} bytes read");
                proxied(seed, async |world: World| cut_stream(world, Plan::reading(way), &what).await);
            }
        }
    }
}

#[test]
fn nothing_runs_twice_when_the_node_cuts() {
    for seed in seeds(1) {
        for bytes in 0..=4 {
            for script in [Script::cut_unrun().on("INCR"), Script::cut_after(bytes).on("INCR")] {
                proxied(seed, async |world: World| {
                    let node = world.cluster.primaries()[0];
                    let what = format!("{script:?}");
                    world.cluster.script(node, script);
                    cut_stream(world, Plan::default(), &what).await;
                });
            }
        }
    }
}

#[test]
fn what_never_left_is_reported_as_not_executed() {
    for dialing in [Dialing::Refused, Dialing::Unanswered, Dialing::Late(ms(5000))] {
        proxied(1, async |world: World| {
            pass(ms(1000)).await;
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            world.cluster.log(100);
            world.net.plan(&world.cluster.addr(node), Plan::dialing(dialing));
            let mut client = world.client().await;
            let start = Instant::now();
            let reply = client.say(&format!("SET {key} 1")).await;
            assert!(reply.starts_with("-PROXYUNSENT"), "{reply} when {dialing:?}");
            assert!(start.elapsed() >= ms(2000) && start.elapsed() <= ms(2020), "{:?}", start.elapsed());
            assert_eq!(world.ran(&["SET", &key, "1"]), 0);
            world.net.plan(&world.cluster.addr(node), Plan::default());
            assert_eq!(client.say(&format!("SET {key} 2")).await, r"+OK\r\n", "{dialing:?}");
        });
    }
}

/// A node that answers late.
async fn late(world: World, by_ms: u64) {
    let node = world.cluster.primaries()[0];
    let (slow, fast) = (world.key_of(node, 0), world.key_of(node, 1));
    let mut client = world.client().await;
    let mut other = world.client().await;
    client.say(&format!("SET {slow} slow")).await;
    client.say(&format!("SET {fast} fast")).await;
    world.cluster.script(node, Script::hold(ms(by_ms)).on("GET"));
    let start = Instant::now();
    client.tell(&format!("GET {slow}")).await;
    pass(ms(10)).await;
    other.tell(&format!("GET {fast}")).await;
    let reply = client.hear().await;
    assert!(reply.starts_with("-PROXYUNKNOWN"), "{reply}");
    assert!(start.elapsed() >= ms(2000) && start.elapsed() <= ms(2020), "{:?}", start.elapsed());
    let reply = other.hear().await;
    assert!(reply.starts_with("-PROXYUNKNOWN") || reply == bulk("fast"), "{reply}");
    assert!(start.elapsed() <= ms(2030), "{:?}", start.elapsed());
    let opened = world.cluster.counts(node).connections;
    // Through the time when the late reply comes, nobody hears anything that is not his.
    for n in 0..200 {
        assert_eq!(client.say(&format!("SET {{{fast}}}{n} v{n}")).await, r"+OK\r\n", "{by_ms} ms");
        assert_eq!(client.say(&format!("GET {{{fast}}}{n}")).await, bulk(&format!("v{n}")));
        assert_eq!(other.say(&format!("GET {slow}")).await, bulk("slow"));
        pass(ms(25)).await;
    }
    assert!(world.cluster.counts(node).connections > opened, "the connection of the late reply is not used again");
}

#[test]
fn a_late_reply_is_nobodys() {
    for seed in seeds(2) {
        for by_ms in [2001, 2100, 3000, 4500, 6500, 30_000] {
            proxied(seed, async |world: World| late(world, by_ms).await);
        }
    }
}

#[test]
fn a_connection_that_swallows_everything_is_given_up() {
    proxied(1, async |world: World| {
        pass(ms(1000)).await;
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let hole = Way { end: Some((0, End::Blackhole)), ..Way::default() };
        world.net.plan_once(&world.cluster.addr(node), Plan { read: hole, write: hole, ..Plan::default() });
        let mut client = world.client().await;
        let start = Instant::now();
        let mut failures = 0;
        while client.say(&format!("SET {key} 1")).await != r"+OK\r\n" {
            failures += 1;
            assert!(start.elapsed() < ms(10_000), "{failures} requests were swallowed");
        }
    });
}

#[test]
fn a_stopped_primary_costs_errors_at_the_deadline_and_nothing_later() {
    proxied(1, async |world: World| {
        let [stopped, alive, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
        let (key, far) = (world.key_of(stopped, 0), world.key_of(alive, 0));
        let mut client = world.client().await;
        client.say(&format!("MSET {key} 0 {far} far")).await;
        world.cluster.pause(stopped);
        let until = Instant::now() + ms(30_000);
        let mut other = world.client().await;
        while Instant::now() < until {
            let start = Instant::now();
            client.tell(&format!("INCR {key}")).await;
            assert_eq!(other.say(&format!("GET {far}")).await, bulk("far"));
            assert!(start.elapsed() <= ms(5));
            let reply = client.hear().await;
            assert!(reply.starts_with("-PROXYUN"), "{reply}");
            assert!(start.elapsed() <= ms(2020), "{:?}", start.elapsed());
            pass(ms(1)).await;
        }
        world.cluster.resume(stopped);
        pass(ms(1500)).await;
        assert_eq!(client.say(&format!("SET {key} here")).await, r"+OK\r\n");
        assert_eq!(client.say(&format!("GET {key}")).await, bulk("here"));
    });
}

#[test]
fn requests_wait_for_a_node_that_is_coming_back() {
    for seed in seeds(5) {
        proxied(seed, async |mut world: World| {
            let nodes: Vec<NodeId> = world.cluster.primaries();
            let keys = world.keys();
            let mut client = world.client().await;
            client.say(&format!("GET {}", keys[0])).await;
            world.cluster.kill(nodes[0]);
            let back = ms(world.random.below(1500));
            let cluster = world.cluster.clone();
            let first = nodes[0];
            tokio::task::spawn_local(async move {
                pass(back).await;
                cluster.revive(first);
            });
            let start = Instant::now();
            for n in 0..50 {
                client.tell(&format!("RPUSH {} {n}", keys[0])).await;
            }
            for n in 0..50 {
                assert_eq!(client.hear().await, format!(r":{}\r\n", n + 1));
            }
            assert!(start.elapsed() <= back + ms(1100), "{:?} for {back:?}", start.elapsed());
        });
    }
}

#[test]
fn a_node_that_stays_away_is_given_up_and_found_again() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let [dead, alive, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
            let (lost, kept) = (world.key_of(dead, 0), world.key_of(alive, 0));
            let mut client = world.client().await;
            client.say(&format!("MSET {lost} 1 {kept} 2")).await;
            world.cluster.kill(dead);
            let start = Instant::now();
            while start.elapsed() < ms(9_000) {
                assert!(client.say(&format!("INCR {lost}")).await.starts_with("-PROXYUN"));
            }
            pass(ms(1000)).await;
            // From now on nobody waits for the deadline; a try that is due is waited for.
            let mut slowest = ms(0);
            for _ in 0..100 {
                let start = Instant::now();
                let reply = client.say(&format!("INCR {lost}")).await;
                assert!(reply.starts_with("-PROXYUNSENT") && reply.contains("out of reach"), "{reply}");
                slowest = slowest.max(start.elapsed());
                pass(ms(30)).await;
            }
            assert!(slowest <= ms(50), "{slowest:?}");
            assert!(world.counted("failed_fast").await > 50);
            world.cluster.revive(dead);
            pass(ms(1100)).await;
            assert_eq!(client.say(&format!("GET {lost}")).await, bulk("1"), "the first request finds it again");
        });
    }
}

#[test]
fn a_stopped_node_is_sent_nothing_before_it_answers() {
    proxied(1, async |world: World| {
        let stopped = world.cluster.primaries()[0];
        let key = world.key_of(stopped, 0);
        let mut client = world.client().await;
        client.say(&format!("SET {key} 0")).await;
        world.cluster.pause(stopped);
        assert!(client.say(&format!("INCR {key}")).await.starts_with("-PROXYUNKNOWN"), "it had left");
        for _ in 0..3 {
            let reply = client.say(&format!("INCR {key}")).await;
            assert!(reply.starts_with("-PROXYUNSENT"), "the new connection is not trusted: {reply}");
        }
        world.cluster.resume(stopped);
        pass(ms(1500)).await;
        assert_eq!(client.say(&format!("INCR {key}")).await, r":2\r\n", "only the one that had left was run");
    });
}
