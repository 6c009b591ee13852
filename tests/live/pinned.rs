//! `[keyspace] pin`: the same commands through a pinned proxy before a cluster and to one server give the same
//! replies, byte for byte, whatever keys, databases, transactions and scripts they name.

use std::time::Duration;

use slotway::demo::servers::{Options, Server};

use crate::differential::differences;
use crate::harness::{Client, Proxy, Random, Value, cluster, direct, frame, long, own_cluster, tell, words};

/// A proxy whose clients live in the keyspace `name`.
fn pinned(name: &str) -> Proxy {
    Proxy::start(&cluster().addrs(), &[], &[("SLOTWAY__KEYSPACE__PIN", name)])
}

/// Sessions, line by line; `b:` is a second client, `~` compares elements in any order, `#` begins a new session.
const SESSIONS: &str = include_str!("pinned/sessions.txt");

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    lines.sort_unstable();
    lines
}

fn compare(proxy: &Proxy, server: &Server, resp3: bool) {
    let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
    for session in SESSIONS.split("\n# ").filter(|session| !session.starts_with("//")) {
        let mut through = [connect(proxy.addr()), connect(proxy.addr())];
        let mut single = [connect(server.addr()), connect(server.addr())];
        for client in [&mut through[0], &mut single[0]] {
            client.line("FLUSHALL").ok();
        }
        let mut lines = session.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap();
        for line in lines {
            let (any_order, text) = line.strip_prefix("~ ").map_or((false, line), |rest| (true, rest));
            let (who, text) = text.strip_prefix("b: ").map_or((0, text), |rest| (1, rest));
            let command = words(text);
            let (answer, expected) = (through[who].call(&command).text(), single[who].call(&command).text());
            let same = if any_order { sorted(&answer) == sorted(&expected) } else { answer == expected };
            assert!(same, "{title}: {line}, RESP3 {resp3}\n    proxy:  {answer:?}\n    server: {expected:?}");
        }
    }
}

#[test]
fn sessions_are_answered_as_by_a_single_server() {
    if direct() {
        return;
    }
    let (proxy, server) = (pinned("sessions"), Server::start(&Options::default()).unwrap());
    // Another application on the same cluster, and keys that are nobody's: neither sees the other.
    let other = pinned("sessions2");
    let mut other = Client::connect(other.addr());
    for line in ["SET k other", "RPUSH q other", "SELECT 1", "SET k other1"] {
        other.line(line).ok();
    }
    for resp3 in [false, true] {
        compare(&proxy, &server, resp3);
    }
    assert_eq!(other.line("GET k").text(), "$6\r\nother1\r\n");
    assert_eq!(other.line("DBSIZE").int(), 1);
    other.line("SELECT 0").ok();
    assert_eq!(other.line("DBSIZE").int(), 2);
    other.line("FLUSHALL").ok();
}

#[test]
fn generated_commands_are_answered_as_by_a_single_server_when_pinned() {
    if direct() {
        return;
    }
    let seed = Random::seed();
    let (proxy, server) = (pinned("generated"), Server::start(&Options::default()).unwrap());
    let count = if long() { 20_000 } else { 400 };
    let differ = differences(proxy.addr(), server.addr(), count, seed);
    assert!(differ.is_empty(), "LIVE_SEED={seed}: {} differ:\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn a_scan_finds_every_key_of_its_own_and_no_other() {
    if direct() {
        return;
    }
    let proxy = pinned("scanned");
    let mut client = Client::connect(proxy.addr());
    let mut others = Client::connect(crate::harness::proxy().addr());
    for n in 0..300 {
        client.line(&format!("SET scanned:{n} v")).ok();
        others.line(&format!("SET elsewhere:{n} v")).ok();
    }
    client.line("RPUSH scanned:list a").ok();
    let scan = |client: &mut Client, options: &str| {
        let (mut cursor, mut found, mut pages) = ("0".to_owned(), std::collections::BTreeSet::new(), 0);
        loop {
            let page = client.line(&format!("SCAN {cursor} {options}"));
            let [Value::Bulk(next), Value::Many(_, keys)] = page.many() else { panic!("no page: {page:?}") };
            for key in keys {
                let Value::Bulk(key) = key else { panic!("no key: {key:?}") };
                found.insert(String::from_utf8_lossy(key).into_owned());
            }
            cursor = String::from_utf8_lossy(next).into_owned();
            pages += 1;
            if cursor == "0" {
                return (found, pages);
            }
        }
    };
    let (all, pages) = scan(&mut client, "COUNT 50");
    assert_eq!(all.len(), 301);
    assert!(all.iter().all(|key| key.starts_with("scanned:")), "{all:?}");
    tell(&format!("{pages} pages"));
    assert_eq!(scan(&mut client, "MATCH *9 COUNT 1000").0.len(), 30);
    assert_eq!(scan(&mut client, "TYPE list COUNT 1000").0.len(), 1);
    client.line("SELECT 5").ok();
    assert_eq!(scan(&mut client, "COUNT 1000").0.len(), 0);
    client.line("FLUSHALL").ok();
}

#[test]
fn a_blocked_client_gets_what_is_pushed() {
    if direct() {
        return;
    }
    let proxy = pinned("blocked");
    let (mut waits, mut pushes) = (Client::connect(proxy.addr()), Client::connect(proxy.addr()));
    for (wait, push, reply) in [
        ("BLPOP one two 5", "RPUSH two x", "*2\r\n$3\r\ntwo\r\n$1\r\nx\r\n"),
        ("BZPOPMIN z 5", "ZADD z 1 m", "*3\r\n$1\r\nz\r\n$1\r\nm\r\n$1\r\n1\r\n"),
        ("BLMPOP 5 2 a b LEFT", "LPUSH b y", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\ny\r\n"),
        ("BLMOVE from to LEFT RIGHT 5", "RPUSH from v", "$1\r\nv\r\n"),
        (
            "XREAD BLOCK 5000 STREAMS s t $ $",
            "XADD t 1-1 f v",
            "*1\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ),
    ] {
        waits.send(&frame(&words(wait)));
        std::thread::sleep(Duration::from_millis(100));
        pushes.line(push).ok();
        assert_eq!(waits.read().text(), reply, "{wait}");
    }
    // Nothing is popped for one who is gone.
    let mut gone = Client::connect(proxy.addr());
    gone.send(&frame(&words("BLPOP lost 5")));
    std::thread::sleep(Duration::from_millis(100));
    drop(gone);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(pushes.line("RPUSH lost x").int(), 1);
    assert_eq!(pushes.line("LLEN lost").int(), 1);
    pushes.line("FLUSHALL").ok();
}

/// Reads so many messages, as text.
fn messages(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| client.read().text().replace("\r\n", " ")).collect()
}

#[test]
fn events_are_those_of_its_own_keys_by_their_own_names() {
    if direct() {
        return;
    }
    let cluster = own_cluster(&Options { replicas: 0, ..Options::default() });
    for addr in cluster.addrs() {
        Client::connect(addr).line("CONFIG SET notify-keyspace-events KEA").ok();
    }
    let start = |name| Proxy::start(&cluster.addrs(), &[], &[("SLOTWAY__KEYSPACE__PIN", name)]);
    let (one, two) = (start("one"), start("two"));
    let [mut hears, mut any] = [(); 2].map(|()| Client::connect(one.addr()));
    for name in ["__keyspace@0__:k", "__keyevent@0__:set", "__keyevent@3__:set"] {
        let told = hears.line(&format!("SUBSCRIBE {name}")).text();
        assert!(told.contains(name), "{told}");
    }
    any.line("PSUBSCRIBE __key*__:*").ok();
    let (mut own, mut other) = (Client::connect(one.addr()), Client::connect(two.addr()));
    other.line("SET k other").ok();
    own.line("SET k v").ok();
    own.line("SELECT 3").ok();
    own.line("SET k3 v").ok();
    own.line("DEL k3").ok();
    let event = |channel: &str, message: &str| {
        format!("*3 $7 message ${} {channel} ${} {message} ", channel.len(), message.len())
    };
    let expected =
        [event("__keyspace@0__:k", "set"), event("__keyevent@0__:set", "k"), event("__keyevent@3__:set", "k3")];
    assert_eq!(messages(&mut hears, 3), expected);
    let all = messages(&mut any, 6);
    for (at, channel) in
        ["__keyspace@0__:k", "__keyevent@0__:set", "__keyspace@3__:k3", "__keyevent@3__:set"].iter().enumerate()
    {
        assert!(all[at].starts_with("*4 $8 pmessage $10 __key*__:* ") && all[at].contains(channel), "{all:?}");
    }
    let told = hears.line("UNSUBSCRIBE __keyevent@3__:set").text();
    assert!(told.contains("__keyevent@3__:set"), "{told}");
    own.line("SET k3 v").ok();
    own.line("SELECT 0").ok();
    own.line("SET k again").ok();
    assert_eq!(messages(&mut hears, 2), expected[..2]);
}

#[test]
fn channels_are_shared_unless_they_are_to_be_its_own() {
    if direct() {
        return;
    }
    let start = |name, channels| {
        let env = [("SLOTWAY__KEYSPACE__PIN", name), ("SLOTWAY__KEYSPACE__CHANNELS", channels)];
        Proxy::start(&cluster().addrs(), &[], &env)
    };
    let (shared, one, two) = (start("ch0", "shared"), start("ch1", "own"), start("ch2", "own"));
    let connect = |proxy: &Proxy| Client::resp3(proxy.addr());
    let [mut on_shared, mut on_one, mut on_two] = [&shared, &one, &two].map(connect);
    for client in [&mut on_shared, &mut on_one, &mut on_two] {
        client.line("SUBSCRIBE pinned:news").ok();
        client.line("PSUBSCRIBE pinned:n*").ok();
        client.line("SSUBSCRIBE pinned:shard").ok();
    }
    let mut says = connect(&one);
    assert_eq!(says.line("PUBLISH pinned:news hello").int(), 2);
    assert_eq!(says.line("SPUBLISH pinned:shard there").int(), 1);
    let expected = [
        ">3 $7 message $11 pinned:news $5 hello ",
        ">3 $8 smessage $12 pinned:shard $5 there ",
        ">4 $8 pmessage $9 pinned:n* $11 pinned:news $5 hello ",
    ];
    let mut heard = messages(&mut on_one, 3);
    heard.sort_unstable();
    assert_eq!(heard, expected);
    assert_eq!(says.line("PUBSUB CHANNELS").text(), "*1\r\n$11\r\npinned:news\r\n");
    assert_eq!(says.line("PUBSUB NUMSUB pinned:news x").text(), "*4\r\n$11\r\npinned:news\r\n:1\r\n$1\r\nx\r\n:0\r\n");
    // The others hear nothing of it.
    for client in [&mut on_shared, &mut on_two] {
        assert_eq!(client.line("PING").text(), "+PONG\r\n");
    }
    // How many it says is for another process to know: these are subscribers of nodes.
    Client::connect(crate::harness::proxy().addr()).line("PUBLISH pinned:news all").ok();
    assert!(messages(&mut on_shared, 2)[0].contains("pinned:news"));
}

/// Channels and patterns of an application take one way: what one client publishes comes in that order, and what it
/// published before a subscription does not come.
#[test]
fn messages_of_several_channels_come_in_the_order_of_one_server() {
    if direct() {
        return;
    }
    for own in ["shared", "own"] {
        let env = [("SLOTWAY__KEYSPACE__PIN", "order"), ("SLOTWAY__KEYSPACE__CHANNELS", own)];
        let proxy = Proxy::start(&cluster().addrs(), &[], &env);
        let mut publisher = Client::connect(proxy.addr());
        for round in 0..60 {
            let mut hears = Client::connect(proxy.addr());
            hears.line(&format!("PSUBSCRIBE {own}{round}:*")).ok();
            hears.line(&format!("SUBSCRIBE {own}{round}:0")).ok();
            for channel in 0..8 {
                publisher.send(&frame(&["PUBLISH", &format!("{own}{round}:{channel}"), &format!("{channel}")]));
            }
            let receivers: Vec<String> = (0..8).map(|_| publisher.read().text()).collect();
            assert_eq!(receivers.concat(), format!(":2\r\n{}", ":1\r\n".repeat(7)));
            let mut late = Client::connect(proxy.addr());
            late.line(&format!("PSUBSCRIBE {own}{round}:[0-9]")).ok();
            publisher.line(&format!("PUBLISH {own}{round}:9 last")).ok();
            assert!(late.read().text().contains("last"), "{own} {round}: what came before the subscription");
            let heard: String = (0..10).map(|_| hears.read().text()).collect();
            let order: Vec<&str> = heard.split("\r\n").filter(|word| word.len() == 1 || *word == "last").collect();
            assert_eq!(order, ["0", "0", "1", "2", "3", "4", "5", "6", "7", "last"], "{own} {round}");
        }
    }
}
