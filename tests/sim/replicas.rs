//! Reads that go to replicas: to whom under each setting, and that neither failures nor failovers are seen by them.

use std::collections::BTreeSet;

use slotway::backend::ReadFrom;
use slotway::demo::embedded::{NodeId, Options, Script, slot};
use tokio::time::Instant;

use crate::net::{Dialing, End, Plan, Way};
use crate::proxy::{bulk, ms, pass, proxied_with};
use crate::world::{World, seeds};

/// Runs a scenario with two replicas a primary; slots of other primaries go on when one is lost.
fn reading(seed: u64, from: ReadFrom, scenario: impl AsyncFnOnce(World)) {
    let options = Options { replicas: 2, full_coverage: false, ..Options::default() };
    proxied_with(seed, options, |config| config.client.read_from = from, scenario);
}

/// A shard: its primary, its replicas, a key in it.
fn shard(world: &World) -> (NodeId, Vec<NodeId>, String) {
    let primary = world.cluster.primaries()[0];
    (primary, world.cluster.siblings(primary), world.key_of(primary, 0))
}

/// Which nodes ran a command since the last look.
fn ran_at(world: &World, command: &str) -> BTreeSet<NodeId> {
    let log = world.cluster.take_log();
    let is_it =
        |seen: &&slotway::demo::embedded::Seen| seen.ran && seen.args[0].eq_ignore_ascii_case(command.as_bytes());
    log.iter().filter(is_it).map(|seen| seen.node).collect()
}

#[test]
fn reads_go_where_the_setting_says() {
    for from in [ReadFrom::Primary, ReadFrom::PreferPrimary, ReadFrom::PreferReplica, ReadFrom::Replica, ReadFrom::Any]
    {
        reading(1, from, async |world: World| {
            let (primary, replicas, key) = shard(&world);
            let mut clients = Vec::new();
            for _ in 0..12 {
                clients.push(world.client().await);
            }
            clients[0].say(&format!("SET {key} 1")).await;
            world.cluster.log(1000);
            for client in &mut clients {
                assert_eq!(client.say(&format!("GET {key}")).await, bulk("1"));
            }
            let mut expected: BTreeSet<NodeId> = replicas.iter().copied().collect();
            match from {
                ReadFrom::Primary | ReadFrom::PreferPrimary => expected = BTreeSet::from([primary]),
                ReadFrom::PreferReplica | ReadFrom::Replica => {}
                ReadFrom::Any => drop(expected.insert(primary)),
            }
            assert_eq!(ran_at(&world, "GET"), expected, "{from:?}");
            let mut resp3 = world.client().await;
            resp3.say("HELLO 3").await;
            assert_eq!(resp3.say(&format!("GET {key}")).await, bulk("1"));
            assert!(ran_at(&world, "GET").is_subset(&expected), "{from:?}");
            let told = resp3.say(&format!("PROXY EXPLAIN GET {key}")).await;
            for node in world.cluster.nodes() {
                let addr = world.cluster.addr(node).to_string();
                assert_eq!(told.contains(&addr), expected.contains(&node), "{from:?}, {addr}: {told}");
            }
            let told = resp3.say(&format!("PROXY EXPLAIN SET {key} 1")).await;
            assert!(told.contains(&world.cluster.addr(primary).to_string()), "{told}");
        });
    }
}

#[test]
fn a_client_sees_one_replicas_view_of_a_key() {
    reading(1, ReadFrom::PreferReplica, async |world: World| {
        let (_, _, key) = shard(&world);
        world.cluster.log(1000);
        let mut asked = BTreeSet::new();
        for _ in 0..4 {
            let mut client = world.client().await;
            for _ in 0..20 {
                client.say(&format!("GET {key}")).await;
            }
            let one = ran_at(&world, "GET");
            assert_eq!(one.len(), 1, "{one:?}");
            asked.extend(one);
        }
        assert_eq!(asked.len(), 2, "clients spread");
        let mut client = world.client().await;
        for n in 0..50 {
            client.say(&format!("GET {{{key}}}{n}")).await;
        }
        assert_eq!(ran_at(&world, "GET").len(), 1, "keys of one slot are read together");
        for n in 0..50 {
            client.say(&format!("GET {n}")).await;
        }
        assert_eq!(ran_at(&world, "GET").len(), 6, "the slots of one client spread");
    });
}

#[test]
fn what_only_primaries_can_answer_goes_to_them() {
    reading(1, ReadFrom::PreferReplica, async |world: World| {
        let (_, _, key) = shard(&world);
        let primaries: BTreeSet<NodeId> = world.cluster.primaries().into_iter().collect();
        let mut client = world.client().await;
        world.cluster.log(1000);
        let hash = format!("{{{key}}}hash");
        for line in [
            format!("SET {key} 1"),
            format!("HSET {hash} f v"),
            format!("HSCAN {hash} 0"),
            format!("TOUCH {key} other"),
            format!("BLPOP {{{key}}}none 0.01"),
            format!("GETEX {key}"),
            "DBSIZE".to_owned(),
            "KEYS *".to_owned(),
            "SCAN 0".to_owned(),
        ] {
            let reply = client.say(&line).await;
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        let quiet = ["readonly", "role", "cluster", "info", "client", "ping", "hello"];
        let asked = world.cluster.take_log().into_iter().filter(|seen| {
            let name = String::from_utf8_lossy(&seen.args[0]).to_ascii_lowercase();
            !quiet.contains(&name.as_str())
        });
        let asked: BTreeSet<NodeId> = asked.map(|seen| seen.node).collect();
        assert_eq!(asked, primaries);
        for (line, reply) in [
            ("MULTI".to_owned(), r"+OK\r\n".to_owned()),
            (format!("GET {key}"), r"+QUEUED\r\n".to_owned()),
            ("EXEC".to_owned(), r"*1\r\n$1\r\n1\r\n".to_owned()),
            (format!("WATCH {key}"), r"+OK\r\n".to_owned()),
            (format!("GET {key}"), bulk("1")),
            ("UNWATCH".to_owned(), r"+OK\r\n".to_owned()),
        ] {
            assert_eq!(client.say(&line).await, reply, "{line}");
        }
        assert!(ran_at(&world, "GET").is_subset(&primaries), "neither in a transaction nor while keys are watched");
        let keys = world.keys().join(" ");
        client.say(&format!("MGET {keys}")).await;
        client.say(&format!("EXISTS {keys}")).await;
        let log = world.cluster.take_log();
        let split: Vec<_> = log.iter().filter(|seen| seen.args[0] == b"MGET" || seen.args[0] == b"EXISTS").collect();
        assert!(split.len() == 6 && split.iter().all(|seen| seen.ran && !primaries.contains(&seen.node)), "{split:?}");
    });
}

#[test]
fn a_client_chooses_with_readonly_and_readwrite() {
    reading(1, ReadFrom::Primary, async |world: World| {
        let (primary, _, key) = shard(&world);
        let (mut client, mut other) = (world.client().await, world.client().await);
        world.cluster.log(1000);
        let get = format!("GET {key}");
        for (before, is_at_replica) in
            [("PING", false), ("READONLY", true), ("READWRITE", false), ("READONLY", true), ("RESET", false)]
        {
            client.say(before).await;
            client.say(&get).await;
            let at = ran_at(&world, "GET");
            assert_eq!(at.len(), 1);
            assert_eq!(!at.contains(&primary), is_at_replica, "after {before}");
            other.say(&get).await;
            assert_eq!(ran_at(&world, "GET"), BTreeSet::from([primary]), "others are not concerned");
        }
        client.say("READONLY").await;
        let info = client.say("CLIENT INFO").await;
        assert!(info.contains("flags=r "), "{info}");
        assert_eq!(world.counted("connected_clients").await, 3);
    });
}

/// The network between proxy and nodes takes its time; replicas are slower still.
fn slow(world: &World) {
    for node in world.cluster.nodes() {
        let most = if world.cluster.primaries().contains(&node) { ms(1) } else { ms(9) };
        let way = Way { fragment: 0, delay: most, end: None };
        world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
    }
}

#[test]
fn a_read_never_tells_of_a_later_write() {
    for seed in seeds(20) {
        for from in [ReadFrom::PreferReplica, ReadFrom::Any, ReadFrom::Replica, ReadFrom::PreferPrimary] {
            reading(seed, from, async |mut world: World| {
                slow(&world);
                let (primary, replicas, key) = shard(&world);
                let mut client = world.client().await;
                let (mut sent, mut last) = (0, 0);
                for round in 0..30 {
                    let mut told = Vec::new();
                    for _ in 0..=world.random.below(8) {
                        sent += 1;
                        client.tell(&format!("SET {key} {sent}")).await;
                        let words =
                            if world.random.one_in(4) { format!("MGET {key} x y") } else { format!("GET {key}") };
                        client.tell(&words).await;
                        told.push(sent);
                    }
                    match round % 10 {
                        3 => world.cluster.failover(replicas[0]),
                        5 => drop(world.cluster.cut_connections(replicas[1])),
                        7 => world.cluster.failover(primary),
                        _ => {}
                    }
                    for set in told {
                        assert_eq!(client.hear().await, r"+OK\r\n", "SET {set}");
                        let reply = client.hear().await;
                        let text = reply.trim_start_matches(r"*3\r\n").split(r"\r\n").nth(1).unwrap_or_default();
                        let value: u64 = if text.is_empty() { 0 } else { text.parse().expect("a number") };
                        assert!((last..=set).contains(&value), "{value} behind SET {set} after {last}: {reply}");
                        last = value;
                    }
                }
                pass(ms(100)).await;
                assert_eq!(client.say(&format!("GET {key}")).await, bulk(&sent.to_string()));
            });
        }
    }
}

/// Reads one key over and over through several clients while `trouble` happens: each reply is right, none is late.
async fn reads_on(world: &World, key: &str, most: u64, trouble: impl AsyncFnOnce(&World)) -> u64 {
    let until = std::rc::Rc::new(std::cell::Cell::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (until, key, front, net) = (until.clone(), key.to_owned(), world.front.clone(), world.net.clone());
            tokio::task::spawn_local(async move {
                let mut client = crate::client::Client::over(net.dial(&front).await.expect("the proxy listens"));
                let (mut count, mut slowest) = (0_u64, ms(0));
                while !until.get() {
                    let begun = Instant::now();
                    for _ in 0..3 {
                        client.tell(&format!("GET {key}")).await;
                    }
                    for _ in 0..3 {
                        assert_eq!(client.hear().await, bulk("right"));
                    }
                    slowest = slowest.max(begun.elapsed());
                    count += 3;
                    pass(ms(2)).await;
                }
                (count, slowest)
            })
        })
        .collect();
    trouble(world).await;
    until.set(true);
    let mut all = 0;
    for reader in readers {
        let (count, slowest) = match reader.await {
            Ok(outcome) => outcome,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        assert!(slowest <= ms(most), "a read took {slowest:?}");
        all += count;
    }
    all
}

async fn set_right(world: &World, key: &str) {
    assert_eq!(world.client().await.say(&format!("SET {key} right")).await, r"+OK\r\n");
}

#[test]
fn replicas_that_die_are_not_missed() {
    for from in [ReadFrom::PreferReplica, ReadFrom::Any, ReadFrom::Replica] {
        reading(1, from, async |world: World| {
            let (_, replicas, key) = shard(&world);
            set_right(&world, &key).await;
            let (first, second) = (replicas[0], replicas[1]);
            let count = reads_on(&world, &key, 10, async |world: &World| {
                pass(ms(300)).await;
                for _ in 0..3 {
                    for victim in [first, second] {
                        world.cluster.kill(victim);
                        pass(ms(3000)).await;
                        world.cluster.revive(victim);
                        pass(ms(3000)).await;
                    }
                }
                world.cluster.log(1000);
                pass(ms(500)).await;
                let asked = ran_at(world, "GET");
                assert!(asked.contains(&first) && asked.contains(&second), "those that are back are asked: {asked:?}");
            });
            assert!(count.await > 10_000);
        });
    }
}

#[test]
fn without_replicas_the_primary_answers_or_nobody() {
    for from in [ReadFrom::PreferReplica, ReadFrom::Any, ReadFrom::Replica] {
        reading(1, from, async |world: World| {
            let (_, replicas, key) = shard(&world);
            set_right(&world, &key).await;
            let mut client = world.client().await;
            client.say(&format!("GET {key}")).await;
            replicas.iter().for_each(|&replica| world.cluster.kill(replica));
            pass(ms(500)).await;
            let begun = Instant::now();
            let reply = client.say(&format!("GET {key}")).await;
            if from == ReadFrom::Replica {
                assert!(reply.starts_with("-PROXYUNSENT"), "{reply}");
                assert!(begun.elapsed() <= ms(2020), "{:?}", begun.elapsed());
            } else {
                assert_eq!(reply, bulk("right"));
                assert!(begun.elapsed() <= ms(5), "{:?}", begun.elapsed());
            }
            replicas.iter().for_each(|&replica| world.cluster.revive(replica));
            pass(ms(1500)).await;
            client.say(&format!("GET {key}")).await;
            pass(ms(100)).await;
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("right"));
        });
    }
    let options = Options { replicas: 0, ..Options::default() };
    proxied_with(
        1,
        options,
        |config| config.client.read_from = ReadFrom::Replica,
        async |world: World| {
            let begun = Instant::now();
            let reply = world.client().await.say("GET k").await;
            assert!(reply.starts_with("-PROXYUNSENT not executed: the slot has no replica"), "{reply}");
            assert!(begun.elapsed() <= ms(2020), "{:?}", begun.elapsed());
        },
    );
}

#[test]
fn reads_outlive_their_primary() {
    for seed in seeds(5) {
        for from in [ReadFrom::PreferReplica, ReadFrom::Any, ReadFrom::PreferPrimary, ReadFrom::Replica] {
            reading(seed, from, async |mut world: World| {
                let (primary, replicas, key) = shard(&world);
                set_right(&world, &key).await;
                let election = ms(2500 + world.random.below(3000));
                reads_on(&world, &key, 30, async |world: &World| {
                    pass(ms(300)).await;
                    world.cluster.kill(primary);
                    pass(election).await;
                    world.cluster.failover(replicas[0]);
                    pass(ms(2000)).await;
                    world.cluster.revive(primary);
                    pass(ms(2000)).await;
                    world.cluster.failover(primary);
                    pass(ms(1000)).await;
                })
                .await;
                set_right(&world, &key).await;
            });
        }
    }
}

#[test]
fn a_cluster_that_is_down_is_waited_for() {
    // All slots have to be served for any to be: replicas answer CLUSTERDOWN until one of them is elected.
    let options = Options { replicas: 2, ..Options::default() };
    proxied_with(
        1,
        options,
        |config| config.client.read_from = ReadFrom::PreferReplica,
        async |world: World| {
            let (primary, replicas, key) = shard(&world);
            set_right(&world, &key).await;
            reads_on(&world, &key, 1100, async |world: &World| {
                pass(ms(300)).await;
                world.cluster.kill(primary);
                pass(ms(2000)).await;
                world.cluster.declare_failed(primary);
                pass(ms(1000)).await;
                world.cluster.failover(replicas[1]);
                pass(ms(2000)).await;
            })
            .await;
        },
    );
}

#[test]
fn a_replica_that_cannot_answer_now_is_left_alone() {
    for refusal in [
        "-LOADING Redis is loading\r\n",
        "-MASTERDOWN Link with MASTER is down\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
    ] {
        reading(1, ReadFrom::PreferReplica, async |world: World| {
            let (_, replicas, key) = shard(&world);
            set_right(&world, &key).await;
            for &replica in &replicas {
                world.cluster.script(replica, Script::refuse(refusal).on("GET").times(1000));
            }
            reads_on(&world, &key, 5, async |_: &World| pass(ms(1000)).await).await;
            let refused = 2000 - replicas.iter().map(|&replica| world.cluster.times_left(replica)).sum::<usize>();
            assert!((2..60).contains(&refused), "{refused} times {refusal}");
        });
        // Only replicas may answer: it is waited for, and then told.
        reading(1, ReadFrom::Replica, async |world: World| {
            let (_, replicas, key) = shard(&world);
            set_right(&world, &key).await;
            let script = || Script::refuse(refusal).on("GET").times(1000);
            replicas.iter().for_each(|&replica| world.cluster.script(replica, script()));
            let begun = Instant::now();
            let mut client = world.client().await;
            client.tell(&format!("GET {key}")).await;
            assert_eq!(client.hear().await, refusal.as_bytes().escape_ascii().to_string());
            assert!(begun.elapsed() >= ms(1900) && begun.elapsed() <= ms(2020), "{:?}", begun.elapsed());
        });
    }
}

#[test]
fn a_replica_that_hangs_costs_half_of_the_time() {
    reading(1, ReadFrom::PreferReplica, async |world: World| {
        let (_, replicas, key) = shard(&world);
        set_right(&world, &key).await;
        reads_on(&world, &key, 1020, async |world: &World| {
            pass(ms(300)).await;
            world.cluster.pause(replicas[0]);
            pass(ms(5000)).await;
            world.cluster.resume(replicas[0]);
            pass(ms(3000)).await;
        })
        .await;
        assert_eq!(world.counted("unasked_replies").await, 0);
    });
    for dialing in [Dialing::Unanswered, Dialing::Refused, Dialing::Late(ms(5000))] {
        reading(1, ReadFrom::PreferReplica, async |world: World| {
            let (_, replicas, key) = shard(&world);
            set_right(&world, &key).await;
            replicas.iter().for_each(|&node| world.net.plan(&world.cluster.addr(node), Plan::dialing(dialing)));
            reads_on(&world, &key, 1020, async |_: &World| pass(ms(6000)).await).await;
        });
    }
}

#[test]
fn a_replica_that_does_not_hear_its_primary_is_read_from_last() {
    reading(1, ReadFrom::PreferReplica, async |world: World| {
        let (primary, replicas, key) = shard(&world);
        set_right(&world, &key).await;
        reads_on(&world, &key, 10, async |world: &World| {
            pass(ms(300)).await;
            world.cluster.unlink(replicas[0], true);
            pass(ms(1500)).await;
            world.cluster.log(1000);
            pass(ms(300)).await;
            assert_eq!(ran_at(world, "GET"), BTreeSet::from([replicas[1]]));
            world.cluster.unlink(replicas[1], true);
            pass(ms(1500)).await;
            drop(world.cluster.take_log());
            pass(ms(300)).await;
            assert_eq!(ran_at(world, "GET"), BTreeSet::from([primary]));
            world.cluster.kill(primary);
            pass(ms(1500)).await;
            drop(world.cluster.take_log());
            pass(ms(300)).await;
            assert_eq!(ran_at(world, "GET").len(), 2, "old data are better than none");
            world.cluster.revive(primary);
            replicas.iter().for_each(|&replica| world.cluster.unlink(replica, false));
            pass(ms(1500)).await;
            drop(world.cluster.take_log());
            pass(ms(300)).await;
            assert_eq!(ran_at(world, "GET"), replicas.iter().copied().collect());
        })
        .await;
    });
}

#[test]
fn slots_that_move_are_read_where_they_are() {
    for seed in seeds(5) {
        reading(seed, ReadFrom::PreferReplica, async |world: World| {
            let (primary, _, key) = shard(&world);
            let other = world.cluster.primaries()[1];
            set_right(&world, &key).await;
            reads_on(&world, &key, 30, async |world: &World| {
                for _ in 0..5 {
                    for to in [other, primary] {
                        pass(ms(300)).await;
                        world.cluster.move_slot(slot(key.as_bytes()), to);
                    }
                }
                pass(ms(500)).await;
                world.cluster.log(1000);
                pass(ms(100)).await;
                assert!(!ran_at(world, "GET").contains(&primary), "from replicas again");
            })
            .await;
        });
    }
}

#[test]
fn connections_to_replicas_may_break_at_any_byte() {
    for after in 0..90 {
        for end in [End::Reset, End::HalfClose, End::Blackhole] {
            for reads in [true, false] {
                reading(1, ReadFrom::PreferReplica, async |world: World| {
                    let (_, replicas, key) = shard(&world);
                    set_right(&world, &key).await;
                    let way = Way { end: Some((after, end)), ..Way::default() };
                    let plan = if reads { Plan::reading(way) } else { Plan::writing(way) };
                    for &replica in &replicas {
                        world.net.plan_once(&world.cluster.addr(replica), plan);
                    }
                    reads_on(&world, &key, 1020, async |_: &World| pass(ms(20)).await).await;
                });
            }
        }
    }
}
