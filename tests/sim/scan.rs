//! SCAN against a model: every key that stays is found, however slots move and primaries change in the middle.

use std::collections::BTreeSet;

use slotway::demo::embedded::{Options, slot};

use crate::client::Client;
use crate::proxy::{ms, pass, proxied_with};
use crate::world::{World, seeds};

/// The strings of a page: the cursor, then the keys.
fn strings(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply).into_owned();
    assert!(text.starts_with("*2\r\n"), "no page: {text:?}");
    let lines: Vec<&str> = text.split("\r\n").collect();
    lines.windows(2).filter(|pair| pair[0].starts_with('$')).map(|pair| pair[1].to_owned()).collect()
}

/// One page: the keys go to `found`; the next cursor.
async fn page(client: &mut Client, cursor: &str, count: &str, found: &mut BTreeSet<String>) -> String {
    let reply =
        client.call(&[b"SCAN", cursor.as_bytes(), b"COUNT", count.as_bytes()]).await.expect("the proxy answers");
    let mut strings = strings(&reply).into_iter();
    let next = strings.next().expect("a cursor");
    found.extend(strings);
    next
}

/// Fills the cluster: loose keys, and a slot with very many.
async fn fill(world: &World, loose: usize, hot: usize) -> BTreeSet<String> {
    let keys: BTreeSet<String> =
        (0..loose).map(|n| format!("key:{n}")).chain((0..hot).map(|n| format!("{{hot}}:{n}"))).collect();
    let mut client = world.client().await;
    for key in &keys {
        client.tell(&format!("SET {key} 1")).await;
        assert_eq!(client.hear().await, r"+OK\r\n");
    }
    keys
}

fn below(world: &mut World, end: usize) -> usize {
    world.random.below(end as u64) as usize
}

/// Something happens to the cluster: a slot moves at once or begins, goes on or ends to move, a replica takes over.
fn disturb(world: &mut World, moving: &mut Vec<u16>) {
    let primaries = world.cluster.primaries();
    let to = primaries[below(world, primaries.len())];
    let any = if world.random.below(3) == 0 { slot(b"hot") } else { world.random.below(16_384) as u16 };
    match world.random.below(8) {
        0 | 1 => world.cluster.move_slot(any, to),
        2 | 3 => {
            if !moving.contains(&any) {
                world.cluster.begin_migration(any, to);
                moving.push(any);
            }
        }
        4 | 5 => moving.iter().for_each(|&slot| assert!(world.cluster.migrate_some(slot, 200) <= 200)),
        6 => moving.drain(..).for_each(|slot| world.cluster.finish_migration(slot)),
        _ => {
            let old = primaries[below(world, primaries.len())];
            world.cluster.failover(world.cluster.siblings(old)[0]);
        }
    }
}

fn walked(seed: u64, slot_tables: bool, hot: usize, disturbed: bool) {
    let options = Options { slot_tables, ..Options::default() };
    proxied_with(
        seed,
        options,
        |config| config.cluster.refresh_interval = ms(300),
        async |mut world: World| {
            let keys = fill(&world, 500, hot).await;
            let count = ["1", "10", "100", "1000"][below(&mut world, 4)];
            let mut client = world.client().await;
            let (mut cursor, mut found, mut moving) = ("0".to_owned(), BTreeSet::new(), Vec::new());
            for turn in 0.. {
                cursor = page(&mut client, &cursor, count, &mut found).await;
                if cursor == "0" {
                    break;
                }
                assert!(turn < 5000, "the walk does not end");
                if disturbed && turn < 200 && world.random.below(3) == 0 {
                    disturb(&mut world, &mut moving);
                    pass(ms(world.random.below(30))).await;
                } else if disturbed && turn == 200 {
                    moving.drain(..).for_each(|slot| world.cluster.finish_migration(slot));
                }
            }
            let missed: Vec<_> = keys.difference(&found).take(5).collect();
            assert!(missed.is_empty(), "keys that stayed were missed, among them {missed:?}");
            assert_eq!(found.len(), keys.len(), "keys were found that were never set");
        },
    );
}

#[test]
fn every_key_is_found_at_rest() {
    for (seed, hot) in seeds(4).into_iter().zip([0, 100, 2500, 4000].into_iter().cycle()) {
        walked(seed, seed % 2 == 0, hot, false);
    }
}

#[test]
fn every_key_that_stays_is_found_while_slots_move_and_primaries_change() {
    for seed in seeds(16) {
        walked(seed, seed % 2 == 0, if seed % 4 < 2 { 50 } else { 3000 }, true);
    }
}

#[test]
fn a_primary_that_dies_in_the_middle_costs_no_key() {
    for seed in seeds(6) {
        proxied_with(
            seed,
            Options::default(),
            |_| {},
            async |mut world: World| {
                let keys = fill(&world, 300, 3000).await;
                let mut client = world.client().await;
                let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
                let dies_at = world.random.below(60);
                for turn in 0.. {
                    if turn == dies_at {
                        let old = world.cluster.owner(slot(b"hot")).expect("an owner");
                        let replica = world.cluster.siblings(old)[0];
                        world.cluster.kill(old);
                        let cluster = world.cluster.clone();
                        tokio::task::spawn_local(async move {
                            pass(ms(1500)).await;
                            cluster.failover(replica);
                        });
                    }
                    cursor = page(&mut client, &cursor, "20", &mut found).await;
                    if cursor == "0" {
                        break;
                    }
                    assert!(turn < 5000, "the walk does not end");
                }
                let missed: Vec<_> = keys.difference(&found).take(5).collect();
                assert!(missed.is_empty(), "keys that stayed were missed, among them {missed:?}");
            },
        );
    }
}
