//! The whole proxy from configuration to the last reply: binds, starts discovery and workers, drains.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::accept::accept;
use crate::admin::{self, Admin};
use crate::client::Process;
use crate::cluster::Hint;
use crate::cluster::discovery::Discovery;
use crate::cluster::learning::Learning;
use crate::cluster::topology::Topology;
use crate::config::Config;
use crate::net::tls::{Certificates, Guarded, Nodes, Secured, Server, Unfit};
use crate::net::{Addr, Listener, Net};
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
    /// Certificates cannot be used.
    #[error("{0}; {instead}", instead = .0.instead)]
    Certificates(#[from] Unfit),
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
        let mut certificates = Vec::new();
        let listeners = listen(&config, &*net, &mut certificates)?;
        let net = to_nodes(&config, net, &mut certificates)?;
        let port = listeners.first().map_or(0, |listener| listener.local_addr().port());
        let map = Arc::new(ArcSwap::from_pointee(Topology::default()));
        let client = config.client.clone();
        let mut process = Process::new(client, config.worker.max_clients, port, Arc::clone(&map), workers);
        process.effective = config.effective();
        process.certificates = ArcSwap::from_pointee(certificates);
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
        let bound = listeners.iter().map(|listener| listener.local_addr()).collect();
        let admin = bind_admin(&config.admin, &*net)?.map(|listener| {
            let parts = admin::Parts {
                options: config.admin.clone(),
                process: Arc::clone(&process),
                workers: Arc::clone(&mailboxes),
                listen: bound,
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
        self,
        ready: impl FnOnce(&[Addr]),
        shutdown: impl Future<Output = ()>,
        ended: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let (map, delay) = (Arc::clone(&self.discovery.map), self.config.worker.delay);
        let process = Arc::clone(&self.process);
        let clients = async {
            wait_for_map(&map).await;
            let addrs: Vec<Addr> = self.listeners.iter().map(|listener| listener.local_addr()).collect();
            ready(&addrs);
            self.process.accepting.store(true, Ordering::Relaxed);
            let accepting = accept(self.listeners, Arc::clone(&self.process), Arc::clone(&self.mailboxes));
            tokio::select! {
                () = accepting => {}
                () = async {
                    shutdown.await;
                    self.process.draining.store(true, Ordering::Relaxed);
                    tokio::time::sleep(delay).await;
                } => {}
            }
            self.mailboxes.iter().for_each(|mailbox| mailbox.drain());
            std::future::pending::<()>().await;
        };
        let admin = async {
            match self.admin {
                Some((admin, listener)) => admin.run(listener).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = admin => Ok(()),
            result = ended => result,
            () = clients => Ok(()),
            () = self.discovery.run() => Ok(()),
            () = self.learning.run() => Ok(()),
            () = process.watch_certificates() => Ok(()),
        }
    }
}

/// What is in use of certificates, for those who look at it.
type InUse = Vec<Arc<dyn Certificates>>;

/// The listeners for clients, with TLS where it is asked for.
fn listen(config: &Config, net: &dyn Net, in_use: &mut InUse) -> Result<Vec<Box<dyn Listener>>, Error> {
    let bind = |addr: Addr| net.listen(&addr).map_err(|source| Error::Listen { addr, source });
    let (addr, tls) = (config.worker.addr.clone(), &config.worker.tls);
    let mut listeners = Vec::new();
    if tls.is_on() {
        let server = Arc::new(Server::new(tls)?);
        in_use.push(server.certificates());
        listeners.push(Box::new(Guarded::new(bind(addr)?, server)) as Box<dyn Listener>);
    } else {
        listeners.push(bind(addr)?);
    }
    // Nobody listens in on a Unix socket.
    if let Some(path) = &config.worker.unix_socket {
        listeners.push(bind(Addr::Unix(path.clone()))?);
    }
    Ok(listeners)
}

/// The network to the nodes, with TLS where it is asked for.
fn to_nodes(config: &Config, net: Arc<dyn Net>, in_use: &mut InUse) -> Result<Arc<dyn Net>, Error> {
    if !config.cluster.tls.on {
        return Ok(net);
    }
    let nodes = Arc::new(Nodes::new(&config.cluster.tls)?);
    in_use.push(nodes.certificates());
    Ok(Arc::new(Secured::new(net, nodes)))
}

/// The listener of the admin port. The usual address may be taken by another proxy on this machine, which is no
/// reason not to serve clients; one that somebody asked for must be had.
fn bind_admin(options: &admin::Options, net: &dyn Net) -> Result<Option<Box<dyn Listener>>, Error> {
    let Some(addr) = &options.addr else { return Ok(None) };
    match net.listen(addr) {
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
