//! Commands that the proxy learns from the nodes: a module whose keys stand where nobody would look for them.

use crate::client::frame;
use crate::proxy::{bulk, ms, proxied};
use crate::world::{World, seeds};

fn scenario(scenario: impl AsyncFn(World)) {
    for seed in seeds(5) {
        proxied(seed, async |world| scenario(world).await);
    }
}

/// Requests of this command that the nodes have run or redirected since the last look.
fn seen(world: &World, name: &str) -> usize {
    world.cluster.take_log().iter().filter(|seen| seen.args[0].eq_ignore_ascii_case(name.as_bytes())).count()
}

#[test]
fn a_command_with_an_odd_key_position_goes_to_the_right_node_at_once() {
    scenario(async |world| {
        let mut client = world.client().await;
        assert!(client.say("ODD.SET v k").await.starts_with("-ERR unknown command"));
        world.cluster.load_module(1);
        tokio::time::sleep(ms(300)).await;
        world.cluster.log(10_000);
        for n in 0..50 {
            assert_eq!(client.say(&format!("ODD.SET value{n} key{n}")).await, r"+OK\r\n");
            assert_eq!(client.say(&format!("GET key{n}")).await, bulk(&format!("value{n}")));
        }
        assert_eq!(seen(&world, "odd.set"), 50, "none was redirected");
        assert_eq!(client.say("ODD.COUNT").await, r":50\r\n", "the sum over all primaries");
        assert_eq!(client.say("ODD.LEN x KEYS {key1} key1 {key1}z").await, r":6\r\n");
        assert!(client.say("ODD.LEN x KEYS a b c").await.starts_with("-CROSSSLOT"));
        assert!(client.say("odd.set").await.starts_with("-ERR wrong number of arguments for"));
        assert_eq!(client.say("COMMAND GETKEYS ODD.SET v k").await, r"*1\r\n$1\r\nk\r\n");
        assert!(
            client
                .say("COMMAND INFO odd.set")
                .await
                .contains(r"$7\r\nodd.set\r\n:3\r\n*2\r\n+write\r\n+module\r\n:2\r\n:2\r\n:1\r\n")
        );
        assert!(client.say("COMMAND LIST FILTERBY PATTERN odd.*").await.starts_with("*3"));
    });
}

#[test]
fn it_is_learned_anew_when_the_module_changes() {
    scenario(async |world| {
        world.cluster.load_module(1);
        let mut client = world.client().await;
        assert_eq!(client.say("ODD.SET v k").await, r"+OK\r\n");
        let before = client.say("COMMAND COUNT").await;
        world.cluster.load_module(2);
        tokio::time::sleep(ms(12_000)).await;
        world.cluster.log(1000);
        assert_eq!(client.say("ODD.SET k2 v2").await, r"+OK\r\n");
        assert_eq!(seen(&world, "odd.set"), 1);
        assert_eq!(client.say("GET k2").await, bulk("v2"));
        assert!(client.say("ODD.COUNT").await.starts_with("-ERR unknown command"));
        assert_ne!(client.say("COMMAND COUNT").await, before);
    });
}

#[test]
fn names_that_nobody_knows_ask_the_nodes_once_for_all_clients() {
    scenario(async |world| {
        world.client().await.say("GET k").await;
        tokio::time::sleep(ms(1000)).await;
        world.cluster.log(10_000);
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = world.client().await;
            client.send(&[frame(&[b"NOSUCH", b"a"]), frame(&[b"GET", b"k"])].concat().repeat(20)).await.unwrap();
            clients.push(client);
        }
        for client in &mut clients {
            for _ in 0..20 {
                assert_eq!(
                    client.hear().await,
                    r"-ERR unknown command \'NOSUCH\', with args beginning with: \'a\' \r\n"
                );
                assert_eq!(client.hear().await, r"$-1\r\n");
            }
        }
        let log = world.cluster.take_log();
        let asked = log.iter().filter(|seen| seen.args[0] == b"MODULE").count();
        assert!((1..=3).contains(&asked), "{asked} questions to 3 primaries");
    });
}

#[test]
fn nobody_waits_long_for_nodes_that_do_not_answer() {
    scenario(async |world| {
        let mut client = world.client().await;
        client.say("GET k").await;
        tokio::time::sleep(ms(1000)).await;
        for node in world.cluster.primaries() {
            world.cluster.pause(node);
        }
        let began = tokio::time::Instant::now();
        assert!(client.say("NOSUCH").await.starts_with("-ERR unknown command"));
        assert!(began.elapsed() < ms(600), "{:?}", began.elapsed());
    });
}

#[test]
fn in_a_transaction_too() {
    scenario(async |world| {
        world.cluster.load_module(1);
        let mut client = world.client().await;
        assert_eq!(client.say("MULTI").await, r"+OK\r\n");
        assert_eq!(client.say("ODD.SET v {k}1").await, r"+QUEUED\r\n");
        assert_eq!(client.say("GET {k}1").await, r"+QUEUED\r\n");
        assert_eq!(client.say("EXEC").await, format!(r"*2\r\n+OK\r\n{}", bulk("v")));
        assert_eq!(client.say("MULTI").await, r"+OK\r\n");
        assert!(client.say("ODD.NOT x").await.starts_with("-ERR unknown command"));
        assert!(client.say("EXEC").await.starts_with("-EXECABORT"));
    });
}
