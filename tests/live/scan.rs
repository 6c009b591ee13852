//! SCAN through proxies finds every key that stays, whatever slots and primaries do meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{Client, PATIENCE, Proxy, Value, alone, direct, frame, long, own_cluster, proxy, tell};

/// One page: the next cursor and its keys.
#[track_caller]
fn page(client: &mut Client, cursor: &str, options: &[&str]) -> (String, Vec<String>) {
    let reply = client.call(&[&["SCAN", cursor], options].concat()).ok();
    let [Value::Bulk(next), Value::Many(_, keys)] = reply.many() else { panic!("no page: {reply:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let next = text(next);
    assert!(next.parse::<u64>().is_ok(), "a cursor is a number of 64 bits: {next}");
    let key = |value: &Value| if let Value::Bulk(key) = value { text(key) } else { panic!("no key: {value:?}") };
    (next, keys.iter().map(key).collect())
}

/// A whole walk over clients in turn: how often each key came.
fn walk(clients: &mut [Client], options: &[&str], mut each_page: impl FnMut(usize)) -> BTreeMap<String, usize> {
    let (mut cursor, mut found) = ("0".to_owned(), BTreeMap::new());
    for turn in 0.. {
        let next = turn % clients.len();
        let (then, keys) = page(&mut clients[next], &cursor, options);
        for key in keys {
            *found.entry(key).or_default() += 1;
        }
        each_page(turn);
        assert!(turn < 2_000_000, "the walk does not end");
        cursor = then;
        if cursor == "0" {
            break;
        }
    }
    found
}

/// Sets keys, many at a time.
fn fill(client: &mut Client, keys: &[String]) {
    for some in keys.chunks(1000) {
        client.send(&some.iter().flat_map(|key| frame(&["SET", key, "x"])).collect::<Vec<u8>>());
        for _ in some {
            client.read().ok();
        }
    }
}

fn reshard(cluster: &Cluster, from: usize, to: usize, slots: usize) -> Child {
    let id = |node| cluster.call(node, &["CLUSTER", "MYID"]).unwrap().text().unwrap().to_owned();
    Command::new("redis-cli")
        .args(["--cluster", "reshard", &cluster.addrs()[from].to_string()])
        .args(["--cluster-from", &id(from), "--cluster-to", &id(to)])
        .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-cli: {error}; it comes with the package redis-tools"))
}

#[test]
fn a_walk_over_a_cluster_at_rest_gives_each_key_once() {
    if direct() {
        return;
    }
    let cluster = own_cluster(&Options { replicas: 0, ..Options::default() });
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut client = Client::connect(proxy.addr());
    assert!(walk(std::slice::from_mut(&mut client), &[], |_| {}).is_empty());
    let mut keys: Vec<String> = (0..5000).map(|n| format!("key:{n}")).collect();
    // One slot with most of its node's keys, one with many but a small part of them.
    keys.extend((0..6000).map(|n| format!("{{big}}:{n}")));
    keys.extend((0..2500).map(|n| format!("{{small}}:{n}")));
    fill(&mut client, &keys);
    client.line("SADD a-set 1").ok();
    client.line("SET fleeting 1 PX 1").ok();
    client.line("DEL a-set-that-is-not").ok();
    let all: BTreeSet<String> = keys.iter().cloned().chain(["a-set".to_owned()]).collect();
    std::thread::sleep(std::time::Duration::from_millis(2));
    for (count, most) in [("10", 12_000), ("1000", 60), ("100000", 30)] {
        let mut pages = 0;
        let mut clients = [Client::connect(proxy.addr()), Client::resp3(proxy.addr())];
        let found = walk(&mut clients, &["COUNT", count], |_| pages += 1);
        assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), all, "COUNT {count}");
        let twice = found.iter().filter(|(_, times)| **times > 1).count();
        assert!(pages <= most, "{pages} pages with COUNT {count}");
        tell(&format!("COUNT {count}: {pages} pages, {twice} keys more than once"));
        assert!(twice <= 6000, "{twice} keys came more than once");
    }
    let clients = std::slice::from_mut(&mut client);
    let some = walk(clients, &["MATCH", "{big}:1?9", "COUNT", "1000"], |_| {});
    assert_eq!(some.len(), 10);
    let sets = walk(clients, &["TYPE", "SET", "COUNT", "1000"], |_| {});
    assert_eq!(sets.into_keys().collect::<Vec<_>>(), ["a-set"]);
    let strings = walk(clients, &["COUNT", "1000", "type", "string", "match", "*5"], |_| {});
    assert_eq!(strings.len(), keys.iter().filter(|key| key.ends_with('5')).count());
    assert!(walk(clients, &["TYPE", "no-type", "COUNT", "5000"], |_| {}).is_empty());
}

#[test]
fn a_cursor_that_is_not_ours_and_wrong_options_are_refused() {
    if direct() {
        return;
    }
    let proxy = proxy();
    let mut client = Client::connect(proxy.addr());
    for (line, error) in [
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 12345", "ERR invalid cursor"),
        ("SCAN 18446744073709551615", "ERR invalid cursor"),
        ("SCAN 18446744073709551616", "ERR invalid cursor"),
        ("SCAN 0 COUNT", "ERR syntax error"),
        ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 COUNT x", "ERR value is not an integer or out of range"),
        ("SCAN 0 FOO bar", "ERR syntax error"),
        ("SCAN", "ERR wrong number of arguments for 'scan' command"),
    ] {
        assert_eq!(client.line(line).error(), Some(error), "{line}");
    }
}

#[test]
fn no_key_is_missed_while_slots_move_and_a_primary_is_replaced() {
    if direct() {
        return;
    }
    let _alone = alone();
    let cluster = own_cluster(&Options::default());
    let proxies = [Proxy::start(&cluster.addrs(), &[], &[]), Proxy::start(&cluster.addrs(), &[], &[])];
    let mut clients: Vec<Client> = proxies.iter().map(|proxy| Client::connect(proxy.addr())).collect();
    let (count, slots) = if long() { (1_000_000, 1000) } else { (20_000, 300) };
    let mut keys: Vec<String> = (0..count).map(|n| format!("key:{n}")).collect();
    keys.extend((0..count / 4).map(|n| format!("{{hot}}:{n}")));
    fill(&mut clients[0], &keys);
    // One walk after the other, until slots have moved there and back and a primary was replaced.
    let mut script: Vec<Box<dyn Fn() -> Option<Child>>> = Vec::new();
    let cluster = &cluster;
    for (from, to) in [(1, 0), (2, 1), (0, 2)] {
        script.push(Box::new(move || Some(reshard(cluster, from, to, slots))));
    }
    script.insert(
        1,
        Box::new(move || {
            cluster.wait_settled(PATIENCE).unwrap();
            let replica = cluster.replicas_of(2).unwrap()[0];
            cluster.fail_over(replica, PATIENCE).unwrap();
            cluster.wait_settled(PATIENCE).unwrap();
            cluster.fail_over(2, PATIENCE).unwrap();
            cluster.wait_settled(PATIENCE).unwrap();
            None
        }),
    );
    let mut next = script.into_iter();
    let (mut child, mut walks, mut over): (Option<Child>, _, _) = (None, 0, false);
    while !over {
        let found = walk(&mut clients, &["COUNT", if walks % 2 == 0 { "10" } else { "300" }], |turn| {
            let busy = child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
            if turn % 50 == 25 && !busy {
                if let Some(ended) = child.take() {
                    let status = ended.wait_with_output().unwrap().status;
                    assert!(status.success(), "redis-cli --cluster reshard failed");
                    cluster.wait_settled(PATIENCE).unwrap();
                }
                match next.next() {
                    Some(act) => child = act(),
                    None => over = true,
                }
            }
        });
        walks += 1;
        let missed: Vec<_> = keys.iter().filter(|key| !found.contains_key(*key)).collect();
        assert!(missed.is_empty(), "walk {walks}: {} keys missed: {:?}", missed.len(), &missed[..missed.len().min(5)]);
    }
    tell(&format!("{walks} walks over {} keys", keys.len()));
}
