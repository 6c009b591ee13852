//! Commands about the cluster as a whole: INFO, CONFIG GET, DBSIZE, KEYS, RANDOMKEY, FLUSHALL, scripts everywhere.

use std::collections::BTreeSet;
use std::time::Duration;

use slotway::demo::servers::Options;

use crate::harness::{Client, Proxy, Value, direct, own_cluster, proxy};

/// The fields of one section of INFO.
fn section(client: &mut Client, name: &str) -> Vec<(String, String)> {
    let text = client.call(&["INFO", name]).ok();
    let text = String::from_utf8(text.bulk().unwrap().to_vec()).unwrap();
    let body = text.strip_prefix(&format!("# {name}\r\n")).unwrap_or_else(|| panic!("no section {name}: {text}"));
    assert!(!body.contains("# "), "{name} is not alone: {text}");
    let fields = body.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn field(client: &mut Client, of: &str, name: &str) -> String {
    let fields = section(client, of);
    let found = fields.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {fields:?}")).1.clone()
}

#[test]
fn the_cluster_as_a_whole() {
    if direct() {
        return;
    }
    let cluster = own_cluster(&Options { replicas: 0, ..Options::default() });
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut client = Client::connect(proxy.addr());
    assert_eq!(client.line("RANDOMKEY").text(), "$-1\r\n");
    assert_eq!(Client::resp3(proxy.addr()).line("RANDOMKEY").text(), "_\r\n");
    for n in 0..100 {
        client.line(&format!("SET k{n} v EX 1000")).ok();
    }
    assert_eq!(client.line("DBSIZE").int(), 100);
    assert_eq!(client.line("KEYS k?").many().len(), 10);
    let drawn: BTreeSet<Vec<u8>> = (0..300).map(|_| client.line("RANDOMKEY").bulk().unwrap().to_vec()).collect();
    assert!(drawn.len() > 60, "only {} keys of 100 in 300 draws", drawn.len());
    // Sums and own values.
    assert!(field(&mut client, "Keyspace", "db0").starts_with("keys=100,expires=100,avg_ttl="));
    client.line("GET k1").ok();
    client.line("GET none").ok();
    let hits: u64 = field(&mut client, "Stats", "keyspace_hits").parse().unwrap();
    let misses: u64 = field(&mut client, "Stats", "keyspace_misses").parse().unwrap();
    assert!(hits >= 1 && misses >= 1, "{hits} {misses}");
    assert!(field(&mut client, "Memory", "used_memory").parse::<u64>().unwrap() > 3 * 800_000);
    for (of, name, value) in [
        ("Server", "redis_mode", "standalone"),
        ("Server", "config_file", ""),
        ("Persistence", "loading", "0"),
        ("Replication", "role", "master"),
        ("Replication", "connected_slaves", "0"),
        ("Cluster", "cluster_enabled", "0"),
        ("Memory", "maxmemory_policy", "noeviction"),
    ] {
        assert_eq!(field(&mut client, of, name), value, "{of} {name}");
    }
    client.line("LPUSH k1 x");
    assert_eq!(field(&mut client, "Errorstats", "errorstat_WRONGTYPE"), "count=1");
    assert!(field(&mut client, "Commandstats", "cmdstat_set").starts_with("calls=100,"));
    let several = client.line("INFO server keyspace").text();
    assert!(several.contains("# Server\r\n") && several.contains("# Keyspace\r\n") && !several.contains("# Memory"));
    let plain = client.line("INFO").text();
    assert!(plain.contains("# CPU\r\n") && plain.contains("# Proxy\r\n") && !plain.contains("# Commandstats"));
    assert!(client.line("INFO everything").text().contains("cmdstat_set"));
    assert_eq!(client.line("INFO nothing").text(), "$0\r\n\r\n");
    assert_eq!(client.line("FLUSHALL ASYNC").text(), "+OK\r\n");
    assert_eq!(client.line("DBSIZE").int(), 0);
    assert_eq!(field(&mut client, "Stats", "expired_keys"), "0");
    assert!(section(&mut client, "Keyspace").is_empty());
}

#[test]
fn info_goes_on_without_a_node_that_does_not_answer() {
    if direct() {
        return;
    }
    let cluster = own_cluster(&Options { replicas: 0, ..Options::default() });
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut client = Client::connect(proxy.addr());
    client.line("INFO").ok();
    cluster.kill(0).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(field(&mut client, "Memory", "used_memory").parse::<u64>().unwrap() > 800_000);
}

#[test]
fn config_get_takes_patterns_and_shows_what_is_safe() {
    if direct() {
        return;
    }
    let proxy = proxy();
    let mut client = Client::connect(proxy.addr());
    let pairs = |reply: crate::harness::Reply| -> BTreeSet<(String, String)> {
        let text =
            |value: &Value| if let Value::Bulk(b) = value { String::from_utf8(b.clone()).unwrap() } else { panic!() };
        reply.many().chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    };
    assert_eq!(client.line("CONFIG GET databases").text(), "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n");
    let memory = pairs(client.line("config get MAXMEMORY* save"));
    assert!(memory.contains(&("maxmemory-policy".to_owned(), "noeviction".to_owned())), "{memory:?}");
    assert!(memory.iter().any(|(name, _)| name == "save"));
    let all = pairs(client.line("CONFIG GET *"));
    assert!(all.len() > 30 && !all.iter().any(|(name, _)| name.contains("pass") || name == "dir"), "{all:?}");
    assert_eq!(client.line("CONFIG GET requirepass").text(), "*0\r\n");
    assert!(Client::resp3(proxy.addr()).line("CONFIG GET databases").text().starts_with("%1\r\n"));
}
