//! How a drain takes leave of clients: at the boundary of a reply, never inside of something before its time is up,
//! and with a word to those who want one.

use std::time::Duration;

use slotway::config::Config;
use slotway::net::Addr;
use tokio::time::Instant;

use crate::client::{Client, frame};
use crate::proxy::{Shutdown, bulk, drained, ms, pass};
use crate::world::{World, seeds};

const DRAIN: Duration = Duration::from_secs(8);

fn patient(config: &mut Config) {
    config.worker.drain = DRAIN;
    config.worker.workers = 2;
}

fn advertised(config: &mut Config) {
    patient(config);
    config.client.advertise = Some(Addr::tcp("slotway.example", 6379));
}

/// Ends the connection of `client` after so long.
async fn ends_after(client: &mut Client, begun: Instant, least: Duration, most: Duration) {
    assert_eq!(client.rest().await.escape_ascii().to_string(), "");
    let took = begun.elapsed();
    assert!((least..=most).contains(&took), "{took:?}");
}

#[test]
fn whoever_is_inside_of_something_may_stay_until_it_is_over() {
    for seed in seeds(3) {
        drained(seed, patient, async |world: World, shutdown: Shutdown| {
            let keys = world.keys();
            let mut queued = world.client().await;
            queued.say("MULTI").await;
            queued.say(&format!("INCR {}", keys[0])).await;
            let mut watching = world.client().await;
            watching.say(&format!("WATCH {}", keys[1])).await;
            let mut blocked = world.client().await;
            blocked.tell(&format!("BLPOP {} 0", keys[2])).await;
            let mut half = world.client().await;
            let request = frame(&[b"GET", keys[0].as_bytes()]);
            half.send(&request[..9]).await.expect("the proxy reads");
            let mut idle = world.client().await;
            pass(ms(50)).await;
            let begun = Instant::now();
            shutdown.begin();
            ends_after(&mut idle, begun, ms(0), ms(300)).await;
            pass(ms(3000)).await;
            assert_eq!(queued.say("EXEC").await, r"*1\r\n:1\r\n");
            ends_after(&mut queued, begun, ms(3000), ms(3300)).await;
            assert_eq!(watching.say("MULTI").await, r"+OK\r\n");
            assert_eq!(watching.say("PING").await, r"+QUEUED\r\n");
            assert_eq!(watching.say("EXEC").await, r"*1\r\n+PONG\r\n");
            ends_after(&mut watching, begun, ms(3000), ms(3600)).await;
            half.send(&request[9..]).await.expect("the proxy reads");
            assert_eq!(half.hear().await, bulk("1"));
            ends_after(&mut half, begun, ms(3000), ms(3900)).await;
            // The time is up: as if its own were.
            assert_eq!(blocked.hear().await, r"*-1\r\n");
            ends_after(&mut blocked, begun, DRAIN, DRAIN + ms(1100)).await;
        });
    }
}

#[test]
fn the_time_of_a_drain_ends_transactions_subscriptions_and_waits_that_do_not_end_themselves() {
    drained(1, patient, async |world: World, shutdown: Shutdown| {
        let mut queued = world.client().await;
        queued.say("MULTI").await;
        let mut subscriber = world.client().await;
        subscriber.say("SUBSCRIBE news").await;
        pass(ms(50)).await;
        let begun = Instant::now();
        shutdown.begin();
        pass(ms(4000)).await;
        world.cluster.publish(world.cluster.nodes()[0], "news", "x");
        assert!(subscriber.hear().await.contains("message"), "it still hears");
        ends_after(&mut queued, begun, DRAIN, DRAIN + ms(200)).await;
        ends_after(&mut subscriber, begun, DRAIN, DRAIN + ms(200)).await;
    });
}

#[test]
fn what_a_client_has_sent_before_it_hears_of_the_end_is_answered() {
    for seed in seeds(3) {
        drained(seed, patient, async |mut world: World, shutdown: Shutdown| {
            let keys = world.keys();
            let mut clients = Vec::new();
            for _ in 0..10 {
                clients.push(world.client().await);
            }
            for node in world.cluster.primaries() {
                world.cluster.delay(node, ms(20 + world.random.below(80)));
            }
            shutdown.begin();
            for client in &mut clients {
                for key in &keys {
                    client.tell(&format!("INCR {key}")).await;
                }
            }
            for client in &mut clients {
                for _ in &keys {
                    let reply = client.hear().await;
                    assert!(reply.starts_with(':'), "{reply}");
                }
                assert_eq!(client.rest().await, b"");
            }
        });
    }
}

#[test]
fn clients_that_want_to_be_told_are_told_and_may_go_by_themselves() {
    drained(1, advertised, async |world: World, shutdown: Shutdown| {
        let ask = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type";
        let mut old = world.client().await;
        assert!(old.say(&format!("{ask} external-ip")).await.starts_with("-ERR notifications are pushed"));
        let mut told = world.client().await;
        told.say("HELLO 3").await;
        assert_eq!(told.say(&format!("{ask} external-ip")).await, r"+OK\r\n");
        let mut bare = world.client().await;
        bare.say("HELLO 3").await;
        assert_eq!(bare.say(&format!("{ask} none")).await, r"+OK\r\n");
        let mut silent = world.client().await;
        silent.say("HELLO 3").await;
        assert_eq!(silent.say(&format!("{ask} internal-fqdn")).await, r"+OK\r\n");
        assert_eq!(silent.say("CLIENT MAINT_NOTIFICATIONS OFF").await, r"+OK\r\n");
        for bad in
            ["CLIENT MAINT_NOTIFICATIONS maybe", &format!("{ask} here"), "CLIENT MAINT_NOTIFICATIONS ON x y", ask]
        {
            assert!(silent.say(bad).await.starts_with("-ERR "), "{bad}");
        }
        let key = world.keys().remove(0);
        told.tell(&format!("BLPOP {key} 0")).await;
        pass(ms(50)).await;
        let begun = Instant::now();
        shutdown.begin();
        let moving = told.hear().await;
        assert!(moving.starts_with(r">4\r\n$6\r\nMOVING\r\n:"), "{moving}");
        assert!(moving.ends_with(r"\r\n:8\r\n$20\r\nslotway.example:6379\r\n"), "{moving}");
        assert!(bare.hear().await.ends_with(r"\r\n:8\r\n_\r\n"));
        ends_after(&mut silent, begun, ms(0), ms(300)).await;
        // It is served until it goes, or most of the time is up.
        for _ in 0..5 {
            pass(ms(1000)).await;
            assert_eq!(bare.say("PING").await, r"+PONG\r\n");
        }
        bare.tell("QUIT").await;
        assert_eq!(bare.hear().await, r"+OK\r\n");
        assert_eq!(told.hear().await, r"_\r\n");
        ends_after(&mut told, begun, DRAIN, DRAIN + ms(1100)).await;
    });
}

#[test]
fn one_that_is_told_and_stays_is_closed_at_a_boundary_when_most_of_the_time_is_up() {
    drained(1, advertised, async |world: World, shutdown: Shutdown| {
        let mut told = world.client().await;
        told.say("HELLO 3").await;
        told.say("CLIENT MAINT_NOTIFICATIONS ON").await;
        let begun = Instant::now();
        shutdown.begin();
        assert!(told.hear().await.contains("MOVING"));
        ends_after(&mut told, begun, ms(6000), ms(6300)).await;
    });
}

#[test]
fn nobody_is_told_without_a_place_to_go() {
    drained(1, patient, async |world: World, _shutdown: Shutdown| {
        let mut client = world.client().await;
        client.say("HELLO 3").await;
        let answer = client.say("CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip").await;
        assert_eq!(answer, r"-ERR unknown subcommand \'MAINT_NOTIFICATIONS\'. Try CLIENT HELP.\r\n");
    });
}
