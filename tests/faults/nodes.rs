//! Every error that a node may answer with, induced at real nodes: what the proxy does about it, or that it is none
//! of its business.

use std::time::{Duration, Instant};

use slotway::demo::servers::Options;

use crate::harness::{Client, own_cluster, slot};
use crate::injector::{Cut, End, Way, Weather};
use crate::report::Row;
use crate::stage::{Stage, together};

/// Tells that an error of the table was induced and met as it says.
fn met(error: &'static str, client: &'static str, figures: impl Into<String>) {
    let passes = "as the table says";
    Row { test: "T24", what: error, client, passes, figures: figures.into() }.tell();
}

/// A key of node 0 with another one in its slot.
fn pair(stage: &Stage, n: usize) -> (String, String, u16) {
    let tag = stage.key_of(0, n);
    let key = format!("{{{tag}}}a");
    let of = slot(key.as_bytes());
    (key, format!("{{{tag}}}b"), of)
}

/// How often the nodes have answered with this error.
fn errors(stage: &Stage, kind: &str) -> u64 {
    let count = |node| {
        let info = stage.cluster.call(node, &["INFO", "errorstats"]).unwrap();
        let text = info.text().unwrap_or_default().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("errorstat_{kind}:count=")));
        line.map_or(0, |count| count.trim().parse().unwrap())
    };
    stage.cluster.running().into_iter().map(count).sum()
}

#[test]
fn t24_redirects_and_refusals_of_moving_slots_are_not_seen() {
    let _lane = together();
    let stage = Stage::start(&[]);
    let mut client = stage.client();
    let (one, other, of) = pair(&stage, 50);
    client.call(&["MSET", &one, "1", &other, "2"]).ok();
    let moving = stage.cluster.begin_move(of, 1).unwrap().expect("it belongs to node 0");
    assert_eq!(stage.cluster.carry_keys(&moving, 1).unwrap(), 1);
    assert_eq!(client.call(&["GET", &one]).bulk(), Some(b"1".as_slice()));
    assert_eq!(client.call(&["GET", &other]).bulk(), Some(b"2".as_slice()));
    assert!(errors(&stage, "ASK") > 0);
    met("ASK", "nothing", "followed, the map stays");
    std::thread::scope(|scope| {
        let mut asking = stage.client();
        let (one, other) = (one.clone(), other.clone());
        let begun = Instant::now();
        let waits = scope.spawn(move || (asking.call(&["MGET", &one, &other]), begun.elapsed()));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(stage.cluster.carry_keys(&moving, 10).unwrap(), 1);
        let (reply, took) = waits.join().unwrap();
        assert_eq!(reply.ok().text(), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(400), "{took:?}");
        met("TRYAGAIN", "latency", format!("waited {} ms for a move of 300 ms", took.as_millis()));
    });
    stage.cluster.end_move(&moving).unwrap();
    client.call(&["SET", &one, "3"]).ok();
    assert!(errors(&stage, "MOVED") > 0 && errors(&stage, "TRYAGAIN") > 0);
    met("MOVED", "nothing", "followed, the slot and then the map are set right");
}

#[test]
fn t24_a_cluster_that_is_down_is_waited_for() {
    let _lane = together();
    let stage = Stage::start(&[]);
    let (key, _, of) = pair(&stage, 60);
    let of = of.to_string();
    for node in 0..6 {
        // Those that know the owner only from others forget it by themselves.
        let _ = stage.cluster.call(node, &["CLUSTER", "DELSLOTS", &of]);
    }
    std::thread::scope(|scope| {
        let (mut client, key) = (stage.client(), key.clone());
        let begun = Instant::now();
        let waits = scope.spawn(move || (client.call(&["SET", &key, "x"]), begun.elapsed()));
        std::thread::sleep(Duration::from_millis(700));
        stage.cluster.call(0, &["CLUSTER", "ADDSLOTS", &of]).unwrap();
        let (reply, took) = waits.join().unwrap();
        reply.ok();
        assert!(took < Duration::from_millis(1900), "{took:?}");
        assert!(errors(&stage, "CLUSTERDOWN") > 0, "nothing was tested");
        met("CLUSTERDOWN", "latency", format!("waited {} ms for an outage of 700 ms", took.as_millis()));
    });
}

#[test]
fn t24_a_node_that_loads_is_waited_for() {
    let _lane = together();
    let settings = [("enable-debug-command", "yes"), ("loading-process-events-interval-bytes", "1024")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let stage = Stage::before(own_cluster(&Options { settings, ..Options::default() }), &[]);
    let tag = stage.key_of(0, 0);
    let mut client = stage.client();
    for n in 0..200 {
        client.call(&["SET", &format!("{{{tag}}}{n}"), &"x".repeat(200)]).ok();
    }
    stage.cluster.call(0, &["CONFIG", "SET", "key-load-delay", "4000"]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| stage.cluster.call(0, &["DEBUG", "RELOAD"]).unwrap());
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        client.call(&["SET", &tag, "x"]).ok();
        let took = begun.elapsed();
        assert!(errors(&stage, "LOADING") > 0, "nothing was tested");
        met("LOADING", "latency", format!("waited {} ms", took.as_millis()));
    });
}

#[test]
fn t24_replicas_that_cannot_answer_are_not_waited_for() {
    let _lane = together();
    let settings = [
        ("enable-debug-command", "yes"),
        ("loading-process-events-interval-bytes", "1024"),
        ("replica-serve-stale-data", "no"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let reading = [("SLOTWAY__CLUSTER__READ_FROM", "prefer_replica")];
    let stage = Stage::before(own_cluster(&Options { settings, ..Options::default() }), &reading);
    let tag = stage.key_of(0, 0);
    let replica = stage.cluster.replicas_of(0).unwrap()[0];
    let mut client = stage.client();
    for n in 0..200 {
        client.call(&["SET", &format!("{{{tag}}}{n}"), &"x".repeat(200)]).ok();
    }
    std::thread::sleep(Duration::from_millis(300));
    let long = |reply: crate::harness::Reply| assert_eq!(reply.bulk().map(<[u8]>::len), Some(200), "{reply:?}");
    long(client.call(&["GET", &format!("{{{tag}}}1")]));
    stage.cluster.call(replica, &["CONFIG", "SET", "key-load-delay", "4000"]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| stage.cluster.call(replica, &["DEBUG", "RELOAD"]).unwrap());
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        for n in 0..20 {
            long(client.call(&["GET", &format!("{{{tag}}}{n}")]));
        }
        let took = begun.elapsed();
        assert!(errors(&stage, "LOADING") > 0, "nothing was tested");
        assert!(took < Duration::from_millis(300), "{took:?}");
        met("LOADING to a read at a replica", "nothing", format!("20 reads took {} ms", took.as_millis()));
    });
    // The replica cannot get in again; the proxy is in already.
    let mut node = stage.cluster.wire(0).unwrap();
    node.call(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    node.call(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    for n in 0..20 {
        long(client.call(&["GET", &format!("{{{tag}}}{n}")]));
    }
    let took = begun.elapsed();
    node.call(&["CONFIG", "SET", "requirepass", ""]).unwrap();
    assert!(errors(&stage, "MASTERDOWN") > 0, "nothing was tested");
    assert!(took < Duration::from_millis(300), "{took:?}");
    met("MASTERDOWN to a read at a replica", "nothing", format!("20 reads took {} ms", took.as_millis()));
}

#[test]
fn t24_what_is_the_clients_business_comes_as_it_is() {
    let _lane = together();
    let stage = Stage::start(&[]);
    let key = stage.key_of(0, 0);
    let mut client = stage.client();
    let set = |name: &str, value: &str| stage.cluster.call(0, &["CONFIG", "SET", name, value]).unwrap();
    let starts = |client: &mut Client, command: &[&str], start: &'static str| {
        let reply = client.call(command);
        assert!(reply.error().is_some_and(|error| error.starts_with(start)), "{reply:?}, not {start}");
        met(start, "the node's own words", "as it is");
    };
    client.call(&["RPUSH", &key, "x"]).ok();
    starts(&mut client, &["GET", &key], "WRONGTYPE");
    starts(&mut client, &["EVALSHA", &"0".repeat(40), "1", &key], "NOSCRIPT");
    set("maxmemory", "1");
    starts(&mut client, &["SET", &key, "x"], "OOM");
    set("maxmemory", "0");
    set("min-replicas-to-write", "5");
    starts(&mut client, &["SET", &key, "x"], "NOREPLICAS");
    set("min-replicas-to-write", "0");
    client.call(&["MULTI"]).ok();
    assert!(client.call(&["SET", &key]).error().is_some());
    starts(&mut client, &["EXEC"], "EXECABORT");
    std::thread::scope(|scope| {
        set("busy-reply-threshold", "10");
        let (mut looping, of) = (stage.client(), key.clone());
        let endless = scope.spawn(move || looping.call(&["EVAL", "while true do end", "1", &of]));
        std::thread::sleep(Duration::from_millis(200));
        starts(&mut client, &["GET", &key], "BUSY");
        stage.cluster.call(0, &["SCRIPT", "KILL"]).unwrap();
        assert!(endless.join().unwrap().error().is_some());
    });
    starts(&mut client, &["EVAL", "return 1", "2", &key, &stage.key_of(1, 0)], "CROSSSLOT");
}

#[test]
fn t24_a_node_that_asks_for_a_password_is_not_the_clients_fault() {
    let _lane = together();
    let stage = Stage::start(&[]);
    let key = stage.key_of(0, 0);
    // Of the other protocol, so that the connection of the first one is yet to be made.
    Client::resp3(stage.addr()).call(&["SET", &key, "x"]).ok();
    let mut node = stage.cluster.wire(0).unwrap();
    node.call(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let mut client = stage.client();
    let refused = |client: &mut Client| {
        let reply = client.call(&["SET", &key, "y"]);
        assert!(reply.error().is_some_and(|error| error.starts_with("PROXYUNSENT")), "{reply:?}");
        reply.error().unwrap_or_default().to_owned()
    };
    let first = refused(&mut client);
    stage.injector.reset(0);
    std::thread::sleep(Duration::from_millis(300));
    refused(&mut client);
    met("NOAUTH", "PROXYUNSENT, never the node's words", first);
    node.call(&["CONFIG", "SET", "requirepass", ""]).unwrap();
    stage.wait_served();
    assert_eq!(client.call(&["GET", &key]).bulk(), Some(b"x".as_slice()), "it was not executed");
}

#[test]
fn t24_lost_connections_are_reported_truthfully() {
    let _lane = together();
    let stage = Stage::start(&[("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "1s")]);
    let key = stage.key_of(0, 0);
    let mut client = stage.client();
    client.call(&["SET", &key, "0"]).ok();
    let direct = || stage.cluster.call(0, &["GET", &key]).unwrap().text().unwrap().to_owned();
    let cut_next = |after| {
        stage.injector.cut_next(0, Cut { way: Way::ToProxy, after, end: End::Reset });
        stage.injector.reset(0);
        std::thread::sleep(Duration::from_millis(300));
    };
    cut_next(0);
    let reply = client.call(&["INCR", &key]);
    assert!(reply.error().is_some_and(|error| error.starts_with("PROXYUNKNOWN")), "{reply:?}");
    assert_eq!(direct(), "1", "it did run, and only once");
    met("connection lost behind a write", "PROXYUNKNOWN", reply.error().unwrap_or_default());
    cut_next(2);
    assert_eq!(client.call(&["GET", &key]).bulk(), Some(b"1".as_slice()));
    met("connection lost behind a read", "nothing", "asked again");
    stage.injector.weather(0, Weather { refuse: true, ..Weather::default() });
    stage.injector.reset(0);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    let reply = client.call(&["INCR", &key]);
    let took = begun.elapsed();
    assert!(reply.error().is_some_and(|error| error.starts_with("PROXYUNSENT")), "{reply:?}");
    assert_eq!(direct(), "1", "it did not run");
    assert!(took <= Duration::from_millis(1050), "{took:?}");
    met("no connection at all", "PROXYUNSENT at the deadline", reply.error().unwrap_or_default());
    stage.injector.weather(0, Weather::default());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(client.call(&["INCR", &key]).ok().int(), 2);
}
