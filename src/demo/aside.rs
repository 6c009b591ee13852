//! The embedded cluster on a thread of its own, served on loopback TCP: a stand-in, not Redis.
//!
//! The cluster belongs to one thread. Others send it orders, each a function that is run there, and wait for what
//! it gives back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::embedded::{Cluster, Options};
use super::servers::Error;
use crate::net::Addr;
use crate::net::tcp::Tcp;

/// Something to do on the cluster's thread.
type Order = Box<dyn FnOnce(&Cluster) + Send>;

/// A running embedded cluster; dropping it ends its thread and closes its ports.
#[derive(Debug)]
pub(super) struct Aside {
    addrs: Vec<SocketAddr>,
    /// `None` once the thread is to end.
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// Starts three primaries with a replica each, on free ports.
    pub(super) fn start() -> Result<Self, Error> {
        let failed = |source| Error::Io { what: "start the embedded nodes".to_owned(), source };
        let (orders, todo) = mpsc::unbounded_channel();
        let (ready, readiness) = std_mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("embedded".to_owned())
            .spawn(move || live(todo, &ready))
            .map_err(failed)?;
        let gone = || Err(std::io::Error::other("their thread has ended"));
        let addrs = readiness.recv().unwrap_or_else(|_| gone()).map_err(failed)?;
        let addrs = addrs.iter().filter_map(|addr| addr.to_string().parse().ok()).collect();
        Ok(Self { addrs, orders: Some(orders), thread: Some(thread) })
    }

    /// Where the nodes are, by their number.
    pub(super) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Has `order` done on the cluster's thread, and waits for its result.
    pub(super) fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(&Cluster) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let gone = || Error::Absent("the embedded nodes have ended".to_owned());
        let (done, result) = std_mpsc::channel();
        let order: Order = Box::new(move |cluster| {
            // Whoever ordered it waits below.
            let _ = done.send(order(cluster));
        });
        self.orders.as_ref().and_then(|orders| orders.send(order).ok()).ok_or_else(gone)?;
        result.recv().map_err(|_| gone())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // That it panicked has been told by then.
            let _ = thread.join();
        }
    }
}

/// The life of the cluster's thread.
fn live(mut todo: mpsc::UnboundedReceiver<Order>, ready: &std_mpsc::Sender<std::io::Result<Vec<Addr>>>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            // The starter waits for it.
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let cluster = Cluster::new(Options { unix_ms: now, seed: now, ..Options::default() });
        let _ = ready.send(cluster.serve_tcp(&(Arc::new(Tcp) as _), 0));
        while let Some(order) = todo.recv().await {
            order(&cluster);
        }
    });
}
