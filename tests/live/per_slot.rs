//! `transactions = "per_slot"`: what a transaction over several slots answers is what one server answers.

use std::fmt::Write as _;

use slotway::demo::servers::{Options, Server};

use crate::harness::{Client, Proxy, Random, cluster, direct, words};

/// What is put between MULTI and EXEC, with keys of many slots.
const COMMANDS: &[&str] = &[
    "SET s{} v",
    "SET s{} 5 EX 100",
    "INCR n{}",
    "INCRBY n{} 7",
    "GET s{}",
    "GET none{}",
    "APPEND s{} x",
    "LPUSH l{} a b",
    "LRANGE l{} 0 -1",
    "RPOP l{}",
    "INCR l{}",
    "HSET h{} f v g w",
    "HGETALL h{}",
    "SADD t{} m",
    "ZADD z{} 1.5 m",
    "ZSCORE z{} m",
    "ZRANGE z{} 0 -1 WITHSCORES",
    "EXPIRE s{} 100",
    "TYPE h{}",
    "MGET s1 s{} s2 n{} l1",
    "MSET s{} 1 s3 2",
    "MSET s{} 1 s{} 2",
    "DEL s{} n{} s1",
    "EXISTS s{} s{} s4",
    "UNLINK l{} z{}",
    "PING",
    "ECHO hello",
    "EVAL 'return 7' 0",
    "EVAL 'return redis.call(\"GET\",KEYS[1])' 1 s{}",
    "BLPOP l{} 1",
    "XADD x{} 1-1 f v",
    "OBJECT ENCODING n{}",
    "SELECT 0",
    "TIME x",
];

#[test]
fn transactions_over_several_slots_are_answered_as_by_a_single_server() {
    if direct() {
        return;
    }
    let cluster = cluster();
    let proxy = Proxy::start(&cluster.addrs(), &[], &[("SLOTWAY__COMMANDS__TRANSACTIONS", "per_slot")]);
    let server = Server::start(&Options::default()).unwrap();
    let seed = Random::seed();
    for resp3 in [false, true] {
        let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
        let (mut through, mut single) = (connect(proxy.addr()), connect(server.addr()));
        let mut random = Random::new(seed);
        for round in 0..150 {
            let mut lines = vec!["MULTI".to_owned()];
            for _ in 0..=random.below(12) {
                let line = COMMANDS[random.below(COMMANDS.len())];
                let mut filled = String::new();
                for (n, piece) in line.split("{}").enumerate() {
                    if n > 0 {
                        write!(filled, "{}:slots{resp3}", random.below(4)).unwrap();
                    }
                    filled.push_str(piece);
                }
                lines.push(filled);
            }
            lines.push(if random.one_in(8) { "DISCARD" } else { "EXEC" }.to_owned());
            for line in &lines {
                let (answer, expected) = (through.call(&words(line)).text(), single.call(&words(line)).text());
                assert_eq!(answer, expected, "LIVE_SEED={seed}, round {round}, RESP3 {resp3}: {line} of {lines:?}");
            }
        }
    }
}

#[test]
fn a_watch_still_keeps_to_one_slot() {
    if direct() {
        return;
    }
    let proxy = Proxy::start(&cluster().addrs(), &[], &[("SLOTWAY__COMMANDS__TRANSACTIONS", "per_slot")]);
    let (mut client, mut other) = (Client::connect(proxy.addr()), Client::connect(proxy.addr()));
    assert!(client.line("WATCH slots:a slots:b").error().is_some_and(|text| text.starts_with("CROSSSLOT")));
    client.line("WATCH slots:a").ok();
    client.line("MULTI").ok();
    assert!(client.line("SET slots:b 1").error().is_some_and(|text| text.starts_with("CROSSSLOT")));
    assert!(client.line("EXEC").error().is_some_and(|text| text.starts_with("EXECABORT")));
    client.line("WATCH slots:a").ok();
    other.line("SET slots:a changed").ok();
    client.line("MULTI").ok();
    client.line("SET slots:a mine").ok();
    assert_eq!(client.line("EXEC").text(), "*-1\r\n");
    // Everything goes everywhere: the whole is counted, and emptied.
    let lines =
        ["MULTI", "SET slots:c 1", "SET slots:d 1", "SCRIPT EXISTS 0000000000000000000000000000000000000000", "EXEC"];
    let last = lines.map(|line| client.line(line).ok().text());
    assert_eq!(last[4], "*3\r\n+OK\r\n+OK\r\n*1\r\n:0\r\n");
    client.line("DEL slots:a slots:c slots:d").ok();
}
