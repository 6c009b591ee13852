//! The whole demo: a cluster, the proxy in front of it, what to try, and chaos on request.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::chaos::Chaos;
use super::elections::Elections;
use super::load::Load;
use super::nodes::Nodes;
use super::proxy::{Proxy, try_listen};
use super::report::{self, Seconds};
use super::servers;
use crate::net::Addr;

/// What to show.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the proxy listens: a TCP address.
    pub listen: Addr,
    /// Where the proxy's status page is; without one when somebody else is there.
    pub admin: Option<Addr>,
    /// Whether to use the embedded nodes even where a server is installed.
    pub embedded: bool,
    /// Whether and how long to disturb the cluster.
    pub disturb: Disturb,
}

/// Whether and how long to disturb the cluster under a built-in load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturb {
    /// Leave it in peace.
    Never,
    /// Until the demo is asked to end.
    Endlessly,
    /// For so long; then the demo ends.
    For(Duration),
}

/// Why a demo failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proxy's address cannot be had.
    #[error("cannot listen on {addr}: {source}; choose another address with --listen, such as --listen 127.0.0.1:0")]
    Listen {
        /// The address.
        addr: Addr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The demo's clients connect by TCP.
    #[error("the demo listens on a TCP address, not on {0}; choose one with --listen")]
    NotTcp(Addr),
    /// The cluster did not start or did not do what it was told.
    #[error("the cluster: {0}")]
    Cluster(#[from] servers::Error),
    /// The proxy failed.
    #[error("the proxy: {0}")]
    Proxy(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The load saw what it must not see.
    #[error("clients saw {wrong} wrong replies, and {errors} errors outside elections")]
    Seen {
        /// Replies that cannot be right.
        wrong: u64,
        /// Errors of requests that were not under way during an election.
        errors: u64,
    },
}

/// Runs the demo until `shutdown` completes or its time is over. Everything that it started is gone by then.
/// What it has to say goes to `out`. Must not be called within a runtime.
pub fn run(options: &Options, out: &mut dyn Write, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let listen = &options.listen;
    if matches!(listen, Addr::Unix(_)) {
        return Err(Error::NotTcp(listen.clone()));
    }
    try_listen(listen).map_err(|source| Error::Listen { addr: listen.clone(), source })?;
    say(out, "Starting a cluster of six nodes ...\n");
    let nodes = Arc::new(Nodes::start(options.embedded)?);
    let admin = options.admin.as_ref().filter(|addr| try_listen(addr).is_ok());
    let mut proxy = Proxy::start(listen, admin, &nodes.addrs()).map_err(|error| Error::Proxy(error.to_string()))?;
    say(out, &report::greeting(&nodes, &proxy)?);
    let ended = proxy.ended.take();
    let ended = async {
        match ended {
            Some(ended) => ended.await.unwrap_or_else(|_| "its thread has ended".to_owned()),
            None => std::future::pending().await,
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if options.disturb != Disturb::Never {
            return disturb(options.disturb, &nodes, &proxy, out, shutdown, ended).await;
        }
        say(out, "\nCtrl-C ends the demo and everything that it started.\n");
        tokio::select! {
            () = shutdown => Ok(()),
            why = ended => Err(Error::Proxy(why)),
        }
    })
}

/// Chaos and load, with a line each second, until it is enough.
async fn disturb(
    how: Disturb,
    nodes: &Arc<Nodes>,
    proxy: &Proxy,
    out: &mut dyn Write,
    shutdown: impl Future<Output = ()>,
    ended: impl Future<Output = String>,
) -> Result<(), Error> {
    say(out, &format!("\nChaos under load from {} connections; Ctrl-C ends it.\n\n", super::load::CONNECTIONS));
    let elections = Arc::<Elections>::default();
    let load = Load::start(proxy.addr, &elections)?;
    let chaos = Chaos::start(nodes, &elections)?;
    let (tally, progress) = (Arc::clone(&load.tally), Arc::clone(&chaos.progress));
    let mut seconds = Seconds::new(proxy, &tally, &progress);
    let begun = Instant::now();
    let time_is_up = async {
        match how {
            Disturb::For(time) => tokio::time::sleep(time).await,
            _ => std::future::pending().await,
        }
    };
    let (mut shutdown, mut ended, mut time_is_up) = (pin!(shutdown), pin!(ended), pin!(time_is_up));
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut last, mut stopping) = (begun, false);
    while !chaos.is_over() {
        tokio::select! {
            _ = ticks.tick() => {
                let now = Instant::now();
                say(out, &seconds.line(now - begun, now - last));
                last = now;
            }
            () = &mut shutdown, if !stopping => stopping = true,
            () = &mut time_is_up, if !stopping => stopping = true,
            why = &mut ended => return Err(Error::Proxy(why)),
        }
        if stopping {
            chaos.stop();
        }
    }
    let chaos = chaos.finish();
    drop(load);
    say(out, &report::summary(&mut seconds, begun.elapsed(), &tally, &progress, &elections));
    chaos?;
    let (wrong, errors) = (tally.wrong.load(Ordering::Relaxed), tally.errors.load(Ordering::Relaxed));
    if wrong + errors > 0 { Err(Error::Seen { wrong, errors }) } else { Ok(()) }
}

/// That nobody reads any longer is no reason to end.
fn say(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
