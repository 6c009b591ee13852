//! Several listeners, each with settings of its own, and the header by which a balancer tells whose connection it is.

use slotway::config::{Config, Sources, load};
use slotway::demo::embedded::Options;
use slotway::net::Addr;

use crate::client::{Client, frame};
use crate::net::Plan;
use crate::proxy::{ms, pass, proxied_with};
use crate::world::World;

/// What an environment makes of the defaults.
pub(crate) fn read(env: &[(&str, &str)]) -> Config {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&Sources { env, ..Sources::default() }).unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

/// Runs a scenario with the listeners and the options for clients that an environment gives.
fn listening(env: &[(&str, &str)], scenario: impl AsyncFnOnce(World)) {
    let change = |config: &mut Config| {
        let read = read(env);
        (config.listeners, config.client) = (read.listeners, read.client);
        config.worker.max_clients = read.worker.max_clients;
    };
    proxied_with(1, Options::default(), change, scenario);
}

impl World {
    /// A client of the listener at this port.
    async fn client_at(&self, port: u16) -> Client {
        Client::over(self.net.dial(&Addr::tcp("127.0.0.1", port)).await.expect("it listens"))
    }
}

#[test]
fn each_listener_has_its_own_rules() {
    let env = [
        ("SLOTWAY__LISTENERS__READS__ADDR", "127.0.0.1:5001"),
        ("SLOTWAY__LISTENERS__READS__DENY", "@write"),
        ("SLOTWAY__LISTENERS__READS__SPLIT", "off"),
        ("SLOTWAY__LISTENERS__READS__SELECT", "ignore"),
        ("SLOTWAY__LISTENERS__READS__CLUSTER", "single"),
        ("SLOTWAY__LISTENERS__READS__PASSWORD", "secret"),
        ("SLOTWAY__LISTENERS__READS__MAX_CLIENTS", "77"),
        ("SLOTWAY__LISTENERS__SLOTS__ADDR", "127.0.0.1:5002"),
        ("SLOTWAY__LISTENERS__SLOTS__TRANSACTIONS", "per_slot"),
    ];
    listening(&env, async |world| {
        let (mut all, mut reads) = (world.client().await, world.client_at(5001).await);
        assert_eq!(all.say("MSET a 1 b 2 c 3").await, r"+OK\r\n");
        assert!(reads.say("GET a").await.starts_with("-NOAUTH"));
        assert_eq!(reads.say("AUTH secret").await, r"+OK\r\n");
        assert_eq!(reads.say("GET a").await, r"$1\r\n1\r\n");
        assert!(reads.say("SET a 2").await.starts_with("-NOPERM"));
        assert!(reads.say("MGET a b c").await.starts_with("-CROSSSLOT"));
        assert_eq!(reads.say("SELECT 3").await, r"+OK\r\n");
        assert!(reads.say("CLUSTER INFO").await.contains("cluster_state:ok"));
        assert!(all.say("SELECT 3").await.starts_with("-ERR"));
        assert!(all.say("CLUSTER INFO").await.starts_with("-ERR"));
        assert!(reads.say("INFO clients").await.contains("maxclients:77"));
        assert!(all.say("INFO clients").await.contains("maxclients:10000"));
        let list = all.say("CLIENT LIST").await;
        assert!(list.contains("listener=listen") && list.contains("listener=reads"), "{list}");
        for (mut client, dealt) in [(all, false), (world.client_at(5002).await, true)] {
            client.say("MULTI").await;
            client.say("SET a 5").await;
            let queued = client.say("SET b 6").await;
            assert_eq!(queued == r"+QUEUED\r\n", dealt, "{queued}");
            client.say("DISCARD").await;
        }
    });
}

#[test]
fn applications_in_one_slot_live_beside_the_whole_cluster() {
    let env = [
        ("SLOTWAY__LISTENERS__APP__ADDR", "127.0.0.1:5001"),
        ("SLOTWAY__LISTENERS__APP__PIN", "app"),
        ("SLOTWAY__LISTENERS__OWN__ADDR", "127.0.0.1:5002"),
        ("SLOTWAY__LISTENERS__OWN__PIN", "other"),
        ("SLOTWAY__LISTENERS__OWN__CHANNELS", "own"),
    ];
    listening(&env, async |world| {
        let (mut all, mut app) = (world.client().await, world.client_at(5001).await);
        let mut own = world.client_at(5002).await;
        assert_eq!(app.say("MSET a 1 b 2 c 3").await, r"+OK\r\n");
        assert_eq!(own.say("SET a 9").await, r"+OK\r\n");
        assert_eq!(all.say("GET {app}0:a").await, r"$1\r\n1\r\n");
        assert_eq!(all.say("GET {other}0:a").await, r"$1\r\n9\r\n");
        assert_eq!(all.say("GET a").await, r"$-1\r\n");
        let mut hearers = Vec::new();
        for port in [0, 5001, 5002] {
            let mut hearer = if port == 0 { world.client().await } else { world.client_at(port).await };
            hearer.say("SUBSCRIBE news").await;
            hearers.push(hearer);
        }
        let mut wide = world.client().await;
        wide.say("PSUBSCRIBE *").await;
        let message = |channel: &str, text: &str| {
            format!(
                "*3\\r\\n$7\\r\\nmessage\\r\\n${}\\r\\n{channel}\\r\\n${}\\r\\n{text}\\r\\n",
                channel.len(),
                text.len()
            )
        };
        all.say("PUBLISH news one").await;
        app.say("PUBLISH news two").await;
        own.say("PUBLISH news three").await;
        all.say("PUBLISH news four").await;
        let [everywhere, in_app, apart] = &mut hearers[..] else { panic!("three") };
        for hearer in [everywhere, in_app] {
            for text in ["one", "two", "four"] {
                assert_eq!(hearer.hear().await, message("news", text));
            }
        }
        assert_eq!(apart.hear().await, message("news", "three"));
        let heard = [wide.hear().await, wide.hear().await, wide.hear().await, wide.hear().await].concat();
        assert!(heard.contains("{other}:news"), "{heard}");
        assert_eq!(own.say("PUBLISH news five").await, r":2\r\n", "the pattern hears it, too");
        apart.say("UNSUBSCRIBE news").await;
    });
}

#[test]
fn each_listener_counts_its_own_clients() {
    let env = [
        ("SLOTWAY__LISTEN__MAX_CLIENTS", "3"),
        ("SLOTWAY__LISTENERS__FEW__ADDR", "127.0.0.1:5001"),
        ("SLOTWAY__LISTENERS__FEW__MAX_CLIENTS", "1"),
    ];
    listening(&env, async |world| {
        for _ in 0..3 {
            let mut few = world.client_at(5001).await;
            assert_eq!(few.say("PING").await, r"+PONG\r\n");
            assert!(world.client_at(5001).await.say("PING").await.starts_with("-ERR max number"));
            let mut all = Vec::new();
            for _ in 0..3 {
                all.push(world.client().await);
            }
            for client in &mut all {
                assert_eq!(client.say("PING").await, r"+PONG\r\n");
            }
            assert!(world.client().await.say("PING").await.starts_with("-ERR max number"));
            drop((few, all));
            pass(ms(100)).await;
        }
    });
}

/// A listener with the PROXY protocol.
const BALANCED: [(&str, &str); 3] = [
    ("SLOTWAY__LISTENERS__LB__ADDR", "127.0.0.1:5001"),
    ("SLOTWAY__LISTENERS__LB__PROXY_PROTOCOL", "on"),
    ("SLOTWAY__SLOWLOG__THRESHOLD", "0s"),
];

/// Headers, and the address that each announces.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    let binary = |rest: &[u8]| [&signature[..], rest].concat();
    vec![
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 5555 6379\r\n".to_vec(), "192.0.2.7:5555"),
        (b"PROXY TCP6 2001:db8::7 ::1 5555 6379\r\n".to_vec(), "[2001:db8::7]:5555"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "memory:0"),
        (binary(b"\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\x15\xb3\x18\xeb"), "192.0.2.8:5555"),
        (binary(b"\x21\x11\0\x10\xc0\0\x02\x08\x0a\0\0\x01\x15\xb3\x18\xeb\x04\0\x01\0"), "192.0.2.8:5555"),
        (binary(b"\x20\0\0\0"), "memory:0"),
    ]
}

#[test]
fn a_balancer_tells_whose_connection_it_is() {
    for fragment in [0, 1, 7] {
        listening(&BALANCED, async |world| {
            world.net.plan(&Addr::tcp("127.0.0.1", 5001), Plan::fragments(fragment));
            for (header, addr) in headers() {
                let mut client = world.client_at(5001).await;
                // The first request comes right behind it.
                client.send(&[&header[..], &frame(&[b"SET", b"a", b"1"])].concat()).await.expect("it is read");
                assert_eq!(client.hear().await, r"+OK\r\n");
                let info = client.say("CLIENT INFO").await;
                assert!(info.contains(&format!(" addr={addr} ")) && info.contains("listener=lb"), "{info}");
                assert!(world.client().await.say("CLIENT LIST").await.contains(&format!(" addr={addr} ")));
            }
            let mut plain = world.client().await;
            assert!(plain.say("CLIENT INFO").await.contains(" addr=memory:0 "), "other listeners know no header");
        });
    }
}

#[test]
fn connections_without_a_header_are_refused() {
    listening(&BALANCED, async |world| {
        for bytes in
            [&b"*1\r\n$4\r\nPING\r\n"[..], b"PROXY TCP4 nonsense\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", b"PROXY "]
        {
            let mut client = world.client_at(5001).await;
            client.send(bytes).await.expect("it is read");
            assert!(client.rest().await.is_empty(), "{}", bytes.escape_ascii());
        }
        // A probe that comes and goes.
        drop(world.client_at(5001).await);
        let mut slow = world.client_at(5001).await;
        let began = tokio::time::Instant::now();
        slow.send(b"PROXY TCP4 192.0.2.7").await.expect("it is read");
        assert!(slow.rest().await.is_empty());
        assert!((4..7).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        pass(ms(100)).await;
        assert_eq!(world.counted("connected_clients").await, 1, "only the one who asks");
        let stats = world.client().await.say("INFO stats").await;
        assert!(stats.contains("rejected_connections:5"), "{stats}");
    });
}
