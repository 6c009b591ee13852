//! Commands that wait for data, and WAIT: through the proxy as on a plain server.

use std::time::{Duration, Instant};

use slotway::demo::servers::Options;

use crate::harness::{Client, PATIENCE, Proxy, Reply, alone, direct, own_cluster, plain, proxy, words};

#[track_caller]
fn compare(resp3: bool, lines: &[&str]) {
    let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
    let (mut through, mut single) = (connect(proxy().addr()), connect(plain().addr()));
    for line in lines {
        let command = words(line);
        let (answer, expected) = (through.call(&command), single.call(&command));
        assert_eq!(answer.text(), expected.text(), "{line} of {lines:?}, RESP3: {resp3}");
    }
}

#[track_caller]
fn same(lines: &[&str]) {
    compare(false, lines);
    compare(true, lines);
}

#[test]
fn what_is_there_is_taken_at_once_and_what_is_not_is_null_in_time() {
    same(&[
        "RPUSH {bl}l a b c d e",
        "BLPOP {bl}l 0",
        "BRPOP {bl}no {bl}l 1",
        "BLMOVE {bl}l {bl}m LEFT RIGHT 0",
        "BRPOPLPUSH {bl}l {bl}m 1",
        "BLMPOP 0 2 {bl}no {bl}l LEFT COUNT 5",
        "BLMPOP 0.01 1 {bl}l LEFT",
        "DEL {bl}m",
        "ZADD {bl}z 1 a 2 b 3 c 4 d",
        "BZPOPMIN {bl}z 0",
        "BZPOPMAX {bl}z 0",
        "BZMPOP 0 1 {bl}z MIN COUNT 9",
        "BLPOP {bl}l 0.01",
        "BRPOP {bl}l 0.01",
        "BLMOVE {bl}l {bl}m LEFT LEFT 0.01",
        "BZPOPMIN {bl}z 0.01",
        "BZMPOP 0.01 1 {bl}z MAX",
        "BRPOPLPUSH {bl}l {bl}m 0.01",
        "XREAD BLOCK 10 STREAMS {bl}s $",
        "XADD {bl}s 1-1 f v",
        "XREAD BLOCK 0 STREAMS {bl}s {bl}t 0 0",
        "XGROUP CREATE {bl}s g 0",
        "XREADGROUP GROUP g c BLOCK 0 STREAMS {bl}s >",
        "XREADGROUP GROUP g c BLOCK 10 STREAMS {bl}s >",
        "DEL {bl}s",
    ]);
}

#[test]
fn mistakes_are_told_as_the_server_tells_them() {
    same(&["BLPOP {bl}e -1", "BLPOP {bl}e x", "BLPOP {bl}e", "BLPOP {bl}e inf", "BLMPOP 0 0 {bl}e LEFT"]);
    same(&["BLMOVE {bl}e {bl}f UP LEFT 0", "XREAD BLOCK -1 STREAMS {bl}e $", "XREAD BLOCK x STREAMS {bl}e $"]);
    same(&["SET {bl}str 1", "BLPOP {bl}str 0", "XREAD BLOCK 0 STREAMS {bl}str $", "BZPOPMIN {bl}str 0", "DEL {bl}str"]);
    same(&["XREADGROUP GROUP nog c BLOCK 0 STREAMS {bl}e >", "WAIT a b", "WAIT 0 -1", "WAIT 0", "PING"]);
    if !direct() {
        let mut client = Client::connect(proxy().addr());
        for line in
            ["BLPOP {slot-a}k {slot-b}k 0", "BLMOVE {slot-a}k {slot-b}k LEFT LEFT 0", "WATCH {slot-a}k {slot-b}k"]
        {
            assert_eq!(client.line(line).text(), "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
        }
    }
}

#[test]
fn a_client_that_waits_gets_what_comes_and_keeps_its_order() {
    for resp3 in [false, true] {
        let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
        let run = |addr| {
            let (mut waits, mut gives) = (connect(addr), connect(addr));
            let lines = ["SET {bo}k 1", "BLPOP {bo}l 5", "INCR {bo}k", "BRPOP {bo}l {bo}m 5", "GET {bo}k", "PING"];
            let bytes: Vec<u8> = lines.iter().flat_map(|line| crate::harness::frame(&words(line))).collect();
            waits.send(&bytes);
            let mut replies = vec![waits.read()];
            std::thread::sleep(Duration::from_millis(50));
            gives.line("RPUSH {bo}l one").ok();
            replies.extend([waits.read(), waits.read()]);
            assert_eq!(gives.line("GET {bo}k").text(), "$1\r\n2\r\n");
            gives.line("RPUSH {bo}m two").ok();
            replies.extend((0..3).map(|_| waits.read()));
            replies.iter().map(Reply::text).collect::<Vec<_>>()
        };
        assert_eq!(run(proxy().addr()), run(plain().addr()));
    }
}

#[test]
fn a_client_that_leaves_takes_nothing_with_it() {
    let addr = proxy().addr();
    let mut other = Client::connect(addr);
    for round in 0..50 {
        let key = format!("leaver:{round}");
        let mut leaver = Client::connect(addr);
        leaver.send(&crate::harness::frame(&["BLPOP", &key, "0"]));
        std::thread::sleep(Duration::from_millis(10));
        drop(leaver);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(other.call(&["RPUSH", &key, "x"]).text(), ":1\r\n");
        assert_eq!(other.call(&["LPOP", &key]).text(), "$1\r\nx\r\n", "round {round}");
    }
}

#[test]
fn fifty_clients_wait_and_others_do_not() {
    let _alone = alone();
    let addr = proxy().addr();
    let mut waiting: Vec<Client> = (0..50).map(|_| Client::connect(addr)).collect();
    for (n, client) in waiting.iter_mut().enumerate() {
        client.send(&crate::harness::frame(&["BLPOP", &format!("fifty:{n}"), "20"]));
    }
    std::thread::sleep(Duration::from_millis(200));
    let mut other = Client::connect(addr);
    let blocked = || other_field(addr, "blocked_clients");
    assert!(blocked() >= 50, "{}", blocked());
    let begun = Instant::now();
    for n in 0..500 {
        other.call(&["SET", &format!("fifty:other:{n}"), "x"]).ok();
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for n in 0..50 {
        other.call(&["RPUSH", &format!("fifty:{n}"), &format!("v{n}")]).ok();
    }
    for (n, client) in waiting.iter_mut().enumerate() {
        let key = format!("fifty:{n}");
        assert_eq!(
            client.read().text(),
            format!("*2\r\n${}\r\n{key}\r\n${}\r\nv{n}\r\n", key.len(), format!("v{n}").len())
        );
    }
}

fn other_field(addr: std::net::SocketAddr, field: &str) -> u64 {
    let info = Client::connect(addr).line("INFO clients").text();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.parse().unwrap()
}

#[test]
fn blocked_clients_follow_a_planned_failover_and_a_moved_slot() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let front = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut waiting: Vec<Client> = (0..30).map(|_| Client::connect(front.addr())).collect();
    for (n, client) in waiting.iter_mut().enumerate() {
        client.send(&crate::harness::frame(&["BLPOP", &format!("follow:{n}"), "25"]));
    }
    std::thread::sleep(Duration::from_millis(300));
    for primary in cluster.primaries().unwrap() {
        cluster.fail_over(cluster.replicas_of(primary).unwrap()[0], PATIENCE).unwrap();
    }
    cluster.wait_settled(PATIENCE).unwrap();
    let to = cluster.primaries().unwrap()[0];
    for n in 0..10 {
        let slot = crate::harness::slot(format!("follow:{n}").as_bytes());
        cluster.move_slot(slot, to).unwrap();
    }
    std::thread::sleep(Duration::from_millis(1500));
    let mut other = Client::connect(front.addr());
    for n in 0..30 {
        other.call(&["RPUSH", &format!("follow:{n}"), "x"]).ok();
    }
    for (n, client) in waiting.iter_mut().enumerate() {
        let reply = client.read();
        assert!(reply.error().is_none() && reply.many().len() == 2, "{n}: {reply:?}");
    }
}

#[test]
fn wait_tells_the_truth() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options { node_timeout: Duration::from_secs(20), ..Options::default() });
    let front = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut client = Client::connect(front.addr());
    for n in 0..20 {
        client.call(&["SET", &format!("wait:{n}"), "x"]).ok();
    }
    assert_eq!(client.line("WAIT 1 5000").text(), ":1\r\n");
    let paused = cluster.replicas_of(cluster.primaries().unwrap()[1]).unwrap()[0];
    cluster.pause(paused).unwrap();
    for n in 0..20 {
        client.call(&["SET", &format!("wait:{n}"), "y"]).ok();
    }
    let begun = Instant::now();
    assert_eq!(client.line("WAIT 1 400").text(), ":0\r\n", "a replica that sleeps has acknowledged nothing");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(390) && took < Duration::from_millis(900), "{took:?}");
    cluster.resume(paused).unwrap();
    assert_eq!(client.line("WAIT 1 5000").text(), ":1\r\n");
}

#[test]
fn a_blocked_client_can_be_unblocked() {
    for resp3 in [false, true] {
        let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
        let run = |addr| {
            let (mut waits, mut other) = (connect(addr), connect(addr));
            let id = waits.line("CLIENT ID").int();
            let mut texts = Vec::new();
            for (block, how) in [
                ("BLPOP {ub}l 0", ""),
                ("BLPOP {ub}l 0", "TIMEOUT"),
                ("BLMOVE {ub}l {ub}m LEFT LEFT 0", "ERROR"),
                ("XREAD BLOCK 0 STREAMS {ub}s $", "error"),
                ("WAIT 100 0", "ERROR"),
            ] {
                waits.send(&crate::harness::frame(&words(block)));
                std::thread::sleep(Duration::from_millis(100));
                texts.push(other.line(&format!("CLIENT UNBLOCK {id} {how}")).text());
                texts.push(waits.read().text());
                texts.push(waits.line("PING").text());
                texts.push(other.line(&format!("CLIENT UNBLOCK {id} {how}")).text());
            }
            texts
        };
        assert_eq!(run(proxy().addr()), run(plain().addr()));
    }
}

#[test]
fn a_reader_of_a_stream_is_not_told_of_a_lost_node() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let front = Proxy::start(&cluster.addrs(), &[], &[]);
    let (mut reads, mut writes) = (Client::connect(front.addr()), Client::connect(front.addr()));
    writes.line("XADD stream 1-1 f v").ok();
    reads.send(&crate::harness::frame(&["XREAD", "BLOCK", "25000", "STREAMS", "stream", "1-1"]));
    std::thread::sleep(Duration::from_millis(300));
    let slot = crate::harness::slot(b"stream");
    let owner = cluster.primaries().unwrap().into_iter().find(|&node| {
        let port = cluster.addrs()[node].port();
        let seen = cluster.seen_by(node).unwrap();
        let own = seen.into_iter().find(|seen| seen.port == port).unwrap();
        own.slots.iter().any(|&(first, last)| (first..=last).contains(&slot))
    });
    cluster.kill(owner.unwrap()).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    writes.line("XADD stream 2-1 f w").ok();
    let reply = reads.read();
    assert!(reply.error().is_none() && reply.text().contains("2-1"), "{reply:?}");
}
