//! Transactions and WATCH: one piece on the way, through redirects and losses, and nothing left for the next client.

use slotway::demo::embedded::{Script, slot};

use crate::client::Client;
use crate::net::{End, Plan, Way};
use crate::proxy::{bulk, ms, pass, proxied};
use crate::world::{World, seeds};

const ABORTED: &str = r"-EXECABORT Transaction discarded because of previous errors.\r\n";

/// Pipelines requests, and gives the reply to each.
async fn all(client: &mut Client, lines: &[String]) -> Vec<String> {
    for line in lines {
        client.tell(line).await;
    }
    let mut replies = Vec::new();
    for _ in lines {
        replies.push(client.hear().await);
    }
    replies
}

fn lines(text: &str, key: &str) -> Vec<String> {
    text.split("; ").map(|line| line.replace('@', key)).collect()
}

#[test]
fn a_transaction_keeps_its_place_in_a_pipeline() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let key = world.key_of(world.cluster.primaries()[0], 0);
            let other = world.key_of(world.cluster.primaries()[1], 0);
            let mut client = world.client().await;
            let text =
                format!("SET @ 1; MULTI; INCR @; PING; GET @; EXEC; INCR @; SET {other} x; MULTI; GET {other}; EXEC");
            for _ in 0..20 {
                let replies = all(&mut client, &lines(&text, &key)).await;
                let (ok, queued) = (r"+OK\r\n", r"+QUEUED\r\n");
                let exec = format!(r"*3\r\n:2\r\n+PONG\r\n{}", bulk("2"));
                let last = format!(r"*1\r\n{}", bulk("x"));
                let expected =
                    [ok, ok, queued, queued, queued, exec.as_str(), r":3\r\n", ok, ok, queued, last.as_str()];
                assert_eq!(replies, expected);
            }
        });
    }
}

#[test]
fn nobody_comes_between_the_commands_of_a_transaction() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let tag = world.key_of(node, 0);
            world.cluster.log(100_000);
            world.net.plan(&world.front, Plan::fragments(9));
            let mut tasks = Vec::new();
            for n in 0..10 {
                let (mut client, tag) = (world.client().await, tag.clone());
                tasks.push(tokio::task::spawn_local(async move {
                    for _ in 0..20 {
                        let text = format!("MULTI; INCR {{@}}n; INCR {{@}}n; EXEC; INCR {{@}}other:{n}");
                        let replies = all(&mut client, &lines(&text, &tag)).await;
                        assert!(replies[3].starts_with(r"*2\r\n:"), "{replies:?}");
                        let numbers: Vec<u64> =
                            replies[3].split(r"\r\n").filter_map(|word| word.strip_prefix(':')?.parse().ok()).collect();
                        assert_eq!(numbers[0] + 1, numbers[1], "{replies:?}");
                    }
                }));
            }
            for task in tasks {
                task.await.expect("a client");
            }
            let mut open = std::collections::BTreeMap::new();
            for seen in world.cluster.take_log() {
                let name = String::from_utf8_lossy(&seen.args[0]).into_owned();
                let is_open = open.entry(seen.connection).or_insert(false);
                match name.as_str() {
                    "MULTI" => *is_open = true,
                    "EXEC" => *is_open = false,
                    _ if seen.args.get(1).is_some_and(|key| key.ends_with(b"}n")) => {}
                    _ => assert!(!*is_open, "{name} inside the transaction of another client"),
                }
            }
        });
    }
}

#[test]
fn mistakes_abort_and_other_slots_are_refused() {
    proxied(1, async |world: World| {
        let [a, b] = [0, 1].map(|n| world.key_of(world.cluster.primaries()[n], 0));
        let mut client = world.client().await;
        for (wrong, answer) in [
            ("NOSUCH", "-ERR unknown command"),
            ("GET", r"-ERR wrong number of arguments for \'get\' command\r\n"),
            (&format!("SET {b} 1"), r"-CROSSSLOT Keys in request don\'t hash to the same slot\r\n"),
            ("SUBSCRIBE c", "-ERR"),
            ("SHUTDOWN", r"-ERR Command not allowed inside a transaction\r\n"),
        ] {
            let replies = all(&mut client, &lines(&format!("MULTI; SET @ 1; {wrong}; SET @ 2; EXEC; GET @"), &a)).await;
            assert!(replies[2].starts_with(answer), "{wrong}: {replies:?}");
            assert_eq!(replies[4..], [ABORTED, r"$-1\r\n"], "{wrong}");
        }
        let text = "MULTI; MULTI; WATCH @; DISCARD; DISCARD; EXEC; MULTI; EXEC";
        let replies = all(&mut client, &lines(text, &a)).await;
        assert_eq!(replies[1], r"-ERR MULTI calls can not be nested\r\n");
        assert_eq!(replies[2], r"-ERR WATCH inside MULTI is not allowed\r\n");
        let rest =
            [r"+OK\r\n", r"-ERR DISCARD without MULTI\r\n", r"-ERR EXEC without MULTI\r\n", r"+OK\r\n", r"*0\r\n"];
        assert_eq!(replies[3..], rest);
    });
}

#[test]
fn a_transaction_that_is_too_large_is_refused() {
    let change = |config: &mut slotway::config::Config| config.client.max_input_bytes = 2000;
    crate::proxy::proxied_with(1, slotway::demo::embedded::Options::default(), change, async |world: World| {
        let key = world.keys().remove(0);
        let mut client = world.client().await;
        client.say("MULTI").await;
        let value = "v".repeat(500);
        let mut refused = 0;
        for _ in 0..6 {
            refused += usize::from(client.say(&format!("SET {key} {value}")).await.starts_with("-ERR the transaction"));
        }
        assert!(refused > 0);
        assert_eq!(client.say("EXEC").await, ABORTED);
        assert_eq!(client.say(&format!("GET {key}")).await, r"$-1\r\n");
    });
}

#[test]
fn a_moved_slot_is_not_seen_by_a_transaction() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let (to, key) = (world.cluster.primaries()[1], world.key_of(world.cluster.primaries()[0], 0));
            let mut client = world.client().await;
            client.say(&format!("SET {key} 0")).await;
            world.cluster.move_slot(slot(key.as_bytes()), to);
            for round in 0..3 {
                let replies = all(&mut client, &lines("MULTI; INCR @; GET @; EXEC", &key)).await;
                let n = round + 1;
                assert_eq!(replies[3], format!(r"*2\r\n:{n}\r\n{}", bulk(&n.to_string())));
            }
            assert_eq!(world.counted("redirects").await, 1, "one for the whole of it");
        });
    }
}

#[test]
fn a_slot_on_the_move_is_not_seen_by_a_transaction() {
    for seed in seeds(10) {
        proxied(seed, async |mut world: World| {
            let (to, tag) = (world.cluster.primaries()[1], world.key_of(world.cluster.primaries()[0], 0));
            let of = slot(tag.as_bytes());
            let mut client = world.client().await;
            for n in 0..6 {
                client.say(&format!("SET {{{tag}}}{n} 0")).await;
            }
            world.cluster.begin_migration(of, to);
            let cluster = world.cluster.clone();
            let moving = tokio::task::spawn_local(async move {
                for _ in 0..6 {
                    pass(ms(30)).await;
                    cluster.migrate_some(of, 1);
                }
                pass(ms(30)).await;
                cluster.finish_migration(of);
            });
            let mut counts = [0_u64; 6];
            for _ in 0..60 {
                let (a, b) = (world.random.below(6) as usize, world.random.below(6) as usize);
                let text = format!("MULTI; INCR {{@}}{a}; INCR {{@}}{b}; EXEC");
                let replies = all(&mut client, &lines(&text, &tag)).await;
                counts[a] += 1;
                let first = counts[a];
                counts[b] += 1;
                assert_eq!(replies[3], format!(r"*2\r\n:{first}\r\n:{}\r\n", counts[b]));
                pass(ms(world.random.below(8))).await;
            }
            moving.await.expect("the slot moves");
            assert!(world.counted("redirects").await > 0, "not tested");
        });
    }
}

#[test]
fn what_a_node_refuses_for_a_while_is_tried_again_as_a_whole() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        for refusal in ["CLUSTERDOWN The cluster is down", "LOADING wait", "TRYAGAIN later", "READONLY no"] {
            for at in ["SET", "EXEC"] {
                world.cluster.script(node, Script::refuse(format!("-{refusal}\r\n")).on(at));
                let replies = all(&mut client, &lines("MULTI; SET @ 5; EXEC", &key)).await;
                assert_eq!(replies[2], r"*1\r\n+OK\r\n", "{refusal} at {at}");
                assert_eq!(world.cluster.scripts_left(node), 0);
            }
        }
    });
}

#[test]
fn what_a_node_refuses_for_good_is_the_clients() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        let oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
        world.cluster.script(node, Script::refuse(oom).on("SET"));
        let replies = all(&mut client, &lines("MULTI; SET @ 5; EXEC; PING", &key)).await;
        assert_eq!(replies[2..], [ABORTED, r"+PONG\r\n"]);
        world.cluster.script(node, Script::refuse("-NOPERM no\r\n").on("MULTI"));
        let replies = all(&mut client, &lines("MULTI; SET @ 6; EXEC; GET @", &key)).await;
        assert!(replies[2].starts_with("-PROXYUNKNOWN the node did not take up the transaction"), "{replies:?}");
        assert_eq!(replies[3], bulk("6"));
    });
}

#[test]
fn a_transaction_cut_anywhere_runs_once_or_not_at_all_or_is_told_unknown() {
    let unit = 15 + 25 + 14;
    for at in 0..unit + 40 {
        for writing in [true, false] {
            proxied(at as u64, async |world: World| {
                pass(ms(1000)).await;
                let node = world.cluster.primaries()[0];
                let key = world.key_of(node, 0);
                let way = Way { end: Some((at, End::Reset)), ..Way::default() };
                let plan = if writing { Plan::writing(way) } else { Plan::reading(way) };
                world.net.plan_once(&world.cluster.addr(node), plan);
                let mut client = world.client().await;
                let replies = all(&mut client, &lines("MULTI; INCR @; EXEC; GET @; MULTI; INCR @; EXEC", &key)).await;
                let ran = match replies[2].as_str() {
                    r"*1\r\n:1\r\n" => 1,
                    text if text.starts_with("-PROXYUNKNOWN") => 9,
                    other => panic!("{other} when cut after {at}, writing: {writing}"),
                };
                let value = client.say(&format!("GET {key}")).await;
                assert!(
                    ran == 9 || value == bulk("2") || replies[6].starts_with("-PROXYUNKNOWN"),
                    "{value} {replies:?}"
                );
                assert!(value != bulk("3"), "executed twice when cut after {at}");
            });
        }
    }
}

#[test]
fn a_watch_tells_of_every_change_and_of_nothing_else() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let key = world.key_of(world.cluster.primaries()[0], 0);
            let (mut one, mut two) = (world.client().await, world.client().await);
            for (between, who, null) in
                [("SET @ 2", 2, true), ("SET @ 2", 1, true), ("GET @", 1, false), ("SET {@}other 2", 2, false)]
            {
                assert_eq!(one.say(&format!("WATCH {key}")).await, r"+OK\r\n");
                let line = between.replace('@', &key);
                if who == 1 {
                    one.say(&line).await
                } else {
                    two.say(&line).await
                };
                let replies = all(&mut one, &lines("MULTI; SET @ 7; EXEC; MULTI; EXEC", &key)).await;
                assert_eq!(replies[2] == r"*-1\r\n", null, "{between}: {replies:?}");
                assert_eq!(replies[4], r"*0\r\n");
            }
            // A write in front of the WATCH in the same pipeline does not trip it.
            for _ in 0..20 {
                let replies = all(&mut one, &lines("SET @ 1; WATCH @; GET @; MULTI; INCR @; EXEC; GET @", &key)).await;
                assert_eq!(replies[5..], [r"*1\r\n:2\r\n".to_owned(), bulk("2")]);
            }
            one.say("HELLO 3").await;
            one.say(&format!("WATCH {key}")).await;
            two.say(&format!("SET {key} 9")).await;
            assert_eq!(all(&mut one, &lines("MULTI; GET @; EXEC", &key)).await[2], r"_\r\n");
        });
    }
}

#[test]
fn a_watch_that_cannot_be_kept_ends_in_null_and_never_in_an_error() {
    for seed in seeds(3) {
        for what in 0..4 {
            proxied(seed, async |world: World| {
                let node = world.cluster.primaries()[0];
                let key = world.key_of(node, 0);
                let mut client = world.client().await;
                assert_eq!(client.say(&format!("WATCH {key}")).await, r"+OK\r\n");
                match what {
                    0 => drop(world.cluster.cut_connections(node)),
                    1 => world.cluster.move_slot(slot(key.as_bytes()), world.cluster.primaries()[1]),
                    2 => world.cluster.failover(world.cluster.siblings(node)[0]),
                    _ => {
                        world.cluster.begin_migration(slot(key.as_bytes()), world.cluster.primaries()[1]);
                    }
                }
                pass(ms(5)).await;
                let replies = all(&mut client, &lines("MULTI; SET @ 1; EXEC; GET @", &key)).await;
                assert_eq!(replies[2..], [r"*-1\r\n", r"$-1\r\n"], "case {what}");
                let replies = all(&mut client, &lines("WATCH @; MULTI; SET @ 1; EXEC; GET @", &key)).await;
                assert_eq!(
                    replies[3..],
                    [r"*1\r\n+OK\r\n".to_owned(), bulk("1")],
                    "the loop of the client, case {what}"
                );
            });
        }
    }
}

#[test]
fn a_client_killed_at_any_step_leaves_nothing_to_the_next() {
    let steps = ["WATCH @", "GET @", "MULTI", "SET @ 1", "EXEC"];
    for seed in seeds(3) {
        for last in 0..=steps.len() {
            for rude in [false, true] {
                proxied(seed, async |world: World| {
                    let key = world.key_of(world.cluster.primaries()[0], 0);
                    for round in 0..5 {
                        let mut first = world.client().await;
                        for (n, step) in steps[..last].iter().enumerate() {
                            if rude && n + 1 == last {
                                first.tell(&step.replace('@', &key)).await;
                            } else {
                                first.say(&step.replace('@', &key)).await;
                            }
                        }
                        drop(first);
                        let (mut other, mut next) = (world.client().await, world.client().await);
                        let watched = next.say(&format!("WATCH {{{key}}}mine")).await;
                        assert_eq!(watched, r"+OK\r\n");
                        other.say(&format!("SET {key} {round}")).await;
                        let text = "GET @; MULTI; INCR {@}mine; EXEC; EXEC; DISCARD";
                        let replies = all(&mut next, &lines(text, &key)).await;
                        assert_eq!(replies[0], bulk(&round.to_string()), "killed after {last}");
                        assert_eq!(
                            replies[3],
                            format!(r"*1\r\n:{}\r\n", round + 1),
                            "killed after {last}, rude: {rude}"
                        );
                        assert_eq!(replies[4..], [r"-ERR EXEC without MULTI\r\n", r"-ERR DISCARD without MULTI\r\n"]);
                    }
                    pass(ms(100)).await;
                    let connections: usize = world.cluster.nodes().iter().map(|&n| world.cluster.connections(n)).sum();
                    assert!(connections < 12, "{connections} connections: lent ones go back or are closed");
                });
            }
        }
    }
}

#[test]
fn what_concerns_all_nodes_is_done_on_all_of_them() {
    for seed in seeds(5) {
        proxied(seed, async |world: World| {
            let keys = world.keys();
            let mut client = world.client().await;
            for key in &keys {
                client.say(&format!("SET {key} 1")).await;
            }
            let text = "MULTI; DBSIZE; SET {@}new 1; PING; DBSIZE; EXEC";
            let replies = all(&mut client, &lines(text, &keys[1])).await;
            assert_eq!(replies[5], r"*4\r\n:3\r\n+OK\r\n+PONG\r\n:4\r\n");
            let text = "MULTI; SET {@}x 1; FLUSHALL; SET {@}y 1; DBSIZE; EXEC; GET {@}x; GET {@}y; DBSIZE";
            let replies = all(&mut client, &lines(text, &keys[1])).await;
            assert_eq!(replies[5], r"*4\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n", "in the order of the commands, on each node");
            assert_eq!(replies[6..], [r"$-1\r\n".to_owned(), bulk("1"), r":1\r\n".to_owned()]);
        });
    }
}
