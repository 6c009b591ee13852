//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: through the proxy as on a plain server, byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slotway::demo::servers::Options;

use crate::harness::{Client, PATIENCE, Proxy, Value, alone, direct, own_cluster, plain, proxy, tell, words};

/// Runs the lines of one session on both and compares every reply; `a:` and `b:` choose between two clients.
#[track_caller]
fn compare(resp3: bool, lines: &[&str]) {
    let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
    let mut through = [connect(proxy().addr()), connect(proxy().addr())];
    let mut single = [connect(plain().addr()), connect(plain().addr())];
    for line in lines {
        let (who, text) = line.strip_prefix("b: ").map_or((0, *line), |rest| (1, rest));
        let command = words(text);
        let (answer, expected) = (through[who].call(&command), single[who].call(&command));
        assert_eq!(answer.text(), expected.text(), "{line} of {lines:?}, RESP3: {resp3}");
    }
}

#[track_caller]
fn same(lines: &[&str]) {
    compare(false, lines);
    compare(true, lines);
}

#[test]
fn commands_are_queued_and_run_together() {
    same(&["MULTI", "SET {tx}a 1", "INCR {tx}a", "GET {tx}a", "LPUSH {tx}a x", "DEL {tx}a", "EXEC", "GET {tx}a"]);
    same(&["MULTI", "HSET {tx}h f v", "HGETALL {tx}h", "ZADD {tx}z 1.5 m", "ZSCORE {tx}z m", "EXEC"]);
    same(&["DEL {tx}h {tx}z", "MULTI", "SET {tx}a 1", "DISCARD", "GET {tx}a"]);
    same(&["MULTI", "EXEC", "MULTI", "DISCARD", "EXEC", "DISCARD", "UNWATCH"]);
    same(&["MULTI", "MGET {tx}a {tx}b", "MSET {tx}a 1 {tx}b 2", "DEL {tx}a {tx}b", "EXEC"]);
    same(&[
        "MULTI",
        "EVAL 'return 7' 0",
        "EVAL 'return KEYS[1]' 1 {tx}k",
        "EXEC",
        "MULTI",
        "EVAL 'return 1' 0",
        "EXEC",
    ]);
}

#[test]
fn what_is_refused_when_it_is_queued_aborts_the_whole() {
    for wrong in [
        "NOSUCH a b",
        "GET",
        "WATCH",
        "SAVE",
        "PSYNC ? 1",
        "CLIENT NOSUCH",
        "CONFIG",
        "SCRIPT LOAD x y",
        "XGROUP",
        "client",
        "DISCARD x",
        "MULTI x",
    ] {
        same(&["SET {tx}q 1", "MULTI", wrong, "SET {tx}q 2", "EXEC", "GET {tx}q", "EXEC"]);
    }
    same(&["MULTI", "GET", "DISCARD", "MULTI", "EXEC"]);
    same(&["MULTI", "SET {tx}q 1", "EXEC x", "EXEC"]);
}

#[test]
fn what_is_not_queued_leaves_the_transaction_open() {
    same(&["MULTI", "MULTI", "WATCH {tx}a", "SET {tx}a 1", "EXEC"]);
    same(&["MULTI", "SET {tx}a 1", "UNWATCH", "EXEC"]);
    compare(false, &["MULTI", "SET {tx}a 9", "RESET", "EXEC", "DISCARD"]);
    for addr in [proxy().addr(), plain().addr()] {
        let mut client = Client::connect(addr);
        client.line("MULTI").ok();
        assert_eq!(client.line("QUIT").text(), "+OK\r\n");
        assert_eq!(client.read_to_end().unwrap(), b"");
    }
}

#[test]
fn what_the_proxy_answers_itself_stands_in_its_place() {
    same(&["MULTI", "PING", "PING x y z", "ECHO a", "SELECT 0", "CLIENT SETNAME n", "CLIENT GETNAME", "EXEC"]);
    same(&["MULTI", "PING", "SET {tx}p 1", "ECHO b", "GET {tx}p", "PING x", "EXEC", "CLIENT GETNAME"]);
    same(&["MULTI", "AUTH x", "AUTH x y", "SET {tx}p 1", "ROLE x", "DISCARD"]);
    same(&["MULTI", "COMMAND COUNT x", "PING", "EXEC"]);
    if !direct() {
        let mut client = Client::connect(proxy().addr());
        client.line("MULTI").ok();
        for line in ["TIME", "COMMAND COUNT", "ACL WHOAMI", "CONFIG GET requirepass", "CLIENT ID"] {
            assert_eq!(client.line(line).text(), "+QUEUED\r\n");
        }
        let reply = client.line("EXEC").ok();
        assert_eq!(reply.many().len(), 5, "{reply:?}");
        client.line("MULTI").ok();
        assert!(client.line("HELLO 3").error().is_some());
        assert!(client.line("EXEC").text().starts_with("-EXECABORT"));
    }
}

#[test]
fn blocking_commands_do_not_block_inside() {
    let ask = ["BLPOP {tx}no 0", "BRPOP {tx}no {tx}nn 0", "BLMOVE {tx}no {tx}x LEFT LEFT 0", "BLMPOP 0 1 {tx}no LEFT"];
    let more = ["BZPOPMIN {tx}no 0", "XREAD BLOCK 0 STREAMS {tx}no $", "BLPOP {tx}no -1", "BRPOPLPUSH {tx}no {tx}x 0"];
    same(&[&["MULTI"][..], &ask, &more, &["EXEC"]].concat());
}

#[test]
fn another_slot_is_refused_at_once() {
    if direct() {
        return;
    }
    let mut client = Client::connect(proxy().addr());
    for line in ["SET {slot-b}k 1", "MGET {slot-a}k {slot-b}k", "DEL {slot-a}k {slot-b}k", "BLPOP {slot-b}k 0"] {
        client.line("MULTI").ok();
        assert_eq!(client.line("SET {slot-a}k 1").text(), "+QUEUED\r\n");
        assert_eq!(client.line(line).text(), "-CROSSSLOT Keys in request don't hash to the same slot\r\n", "{line}");
        assert_eq!(client.line("GET {slot-a}k").text(), "+QUEUED\r\n");
        let expected = "-EXECABORT Transaction discarded because of previous errors.\r\n";
        assert_eq!(client.line("EXEC").text(), expected);
        assert_eq!(client.line("GET {slot-a}k").text(), "$-1\r\n");
    }
}

#[test]
fn transactions_keep_their_place_among_pipelined_requests() {
    let _alone = alone();
    for resp3 in [false, true] {
        let lines: Vec<String> = (0..200)
            .flat_map(|n| {
                let (a, b) = (format!("tx:pipe:{n}"), format!("{{tx:pipe:{n}}}b"));
                let one = [format!("SET {a} {n}"), "MULTI".into(), format!("APPEND {a} x"), "PING".into()];
                let two =
                    [format!("GET {a}"), format!("SET {b} 1"), "EXEC".into(), format!("GET {a}"), format!("DEL {a}")];
                one.into_iter().chain(two)
            })
            .collect();
        let mut clients = [proxy().addr(), plain().addr()]
            .map(|addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) });
        for client in &mut clients {
            let bytes: Vec<u8> = lines.iter().flat_map(|line| crate::harness::frame(&words(line))).collect();
            client.send(&bytes);
        }
        let [through, single] = &mut clients;
        for line in &lines {
            assert_eq!(through.read().text(), single.read().text(), "{line}");
        }
    }
}

#[test]
fn a_watched_key_that_changes_ends_the_transaction() {
    same(&["DEL {wa}a", "WATCH {wa}a", "MULTI", "SET {wa}a 1", "EXEC", "GET {wa}a"]);
    same(&[
        "WATCH {wa}a {wa}b",
        "b: SET {wa}a 2",
        "MULTI",
        "SET {wa}a 3",
        "EXEC",
        "GET {wa}a",
        "MULTI",
        "GET {wa}a",
        "EXEC",
    ]);
    same(&["WATCH {wa}a", "SET {wa}a 4", "MULTI", "GET {wa}a", "EXEC"]);
    same(&["WATCH {wa}a", "WATCH {wa}b", "b: SET {wa}b 2", "MULTI", "PING", "EXEC", "DEL {wa}a {wa}b"]);
    same(&["WATCH {wa}a", "GET {wa}a", "MULTI", "EXEC", "WATCH {wa}a", "b: SET {wa}a 1", "MULTI", "EXEC"]);
    same(&["WATCH {wa}a", "MULTI", "PING", "ECHO x", "GET {wa}a", "TIME x", "EXEC", "MULTI", "EXEC"]);
}

#[test]
fn what_was_watched_is_forgotten_when_it_should_be() {
    same(&["WATCH {wf}a", "b: SET {wf}a 2", "UNWATCH", "MULTI", "GET {wf}a", "EXEC"]);
    same(&["WATCH {wf}a", "b: SET {wf}a 2", "MULTI", "DISCARD", "MULTI", "GET {wf}a", "EXEC"]);
    same(&["WATCH {wf}a", "b: SET {wf}a 2", "MULTI", "NOSUCH", "EXEC", "MULTI", "GET {wf}a", "EXEC"]);
    same(&["WATCH {wf}a", "b: SET {wf}a 2", "MULTI", "GET {wf}a", "EXEC x", "MULTI", "GET {wf}a", "EXEC"]);
    compare(false, &["WATCH {wf}a", "b: SET {wf}a 2", "RESET", "MULTI", "GET {wf}a", "EXEC", "DEL {wf}a"]);
}

#[test]
fn a_connection_with_a_watch_is_clean_for_the_next_client() {
    let addr = proxy().addr();
    for round in 0..200 {
        let mut first = Client::connect(addr);
        first.line("WATCH {clean}a").ok();
        match round % 5 {
            0 => drop(first),
            1 => drop(first.line("UNWATCH").ok()),
            2 => drop(first.line("RESET").ok()),
            3 => {
                first.line("MULTI").ok();
                first.line("GET {clean}a").ok();
            }
            _ => {
                first.line("MULTI").ok();
                first.send(&crate::harness::frame(&["EXEC"]));
            }
        }
        let (mut other, mut next) = (Client::connect(addr), Client::connect(addr));
        other.line("INCR {clean}a").ok();
        next.line("WATCH {clean}b").ok();
        next.line("MULTI").ok();
        next.line("SET {clean}c 1").ok();
        assert_eq!(next.line("EXEC").text(), "*1\r\n+OK\r\n", "round {round}: the watch of another client");
    }
}

#[test]
fn an_optimistic_loop_of_many_clients_counts_right() {
    let _alone = alone();
    let addr = proxy().addr();
    Client::connect(addr).line("DEL {loop}n").ok();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(addr);
                let mut done = 0;
                while done < 40 {
                    client.line("WATCH {loop}n").ok();
                    let now = client
                        .line("GET {loop}n")
                        .bulk()
                        .map_or(0, |text| String::from_utf8_lossy(text).parse::<u32>().unwrap());
                    client.line("MULTI").ok();
                    client.line(&format!("SET {{loop}}n {}", now + 1)).ok();
                    let reply = client.line("EXEC").ok();
                    done += u32::from(reply.text() != "*-1\r\n");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(Client::connect(addr).line("GET {loop}n").text(), "$3\r\n320\r\n");
}

#[test]
fn what_concerns_all_nodes_is_done_on_all_of_them() {
    let _alone = alone();
    let digest = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let exists = format!("SCRIPT EXISTS {digest}");
    same(&["MULTI", "SCRIPT LOAD 'return 1'", &exists, "EXEC", &exists, "MULTI", "SCRIPT FLUSH", "EXEC", &exists]);
    same(&["MULTI", "SET {all}a 1", "SCRIPT LOAD 'return 1'", "PING", "GET {all}a", &exists, "DEL {all}a", "EXEC"]);
    if direct() {
        return;
    }
    let mut client = Client::connect(proxy().addr());
    for n in 0..20 {
        assert_eq!(client.line(&format!("EVALSHA {digest} 1 all:{n}")).text(), ":1\r\n", "loaded on every node");
    }
    client.line("MULTI").ok();
    client.line("DBSIZE").ok();
    client.line("SET {all}b 1").ok();
    client.line("DBSIZE").ok();
    let reply = client.line("EXEC").ok();
    let (before, after) = (reply.many()[0].clone(), reply.many()[2].clone());
    assert!(matches!((&before, &after), (Value::Int(before), Value::Int(after)) if after >= before), "{reply:?}");
    client.line("WATCH {all}b").ok();
    client.line("MULTI").ok();
    assert!(client.line("FLUSHALL").error().is_some(), "it could not be taken back on the other nodes");
    assert!(client.line("EXEC").text().starts_with("-EXECABORT"));
    client.line("DEL {all}b").ok();
}

#[test]
fn transactions_under_a_reshard_and_failovers_see_no_error() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let front = Proxy::start(&cluster.addrs(), &[], &[]);
    let stop = Arc::<AtomicBool>::default();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (addr, stop) = (front.addr(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let (mut client, mut counts, mut done) = (Client::connect(addr), [0_u64; 40], 0);
                while !stop.load(Ordering::Relaxed) {
                    let n = done as usize % 40;
                    let (tag, both) = (format!("{{load:{n}}}:{worker}"), done % 3 == 0);
                    let lines = ["MULTI".into(), format!("INCR {tag}"), format!("RPUSH {tag}:l {done}"), "EXEC".into()];
                    if both {
                        client.line(&format!("WATCH {tag}")).ok();
                    }
                    let bytes: Vec<u8> = lines.iter().flat_map(|line| crate::harness::frame(&words(line))).collect();
                    client.send(&bytes);
                    let replies: Vec<_> = lines.iter().map(|_| client.read().ok()).collect();
                    if replies[3].text() == "*-1\r\n" {
                        assert!(both, "only a watched transaction may end in null");
                        continue;
                    }
                    counts[n] += 1;
                    assert_eq!(replies[3].text(), format!("*2\r\n:{0}\r\n:{0}\r\n", counts[n]), "{tag}");
                    done += 1;
                }
                done
            })
        })
        .collect();
    let primaries = cluster.primaries().unwrap();
    for round in 0..3 {
        for n in 0..40 {
            let slot = crate::harness::slot(format!("load:{n}").as_bytes());
            cluster.move_slot(slot, primaries[(n + round) % 3]).unwrap();
        }
        cluster.wait_settled(PATIENCE).unwrap();
    }
    for &primary in &primaries {
        cluster.fail_over(cluster.replicas_of(primary).unwrap()[0], PATIENCE).unwrap();
        cluster.wait_settled(PATIENCE).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    let done: u64 =
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| panic!("a client gave up"))).sum();
    tell(&format!("{done} transactions"));
    assert!(done > 500, "{done}");
}
