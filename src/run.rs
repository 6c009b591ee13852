//! The whole proxy from configuration to the last reply: binds, starts discovery and workers, drains.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use crate::accept::accept;
use crate::admin::{self, Admin};
use crate::client::Process;
use crate::cluster::Hint;
use crate::cluster::discovery::Discovery;
use crate::cluster::learning::Learning;
use crate::cluster::topology::Topology;
use crate::config::Config;
use crate::net::{Addr, Listener, Net};
use crate::service;
use crate::worker::{Mailbox, Parts, Worker};

/// Hints that may wait for discovery; more are dropped.
const HINTS: usize = 64;
/// How long to wait for the first map before clients are let in without one.
const FIRST_MAP: Duration = Duration::from_secs(5);

/// Why the proxy could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listening address could not be bound.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: Addr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread or its runtime could not be started, or a worker ended before its time.
    #[error("{0}")]
    Worker(String),
}

/// Everything that is set up before the first client.
struct House {
    process: Arc<Process>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    listeners: Vec<Box<dyn Listener>>,
    discovery: Discovery,
    learning: Learning,
    hints: mpsc::Sender<Hint>,
    config: Config,
    net: Arc<dyn Net>,
    admin: Option<(Admin, Box<dyn Listener>)>,
}

impl House {
    fn build(config: Config, net: Arc<dyn Net>, workers: usize) -> Result<Self, Error> {
        let (listeners, operators) = bind(&config, &*net)?;
        let port = listeners.first().map_or(0, |listener| listener.local_addr().port());
        let map = Arc::new(ArcSwap::from_pointee(Topology::default()));
        let client = config.client.clone();
        let mut process = Process::new(client, config.worker.max_clients, port, Arc::clone(&map), workers);
        process.effective = config.effective();
        let process = Arc::new(process);
        let mailboxes: Arc<[Arc<Mailbox>]> = std::iter::repeat_with(Arc::default).take(workers).collect();
        let (hints, hinted) = mpsc::channel(HINTS);
        let (told, lore) = (Arc::clone(&mailboxes), Arc::clone(&process.lore));
        let discovery = Discovery {
            options: config.cluster.clone(),
            credentials: config.backend.credentials.clone(),
            addresses: config.backend.addresses.clone(),
            timeout: config.backend.connect_timeout,
            net: Arc::clone(&net),
            map,
            hints: hinted,
            tally: Arc::clone(&process.refreshes),
            published: Box::new(move || {
                told.iter().for_each(|mailbox| mailbox.new_map());
                lore.look_at_map();
            }),
        };
        let told = Arc::clone(&mailboxes);
        let told = Box::new(move || told.iter().for_each(|mailbox| mailbox.new_map()));
        let learning = Learning::beside(&discovery, Arc::clone(&process.lore), told);
        let listen = listeners.iter().map(|listener| listener.local_addr()).collect();
        let admin = operators.map(|listener| {
            let parts = admin::Parts {
                options: config.admin.clone(),
                process: Arc::clone(&process),
                workers: Arc::clone(&mailboxes),
                listen,
                net: Arc::clone(&net),
                credentials: config.backend.credentials.clone(),
                timeout: config.backend.connect_timeout,
            };
            (Admin::new(parts), listener)
        });
        Ok(Self { process, mailboxes, listeners, discovery, learning, hints, config, net, admin })
    }

    fn parts(&self, index: usize, mailbox: &Arc<Mailbox>) -> Parts {
        Parts {
            index,
            backend: self.config.backend.clone(),
            net: Arc::clone(&self.net),
            hints: self.hints.clone(),
            process: Arc::clone(&self.process),
            mailbox: Arc::clone(mailbox),
            mailboxes: Arc::clone(&self.mailboxes),
            drain: self.config.worker.drain,
        }
    }

    /// Accepts clients until `shutdown` and `delay` are over, with discovery beside it all the time.
    async fn serve(
        mut self,
        ready: impl FnOnce(&[Addr]),
        shutdown: impl Future<Output = ()>,
        ended: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let (map, delay) = (Arc::clone(&self.discovery.map), self.config.worker.delay);
        let (leaving, mut left) = watch::channel(false);
        // The next process answers in the place of this one, whose time is over.
        let gives_way = self.config.worker.reuse_port;
        let clients = async {
            wait_for_map(&map).await;
            for listener in &mut self.listeners {
                if let Err(error) = listener.open() {
                    tracing::error!("cannot listen on {}: {error}", listener.local_addr());
                }
            }
            let addrs: Vec<Addr> = self.listeners.iter().map(|listener| listener.local_addr()).collect();
            ready(&addrs);
            let listening: Vec<_> = addrs.iter().map(ToString::to_string).collect();
            service::ready(&format!("listening on {}", listening.join(", ")));
            self.process.accepting.store(true, Ordering::Relaxed);
            let stop = async {
                shutdown.await;
                self.process.draining.store(true, Ordering::Relaxed);
                let _ = leaving.send(true);
                service::stopping();
                tokio::time::sleep(delay).await;
            };
            accept(self.listeners, Arc::clone(&self.process), Arc::clone(&self.mailboxes), stop).await;
            self.mailboxes.iter().for_each(|mailbox| mailbox.drain());
            std::future::pending::<()>().await;
        };
        let admin = async {
            match self.admin {
                Some((admin, listener)) => {
                    let stop = async {
                        let is_over = left.wait_for(|left| *left).await.is_ok();
                        if !(gives_way && is_over) {
                            std::future::pending::<()>().await;
                        }
                    };
                    admin.run(listener, stop).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = admin => Ok(()),
            result = ended => result,
            () = clients => Ok(()),
            () = self.discovery.run() => Ok(()),
            () = self.learning.run() => Ok(()),
            () = service::keep_alive(&self.process, &self.mailboxes) => Ok(()),
        }
    }
}

/// Listeners of clients, and the one of operators.
type Doors = (Vec<Box<dyn Listener>>, Option<Box<dyn Listener>>);

/// What a socket that is handed over is called, if it is meant for operators; any other is for clients.
const OPERATORS: &str = "admin";

/// Binds the addresses of `config`, or takes the sockets that were handed over in the place of them.
fn bind(config: &Config, net: &dyn Net) -> Result<Doors, Error> {
    let handed = net.handed().map_err(|error| Error::Worker(error.to_string()))?;
    let (mut operators, mut clients): (Vec<_>, Vec<_>) = handed.into_iter().partition(|(name, _)| name == OPERATORS);
    for (name, listener) in operators.iter().chain(&clients) {
        tracing::info!("{} was handed over as '{name}'", listener.local_addr());
    }
    if clients.is_empty() {
        let mut addrs = vec![config.worker.addr.clone()];
        addrs.extend(config.worker.unix_socket.clone().map(Addr::Unix));
        for addr in addrs {
            let shared = config.worker.reuse_port;
            let bound = if shared { net.listen_beside(&addr) } else { net.listen(&addr) };
            clients.push((String::new(), bound.map_err(|source| Error::Listen { addr, source })?));
        }
    }
    let operators = match operators.pop() {
        Some((_, listener)) => Some(listener),
        None => bind_admin(&config.admin, config.worker.reuse_port, net)?,
    };
    Ok((clients.into_iter().map(|(_, listener)| listener).collect(), operators))
}

/// The listener of the admin port. The usual address may be taken by another proxy on this machine, which is no
/// reason not to serve clients; one that somebody asked for must be had.
fn bind_admin(options: &admin::Options, shared: bool, net: &dyn Net) -> Result<Option<Box<dyn Listener>>, Error> {
    let Some(addr) = &options.addr else { return Ok(None) };
    let bound = if shared { net.listen_beside(addr) } else { net.listen(addr) };
    match bound {
        Ok(listener) => {
            tracing::info!("status page at http://{}/", listener.local_addr());
            Ok(Some(listener))
        }
        Err(source) if *addr == admin::Options::usual_addr() => {
            tracing::warn!(
                "no status page and no metrics: cannot listen on {addr}: {source}; choose another admin.addr"
            );
            Ok(None)
        }
        Err(source) => Err(Error::Listen { addr: addr.clone(), source }),
    }
}

/// Waits for the first map; a cluster that is not up yet does not keep the proxy from starting.
async fn wait_for_map(map: &ArcSwap<Topology>) {
    let known = async {
        while map.load().version == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(FIRST_MAP, known).await.is_err() {
        tracing::warn!("no node has answered yet: clients are let in and wait for the cluster");
    }
}

/// Binds the listeners of `config`, serves clients with one thread a worker until `shutdown` completes, drains,
/// and returns. `ready` is called once with the bound addresses as soon as connections are accepted.
pub async fn run(
    config: Config,
    net: Arc<dyn Net>,
    ready: impl FnOnce(&[Addr]),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let workers = config.worker.workers.max(1);
    let house = House::build(config, net, workers)?;
    let (ended, mut endings) = mpsc::unbounded_channel();
    for (index, mailbox) in house.mailboxes.iter().enumerate() {
        let (parts, ended) = (house.parts(index, mailbox), ended.clone());
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                // The receiver is there for as long as the proxy runs.
                let _ = ended.send(work(parts));
            })
            .map_err(|error| Error::Worker(format!("cannot start a worker: {error}")))?;
    }
    drop(ended);
    let all_ended = async move {
        let mut left = workers;
        while left > 0 {
            match endings.recv().await {
                Some(result) => result?,
                None => return Err(Error::Worker("a worker ended unexpectedly".to_owned())),
            }
            left -= 1;
        }
        Ok(())
    };
    house.serve(ready, shutdown, all_ended).await
}

/// One worker's thread.
fn work(parts: Parts) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(|error| Error::Worker(format!("cannot start a worker's runtime: {error}")))?;
    runtime.block_on(async { Worker::new(parts).run().await });
    Ok(())
}

/// Like [`run`], with all workers on the runtime of the caller, which must be a local one. A whole proxy on one
/// thread can be simulated.
pub async fn run_local(
    config: Config,
    net: Arc<dyn Net>,
    ready: impl FnOnce(&[Addr]),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let workers = config.worker.workers.max(1);
    let house = House::build(config, net, workers)?;
    let parts = house.mailboxes.iter().enumerate().map(|(index, mailbox)| house.parts(index, mailbox));
    let running: Vec<_> = parts.map(|parts| tokio::task::spawn_local(Worker::new(parts).run())).collect();
    let ended = async {
        for worker in running {
            worker.await.map_err(|error| Error::Worker(format!("a worker ended: {error}")))?;
        }
        Ok(())
    };
    house.serve(ready, shutdown, ended).await
}
