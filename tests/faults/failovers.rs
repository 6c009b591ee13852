//! Primaries that are replaced: as planned, and because they died.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Client, PATIENCE, Random, long, slot};
use crate::history::{History, Kind, Work};
use crate::observer::Observer;
use crate::report::{Row, ms, quantile};
use crate::stage::{Stage, alone};

/// A node that was elected is left in peace for so long: servers of 7.0 take the votes of their last election for
/// those of the next one.
const REST: Duration = Duration::from_secs(10);
/// A planned failover that takes longer was given up by the nodes once, which keep their clients waiting for seconds.
const LAPSE: Duration = Duration::from_secs(1);

/// Who was elected, and when.
#[derive(Default)]
struct Elected(HashMap<usize, Instant>);

impl Elected {
    fn rest(&self, node: usize) {
        if let Some(when) = self.0.get(&node) {
            std::thread::sleep(REST.saturating_sub(when.elapsed()));
        }
    }

    fn note(&mut self, node: usize) {
        self.0.insert(node, Instant::now());
    }
}

#[test]
fn t15_planned_failovers_cost_no_error() {
    let _alone = alone();
    let stage = Stage::start(&[]);
    let seed = Random::seed();
    let work = Work { clients: 8, keys: 12, tags: Vec::new(), kinds: Kind::MIXED.to_vec(), depth: 6, seed };
    let history = History::start(stage.addr(), &work);
    let rounds = if long() { 100 } else { 3 };
    let (mut elected, mut lapses) = (Elected::default(), 0);
    for round in 0..rounds {
        history.wait_for(1_000, PATIENCE);
        assert!(!history.is_broken(), "after {round}: {:#?}", history.stop().violations);
        let primaries = stage.cluster.primaries().unwrap();
        let primary = primaries[round % primaries.len()];
        let replica = stage.cluster.replicas_of(primary).unwrap()[0];
        elected.rest(replica);
        let begun = Instant::now();
        stage.cluster.fail_over(replica, PATIENCE).unwrap();
        lapses += u32::from(begun.elapsed() > LAPSE);
        elected.note(replica);
        stage.settle();
    }
    history.wait_for(1_000, PATIENCE);
    let account = history.stop();
    account.check("T15");
    let errors = account.errors_of(|_| true);
    if lapses == 0 {
        assert!(account.errors.is_empty(), "{:?}", account.errors);
        assert!(account.slowest <= Duration::from_millis(500), "a stall of {:?}", account.slowest);
    }
    Row {
        test: "T15",
        what: "planned failovers under load",
        client: "latency",
        passes: "0 errors, stall ≤ 500 ms, 0 lost, 0 doubled",
        figures: format!(
            "{rounds} failovers ({lapses} that the nodes gave up once), {} requests, {errors} errors, longest stall {}; \
             0 lost, 0 doubled",
            account.requests,
            ms(account.slowest)
        ),
    }
    .tell();
}

/// When each of some clients first had an answer after `killed`; they go on until they have one.
fn first_successes(stage: &Stage, keys: &[String], dead: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<Instant>> {
    let ask = |key: &String| {
        let (key, addr, dead) = (key.clone(), stage.addr(), Arc::clone(dead));
        std::thread::spawn(move || {
            let mut client = Client::connect(addr);
            let mut number = 0;
            loop {
                number += 1;
                let was_dead = dead.load(Ordering::SeqCst);
                let value = format!("{key}|{number}");
                if client.call(&["SET", &key, &value]).error().is_none() && was_dead {
                    let when = Instant::now();
                    assert_eq!(client.call(&["GET", &key]).ok().bulk(), Some(value.as_bytes()), "a wrong value");
                    return when;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    keys.iter().map(ask).collect()
}

#[test]
fn t14_a_killed_primary_is_replaced_as_soon_as_the_nodes_know() {
    let _alone = alone();
    let stage = Stage::start(&[]);
    let rounds = if long() { 20 } else { 2 };
    let (mut elected, mut after, mut elections, mut convergences) =
        (Elected::default(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        stage.settle();
        stage.wait_served();
        let primaries = stage.cluster.primaries().unwrap();
        let victim = primaries[round % primaries.len()];
        let heir = stage.cluster.replicas_of(victim).unwrap()[0];
        elected.rest(heir);
        let keys: Vec<_> = (0..8).map(|n| stage.key_of(victim, n)).collect();
        let dead = Arc::<AtomicBool>::default();
        let asking = first_successes(&stage, &keys, &dead);
        std::thread::sleep(Duration::from_millis(200));
        let observer = Observer::of(&stage.cluster, slot(keys[0].as_bytes()), victim);
        let killed = Instant::now();
        stage.cluster.kill(victim).unwrap();
        dead.store(true, Ordering::SeqCst);
        while !observer.has_seen() {
            assert!(killed.elapsed() < PATIENCE, "the nodes elect nobody: {}", stage.cluster.log(heir).unwrap());
            std::thread::sleep(Duration::from_millis(1));
        }
        let known = observer.finish().expect("it has seen");
        elected.note(heir);
        elections.push(known - killed);
        let begun = Instant::now();
        while asking.iter().any(|client| !client.is_finished()) {
            assert!(begun.elapsed() < PATIENCE, "clients are stuck");
            std::thread::sleep(Duration::from_millis(5));
        }
        for client in asking {
            after.push(client.join().expect("a right value").saturating_duration_since(known));
        }
        convergences.push(Duration::from_secs_f64(stage.counted("topology_convergence_seconds")));
        stage.cluster.restart(victim).unwrap();
    }
    let (median, worst) = (quantile(&mut after, 0.5), quantile(&mut after, 1.0));
    let figures = format!(
        "{rounds} kills, {} clients: median {}, worst {}; elections took {} (median), the map followed the first sign \
         of it after {} (median)",
        after.len(),
        ms(median),
        ms(worst),
        ms(quantile(&mut elections, 0.5)),
        ms(quantile(&mut convergences, 0.5)),
    );
    let passes = "first success after the nodes know the new owner: median ≤ 60 ms, worst ≤ 250 ms; 0 stuck";
    Row {
        test: "T14",
        what: "a primary is killed (SIGKILL)",
        client: "its keys wait for the election until their deadline, then PROXYUNSENT; what was under way PROXYUNKNOWN",
        passes,
        figures: figures.clone(),
    }
    .tell();
    assert!(median <= Duration::from_millis(60) && worst <= Duration::from_millis(250), "{figures}; {passes}");
}
