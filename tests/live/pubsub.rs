//! Publish and subscribe against real servers: the bytes of one server, messages of the whole cluster, and
//! subscriptions that outlive their nodes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{Client, PATIENCE, Proxy, direct, own_cluster, plain, proxy, slot};

/// Sends lines and compares what the proxy and a plain server say to each, which is `replies` replies.
#[track_caller]
fn same(proto: &str, lines: &[(&str, usize)]) {
    let mut one = Client::connect(plain().addr());
    let mut other = Client::connect(proxy().addr());
    for client in [&mut one, &mut other] {
        client.line(proto);
    }
    for (line, replies) in lines {
        for client in [&mut one, &mut other] {
            client.send(format!("{line}\r\n").as_bytes());
        }
        for _ in 0..*replies {
            assert_eq!(other.read().text(), one.read().text(), "{proto}: {line}: the proxy (left) and a plain server");
        }
    }
}

#[test]
fn confirmations_and_errors_are_those_of_one_server() {
    for proto in ["HELLO 2", "HELLO 3"] {
        same(
            proto,
            &[
                ("UNSUBSCRIBE", 1),
                ("PUNSUBSCRIBE", 1),
                ("SUNSUBSCRIBE", 1),
                ("SUBSCRIBE same:a same:b same:a", 3),
                ("PING", 1),
                ("PING text", 1),
                ("PING one two", 1),
                ("ECHO x", 1),
                ("GET", 1),
                ("NOSUCH x", 1),
                ("CLIENT GETNAME", 1),
                ("UNSUBSCRIBE same:x same:a", 2),
                ("PSUBSCRIBE same:p* same:[q]", 2),
                ("SSUBSCRIBE same:s1 same:s2", 2),
                ("SUNSUBSCRIBE same:s2 same:s3", 2),
                ("UNSUBSCRIBE", 1),
                ("PUNSUBSCRIBE same:p*", 1),
                ("PUNSUBSCRIBE", 1),
                ("MGET same:k", 1),
                ("SUNSUBSCRIBE", 1),
                ("SUNSUBSCRIBE", 1),
                ("UNSUBSCRIBE", 1),
                ("GET same:k", 1),
                ("SUBSCRIBE", 1),
                ("SPUBLISH same:a", 1),
                ("SUBSCRIBE same:a", 1),
                ("RESET", 1),
                ("GET same:k", 1),
            ],
        );
    }
    same(
        "HELLO 2",
        &[
            ("PUBSUB", 1),
            ("PUBSUB NOSUCH", 1),
            ("PUBSUB HELP", 1),
            ("PUBSUB NUMSUB", 1),
            ("PUBSUB NUMSUB same:none same:no", 1),
            ("PUBSUB SHARDNUMSUB same:none", 1),
            ("PUBSUB CHANNELS same:none*", 1),
            ("PUBSUB CHANNELS a b", 1),
            ("PUBSUB SHARDCHANNELS same:none*", 1),
            ("PUBSUB NUMPAT x", 1),
            ("PUBLISH same:none x", 1),
            ("SPUBLISH same:none x", 1),
        ],
    );
}

#[test]
fn messages_reach_all_clients_and_are_counted_as_one_server_counts() {
    let proxy = proxy();
    let mut publisher = Client::connect(proxy.addr());
    for n in 0..12 {
        let (channel, pattern) = (format!("count:{n}"), format!("count:{n}*"));
        let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(proxy.addr())).collect();
        for client in &mut clients {
            client.line(&format!("SUBSCRIBE {channel}")).ok();
        }
        let mut matching = Client::connect(proxy.addr());
        matching.line("HELLO 3").ok();
        matching.line(&format!("PSUBSCRIBE {pattern}")).ok();
        assert_eq!(publisher.line(&format!("PUBSUB NUMSUB {channel}")).many().len(), 2);
        let count = publisher.line(&format!("PUBLISH {channel} hello")).int();
        // The pattern counts at the node of the channel, or for this process's own clients anywhere.
        assert_eq!(count, 4, "{channel}");
        for client in &mut clients {
            let due = format!("*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n$5\r\nhello\r\n", channel.len());
            assert_eq!(client.read().text(), due);
        }
        assert!(matching.read().text().starts_with(">4\r\n$8\r\npmessage\r\n"));
    }
}

#[test]
fn redis_cli_subscribes() {
    let proxy = proxy();
    let mut child = Command::new("redis-cli")
        .args(["-p", &proxy.port(), "SUBSCRIBE", "cli:news"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli, of the package redis-tools");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.by_ref().take(3).collect::<Vec<_>>(), ["subscribe", "cli:news", "1"]);
    assert_eq!(Client::connect(proxy.addr()).line("PUBLISH cli:news extra").int(), 1);
    assert_eq!(lines.by_ref().take(3).collect::<Vec<_>>(), ["message", "cli:news", "extra"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A cluster whose nodes tell of writes, and a proxy.
fn telling() -> (Cluster, Proxy) {
    let settings = vec![("notify-keyspace-events".to_owned(), "KEA".to_owned())];
    let cluster = own_cluster(&Options { settings, ..Options::default() });
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    (cluster, proxy)
}

/// Publishes until the subscriber hears; how long that took.
#[track_caller]
fn heard_again(proxy: &Proxy, client: &mut Client, publish: &str) -> Duration {
    let begun = Instant::now();
    let mut publisher = Client::connect(proxy.addr());
    let mut n = 0;
    loop {
        n += 1;
        let reply = publisher.line(&format!("{publish} {n}"));
        if reply.error().is_none() && reply.int() == 1 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "not heard for {PATIENCE:?}: {reply:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    let due = format!("\r\n{n}\r\n");
    while !client.read().text().ends_with(&due) {}
    took
}

#[test]
fn subscriptions_outlive_moves_failovers_and_deaths_and_notifications_come_from_everywhere() {
    if direct() {
        return;
    }
    let (cluster, proxy) = telling();
    let mut events = Client::connect(proxy.addr());
    events.line("PSUBSCRIBE __keyevent@0__:set").ok();
    let mut writer = Client::connect(proxy.addr());
    for n in 0..30 {
        writer.line(&format!("SET note:{n} x")).ok();
        assert!(events.read().text().ends_with(&format!("note:{n}\r\n")));
    }
    let mut client = Client::connect(proxy.addr());
    client.line("SUBSCRIBE lives").ok();
    let mut shard = Client::connect(proxy.addr());
    shard.line("SSUBSCRIBE lives").ok();
    let place = slot(b"lives");
    let owner = || cluster.owner(place, 0).unwrap().unwrap();
    heard_again(&proxy, &mut client, "PUBLISH lives");
    heard_again(&proxy, &mut shard, "SPUBLISH lives");

    cluster.move_slot(place, (owner() + 1) % 3).unwrap();
    for (client, publish) in [(&mut client, "PUBLISH lives"), (&mut shard, "SPUBLISH lives")] {
        let took = heard_again(&proxy, client, publish);
        assert!(took < Duration::from_secs(1), "after a move: {publish} only after {took:?}");
    }
    cluster.wait_settled(PATIENCE).unwrap();
    let replica = cluster.replicas_of(owner()).unwrap()[0];
    cluster.fail_over(replica, PATIENCE).unwrap();
    for (client, publish) in [(&mut client, "PUBLISH lives"), (&mut shard, "SPUBLISH lives")] {
        let took = heard_again(&proxy, client, publish);
        assert!(took < Duration::from_secs(2), "after a failover: {publish} only after {took:?}");
    }
    cluster.wait_settled(PATIENCE).unwrap();
    cluster.kill(replica).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    for (client, publish) in [(&mut client, "PUBLISH lives"), (&mut shard, "SPUBLISH lives")] {
        let took = heard_again(&proxy, client, publish);
        assert!(took < Duration::from_secs(1), "after a death: {publish} only after {took:?}");
    }
    for n in 30..60 {
        writer.line(&format!("SET note:{n} x")).ok();
        assert!(events.read().text().ends_with(&format!("note:{n}\r\n")), "once, from the new primary too");
    }
}
