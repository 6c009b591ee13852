//! What a service manager is told of the process: that it is ready, that it reads its configuration again, that it
//! stops, and that it is alive.
//!
//! Through the socket that systemd names in `NOTIFY_SOCKET`; without one nothing is said. Alive is a process whose
//! workers take their turns: that they do is seen by a number that each of them counts on when it is asked to.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::client::Process;
use crate::worker::Mailbox;

/// Says something; that the manager does not listen is no reason to stop.
fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}

/// Clients are let in; also the end of what [`reloading`] began.
pub fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process takes its leave, which takes as long as clients take.
pub fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// The configuration is read again; [`ready`] says that it is in use, or that the old one is.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the service manager cannot be told of a reload: {error}"),
    }
}

/// Tells the manager that the process is alive as often as it wants to hear it, if it does; until a worker hangs.
pub async fn keep_alive(process: &Process, workers: &[Arc<Mailbox>]) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut seen = vec![u64::MAX; process.tallies.len()];
    let mut ticks = tokio::time::interval(limit.max(Duration::from_millis(100)) / 3);
    loop {
        ticks.tick().await;
        let beats: Vec<u64> = process.tallies.iter().map(|tally| tally.beats.value()).collect();
        match seen.iter().zip(&beats).position(|(before, now)| before == now) {
            Some(worker) => tracing::error!("worker {worker} takes no turns: the service manager may end the process"),
            None => say(&[NotifyState::Watchdog]),
        }
        seen = beats;
        for worker in workers {
            worker.show_gauges();
        }
    }
}
