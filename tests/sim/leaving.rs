//! Clients that leave at any moment: what they asked for reaches nobody else.

use crate::client::{Client, frame};
use crate::net::{End, Plan, Way};
use crate::proxy::{bulk, ms, pass, proxied};
use crate::world::{World, seeds};

/// Fills keys whose values name them.
async fn fill(world: &World, count: u64) {
    let mut client = world.client().await;
    for n in 0..count {
        assert_eq!(client.say(&format!("SET key:{n} of:key:{n}")).await, r"+OK\r\n");
    }
}

fn get(n: u64) -> Vec<u8> {
    frame(&[b"GET", format!("key:{n}").as_bytes()])
}

#[test]
fn the_next_client_in_a_place_gets_only_its_own_replies() {
    for seed in seeds(2) {
        proxied(seed, async |world: World| {
            fill(&world, 10).await;
            for node in world.cluster.primaries() {
                world.cluster.delay(node, ms(20));
            }
            let requests: Vec<u8> = (0..5).flat_map(get).collect();
            for cut in 0..=requests.len() {
                let mut leaving = world.client().await;
                leaving.send(&requests[..cut]).await.expect("the proxy reads");
                pass(ms(cut as u64 % 30)).await;
                drop(leaving);
                pass(ms(cut as u64 % 3)).await;
                let mut next = world.client().await;
                for n in 5..10 {
                    next.send(&get(n)).await.expect("the proxy reads");
                }
                for n in 5..10 {
                    assert_eq!(next.hear().await, bulk(&format!("of:key:{n}")), "after a client cut at {cut}");
                }
            }
            assert_eq!(world.counted("connected_clients").await, 1, "only the one that asks");
            assert_eq!(world.counted("node_connections_lost").await, 0, "no node connection suffered");
        });
    }
}

/// One client of many: asks, reads some of it, may leave at any byte in any way.
async fn come_and_go(world: &World, seed: u64) {
    let mut random = slotway::demo::embedded::Random::new(seed);
    for _ in 0..10 {
        let mut client: Client = world.client().await;
        let asked: Vec<u64> = (0..=random.below(30)).map(|_| random.below(20)).collect();
        let requests: Vec<u8> = asked.iter().flat_map(|&n| get(n)).collect();
        let cut = if random.one_in(2) { requests.len() } else { random.below(requests.len() as u64) as usize };
        client.send(&requests[..cut]).await.expect("the proxy reads");
        let reads = if cut == requests.len() && random.one_in(2) { asked.len() } else { random.below(3) as usize };
        let whole = cut / get(0).len().max(get(10).len());
        for &n in asked.iter().take(reads.min(whole)) {
            assert_eq!(client.hear().await, bulk(&format!("of:key:{n}")));
        }
        pass(ms(random.below(5))).await;
    }
}

#[test]
fn a_crowd_that_comes_and_goes_gets_only_its_own_replies() {
    for seed in seeds(10) {
        proxied(seed, async |world: World| {
            fill(&world, 20).await;
            let way = Way { fragment: 40, delay: ms(4), end: None };
            for node in world.cluster.nodes() {
                world.net.plan(&world.cluster.addr(node), Plan { read: way, write: way, ..Plan::default() });
            }
            world.net.plan(&world.front, Plan::fragments(64));
            let world = std::rc::Rc::new(world);
            let crowd: Vec<_> = (0..20)
                .map(|n| {
                    let world = std::rc::Rc::clone(&world);
                    tokio::task::spawn_local(async move { come_and_go(&world, seed * 1000 + n).await })
                })
                .collect();
            for one in crowd {
                if let Err(error) = one.await {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            pass(ms(15_000)).await;
            assert_eq!(world.counted("connected_clients").await, 1);
        });
    }
}

#[test]
fn a_client_whose_connection_breaks_is_forgotten() {
    for end in [End::Reset, End::HalfClose] {
        for after in [0, 1, 10, 30, 60] {
            proxied(1, async |world: World| {
                fill(&world, 3).await;
                let way = Way { end: Some((after, end)), ..Way::default() };
                for plan in [Plan::reading(way), Plan::writing(way)] {
                    world.net.plan_once(&world.front, plan);
                    let mut client = world.client().await;
                    // Where it breaks off is up to the plan.
                    let _ = client.send(&(0..3).flat_map(get).collect::<Vec<u8>>()).await;
                    let rest = tokio::time::timeout(ms(20_000), client.rest()).await;
                    let replies = [0, 1, 2].map(|n| format!("$8\r\nof:key:{n}\r\n")).concat();
                    let got = rest.unwrap_or_default();
                    assert!(replies.as_bytes().starts_with(&got), "{}", got.escape_ascii());
                }
                pass(ms(15_000)).await;
                assert_eq!(world.counted("connected_clients").await, 1, "{end:?} after {after}");
            });
        }
    }
}

#[test]
fn replies_are_written_to_a_client_that_has_said_all_it_wants() {
    proxied(1, async |world: World| {
        fill(&world, 3).await;
        let requests: Vec<u8> = (0..3).flat_map(get).chain(frame(&[b"QUIT"])).chain(get(0)).collect();
        let mut client = world.client().await;
        client.send(&requests).await.expect("the proxy reads");
        let replies = [0, 1, 2].map(|n| format!("$8\r\nof:key:{n}\r\n")).concat();
        assert_eq!(String::from_utf8_lossy(&client.rest().await), format!("{replies}+OK\r\n"));
        // The end of what it sends, seen by the proxy behind the last whole request.
        let all: Vec<u8> = (0..3).flat_map(get).collect();
        let way = Way { end: Some((all.len(), End::HalfClose)), ..Way::default() };
        world.net.plan_once(&world.front, Plan::reading(way));
        let mut client = world.client().await;
        client.send(&all).await.expect("the proxy reads");
        assert_eq!(String::from_utf8_lossy(&client.rest().await), replies);
    });
}
