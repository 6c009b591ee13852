//! The load with a pace: each request has its time, and leaves at it whatever has been answered.
//!
//! Latency counts from the time at which a request should have left. A closed loop leaves out those that it could not
//! send while it waited, and so shows a proxy that stood still as one slow request among fast ones.

use std::collections::VecDeque;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::{Fleet, Outcome, STALL, nanos};
use crate::Result;
use crate::plan::Workload;
use crate::wire::Sequence;

/// The timer's place among the links.
const TIMER: Token = Token(usize::MAX);

impl Fleet<'_> {
    /// Sends `pace` requests a second, evenly, over all clients in turn; waits for the last reply.
    pub(super) fn run_at(&mut self, pace: u64, load: &Workload, seed: u64) -> Result<Outcome> {
        // Its clock is finer than the milliseconds for which a poll waits.
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        self.poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let mut sequence = Sequence::new(load.work, seed);
        let mut due: Vec<VecDeque<Instant>> = vec![VecDeque::new(); self.links.len()];
        let mut outcome = Outcome::default();
        let (mut sent, start) = (0, Instant::now());
        let at = |index: u64| start + Duration::from_nanos(index * 1_000_000_000 / pace);
        let mut events = Events::with_capacity(1024);
        while outcome.replies < load.requests {
            while sent < load.requests && at(sent) <= Instant::now() {
                let client = sent as usize % self.clients.len();
                let link = self.enqueue(client * self.fan(), sequence.draw(self.space))?;
                due.get_mut(link).ok_or("no such link")?.push_back(at(sent));
                self.flush(link)?;
                sent += 1;
            }
            if sent < load.requests {
                // Zero would disarm it.
                let wait = at(sent).saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                let spec = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
                let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: spec };
                timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
            }
            self.wait(&mut events)?;
            if events.is_empty() {
                return Err(
                    format!("no reply for {STALL:?}, {} of {} are there", outcome.replies, load.requests).into()
                );
            }
            for event in events.iter().filter(|event| event.token() != TIMER) {
                let Token(link) = event.token();
                if event.is_writable() {
                    self.flush(link)?;
                }
                if event.is_readable() {
                    let replies = self.read(link, event.is_read_closed(), &mut outcome)?;
                    let now = Instant::now();
                    let answered = due.get_mut(link).ok_or("no such link")?.drain(..replies);
                    outcome.batches.extend(answered.map(|due| nanos(now - due)));
                }
            }
        }
        self.poll.registry().deregister(&mut SourceFd(&timer.as_raw_fd()))?;
        outcome.elapsed = start.elapsed();
        outcome.batches.sort_unstable();
        Ok(outcome)
    }
}
