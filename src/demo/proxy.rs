//! The proxy of the demo: the whole of it, on threads of its own, in front of some seeds.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Config;
use crate::net::tcp::Tcp;
use crate::net::{Addr, Net as _};
use crate::run::{Error, run};

/// How long clients may finish what they have under way when the demo ends.
const DRAIN: Duration = Duration::from_secs(1);

/// A running proxy; dropping it drains and ends it.
#[derive(Debug)]
pub(super) struct Proxy {
    /// Where it listens.
    pub(super) addr: SocketAddr,
    /// Where its status page is, if it has one.
    pub(super) page: Option<SocketAddr>,
    /// How many workers it has.
    pub(super) workers: usize,
    stop: Option<oneshot::Sender<()>>,
    /// Tells that it ended by itself, and why.
    pub(super) ended: Option<oneshot::Receiver<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts it and waits until it takes clients.
    pub(super) fn start(listen: &Addr, admin: Option<&Addr>, seeds: &[SocketAddr]) -> Result<Self, Error> {
        let mut config = Config::default();
        config.worker.addr = listen.clone();
        config.admin.addr = admin.cloned();
        config.worker.drain = DRAIN;
        config.worker.workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        config.cluster.seeds = seeds.iter().map(|addr| Addr::tcp(&addr.ip().to_string(), addr.port())).collect();
        let workers = config.worker.workers;
        let (stop, stopped) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        let (ready, readiness) = mpsc::channel();
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            let told = ready.clone();
            // The starter has gone on by the time that the end is told twice.
            let tell_ready = move |addrs: &[Addr]| drop(told.send(Ok(addrs.first().cloned())));
            let result = serve(config, tell_ready, stopped);
            let _ = tell_end.send(result.as_ref().map_or_else(ToString::to_string, |()| "it has ended".to_owned()));
            let _ = ready.send(result.map(|()| None));
        });
        let thread = thread.map_err(|error| Error::Worker(format!("cannot start the proxy's thread: {error}")))?;
        let addr = readiness.recv().unwrap_or(Ok(None))?;
        let addr = addr.and_then(|addr| reachable(&addr));
        let page = admin.and_then(reachable).filter(|page| page.port() != 0);
        let addr = addr.ok_or_else(|| Error::Worker("the proxy does not listen on a TCP port".to_owned()))?;
        Ok(Self { addr, page, workers, stop: Some(stop), ended: Some(ended), thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // That it panicked has been told by then.
            let _ = thread.join();
        }
    }
}

fn serve(config: Config, ready: impl FnOnce(&[Addr]), stopped: oneshot::Receiver<()>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Worker(format!("cannot start a runtime: {error}")))?;
    // Dropped or sent: either way it is to stop.
    let shutdown = async { drop(stopped.await) };
    runtime.block_on(run(config, Arc::new(Tcp), ready, shutdown))
}

/// Whether `listen` can be bound, before a cluster is started for nothing.
pub(super) fn try_listen(listen: &Addr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    Tcp.listen(listen).map(drop)
}

/// Where a client on this machine reaches a bound address.
fn reachable(addr: &Addr) -> Option<SocketAddr> {
    let mut addr: SocketAddr = addr.to_string().parse().ok()?;
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Some(addr)
}
