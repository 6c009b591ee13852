//! Who serves a key, and what the others answer. Slots: `{b}` is 3300 on node 0, `foo` 12182 and `a` 15495 on node 2.

use slotway::demo::embedded::{Auth, Endpoint, Options, slot};
use slotway::net::Addr;

use crate::{client, three, with};

const B: u16 = 3300;

#[test]
fn keys_are_served_by_their_owner_and_moved_by_the_others() {
    three(async |cluster, [first, second, third, replica, ..]| {
        let mut at_first = client(&cluster, first);
        assert_eq!(slot(b"{b}1"), B);
        assert_eq!(at_first.say("SET {b}1 x").await, r"+OK\r\n");
        assert_eq!(at_first.say("GET a").await, r"-MOVED 15495 127.0.0.1:7002\r\n");
        assert_eq!(at_first.say("MGET a b").await, r"-CROSSSLOT Keys in request don\'t hash to the same slot\r\n");
        assert_eq!(client(&cluster, second).say("GET {b}1").await, r"-MOVED 3300 127.0.0.1:7000\r\n");
        assert_eq!(client(&cluster, third).say("GET a").await, r"$-1\r\n");
        assert_eq!(client(&cluster, replica).say("GET a").await, r"-MOVED 15495 127.0.0.1:7002\r\n");
        assert_eq!(cluster.counts(first).redirects, 1);
    });
}

#[test]
fn replicas_read_after_readonly_and_never_write() {
    three(async |cluster, [first, _, _, replica, ..]| {
        client(&cluster, first).say("SET b x").await;
        let mut replica = client(&cluster, replica);
        assert_eq!(replica.say("GET b").await, r"-MOVED 3300 127.0.0.1:7000\r\n");
        assert_eq!(replica.say("READONLY").await, r"+OK\r\n");
        assert_eq!(replica.say("GET b").await, r"$1\r\nx\r\n");
        assert_eq!(replica.say("GET a").await, r"-MOVED 15495 127.0.0.1:7002\r\n");
        assert_eq!(replica.say("SET b y").await, r"-MOVED 3300 127.0.0.1:7000\r\n");
        assert_eq!(replica.say("FLUSHALL").await, r"-READONLY You can\'t write against a read only replica.\r\n");
        assert_eq!(replica.say("READWRITE").await, r"+OK\r\n");
        assert_eq!(replica.say("GET b").await, r"-MOVED 3300 127.0.0.1:7000\r\n");
    });
}

#[test]
fn a_slot_on_the_move_asks_and_says_try_again() {
    three(async |cluster, [first, second, ..]| {
        let (mut source, mut target) = (client(&cluster, first), client(&cluster, second));
        source.say("MSET {b}1 x {b}2 y").await;
        cluster.begin_migration(B, second);
        assert_eq!(source.say("GET {b}1").await, r"$1\r\nx\r\n");
        assert_eq!(source.say("GET {b}9").await, r"-ASK 3300 127.0.0.1:7001\r\n");
        assert!(source.say("MGET {b}1 {b}9").await.starts_with("-TRYAGAIN "));
        assert_eq!(target.say("GET {b}1").await, r"-MOVED 3300 127.0.0.1:7000\r\n");

        assert!(cluster.migrate_key(b"{b}1"));
        assert!(!cluster.migrate_key(b"{b}1"));
        assert_eq!(source.say("GET {b}1").await, r"-ASK 3300 127.0.0.1:7001\r\n");
        assert_eq!(target.say("ASKING").await, r"+OK\r\n");
        assert_eq!(target.say("GET {b}1").await, r"$1\r\nx\r\n");
        assert_eq!(target.say("GET {b}1").await, r"-MOVED 3300 127.0.0.1:7000\r\n");
        target.say("ASKING").await;
        assert!(target.say("MGET {b}1 {b}2").await.starts_with("-TRYAGAIN "));
        target.say("ASKING").await;
        target.say("PING").await;
        assert!(target.say("GET {b}1").await.starts_with("-MOVED "), "ASKING lasts for one command");

        let epoch = cluster.epoch();
        cluster.finish_migration(B);
        assert_eq!(cluster.owner(B), Some(second));
        assert_eq!(cluster.epoch(), epoch + 1);
        assert_eq!(target.say("MGET {b}1 {b}2").await, r"*2\r\n$1\r\nx\r\n$1\r\ny\r\n");
        assert_eq!(source.say("GET {b}2").await, r"-MOVED 3300 127.0.0.1:7001\r\n");
    });
}

#[test]
fn a_slot_that_nobody_owns_takes_the_cluster_down_or_only_itself() {
    for full_coverage in [true, false] {
        with(Options { full_coverage, ..Options::default() }, async |cluster| {
            let nodes = cluster.nodes();
            let mut client = client(&cluster, nodes[0]);
            cluster.unassign(B);
            assert_eq!(client.say("GET b").await, r"-CLUSTERDOWN Hash slot not served\r\n");
            let other = client.say("GET {06S}").await;
            let expected = if full_coverage { r"-CLUSTERDOWN The cluster is down\r\n" } else { r"$-1\r\n" };
            assert_eq!(other, expected);
            cluster.assign(B, nodes[0]);
            assert_eq!(client.say("GET b").await, r"$-1\r\n");
        });
    }
}

#[test]
fn nodes_go_by_ip_by_name_or_by_nothing() {
    let expected = [
        (Endpoint::Ip, "127.0.0.1"),
        (Endpoint::Hostname, "node-2.embedded"),
        (Endpoint::Question, "?"),
        (Endpoint::Empty, ""),
    ];
    for (endpoint, host) in expected {
        with(Options { endpoint, ..Options::default() }, async |cluster| {
            let mut client = client(&cluster, cluster.nodes()[0]);
            assert_eq!(client.say("GET a").await, format!(r"-MOVED 15495 {host}:7002\r\n"));
            let slots = client.say("CLUSTER SLOTS").await;
            let as_bulk = if host.is_empty() { "$-1".to_owned() } else { format!(r"${}\r\n{host}", host.len()) };
            assert!(slots.contains(&format!(r"{as_bulk}\r\n:7002")), "{slots}");
        });
    }
    with(Options { endpoint: Endpoint::Hostname, ..Options::default() }, async |cluster| {
        cluster.connect(&Addr::tcp("node-1.embedded", 7001)).map(drop).expect("a node by its name");
        cluster.connect(&Addr::tcp("node-1.embedded", 7002)).map(drop).expect_err("the name of another");
    });
}

#[test]
fn older_servers_know_no_shards() {
    with(Options { cluster_shards_supported: false, ..Options::default() }, async |cluster| {
        let mut client = client(&cluster, cluster.nodes()[0]);
        assert_eq!(
            client.say("CLUSTER SHARDS").await,
            r"-ERR Unknown subcommand or wrong number of arguments for \'SHARDS\'. Try CLUSTER HELP.\r\n"
        );
        let slots = client.say("CLUSTER SLOTS").await;
        assert!(slots.contains(r"*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$40"), "{slots}");
    });
}

#[test]
fn a_password_is_asked_for() {
    let auth = Auth { user: Some("proxy".to_owned()), password: "secret".to_owned() };
    with(Options { auth: Some(auth), ..Options::default() }, async |cluster| {
        let mut client = client(&cluster, cluster.nodes()[0]);
        assert_eq!(client.say("GET b").await, r"-NOAUTH Authentication required.\r\n");
        assert!(client.say("HELLO 3").await.starts_with("-NOAUTH HELLO "));
        assert!(client.say("AUTH secret").await.starts_with("-WRONGPASS "));
        assert!(client.say("AUTH proxy wrong").await.starts_with("-WRONGPASS "));
        assert_eq!(client.say("AUTH proxy secret").await, r"+OK\r\n");
        assert_eq!(client.say("GET b").await, r"$-1\r\n");
        assert_eq!(client.say("RESET").await, r"+RESET\r\n");
        assert_eq!(client.say("GET b").await, r"-NOAUTH Authentication required.\r\n");
        assert!(client.say("HELLO 3 AUTH proxy secret").await.starts_with(r"%7\r\n"));
        assert_eq!(client.say("GET b").await, r"_\r\n");
    });
}

#[test]
fn resp3_has_shapes_of_its_own() {
    three(async |cluster, [first, ..]| {
        let mut client = client(&cluster, first);
        assert!(client.say("HELLO 3 SETNAME me").await.starts_with(r"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"));
        assert_eq!(client.say("CLIENT GETNAME").await, r"$2\r\nme\r\n");
        client.say("HSET {b}h f v").await;
        assert_eq!(client.say("HGETALL {b}h").await, r"%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
        client.say("SADD {b}s m").await;
        assert_eq!(client.say("SMEMBERS {b}s").await, r"~1\r\n$1\r\nm\r\n");
        client.say("ZADD {b}z 1.5 m").await;
        assert_eq!(client.say("ZSCORE {b}z m").await, r",1.5\r\n");
        assert_eq!(client.say("ZRANGE {b}z 0 -1 WITHSCORES").await, r"*1\r\n*2\r\n$1\r\nm\r\n,1.5\r\n");
        assert_eq!(client.say("ZPOPMIN {b}z").await, r"*2\r\n$1\r\nm\r\n,1.5\r\n");
        assert_eq!(client.say("LPOP {b}none 1").await, r"_\r\n");
        assert_eq!(client.say("CONFIG GET save").await, r"%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
        assert!(client.say("CLUSTER INFO").await.starts_with('='));
        assert!(client.say("CLUSTER SHARDS").await.starts_with(r"*3\r\n%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:5460\r\n"));
        assert!(client.say("HELLO 2").await.starts_with(r"*14\r\n"));
        assert_eq!(client.say("HGETALL {b}h").await, r"*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    });
}
