//! Primaries that stop without dying.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slotway::demo::servers::Options;

use crate::harness::{Client, long, own_cluster, slot};
use crate::observer::Observer;
use crate::report::{Row, ms, quantile};
use crate::stage::{REQUEST_TIMEOUT, Stage, alone, resident, together};

/// Asks for one key again and again, a thousand times a second at most; how long each took, and how many failed.
struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Vec<Duration>, Vec<Duration>)>,
}

impl Probe {
    fn start(addr: SocketAddr, key: String) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(addr);
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let reply = client.call(&["SET", &key, "x"]);
                if reply.error().is_some() {
                    bad.push(begun.elapsed());
                } else {
                    good.push(begun.elapsed());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            (good, bad)
        });
        Self { stop, thread }
    }

    fn finish(self) -> (Vec<Duration>, Vec<Duration>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a probe ends")
    }
}

/// Runs probes for some keys for a while.
fn probe(stage: &Stage, keys: &[String], span: Duration) -> (Vec<Duration>, Vec<Duration>) {
    let probes: Vec<_> = keys.iter().map(|key| Probe::start(stage.addr(), key.clone())).collect();
    std::thread::sleep(span);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for probe in probes {
        let (some, others) = probe.finish();
        good.extend(some);
        bad.extend(others);
    }
    (good, bad)
}

#[test]
fn t13_a_stopped_primary_costs_only_its_own_keys() {
    let _alone = alone();
    // So patient with each other that nobody is replaced.
    let node_timeout = Duration::from_secs(if long() { 90 } else { 20 });
    let patient = Options { node_timeout, ..Options::default() };
    let stage = Stage::before(own_cluster(&patient), &[]);
    let others: Vec<_> =
        (1..3).flat_map(|node| (0..2).map(move |n| (node, n))).map(|(node, n)| stage.key_of(node, n)).collect();
    let lost: Vec<_> = (0..8).map(|n| stage.key_of(0, n)).collect();
    let span = Duration::from_secs(if long() { 30 } else { 4 });
    let info = stage.client().call(&["INFO", "server"]).text();
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")?.parse().ok()).expect("a process id");
    let (mut before, errors) = probe(&stage, &others, span.min(Duration::from_secs(10)));
    assert!(errors.is_empty());
    let memory = resident(pid);
    stage.cluster.pause(0).unwrap();
    let victims: Vec<_> = lost.iter().map(|key| Probe::start(stage.addr(), key.clone())).collect();
    let (mut during, errors) = probe(&stage, &others, span);
    let grown = resident(pid).saturating_sub(memory);
    let late: Vec<_> = victims.into_iter().map(Probe::finish).collect();
    stage.cluster.resume(0).unwrap();
    assert!(errors.is_empty(), "other shards: {} errors", errors.len());
    let mut waits: Vec<_> = late.into_iter().flat_map(|(_, bad)| bad).collect();
    let (worst, was, is) = (quantile(&mut waits, 1.0), quantile(&mut before, 0.99), quantile(&mut during, 0.99));
    // A busy machine's own jitter is more than the proxy's whole time: a millisecond is forgiven.
    assert!(is <= was * 2 + Duration::from_millis(1), "p99 {} ms, before {}", ms(is), ms(was));
    assert!(worst <= REQUEST_TIMEOUT + Duration::from_millis(20 + 15), "{worst:?}");
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    stage.wait_served();
    Row {
        test: "T13",
        what: "a primary is stopped (SIGSTOP)",
        client: "an error at the deadline for its keys, later at once; other keys notice nothing",
        passes: "other shards' p99 ≤ 2 ×; an error at the deadline + 20 ms",
        figures: format!(
            "{} s: p99 {} before, {} during; {} errors, slowest {} (deadline 2 s); memory +{} KiB",
            span.as_secs(),
            ms(was),
            ms(is),
            waits.len(),
            ms(worst),
            grown >> 10
        ),
    }
    .tell();
}

#[test]
fn t18_a_primary_that_comes_back_with_an_old_map_never_wins() {
    let _lane = together();
    let stage = Stage::start(&[("SLOTWAY__CLUSTER__REFRESH_INTERVAL", "200ms")]);
    let key = stage.key_of(0, 0);
    let mut client = stage.client();
    client.call(&["SET", &key, "before"]).ok();
    std::thread::sleep(Duration::from_millis(500));
    let observer = Observer::of(&stage.cluster, slot(key.as_bytes()), 0);
    stage.cluster.pause(0).unwrap();
    let begun = Instant::now();
    while client.call(&["SET", &key, "0"]).error().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody took over");
    }
    assert!(observer.finish().is_some(), "a write was acknowledged though nobody took over");
    let away = if long() { Duration::from_secs(30) } else { Duration::from_secs(5) };
    std::thread::sleep(away.saturating_sub(begun.elapsed()));
    let mut written = 0_u64;
    let mut write = |client: &mut Client| {
        written += 1;
        client.call(&["SET", &key, &written.to_string()]).ok();
        assert_eq!(client.call(&["GET", &key]).bulk(), Some(written.to_string().as_bytes()), "a write was lost");
        written
    };
    write(&mut client);
    stage.cluster.resume(0).unwrap();
    let back = Instant::now();
    while back.elapsed() < Duration::from_secs(4) {
        write(&mut client);
        std::thread::sleep(Duration::from_millis(2));
    }
    stage.settle();
    let written = write(&mut client);
    Row {
        test: "T18",
        what: "a primary that was replaced while it was away comes back and still believes in its old map",
        client: "nothing",
        passes: "never an older map",
        figures: format!("{written} writes, each read back; away for {:.0} s", begun.elapsed().as_secs_f64()),
    }
    .tell();
}
