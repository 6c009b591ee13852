//! Nodes and clients that send what they must not: nobody else gets a wrong reply, nothing is left hanging.

use slotway::demo::embedded::Script;

use crate::client::frame;
use crate::proxy::{bulk, ms, pass, proxied};
use crate::world::{World, seeds};

#[test]
fn a_reply_that_nobody_waits_for_closes_its_connection() {
    for unasked in ["+OK\r\n", ":1\r\n", "$3\r\nfoo\r\n", "-ERR x\r\n", "*0\r\n", "+O", "$3\r\nf", "*2\r\n:1\r\n"] {
        proxied(1, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let mut client = world.client().await;
            client.say(&format!("SET {key} mine")).await;
            pass(ms(500)).await;
            assert_eq!(world.cluster.connections(node), 1);
            world.cluster.send_unasked(node, unasked.as_bytes());
            pass(ms(500)).await;
            assert_eq!(world.cluster.connections(node), 0, "{unasked:?} is left without a connection");
            assert_eq!(world.counted("unasked_replies").await, 1, "{unasked:?} is counted");
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"), "after {unasked:?}");
        });
    }
}

#[test]
fn a_push_that_nobody_asked_for_closes_its_connection() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        client.say("HELLO 3").await;
        for push in [">2\r\n+invalidate\r\n_\r\n", "|1\r\n+a\r\n+b\r\n>1\r\n+x\r\n"] {
            client.say(&format!("SET {key} mine")).await;
            // In front of a reply, so that somebody waits.
            world.cluster.script(node, Script::before(push).on("GET"));
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"));
        }
        assert_eq!(world.counted("node_connections_lost").await, 2);
        assert_eq!(world.counted("unasked_replies").await, 1);
    });
}

#[test]
fn bytes_that_are_no_reply_cost_a_connection_and_nothing_else() {
    let deep = "*1\r\n".repeat(100_000);
    for bytes in [
        "\r\n",
        "hello",
        "*-2\r\n",
        "$-2\r\n",
        "$99999999999999999999\r\n",
        "$9999999999\r\n",
        "*9999999999\r\n",
        "$?\r\n",
        "*?\r\n",
        ":x\r\n",
        "+a\nb\r\n",
        "$1\r\nab\r\n",
        "%1\r\n+a\r\n+b\r\n",
        deep.as_str(),
    ] {
        proxied(1, async |world: World| {
            let [node, other, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
            let (key, far) = (world.key_of(node, 0), world.key_of(other, 0));
            let mut client = world.client().await;
            let mut bystander = world.client().await;
            client.say(&format!("MSET {key} mine {far} far")).await;
            world.cluster.script(node, Script::replace(bytes).on("INCR"));
            client.tell(&format!("INCR {{{key}}}n")).await;
            bystander.tell(&format!("GET {far}")).await;
            let reply = client.hear().await;
            assert!(reply.starts_with("-PROXYUNKNOWN"), "{reply} for {bytes:.20?}");
            assert_eq!(bystander.hear().await, bulk("far"));
            assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"));
            assert_eq!(client.say(&format!("GET {{{key}}}n")).await, bulk("1"), "it ran once");
        });
    }
}

#[test]
fn a_read_survives_nonsense_and_a_missing_reply_ends_at_the_deadline() {
    proxied(1, async |world: World| {
        let node = world.cluster.primaries()[0];
        let key = world.key_of(node, 0);
        let mut client = world.client().await;
        client.say(&format!("SET {key} mine")).await;
        world.cluster.script(node, Script::replace("?!").on("GET").times(3));
        assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"));
        world.cluster.script(node, Script::replace("").on("GET"));
        let reply = client.say(&format!("GET {key}")).await;
        assert!(reply.starts_with("-PROXYUNKNOWN"), "{reply}");
        assert_eq!(client.say(&format!("GET {key}")).await, bulk("mine"));
        world.cluster.script(node, Script::replace("?!").on("GET").times(100));
        let reply = client.say(&format!("GET {key}")).await;
        assert!(reply.starts_with("-PROXYUNKNOWN"), "it did run, perhaps: {reply}");
    });
}

#[test]
fn a_reply_before_its_request_was_sent_leaves_nobody_waiting() {
    for seed in seeds(3) {
        proxied(seed, async |world: World| {
            let node = world.cluster.primaries()[0];
            let key = world.key_of(node, 0);
            let large = "x".repeat(300_000);
            let mut client = world.client().await;
            client.say(&format!("SET {key} small")).await;
            world.cluster.log(100);
            // More than the pipe holds, so that the node cannot have all of it.
            world.cluster.pause(node);
            client.tell(&format!("APPEND {key} {large}")).await;
            pass(ms(100)).await;
            world.cluster.send_unasked(node, b":5\r\n");
            pass(ms(100)).await;
            world.cluster.resume(node);
            assert_eq!(client.hear().await, r":300005\r\n");
            assert_eq!(world.ran(&["APPEND", &key, &large]), 1);
        });
    }
}

#[test]
fn a_reply_to_an_asking_that_was_not_sent_is_nobodys() {
    proxied(1, async |world: World| {
        let [from, to, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
        let key = world.key_of(from, 0);
        let far = world.key_of(to, 0);
        let large = "x".repeat(300_000);
        let mut client = world.client().await;
        client.say(&format!("SET {far} small")).await;
        world.cluster.begin_migration(slot_of(&key), to);
        world.cluster.pause(to);
        let mut other = world.client().await;
        other.tell(&format!("SET {far} {large}")).await;
        pass(ms(100)).await;
        client.tell(&format!("SET {key} new")).await;
        pass(ms(100)).await;
        world.cluster.send_unasked(to, b"+OK\r\n+OK\r\n");
        pass(ms(100)).await;
        world.cluster.resume(to);
        assert_eq!(other.hear().await, r"+OK\r\n");
        assert_eq!(client.hear().await, r"+OK\r\n");
        assert_eq!(client.say(&format!("GET {key}")).await, bulk("new"));
        assert_eq!(client.say(&format!("STRLEN {far}")).await, r":300000\r\n");
    });
}

fn slot_of(key: &str) -> u16 {
    slotway::demo::embedded::slot(key.as_bytes())
}

#[test]
fn other_protocols_on_the_port_reach_no_node() {
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let postgres = b"\x00\x00\x00\x08\x04\xd2\x16\x2f";
    let http = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nSET a 1\r\n";
    let host = b"Host: x\r\nSET a 1\r\n";
    for bytes in [&tls[..], postgres, http, host] {
        proxied(1, async |world: World| {
            pass(ms(1000)).await;
            world.cluster.log(100);
            let mut client = world.client().await;
            client.send(bytes).await.expect("the proxy reads");
            let start = tokio::time::Instant::now();
            assert_eq!(client.rest().await, b"", "{}", bytes.escape_ascii());
            assert!(start.elapsed() <= ms(100));
            assert!(world.cluster.take_log().is_empty());
        });
    }
}

#[test]
fn a_broken_request_is_answered_behind_those_before_it() {
    proxied(1, async |world: World| {
        for (broken, error) in [
            (&b"*1\r\n:1\r\n"[..], "expected '$', got ':'"),
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1\r\n$1\r\nabc\r\n", "expected CRLF after a bulk string"),
            (b"GET \"a\r\n", "unbalanced quotes in request"),
        ] {
            let mut client = world.client().await;
            let bytes = [&frame(&[b"SET", b"a", b"1"])[..], &frame(&[b"GET", b"a"]), broken, &frame(&[b"DEL", b"a"])];
            client.send(&bytes.concat()).await.expect("the proxy reads");
            let expected = format!("+OK\r\n$1\r\n1\r\n-ERR Protocol error: {error}\r\n");
            assert_eq!(String::from_utf8_lossy(&client.rest().await), expected);
        }
    });
}
