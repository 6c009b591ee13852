//! The same requests to the embedded cluster and to real servers: the same replies.
//!
//! Where a server's reply has no order or depends on the clock, the comparison allows just that.

use slotway::demo::embedded::{Cluster, Options, Random};
use tokio::runtime::{Builder, LocalOptions};

use crate::client::Client;
use crate::real;

/// Runs a test on one thread, in real time.
fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}

/// The requests on each type. `K` is a key, `V` a value, `N` a number, `F` a fraction, `M` a member; a word after `?`
/// is there half of the time. They are separated by `; `.
const TEMPLATES: [(&str, &str); 6] = [
    (
        "strings",
        "GET K; SET K V ?NX ?GET; SET K V ?XX ?GET ?KEEPTTL; SET K N; SET K V ?EX ?N; \
         SET K V ?PX ?100000 ?NX; SETNX K V; SETEX K 1000 V; SETEX K N V; PSETEX K 1000000 V; GETSET K V; \
         GETDEL K; GETEX K ?PERSIST ?EX ?1000; GETEX K EX N; APPEND K V; STRLEN K; INCR K; DECR K; \
         INCRBY K N; DECRBY K N; INCRBYFLOAT {t}f F; INCRBYFLOAT {t}f F; INCRBYFLOAT {t}f 3; INCRBYFLOAT K x; GETDEL {t}f; MGET K K K; MSET K V K V; MSET K V K; \
         MSETNX K V K N; SETRANGE K N V; GETRANGE K N N; SET K F; TTL K; SET K; INCRBY K V; LPUSH K M; DEL K",
    ),
    (
        "keys",
        "SET K V; RPUSH K M; SADD K M; HSET K M V; ZADD K N M; DEL K K; UNLINK K; EXISTS K K K; TOUCH K K; \
         TYPE K; EXPIRE K 1000 ?NX ?GT; EXPIRE K N ?XX ?LT; PEXPIRE K 5000000 ?XX; EXPIRE K 2000 GT ?LT; \
         EXPIRE K V V; EXPIRE K 9223372036854775807; TTL K; PTTL K; PERSIST K; RENAME K K; RENAMENX K K; \
         KEYS *; KEYS *[a-b]; DBSIZE; SCAN 0 COUNT 1000; SCAN 0 COUNT 0; SCAN 0 COUNT -1; SCAN 0 COUNT 007; \
         SCAN 0 COUNT 100 TYPE list ?MATCH ?*a; SCAN hello; SCAN 0 MATCH; FLUSHALL ?ASYNC; FLUSHDB V; GET K",
    ),
    (
        "lists",
        "LPUSH K M M ?V; RPUSH K M ?M ?M; LPOP K ?N; RPOP K ?2; LPOP K 0; LPOP K 1 1; LLEN K; LRANGE K N N; \
         LRANGE K 0 -1; LRANGE K V 1; LINDEX K N; LINDEX K V; SET K V; DEL K; TYPE K; LPUSH K",
    ),
    (
        "hashes",
        "HSET K M V ?M ?V; HSET K M N; HMSET K M V M N; HGET K M; HDEL K M ?M; HGETALL K; HMGET K M M; \
         HLEN K; HEXISTS K M; HINCRBY K M N; HINCRBY K M 9223372036854775807; HINCRBY K M V; SET K V; DEL K; \
         EXISTS K; HSET K M",
    ),
    (
        "sets",
        "SADD K M M ?V; SREM K M ?M; SMEMBERS K; SISMEMBER K M; SCARD K; SPOP K 100; SPOP K 0; SPOP K -1; \
         SPOP K V; SPOP K 1 1; SET K V; DEL K; EXISTS K",
    ),
    (
        "sorted sets",
        "ZADD K N M ?F ?M; ZADD K ?NX ?GT ?CH F M; ZADD K ?XX ?LT ?CH N M F M; ZADD K ?INCR ?XX F M; \
         ZADD K INCR N M ?N ?M; ZADD K inf M; ZADD K -inf M; ZADD K V M; ZADD K NX; ZSCORE K M; \
         ZRANGE K N N ?WITHSCORES ?REV; ZRANGE K 0 -1 WITHSCORES; ZRANGE K V 1; ZRANGE K 0 1 V; ZCARD K; \
         ZREM K M ?M; ZPOPMIN K ?2; ZPOPMIN K N; ZPOPMIN K 1 1; ZINCRBY K F M; ZINCRBY K V M; SET K V; DEL K; \
         EXISTS K",
    ),
];

fn request(random: &mut Random, template: &str) -> String {
    let mut words = Vec::new();
    for word in template.split(' ') {
        let word = match word.strip_prefix('?') {
            Some(_) if random.one_in(2) => continue,
            Some(optional) => optional,
            None => word,
        };
        let choice: &[&str] = match word {
            "K" => &["{t}a", "{t}b", "{t}c"],
            "V" => &["x", "hello", "10", "-3", "1.50", "abc"],
            "N" => {
                &["0", "1", "2", "-1", "-2", "5", "-100", "100", "9223372036854775807", "007", "-9223372036854775808"]
            }
            // Such as floats hold exactly: servers add with 80 bits, and show what the last of them are.
            "F" => &["0.5", "0.25", "-1.75", "3", "5.0e3", "1e2", "100.125"],
            "M" => &["m", "n", "o", "p"],
            other => &[other],
        };
        words.push(*random.pick(choice).expect("a choice"));
    }
    // Half a gigabyte of zeros is a server's right answer, but not one to wait for.
    words.join(" ").replace("SETRANGE {t}a 9223372036854775807", "SETRANGE {t}a 7")
}

/// A reply without what may differ: the order of unordered ones, the last second of what depends on the clock.
fn comparable(request: &str, reply: &str) -> Vec<String> {
    let command = request.split(' ').next().unwrap_or_default();
    let mut lines: Vec<String> = reply.split(r"\r\n").map(str::to_owned).collect();
    match command {
        "KEYS" | "SCAN" | "SMEMBERS" | "SPOP" => lines.sort(),
        "HGETALL" => {
            let mut fields: Vec<String> =
                lines.drain(1..).collect::<Vec<_>>().chunks(4).map(|four| four.join(" ")).collect();
            fields.sort();
            lines.extend(fields);
        }
        "TTL" | "PTTL" => {
            let unit = if command == "TTL" { 1 } else { 1000 };
            let rounded = |n: i64| if n > 0 { (n + 50 * unit) / (100 * unit) } else { n };
            lines[0] =
                lines[0].trim_start_matches(':').parse().map_or_else(|_| lines[0].clone(), |n| rounded(n).to_string());
        }
        _ => {}
    }
    lines
}

#[test]
fn random_requests_get_the_replies_of_a_real_server() {
    run(async {
        let real = real::single().await;
        for (name, templates) in TEMPLATES {
            let templates: Vec<&str> = templates.split("; ").collect();
            for (hello, seed) in [("HELLO 2", 1), ("HELLO 3", 2), ("HELLO 3", 3)] {
                let cluster = Cluster::new(Options { primaries: 1, replicas: 0, ..Options::default() });
                let mut ours = crate::client(&cluster, cluster.nodes()[0]);
                let mut theirs = real.client().await;
                let mut random = Random::new(seed);
                ours.say(hello).await;
                theirs.say(hello).await;
                theirs.say("FLUSHALL").await;
                let mut history = Vec::new();
                for _ in 0..600 {
                    let template = *random.pick(&templates).expect("a template");
                    let request = request(&mut random, template);
                    history.push(request.clone());
                    if request.contains("EXPIRE") {
                        // Whether a time is later than the one before must not depend on who is faster.
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    }
                    let (expected, found) = (theirs.say(&request).await, ours.say(&request).await);
                    let recent = history.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join("\n  ");
                    assert_eq!(
                        comparable(&request, &found),
                        comparable(&request, &expected),
                        "{name}, {hello}, seed {seed}: left is ours, right the server's, after\n  {recent}"
                    );
                }
            }
        }
    });
}

#[test]
fn the_same_errors_are_given_in_the_same_words() {
    let requests = "FOO; foo bar baz; GET; GET a b; PING; PING x; PING x y; ECHO; ECHO x; SELECT 0; SELECT 1; SELECT x; \
                    HELLO 4; HELLO x; HELLO 3 FOO; HELLO 2 AUTH a b; HELLO 2 AUTH a; HELLO 2 SETNAME; AUTH a; AUTH a b; \
                    AUTH a b c; AUTH default x; CLIENT FOO; CLIENT; CLIENT GETNAME; CLIENT SETNAME x; CLIENT GETNAME; \
                    CLIENT GETNAME x; CLIENT SETNAME; CONFIG GET save; CONFIG GET appendonly maxmemory-policy; \
                    CONFIG GET nothing; CONFIG GET; CONFIG FOO; CLUSTER; CLUSTER FOO; CLUSTER KEYSLOT; \
                    CLUSTER KEYSLOT {foo}bar; CLUSTER KEYSLOT {}x; CLUSTER COUNTKEYSINSLOT 99999; \
                    CLUSTER COUNTKEYSINSLOT x; CLUSTER COUNTKEYSINSLOT -1; CLUSTER GETKEYSINSLOT 3 4; \
                    CLUSTER GETKEYSINSLOT 3 -1; CLUSTER GETKEYSINSLOT 3 x; CLUSTER SLOTS x; ASKING; READONLY; READWRITE; \
                    MGET a b; MSET a 1 b 2; DEL a b; RENAME a b; RANDOMKEY; PUBLISH a b; TIME x; WAIT 0 0; RESET; QUIT";
    run(async {
        let real = real::single().await;
        let cluster = Cluster::new(Options { primaries: 1, replicas: 0, ..Options::default() });
        for hello in ["HELLO 2", "HELLO 3"] {
            let mut ours = crate::client(&cluster, cluster.nodes()[0]);
            let mut theirs = real.client().await;
            ours.say(hello).await;
            theirs.say(hello).await;
            for request in requests.split("; ") {
                let (expected, found) = (theirs.say(request).await, ours.say(request).await);
                let order = |reply: &str| {
                    let mut lines: Vec<String> = reply.split(r"\r\n").map(str::to_owned).collect();
                    lines.sort();
                    lines
                };
                assert_eq!(order(&found), order(&expected), "{hello}, {request}: left is ours");
            }
            assert_eq!(ours.rest().await, theirs.rest().await, "both hang up");
        }
        let mut ours = crate::client(&cluster, cluster.nodes()[0]);
        let mut theirs = real.client().await;
        let long = [&b"FOO"[..], &[b'x'; 100], b"two\r\nlines", &[b'y'; 100], b"z"];
        assert_eq!(ours.call(&long).await.ok(), theirs.call(&long).await.ok());
    });
}

/// A reply about the cluster with names for what differs from run to run: node ids and ports.
async fn anonymous(clients: &mut [Client], ports: &[u16], at: usize, request: &str) -> String {
    let mut reply = clients[at].say(request).await;
    for (i, port) in ports.iter().enumerate() {
        let id = clients[i].say("CLUSTER MYID").await.replace(r"\r\n", "").replace("$40", "");
        reply = reply.replace(&id, &format!("<id-{i}>"));
        reply = reply.replace(&format!("{port}@{}", port + 10_000), &format!("{port}@<bus-{i}>"));
        reply = reply.replace(&format!(":{port}"), &format!(":<port-{i}>"));
    }
    reply
}

/// The parts of a cluster reply in an order of their own, since servers list nodes in any; without times, and
/// without the state of links, which real nodes make anew now and then.
fn parts(request: &str, reply: &str) -> Vec<String> {
    let separator = match request {
        "CLUSTER SHARDS" => "shard",
        "CLUSTER NODES" => r"\n",
        "CLUSTER INFO" => r"\r\n",
        _ => r"\r\n*",
    };
    let reply = reply
        .replace("txt:", separator)
        .replace(r"*4\r\n$5\r\nslots", separator)
        .replace(r"%2\r\n$5\r\nslots", separator);
    let without_times = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [id, addr, flags, of, _, _, epoch, _, rest @ ..] => {
                [&[*id, *addr, *flags, *of, *epoch], rest].concat().join(" ")
            }
            _ => line.to_owned(),
        }
    };
    let varies = |line: &&str| line.starts_with("cluster_stats_") || line.starts_with('$') || line.starts_with('=');
    let lines = reply.split(separator).filter(|line| request == "CLUSTER SLOTS" || !varies(line));
    let mut lines: Vec<String> = lines.map(without_times).collect();
    if request != "CLUSTER SLOTS" {
        lines.sort();
    }
    lines
}

#[test]
fn a_cluster_of_three_answers_as_a_real_one() {
    run(async {
        let servers = real::three().await;
        let cluster = Cluster::new(Options { replicas: 0, ..Options::default() });
        let nodes = cluster.nodes();
        let real_ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
        let our_ports: Vec<u16> = nodes.iter().map(|&node| cluster.addr(node).port()).collect();
        let mut theirs = Vec::new();
        for server in &servers {
            theirs.push(server.client().await);
        }
        let mut ours: Vec<Client> = nodes.iter().map(|&node| crate::client(&cluster, node)).collect();

        // The slot of {b} is on its way from the first node to the second, and one of its keys has arrived.
        for clients in [&mut theirs, &mut ours] {
            assert_eq!(clients[0].say("MSET {b}1 x {b}2 y").await, r"+OK\r\n");
        }
        let ids = [theirs[0].say("CLUSTER MYID").await, theirs[1].say("CLUSTER MYID").await];
        let ids = ids.map(|id| id.replace(r"\r\n", "").replace("$40", ""));
        theirs[1].say(&format!("CLUSTER SETSLOT 3300 IMPORTING {}", ids[0])).await;
        theirs[0].say(&format!("CLUSTER SETSLOT 3300 MIGRATING {}", ids[1])).await;
        let migrate = format!("MIGRATE 127.0.0.1 {} {{b}}1 0 5000", real_ports[1]);
        assert_eq!(theirs[0].say(&migrate).await, r"+OK\r\n");
        cluster.begin_migration(3300, nodes[1]);
        assert!(cluster.migrate_key(b"{b}1"));

        // Each with the node that it is sent to.
        let steps = "0 GET {b}1; 0 GET {b}2; 0 GET a; 0 MGET {b}1 {b}2; 0 MGET {b}2 {b}2; 0 MGET {b}8 {b}9; 0 SET {b}1 z; \
                     0 DEL {b}1 {b}2; 0 MGET a b; 0 DBSIZE; 1 GET {b}1; 1 ASKING; 1 GET {b}1; 1 GET {b}1; 1 ASKING; \
                     1 MGET {b}1 {b}2; 1 ASKING; 1 MGET {b}9 {b}9; 1 ASKING; 1 MGET {b}1 {b}1; 1 ASKING; 1 FOO; \
                     1 GET {b}1; 1 ASKING; 1 GET; 1 GET {b}1; 1 ASKING; 1 ASKING; 1 GET {b}1; 1 ASKING; 1 GET a; \
                     1 ASKING; 1 SET {b}9 z; 1 DBSIZE; 2 ASKING; 2 GET {b}1; 2 READONLY; 2 GET {b}1; \
                     0 CLUSTER COUNTKEYSINSLOT 3300; 0 CLUSTER GETKEYSINSLOT 3300 10; 0 CLUSTER SLOTS; 0 CLUSTER SHARDS; \
                     0 CLUSTER NODES; 1 CLUSTER NODES; 2 CLUSTER NODES; 2 CLUSTER INFO; 0 ROLE";
        for hello in ["HELLO 2", "HELLO 3"] {
            for clients in [&mut theirs, &mut ours] {
                for client in clients.iter_mut() {
                    client.say(hello).await;
                }
            }
            for step in steps.split("; ") {
                let (at, request) = step.split_once(' ').expect("a node and a request");
                let at = at.parse().expect("a number");
                let expected = anonymous(&mut theirs, &real_ports, at, request).await;
                let found = anonymous(&mut ours, &our_ports, at, request).await;
                assert_eq!(
                    parts(request, &found),
                    parts(request, &expected),
                    "{hello}, node {at}, {request}: left is ours"
                );
            }
        }
    });
}
