//! Slots that move while clients work on them.

use std::time::{Duration, Instant};

use slotway::demo::servers::{Cluster, SLOTS};

use crate::harness::{PATIENCE, Random, alone, long, slot};
use crate::history::{History, Kind, Work};
use crate::report::{Row, ms};
use crate::stage::Stage;

/// So many slots are on the move at a time, and so many keys of each move in one step.
const AT_ONCE: usize = 4;
const KEYS_A_STEP: usize = 6;

/// A tag in each of the slots below `end`.
fn tags(end: u16) -> Vec<String> {
    let mut found = vec![None; usize::from(end)];
    let mut left = found.len();
    for n in 0_u32.. {
        if left == 0 {
            break;
        }
        let tag = format!("t{n}");
        if let Some(place @ None) = found.get_mut(usize::from(slot(tag.as_bytes()))) {
            *place = Some(tag);
            left -= 1;
        }
    }
    found.into_iter().flatten().collect()
}

/// Moves some slots at the same time, a few keys of each in turn.
fn move_slots(cluster: &Cluster, slots: &[u16], to: usize, step: Duration) {
    let moves: Vec<_> = slots.iter().filter_map(|&slot| cluster.begin_move(slot, to).unwrap()).collect();
    while moves.iter().map(|moving| cluster.carry_keys(moving, KEYS_A_STEP).unwrap()).sum::<usize>() > 0 {
        std::thread::sleep(step);
    }
    for moving in &moves {
        cluster.end_move(moving).unwrap();
    }
}

#[test]
fn t16_slots_move_under_load_without_an_error() {
    let _alone = alone();
    let stage = Stage::start(&[]);
    let seed = Random::seed();
    let (slots, requests, step) = if long() { (4096, 1_000_000_u64, 1) } else { (60, 20_000, 5) };
    let tags = tags(slots.min(600).min(SLOTS));
    let work = Work { clients: 16, keys: 40, tags, kinds: Kind::MIXED.to_vec(), depth: 6, seed };
    let history = History::start(stage.addr(), &work);
    history.wait_for(2_000, PATIENCE);
    let begun = Instant::now();
    let all: Vec<u16> = (0..slots).collect();
    for (n, some) in all.chunks(AT_ONCE).enumerate() {
        move_slots(&stage.cluster, some, 1 + n % 2, Duration::from_millis(step));
        assert!(!history.is_broken(), "after {n}: {:#?}", history.stop().violations);
    }
    let took = begun.elapsed();
    let left = requests.saturating_sub(history.requests());
    history.wait_for(left, Duration::from_mins(10));
    let account = history.stop();
    account.check("T16");
    let (single, multi) = (account.errors_of(|kind| !kind.is_multi_key()), account.errors_of(Kind::is_multi_key));
    let redirects = stage.counted("redirects");
    assert_eq!((single, multi), (0, 0), "{:?}", account.errors);
    assert!(redirects > f64::from(slots), "{redirects} redirects: nothing was tested");
    Row {
        test: "T16",
        what: "slots move under mixed load (SET GET INCR RPUSH LRANGE MGET MSET EXISTS EVAL MULTI BLPOP XADD)",
        client: "latency; requests for keys on both sides wait until the slot has moved",
        passes: "0 errors of single keys, 0 lost, 0 doubled",
        figures: format!(
            "{slots} slots in {:.0} s, {} requests, {redirects} redirects followed: {single} errors of single keys, \
             {multi} of several; 0 lost, 0 doubled; slowest {}",
            took.as_secs_f64(),
            account.requests,
            ms(account.slowest)
        ),
    }
    .tell();
}
