//! Takes connections in and hands them to workers, evenly.
//!
//! One task accepts for all workers and gives each connection to the worker with the fewest clients; letting
//! the kernel spread them over one socket per worker leaves the busiest with twice the mean when clients are
//! few (see `docs/decisions.md`).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use crate::client::Process;
use crate::net::{Accepted, Listener, let_go};
use crate::worker::Mailbox;

/// How long to wait when the system has no descriptors left.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How long a client that is refused may take to be told.
const FAREWELL: Duration = Duration::from_millis(100);

/// Accepts on all of `listeners` until `stop` completes, and then those that the system has let in before.
pub async fn accept(
    listeners: Vec<Box<dyn Listener>>,
    process: Arc<Process>,
    workers: Arc<[Arc<Mailbox>]>,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let mut accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| Some(Box::pin(accept_one(listener, &process, &workers, stopped.clone()))))
        .collect();
    let mut stop = pin!(async {
        stop.await;
        // They listen to it until they end.
        let _ = stopping.send(true);
        std::future::pending::<()>().await;
    });
    std::future::poll_fn(|cx| {
        let _ = stop.as_mut().poll(cx);
        for one in &mut accepting {
            if one.as_mut().is_some_and(|running| running.as_mut().poll(cx).is_ready()) {
                *one = None;
            }
        }
        if accepting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn accept_one(
    mut listener: Box<dyn Listener>,
    process: &Process,
    workers: &[Arc<Mailbox>],
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) if process.clients() >= process.max_clients => {
                process.refused.fetch_add(1, Ordering::Relaxed);
                refuse(connection).await;
            }
            Ok(connection) => hand_over(connection, process, workers),
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    let_go(listener, |connection| {
        if process.clients() < process.max_clients {
            hand_over(connection, process, workers);
        } else {
            process.refused.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
}

/// To the worker with the fewest clients.
fn hand_over(connection: Accepted, process: &Process, workers: &[Arc<Mailbox>]) {
    let load = |at: &usize| process.tally(*at).clients.load(Ordering::Relaxed);
    let Some(least) = (0..workers.len()).min_by_key(load) else { return };
    process.tally(least).clients.fetch_add(1, Ordering::Relaxed);
    if let Some(worker) = workers.get(least) {
        worker.hand_over(connection);
    }
}

/// Says why, as Redis does, and closes.
async fn refuse(connection: Accepted) {
    if let Ok(mut stream) = connection.into_stream() {
        let saying = stream.write_all(b"-ERR max number of clients reached\r\n");
        // Whether it was heard does not matter: the connection ends either way.
        let _ = tokio::time::timeout(FAREWELL, saying).await;
    }
}
