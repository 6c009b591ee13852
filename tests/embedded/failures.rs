//! Nodes that die, stall, lie or go their own way, and the clock.

use std::sync::Arc;
use std::time::Duration;

use slotway::demo::embedded::{Cluster, Options, Script};
use slotway::net::{Net, tcp::Tcp};
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::{Instant, timeout};

use crate::client::{Client, frame};
use crate::{client, three, with};

#[test]
fn a_planned_failover_changes_the_roles_and_keeps_the_keys() {
    three(async |cluster, [first, _, _, replica, ..]| {
        let (mut old, mut new) = (client(&cluster, first), client(&cluster, replica));
        old.say("SET b x").await;
        let epoch = cluster.epoch();
        cluster.failover(replica);
        assert_eq!(cluster.epoch(), epoch + 1);
        assert_eq!(new.say("GET b").await, r"$1\r\nx\r\n");
        assert_eq!(old.say("GET b").await, r"-MOVED 3300 127.0.0.1:7003\r\n");
        assert_eq!(old.say("FLUSHALL").await, r"-READONLY You can\'t write against a read only replica.\r\n");
        assert!(old.say("CLUSTER NODES").await.contains("127.0.0.1:7000@17000 myself,slave "));
    });
}

#[test]
fn a_killed_node_refuses_until_it_is_back_as_a_replica() {
    three(async |cluster, [first, second, _, replica, ..]| {
        let mut old = client(&cluster, first);
        old.say("SET b x").await;
        cluster.kill(first);
        assert_eq!(old.say("GET b").await, "(unexpected end of file)");
        cluster.connect(&cluster.addr(first)).map(drop).expect_err("a dead node");
        assert_eq!(cluster.connections(first), 0);

        // Until the others know, they send everybody to the dead node.
        let mut other = client(&cluster, second);
        assert_eq!(other.say("GET b").await, r"-MOVED 3300 127.0.0.1:7000\r\n");
        cluster.declare_failed(first);
        assert_eq!(other.say("GET b").await, r"-CLUSTERDOWN The cluster is down\r\n");
        cluster.failover(replica);
        assert_eq!(other.say("GET b").await, r"-MOVED 3300 127.0.0.1:7003\r\n");
        assert!(other.say("CLUSTER NODES").await.contains("127.0.0.1:7000@17000 slave,fail "));
        assert_eq!(client(&cluster, replica).say("GET b").await, r"$1\r\nx\r\n");

        cluster.revive(first);
        assert_eq!(client(&cluster, first).say("GET b").await, r"-MOVED 3300 127.0.0.1:7003\r\n");
    });
}

#[test]
fn a_paused_node_takes_bytes_and_answers_when_it_goes_on() {
    three(async |cluster, [first, ..]| {
        let mut client = client(&cluster, first);
        client.say("SET b x").await;
        cluster.pause(first);
        client.send(&frame(&[b"GET", b"b"])).await.expect("room in the pipe");
        timeout(Duration::from_mins(1), client.reply()).await.expect_err("no answer");
        assert_eq!(cluster.counts(first).commands, 1);
        cluster.resume(first);
        assert_eq!(client.reply().await.expect("the answer"), b"$1\r\nx\r\n");
    });
}

#[test]
fn a_slow_node_takes_its_time_for_each_batch() {
    three(async |cluster, [first, ..]| {
        let mut client = client(&cluster, first);
        cluster.delay(first, Duration::from_millis(200));
        let start = Instant::now();
        client.send(&frame(&[b"GET", b"b"]).repeat(10)).await.expect("room in the pipe");
        for _ in 0..10 {
            client.reply().await.expect("a reply");
        }
        assert_eq!(start.elapsed().as_millis(), 200);
    });
}

#[test]
fn an_isolated_primary_goes_its_own_way_and_then_forgets() {
    three(async |cluster, [first, second, _, replica, ..]| {
        let mut minority = client(&cluster, first);
        minority.say("SET b old").await;
        cluster.isolate(first);
        cluster.failover(replica);
        cluster.move_slot(5461, replica);
        assert_eq!(client(&cluster, replica).say("SET b new").await, r"+OK\r\n");
        assert_eq!(minority.say("SET b lost").await, r"+OK\r\n");
        assert!(minority.say("CLUSTER SLOTS").await.starts_with(r"*3\r\n*4\r\n:0\r\n:5460\r\n"));
        assert!(minority.say("CLUSTER INFO").await.contains("cluster_current_epoch:3"));
        assert!(client(&cluster, second).say("CLUSTER INFO").await.contains("cluster_current_epoch:5"));
        cluster.rejoin(first);
        assert_eq!(minority.say("GET b").await, r"-MOVED 3300 127.0.0.1:7003\r\n");
        minority.say("READONLY").await;
        assert_eq!(minority.say("GET b").await, r"$3\r\nnew\r\n");
    });
}

#[test]
fn scripts_lie_once_and_in_order() {
    three(async |cluster, [first, ..]| {
        cluster.log(100);
        let mut client = client(&cluster, first);
        cluster.script(first, Script::refuse("-LOADING wait\r\n").on("get").times(2));
        cluster.script(first, Script::replace("+WHAT\r\n").on("incr"));
        cluster.script(first, Script::before("+EARLY\r\n").on("ping"));
        cluster.script(first, Script::after("+LATE\r\n").on("ping"));
        assert_eq!(client.say("GET b").await, r"-LOADING wait\r\n");
        assert_eq!(client.say("INCR b").await, r"+WHAT\r\n");
        assert_eq!(client.say("GET b").await, r"-LOADING wait\r\n");
        assert_eq!(client.say("GET b").await, r"$1\r\n1\r\n");
        assert_eq!(client.say("PING").await, r"+EARLY\r\n");
        assert_eq!(client.reply().await.expect("the real one"), b"+PONG\r\n");
        assert_eq!(client.say("PING").await, r"+PONG\r\n");
        assert_eq!(client.reply().await.expect("one too many"), b"+LATE\r\n");
        assert_eq!(cluster.scripts_left(first), 0);
        let ran: Vec<bool> = cluster.take_log().iter().map(|seen| seen.ran).collect();
        assert_eq!(ran, [false, true, false, true, true, true]);
    });
}

#[test]
fn connections_are_cut_before_and_after_a_request_ran() {
    three(async |cluster, [first, ..]| {
        cluster.script(first, Script::cut_after(2).on("incr"));
        let mut cut = client(&cluster, first);
        cut.send(&frame(&[b"INCR", b"b"])).await.expect("room in the pipe");
        assert_eq!(cut.rest().await, b":1");
        cluster.script(first, Script::cut_unrun().on("incr"));
        assert_eq!(client(&cluster, first).say("INCR b").await, "(unexpected end of file)");
        assert_eq!(client(&cluster, first).say("GET b").await, r"$1\r\n1\r\n");
        let mut idle = client(&cluster, first);
        idle.say("PING").await;
        assert_eq!(cluster.cut_connections(first), 1);
        assert_eq!(idle.rest().await, b"");
        assert!(cluster.is_alive(first));
    });
}

#[test]
fn held_replies_hold_those_behind_them_only() {
    three(async |cluster, [first, ..]| {
        let mut client = client(&cluster, first);
        cluster.script(first, Script::hold(Duration::from_secs(5)).on("echo"));
        let start = Instant::now();
        client.send(&[frame(&[b"PING"]), frame(&[b"ECHO", b"x"]), frame(&[b"PING"])].concat()).await.expect("room");
        for (reply, seconds) in [(&b"+PONG\r\n"[..], 0), (b"$1\r\nx\r\n", 5), (b"+PONG\r\n", 5)] {
            assert_eq!(client.reply().await.expect("a reply"), reply);
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
    });
}

#[test]
fn unasked_bytes_reach_every_connection() {
    three(async |cluster, [first, ..]| {
        let (mut one, mut two) = (client(&cluster, first), client(&cluster, first));
        one.say("PING").await;
        two.say("PING").await;
        cluster.send_unasked(first, b"+SURPRISE\r\n");
        assert_eq!(one.reply().await.expect("bytes"), b"+SURPRISE\r\n");
        assert_eq!(two.reply().await.expect("bytes"), b"+SURPRISE\r\n");
        assert_eq!(one.say("PING").await, r"+PONG\r\n");
    });
}

#[test]
fn requests_that_are_not_canonical_are_recorded_and_closed() {
    for bytes in [&b"PING\r\n"[..], b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$4\r\nPINGxx", b"*0\r\n"] {
        let runtime = Builder::new_current_thread().enable_time().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(async {
            let cluster = Cluster::new(Options::default());
            let mut client = client(&cluster, cluster.nodes()[0]);
            client.send(bytes).await.expect("room in the pipe");
            assert!(client.rest().await.starts_with(b"-ERR Protocol error: "));
            assert_eq!(cluster.violations().len(), 1, "{}", bytes.escape_ascii());
        });
    }
}

#[test]
fn requests_may_come_in_any_pieces() {
    three(async |cluster, [first, ..]| {
        let mut client = client(&cluster, first);
        for byte in [frame(&[b"SET", b"b", b"\r\n"]), frame(&[b"GET", b"b"])].concat() {
            client.send(&[byte]).await.expect("room in the pipe");
            tokio::task::yield_now().await;
        }
        assert_eq!(client.reply().await.expect("a reply"), b"+OK\r\n");
        assert_eq!(client.reply().await.expect("a reply"), b"$2\r\n\r\n\r\n");
    });
}

#[test]
fn keys_expire_on_the_paused_clock() {
    three(async |cluster, [first, ..]| {
        let mut client = client(&cluster, first);
        client.say("SET b x PX 1500").await;
        assert_eq!(client.say("PTTL b").await, r":1500\r\n");
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(client.say("PTTL b").await, r":0\r\n");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(client.say("PTTL b").await, r":-2\r\n");
        assert_eq!(client.say("DBSIZE").await, r":0\r\n");
        assert_eq!(client.say("TIME").await, r"*2\r\n$10\r\n1700000001\r\n$6\r\n501000\r\n");
    });
}

#[test]
fn a_walk_over_a_node_finds_every_key() {
    with(Options { primaries: 1, ..Options::default() }, async |cluster| {
        let mut client = client(&cluster, cluster.nodes()[0]);
        for i in 0..500 {
            client.say(&format!("SET k{i} x")).await;
        }
        let (mut cursor, mut found) = ("0".to_owned(), 0);
        loop {
            let reply = client.say(&format!("SCAN {cursor} COUNT 20 MATCH k*")).await;
            let mut words = reply.split(r"\r\n").filter(|word| !word.starts_with(['*', '$']));
            cursor = words.next().expect("a cursor").to_owned();
            found += words.filter(|word| word.starts_with('k')).count();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found, 500);
    });
}

#[test]
fn the_nodes_serve_on_loopback_tcp() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(async {
        let cluster = Cluster::new(Options::default());
        let net: Arc<dyn Net> = Arc::new(Tcp);
        let addrs = cluster.serve_tcp(&net, 0).expect("free ports");
        assert_eq!(addrs.len(), 6);
        let mut first = Client::over(net.connect(&addrs[0]).await.expect("a node"));
        assert_eq!(first.say("SET b x").await, r"+OK\r\n");
        assert_eq!(first.say("GET a").await, format!(r"-MOVED 15495 {}\r\n", addrs[2]));

        cluster.kill(cluster.nodes()[0]);
        assert_eq!(first.rest().await, b"");
        net.connect(&addrs[0]).await.map(drop).expect_err("a dead node");
        cluster.revive(cluster.nodes()[0]);
        let deadline = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match net.connect(&addrs[0]).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "the node is not back: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(Client::over(stream).say("GET b").await, r"$1\r\nx\r\n");
    });
}
