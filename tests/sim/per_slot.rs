//! `transactions = "per_slot"`: one transaction a slot, replies in the client's order, and each command told what
//! became of it when a part of them could not be run.

use slotway::client::Transactions;
use slotway::demo::embedded::{Options, Script, slot};

use crate::client::Client;
use crate::proxy::{bulk, ms, pass, proxied_with};
use crate::world::{World, seeds};

fn per_slot(seed: u64, scenario: impl AsyncFnOnce(World)) {
    let change = |config: &mut slotway::config::Config| config.client.transactions = Transactions::PerSlot;
    proxied_with(seed, Options::default(), change, scenario);
}

/// Pipelines the lines, with `@0`, `@1`, `@2` for a key of each primary; gives the replies.
async fn all(client: &mut Client, text: &str, keys: &[String]) -> Vec<String> {
    let mut replies = Vec::new();
    let mut count = 0;
    for line in text.split("; ") {
        let line = keys.iter().enumerate().fold(line.to_owned(), |line, (n, key)| line.replace(&format!("@{n}"), key));
        client.tell(&line).await;
        count += 1;
    }
    for _ in 0..count {
        replies.push(client.hear().await);
    }
    replies
}

#[test]
fn replies_come_in_the_order_of_the_commands() {
    for seed in seeds(5) {
        per_slot(seed, async |world: World| {
            let keys = world.keys();
            let mut client = world.client().await;
            let text = "PING; MULTI; SET @0 1; SET @1 2; PING; INCR @0; MGET @2 @1 @0; MSET @2 9 @1 8; \
                        DEL @0 @1 nothing; GET @2; DBSIZE; EXEC; GET @2";
            for _ in 0..5 {
                let replies = all(&mut client, text, &keys).await;
                let nine = bulk("9");
                let third = if replies[11].contains(r"*3\r\n$-1") { r"$-1\r\n" } else { nine.as_str() };
                let expected = format!(
                    r"*9\r\n+OK\r\n+OK\r\n+PONG\r\n:2\r\n*3\r\n{third}{}{}+OK\r\n:2\r\n{nine}:1\r\n",
                    bulk("2"),
                    bulk("2")
                );
                assert_eq!(replies[11..], [expected, nine]);
            }
        });
    }
}

#[test]
fn the_part_of_one_slot_is_one_transaction() {
    per_slot(1, async |world: World| {
        let keys = world.keys();
        world.cluster.log(1000);
        all(&mut world.client().await, "MULTI; INCR @0; INCR @1; INCR @0; INCR @1; EXEC", &keys).await;
        let log = world.cluster.take_log();
        for key in &keys[..2] {
            let connection =
                log.iter().find(|seen| seen.args.get(1) == Some(&key.clone().into_bytes())).expect("ran").connection;
            let there = log.iter().filter(|seen| seen.connection == connection && seen.args[0] != b"PING");
            let (first, last) = (b"MULTI".to_vec(), b"EXEC".to_vec());
            let seen: Vec<&Vec<Vec<u8>>> = there.map(|seen| &seen.args).collect();
            let [begin, between @ .., end] = &seen[..] else { panic!("too little: {seen:?}") };
            assert!(begin[0] == first && end[0] == last, "{seen:?}");
            assert!(between.len() >= 2 && between.iter().all(|args| args[1] == key.as_bytes()), "{seen:?}");
        }
    });
}

#[test]
fn commands_of_a_part_that_is_refused_say_so_and_the_others_run() {
    per_slot(1, async |world: World| {
        let keys = world.keys();
        let mut client = world.client().await;
        let oom = "-OOM command not allowed\r\n";
        world.cluster.script(world.cluster.primaries()[1], Script::refuse(oom).on("SET"));
        let replies = all(&mut client, "MULTI; SET @0 1; SET @1 2; SET @2 3; MGET @0 @1; EXEC; GET @1", &keys).await;
        let aborted = r"-EXECABORT Transaction discarded because of previous errors.\r\n";
        assert_eq!(replies[5], format!(r"*4\r\n+OK\r\n{aborted}+OK\r\n{aborted}"));
        assert_eq!(replies[6], r"$-1\r\n");
        // What the proxy refuses when it is queued aborts the whole, as ever.
        let replies = all(&mut client, "MULTI; SET @0 5; GET; SET @1 5; EXEC; GET @0", &keys).await;
        assert_eq!(replies[4..], [aborted.to_owned(), bulk("1")]);
        assert_eq!(all(&mut client, "MULTI; EXEC; MULTI; SET @0 7; DISCARD; GET @0", &keys).await[1], r"*0\r\n");
        assert_eq!(client.say(&format!("GET {}", keys[0])).await, bulk("1"));
    });
}

#[test]
fn who_watches_keeps_to_one_slot() {
    per_slot(1, async |world: World| {
        let keys = world.keys();
        let mut client = world.client().await;
        let crossed = r"-CROSSSLOT Keys in request don\'t hash to the same slot\r\n";
        assert_eq!(all(&mut client, "WATCH @0 @1", &keys).await, [crossed]);
        let replies = all(&mut client, "WATCH @0; WATCH @1; MULTI; SET @0 1; SET @1 1; EXEC; GET @0", &keys).await;
        assert_eq!([&replies[1], &replies[4]], [crossed, crossed]);
        assert!(replies[5].starts_with("-EXECABORT"), "{replies:?}");
        let replies = all(&mut client, "WATCH @0; MULTI; SET @0 1; MGET @0 @1; EXEC; GET @0", &keys).await;
        assert_eq!(replies[3], crossed);
        assert_eq!(replies[5], r"$-1\r\n");
        let replies = all(&mut client, "WATCH @0; MULTI; SET @0 1; EXEC; GET @0", &keys).await;
        assert_eq!(replies[3..], [r"*1\r\n+OK\r\n".to_owned(), bulk("1")]);
    });
}

#[test]
fn slots_may_move_between_and_nodes_may_be_lost() {
    for seed in seeds(5) {
        per_slot(seed, async |world: World| {
            let keys = world.keys();
            let mut client = world.client().await;
            let primaries = world.cluster.primaries();
            world.cluster.move_slot(slot(keys[0].as_bytes()), primaries[2]);
            let replies = all(&mut client, "MULTI; INCR @0; INCR @1; INCR @0; EXEC", &keys).await;
            assert_eq!(replies[4], r"*3\r\n:1\r\n:1\r\n:2\r\n");
            assert!(world.counted("redirects").await > 0, "not tested");
            world.cluster.script(primaries[1], Script::cut_after(3).on("EXEC"));
            let replies = all(&mut client, "MULTI; INCR @0; INCR @1; EXEC; PING", &keys).await;
            assert!(replies[3].starts_with(r"*2\r\n:3\r\n-PROXYUNKNOWN"), "{replies:?}");
            assert_eq!(replies[4], r"+PONG\r\n");
            pass(ms(100)).await;
        });
    }
}
