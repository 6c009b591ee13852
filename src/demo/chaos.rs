//! What `--chaos` does to the cluster, one thing after the other: slots move from primary to primary in small
//! batches, now and then a replica takes over as planned, and less often a primary is killed and another elected.
//!
//! Never two at once: servers of 7.0 forget at a failover which slots are on the move, and lose track of their keys
//! whoever stands in front.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::elections::Elections;
use super::embedded::Random;
use super::keys;
use super::nodes::{Moving, Nodes};
use super::servers::view::Seen;
use super::servers::{Error, SLOTS};

/// When the first planned failover comes, and how long it is from one to the next.
const PLANNED: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(4));
/// The same for kills.
const KILLS: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(20));
/// So many slots move at a time: such as hold many keys, and others.
const BUSY_SLOTS: usize = 4;
const OTHER_SLOTS: usize = 4;
/// So many keys of a slot move in one step, and how long it is to the next: slots stay half moved for a while.
const KEYS_A_STEP: usize = 8;
const STEP: Duration = Duration::from_millis(10);
/// A node that was elected is left in peace for so long. Servers of 7.0 keep the votes of their last election for
/// four times their node timeout, take them for those of the next, and are then not believed by the others: the
/// cluster stands still for seconds.
const REST: Duration = Duration::from_secs(10);
/// How long the nodes may take to agree after a change.
const LIMIT: Duration = Duration::from_secs(30);

/// What has been done so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Slots moved.
    pub(super) slots: AtomicU64,
    /// Planned failovers.
    pub(super) failovers: AtomicU64,
    /// Primaries killed and replaced.
    pub(super) kills: AtomicU64,
    now: Mutex<String>,
}

impl Progress {
    /// What is being done, in words.
    pub(super) fn now(&self) -> String {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn doing(&self, what: String) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

/// Running chaos.
#[derive(Debug)]
pub(super) struct Chaos {
    /// What has been done so far.
    pub(super) progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Chaos {
    /// Begins.
    pub(super) fn start(nodes: &Arc<Nodes>, elections: &Arc<Elections>) -> std::io::Result<Self> {
        let (stop, progress) = (Arc::<AtomicBool>::default(), Arc::<Progress>::default());
        let work = Work {
            nodes: Arc::clone(nodes),
            elections: Arc::clone(elections),
            progress: Arc::clone(&progress),
            random: Random::new(1),
            elected: HashMap::new(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("chaos".to_owned()).spawn(move || work.run(&stopped))?;
        Ok(Self { progress, stop, thread: Some(thread) })
    }

    /// Asks for an end; what has begun is brought to its own first.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended, asked or not.
    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end, and says what went wrong with the cluster, if anything did.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.stop();
        let panicked = || Error::Absent("the thread that makes chaos panicked".to_owned());
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(panicked())))
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // Nobody is left to be told.
            let _ = thread.join();
        }
    }
}

struct Work {
    nodes: Arc<Nodes>,
    elections: Arc<Elections>,
    progress: Arc<Progress>,
    random: Random,
    /// When each node was elected last, by its port.
    elected: HashMap<u16, Instant>,
}

impl Work {
    fn run(mut self, stop: &AtomicBool) -> Result<(), Error> {
        let begun = Instant::now();
        let (mut next_planned, mut next_kill) = (begun + PLANNED.0, begun + KILLS.0);
        while !stop.load(Ordering::Relaxed) {
            if Instant::now() >= next_kill && self.kill()? {
                next_kill += KILLS.1;
            } else if Instant::now() >= next_planned && self.fail_over()? {
                next_planned = Instant::now() + PLANNED.1;
            }
            self.move_slots()?;
        }
        self.progress.doing("coming to rest".to_owned());
        self.nodes.wait_settled(LIMIT)
    }

    /// Moves some slots from one primary to another, all at the same time and slowly enough to be noticed.
    fn move_slots(&mut self) -> Result<(), Error> {
        let seen = self.nodes.seen()?;
        let (from, to) = self.two_primaries(&seen)?;
        let Some(target) = self.nodes.number(to) else { return Err(gone(to)) };
        let slots = self.some_slots(from);
        self.progress.doing(format!("moving {} slots from {} to {}", slots.len(), from.port, to.port));
        let (mut moves, mut refused) = (Vec::new(), None);
        for &slot in &slots {
            match self.nodes.begin_move(slot, target) {
                Ok(moving) => moves.extend(moving),
                // What has begun must be brought to its end all the same.
                Err(error) => refused = Some(error),
            }
        }
        self.carry(&moves)?;
        for moving in &moves {
            self.nodes.end_move(moving)?;
            self.progress.slots.fetch_add(1, Ordering::Relaxed);
        }
        refused.map_or(Ok(()), Err)
    }

    /// Moves the keys of all these slots, some of each at a time.
    fn carry(&self, moves: &[Moving]) -> Result<(), Error> {
        loop {
            let mut carried = 0;
            for moving in moves {
                carried += self.nodes.carry_keys(moving, KEYS_A_STEP)?;
            }
            if carried == 0 {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
    }

    /// Slots of a primary: busy ones as far as it has any, and others.
    fn some_slots(&mut self, of: &Seen) -> Vec<u16> {
        let mut busy: Vec<u16> = keys::busy_slots().into_iter().filter(|&slot| of.owns(slot)).collect();
        while busy.len() > BUSY_SLOTS {
            busy.swap_remove(self.random.below(busy.len() as u64) as usize);
        }
        let first = self.random.below(u64::from(SLOTS)) as u16;
        let others = (first..SLOTS).chain(0..first).filter(|&slot| of.owns(slot) && !busy.contains(&slot));
        let others: Vec<u16> = others.take(OTHER_SLOTS).collect();
        busy.extend(others);
        busy
    }

    /// A replica takes over from its living primary. False if none is fit to.
    fn fail_over(&mut self) -> Result<bool, Error> {
        self.progress.doing("waiting for the replicas before a planned failover".to_owned());
        self.nodes.wait_settled(LIMIT)?;
        let seen = self.nodes.seen()?;
        let Some((primary, replica)) = self.primary_and_heir(&seen) else { return Ok(false) };
        let Some(number) = self.nodes.number(replica) else { return Err(gone(replica)) };
        self.progress.doing(format!("planned failover: {} takes over from {}", replica.port, primary.port));
        self.nodes.fail_over(number, LIMIT)?;
        self.elected.insert(replica.port, Instant::now());
        self.progress.failovers.fetch_add(1, Ordering::Relaxed);
        self.nodes.wait_settled(LIMIT)?;
        Ok(true)
    }

    /// A primary dies; its replica is elected; the dead one comes back as a replica. False if none is fit to.
    fn kill(&mut self) -> Result<bool, Error> {
        self.progress.doing("waiting for the replicas before a kill".to_owned());
        self.nodes.wait_settled(LIMIT)?;
        let seen = self.nodes.seen()?;
        let Some((primary, replica)) = self.primary_and_heir(&seen) else { return Ok(false) };
        let Some(number) = self.nodes.number(primary) else { return Err(gone(primary)) };
        self.progress.doing(format!("ELECTION: {} was killed", primary.port));
        self.elections.begin();
        self.nodes.kill(number)?;
        self.nodes.wait_elected(number, LIMIT)?;
        let took = self.elections.end();
        self.elected.insert(replica.port, Instant::now());
        self.progress.kills.fetch_add(1, Ordering::Relaxed);
        self.progress.doing(format!("elected after {took:.1?}; {} comes back as a replica", primary.port));
        self.nodes.restart(number)?;
        self.nodes.wait_settled(LIMIT)?;
        Ok(true)
    }

    /// Some primary, and its replica, which was not elected lately.
    fn primary_and_heir<'a>(&mut self, seen: &'a [Seen]) -> Option<(&'a Seen, &'a Seen)> {
        let rested = |node: &&Seen| self.elected.get(&node.port).is_none_or(|when| when.elapsed() > REST);
        let heirs = seen.iter().filter(rested).filter_map(|heir| {
            let primary = seen.iter().find(|node| node.primary && heir.primary_id.as_ref() == Some(&node.id))?;
            Some((primary, heir))
        });
        let pairs: Vec<_> = heirs.collect();
        self.random.pick(&pairs).copied()
    }

    /// Two different primaries that own slots.
    fn two_primaries<'a>(&mut self, seen: &'a [Seen]) -> Result<(&'a Seen, &'a Seen), Error> {
        let mut primaries: Vec<&Seen> = seen.iter().filter(|node| node.primary && !node.slots.is_empty()).collect();
        if primaries.len() < 2 {
            return Err(Error::Absent(format!("{} primaries own slots", primaries.len())));
        }
        let mut draw = || primaries.swap_remove(self.random.below(primaries.len() as u64) as usize);
        Ok((draw(), draw()))
    }
}

fn gone(node: &Seen) -> Error {
    Error::Absent(format!("there is no node with port {}", node.port))
}
