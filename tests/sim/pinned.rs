//! Clients whose keys live in one slot: names are dressed on the way in and undressed on the way out, while that slot
//! moves, and however the client speaks.

use slotway::demo::embedded::{Options, slot};
use slotway::keyspace::Keyspace;

use crate::net::Plan;
use crate::proxy::{bulk, ms, pass, proxied_with};
use crate::world::{World, seeds};

fn pinned(seed: u64, scenario: impl AsyncFnOnce(World)) {
    let change = |config: &mut slotway::config::Config| config.client.keyspace = Keyspace::new("app");
    proxied_with(seed, Options::default(), change, scenario);
}

/// One session: every line with its reply.
const SESSION: &[(&str, &str)] = &[
    ("MSET a 1 b 2 c 3", r"+OK\r\n"),
    ("MSETNX a 1 d 4", r":0\r\n"),
    ("RPUSH q x y z", r":3\r\n"),
    ("BLPOP none q 1", r"*2\r\n$1\r\nq\r\n$1\r\nx\r\n"),
    ("MULTI", r"+OK\r\n"),
    ("INCR a", r"+QUEUED\r\n"),
    ("BLPOP none q 1", r"+QUEUED\r\n"),
    ("PING", r"+QUEUED\r\n"),
    ("SELECT 3", r"+QUEUED\r\n"),
    ("KEYS *", r"+QUEUED\r\n"),
    ("SET a three", r"+QUEUED\r\n"),
    ("EXEC", r"*6\r\n:2\r\n*2\r\n$1\r\nq\r\n$1\r\ny\r\n+PONG\r\n+OK\r\n*0\r\n+OK\r\n"),
    ("KEYS *", r"*1\r\n$1\r\na\r\n"),
    ("GET a", r"$5\r\nthree\r\n"),
    ("SCAN 0", r"*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
    ("SELECT 0", r"+OK\r\n"),
    ("GET a", r"$1\r\n2\r\n"),
    ("WATCH a b", r"+OK\r\n"),
    ("MULTI", r"+OK\r\n"),
    ("INCR b", r"+QUEUED\r\n"),
    ("EXEC", r"*1\r\n:3\r\n"),
    ("EXISTS a b c d a", r":4\r\n"),
    ("SELECT 16", r"-ERR DB index is out of range\r\n"),
    ("MGET c b none", r"*3\r\n$1\r\n3\r\n$1\r\n3\r\n$-1\r\n"),
    ("DEL a b c q", r":4\r\n"),
    ("SELECT 3", r"+OK\r\n"),
    ("DEL a", r":1\r\n"),
    ("SELECT 0", r"+OK\r\n"),
];

#[test]
fn a_session_in_one_slot_is_like_one_with_one_server() {
    for seed in seeds(5) {
        pinned(seed, async |world: World| {
            world.cluster.log(100_000);
            world.net.plan(&world.front, Plan::fragments(7));
            for pipelined in [false, true] {
                let mut client = world.client().await;
                for (line, reply) in SESSION {
                    if pipelined {
                        client.tell(line).await;
                    } else {
                        assert_eq!(client.say(line).await, *reply, "{line}");
                    }
                }
                for (line, reply) in SESSION.iter().filter(|_| pipelined) {
                    assert_eq!(client.hear().await, *reply, "{line} in a pipeline");
                }
            }
            let named = |seen: &slotway::demo::embedded::Seen| {
                seen.args.iter().skip(1).any(|arg| arg.starts_with(b"{app}0:") || arg.starts_with(b"{app}3:"))
            };
            let log = world.cluster.take_log();
            assert!(log.iter().filter(|seen| named(seen)).count() > 20, "nothing was dressed");
            let plain = log.iter().find(|seen| seen.ran && seen.args.get(1).is_some_and(|key| **key == *b"a"));
            assert!(plain.is_none(), "a key went out as it came: {plain:?}");
        });
    }
}

#[test]
fn the_slot_may_move_meanwhile() {
    for seed in seeds(5) {
        pinned(seed, async |world: World| {
            let of = slot(b"{app}");
            let mut client = world.client().await;
            for round in 0..6_u32 {
                let to = world.cluster.primaries()[round as usize % 3];
                world.cluster.move_slot(of, to);
                let text = "INCR n; MULTI; INCR n; RPUSH q v; BLPOP q 1; EXEC; KEYS *; SCAN 0";
                for line in text.split("; ") {
                    client.tell(line).await;
                }
                let n = 2 * round + 1;
                let expected = [
                    format!(r":{n}\r\n"),
                    r"+OK\r\n".to_owned(),
                    r"+QUEUED\r\n".to_owned(),
                    r"+QUEUED\r\n".to_owned(),
                    r"+QUEUED\r\n".to_owned(),
                    format!(r"*3\r\n:{}\r\n:1\r\n*2\r\n$1\r\nq\r\n$1\r\nv\r\n", n + 1),
                    r"*1\r\n$1\r\nn\r\n".to_owned(),
                    format!(r"*2\r\n{}*1\r\n$1\r\nn\r\n", bulk("0")),
                ];
                for reply in expected {
                    assert_eq!(client.hear().await, reply, "round {round}");
                }
            }
            assert!(world.counted("redirects").await > 0, "not tested");
        });
    }
}

#[test]
fn one_who_waits_gets_what_another_pushes_and_nothing_of_another_database() {
    pinned(1, async |world: World| {
        let (mut waits, mut pushes) = (world.client().await, world.client().await);
        waits.tell("BLPOP a b 0").await;
        pass(ms(20)).await;
        pushes.say("SELECT 2").await;
        assert_eq!(pushes.say("RPUSH b other").await, r":1\r\n");
        pass(ms(20)).await;
        pushes.say("SELECT 0").await;
        assert_eq!(pushes.say("RPUSH b own").await, r":1\r\n");
        assert_eq!(waits.hear().await, format!(r"*2\r\n{}{}", bulk("b"), bulk("own")));
        pushes.say("SELECT 2").await;
        assert_eq!(pushes.say("LPOP b").await, bulk("other"));
    });
}
