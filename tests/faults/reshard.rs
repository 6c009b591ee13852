//! Slots that move while clients work on them.

use std::time::{Duration, Instant};

use slotway::demo::servers::Cluster;

use crate::harness::{PATIENCE, Random, long, slot};
use crate::history::{History, Kind, Work};
use crate::report::{Row, ms};
use crate::stage::{Stage, alone};

/// So many slots are on the move at a time.
const AT_ONCE: usize = 4;

/// How much is done, and how slowly.
struct Extent {
    slots: u16,
    requests: u64,
    clients: usize,
    /// Keys of each client, so that every slot has some.
    keys: usize,
    /// So many keys of each slot are moved in one step.
    keys_a_step: usize,
    /// So many requests are answered between two steps.
    requests_a_step: u64,
}

const SHORT: Extent =
    Extent { slots: 60, requests: 20_000, clients: 16, keys: 40, keys_a_step: 6, requests_a_step: 100 };
const LONG: Extent =
    Extent { slots: 4096, requests: 1_000_000, clients: 16, keys: 512, keys_a_step: 3, requests_a_step: 250 };

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

/// Moves some slots at the same time, a few keys of each in turn, while clients work.
fn move_slots(cluster: &Cluster, slots: &[u16], to: usize, extent: &Extent, history: &History) {
    let moves: Vec<_> = slots.iter().filter_map(|&slot| cluster.begin_move(slot, to).unwrap()).collect();
    assert_eq!(moves.len(), slots.len(), "a slot is already there");
    loop {
        // All of them may be waiting for these very slots.
        history.wait_for(extent.requests_a_step, Duration::from_millis(50));
        if moves.iter().map(|moving| cluster.carry_keys(moving, extent.keys_a_step).unwrap()).sum::<usize>() == 0 {
            break;
        }
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
    let extent = if long() { LONG } else { SHORT };
    let Extent { slots, requests, clients, keys, .. } = extent;
    let work = Work { clients, keys, tags: tags(slots), kinds: Kind::MIXED.to_vec(), depth: 6, seed };
    let history = History::start(stage.addr(), &work);
    history.wait_for(requests / 20, PATIENCE);
    let (begun, before) = (Instant::now(), history.requests());
    let all: Vec<u16> = (0..slots).collect();
    for (n, some) in all.chunks(AT_ONCE).enumerate() {
        move_slots(&stage.cluster, some, 1 + n % 2, &extent, &history);
        assert!(!history.is_broken(), "after {n}: {:#?}", history.stop().violations);
    }
    let (took, meanwhile) = (begun.elapsed(), history.requests() - before);
    let left = requests.saturating_sub(meanwhile);
    history.wait_for(left, Duration::from_mins(10));
    let account = history.stop();
    account.check("T16");
    let (single, multi) = (account.errors_of(|kind| !kind.is_multi_key()), account.errors_of(Kind::is_multi_key));
    let redirects = stage.counted("redirects");
    assert_eq!(single, 0, "{:?}", account.errors);
    // Keys of several may stay on both sides for longer than a request may take: that is the node's to say.
    let waited = |(kind, code): &(Kind, String)| kind.is_multi_key() && ["TRYAGAIN", "EXECABORT"].contains(&&**code);
    assert!(account.errors.keys().all(waited) && multi * 10_000 <= account.requests, "{:?}", account.errors);
    assert!(redirects > f64::from(slots), "{redirects} redirects: nothing was tested");
    Row {
        test: "T16",
        what: "slots move under mixed load (SET GET INCR RPUSH LRANGE MGET MSET EXISTS EVAL MULTI BLPOP XADD)",
        client: "latency; requests for keys on both sides wait until the slot has moved",
        passes: "0 errors of single keys, 0 lost, 0 doubled",
        figures: format!(
            "{slots} slots in {:.0} s, {meanwhile} requests meanwhile and {} in all, {redirects} redirects followed: {single} errors of single keys, \
             {multi} of several; 0 lost, 0 doubled; slowest {}",
            took.as_secs_f64(),
            account.requests,
            ms(account.slowest)
        ),
    }
    .tell();
}
