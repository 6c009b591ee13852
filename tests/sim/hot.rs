//! Hot keys and large values through the proxy: found over several workers, switched while it runs, shown everywhere.

use slotway::config::Config;
use slotway::demo::embedded::{Options, Random};

use crate::client::{Client, frame};
use crate::proxy::{ms, pass, proxied_with};
use crate::world::{World, seeds};

/// Runs a scenario with three workers, whose every request is looked at.
fn workers(enabled: bool, scenario: impl AsyncFn(World)) {
    for seed in seeds(2) {
        let change = |config: &mut Config| {
            config.worker.workers = 3;
            config.client.hot.enabled = enabled;
            config.client.hot.samples = 1_000_000;
        };
        proxied_with(seed, Options::default(), change, async |world| scenario(world).await);
    }
}

/// The fields of this name in the reply of PROXY HOTKEYS or BIGKEYS, in their order.
async fn told(client: &mut Client, ask: &str, field: &str) -> Vec<String> {
    let reply = client.say(ask).await;
    let parts: Vec<&str> = reply.split(r"\r\n").collect();
    let values = parts.windows(3).filter(|part| part[0] == field);
    values.map(|part| if part[1].starts_with(':') { part[1][1..].to_owned() } else { part[2].to_owned() }).collect()
}

/// Draws a rank by Zipf's law, its exponent being one.
fn rank(random: &mut Random, sums: &[f64]) -> usize {
    let part = random.below(1 << 40) as f64 / (1_u64 << 40) as f64 * sums[sums.len() - 1];
    sums.partition_point(|sum| *sum < part)
}

#[test]
fn the_twenty_keys_of_a_zipf_load_that_most_requests_name_are_found() {
    workers(true, async |mut world| {
        const KEYS: usize = 10_000;
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=KEYS)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(world.client().await);
        }
        let mut exact = vec![0_u64; KEYS];
        for round in 0..60 {
            for client in &mut clients {
                let ranks: Vec<usize> = (0..100).map(|_| rank(&mut world.random, &sums)).collect();
                let requests: Vec<u8> =
                    ranks.iter().flat_map(|rank| frame(&[b"GET", format!("key:{rank}").as_bytes()])).collect();
                client.send(&requests).await.expect("the proxy reads");
                for _ in &ranks {
                    assert_eq!(client.hear().await, r"$-1\r\n");
                }
                ranks.iter().filter(|_| round > 1).for_each(|&rank| exact[rank] += 1);
            }
            // How hard to look is known after a moment of load.
            pass(ms(if round < 2 { 200 } else { 1 })).await;
            if round == 1 {
                assert_eq!(clients[0].say("PROXY HOTKEYS RESET").await, r"+OK\r\n");
            }
        }
        let found = told(&mut clients[3], "PROXY HOTKEYS 20", "key").await;
        assert_eq!(found.len(), 20);
        let mut ranks: Vec<usize> = (0..KEYS).collect();
        ranks.sort_by_key(|&rank| std::cmp::Reverse(exact[rank]));
        // One that is named as often as the twentieth is as good.
        let least = exact[ranks[19]];
        let is_hot = |name: &&String| exact[name["key:".len()..].parse::<usize>().expect("a rank")] >= least;
        let recall = found.iter().filter(is_hot).count() as f64 / 20.0;
        assert!(recall >= 0.95, "{recall}: {found:?}");
    });
}

#[test]
fn hot_keys_are_looked_for_from_when_it_is_said_until_it_is_said() {
    workers(false, async |world| {
        let (mut one, mut two) = (world.client().await, world.client().await);
        let off = told(&mut one, "PROXY HOTKEYS", "state").await;
        assert_eq!(off, ["off; PROXY HOTKEYS ON begins"]);
        assert_eq!(one.say("PROXY HOTKEYS ON").await, r"+OK\r\n");
        pass(ms(1000)).await;
        for _ in 0..40 {
            two.say("SET k v").await;
            one.say("MGET k other").await;
            one.say("PUBLISH news k").await;
        }
        assert_eq!(told(&mut two, "PROXY HOTKEYS", "state").await, ["on"]);
        assert_eq!(told(&mut two, "PROXY HOTKEYS", "key").await, ["k", "other"]);
        assert_eq!(told(&mut two, "PROXY HOTKEYS 1", "key").await, ["k"]);
        let owner = world.cluster.addr(world.cluster.owner(slotway::demo::embedded::slot(b"k")).expect("an owner"));
        assert_eq!(told(&mut two, "PROXY HOTKEYS 1", "node").await, [owner.to_string()]);
        assert_eq!(one.say("PROXY HOTKEYS OFF").await, r"+OK\r\n");
        for _ in 0..100 {
            two.say("GET later").await;
        }
        assert_eq!(told(&mut two, "PROXY HOTKEYS", "key").await, ["k", "other"], "what was found stays");
        assert_eq!(one.say("PROXY HOTKEYS RESET").await, r"+OK\r\n");
        assert_eq!(told(&mut two, "PROXY HOTKEYS", "key").await, [""; 0]);
        for bad in ["PROXY HOTKEYS maybe", "PROXY HOTKEYS -1", "PROXY HOTKEYS ON now", "PROXY BIGKEYS ON"] {
            assert!(one.say(bad).await.starts_with("-ERR "), "{bad}");
        }
    });
}

#[test]
fn large_requests_and_replies_are_noted_with_their_keys() {
    workers(true, async |world| {
        let (mut one, mut two) = (world.client().await, world.client().await);
        let big = vec![b'x'; 100_000];
        one.call(&[b"SET", b"written", &big]).await.expect("an answer");
        one.call(&[b"MSET", b"small", b"s", b"part", &[&big[..], &big[..]].concat()]).await.expect("an answer");
        for _ in 0..3 {
            one.call(&[b"APPEND", b"grown", &big[..30_000]]).await.expect("an answer");
        }
        two.call(&[b"GET", b"grown"]).await.expect("an answer");
        two.call(&[b"MGET", b"small", b"part", b"nothing"]).await.expect("an answer");
        two.call(&[b"LRANGE", b"small", b"0", b"1"]).await.expect("an answer");
        pass(ms(10)).await;
        assert_eq!(told(&mut one, "PROXY BIGKEYS", "key").await, ["part", "written", "grown"]);
        let requests = told(&mut one, "PROXY BIGKEYS", "largest-request").await;
        assert_eq!(requests, ["200000", "100037", "0"]);
        let replies = told(&mut one, "PROXY BIGKEYS", "largest-reply").await;
        assert_eq!(replies, ["200011", "0", "90010"]);
        assert_eq!(told(&mut one, "PROXY BIGKEYS", "command").await, ["mget", "set", "get"]);
        assert_eq!(told(&mut one, "PROXY BIGKEYS 1", "key").await, ["part"]);
    });
}
