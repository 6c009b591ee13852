//! The nodes on loopback TCP, for the demo and for clients outside the process.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::{Cluster, NodeId, wire};
use crate::net::{Addr, Listener, Net};

impl Cluster {
    /// Listens on one port a node, from `base_port` on or, if that is 0, on whatever ports are free, and gives the
    /// addresses in the order of [`Cluster::nodes`]. From then on the nodes call one another by these.
    ///
    /// A node that is killed stops to listen until it is revived. Must be called where local tasks can be spawned;
    /// the nodes are served for as long as the runtime runs.
    pub fn serve_tcp(&self, net: &Arc<dyn Net>, base_port: u16) -> io::Result<Vec<Addr>> {
        let mut listeners = Vec::new();
        for node in self.nodes() {
            let port = if base_port == 0 { 0 } else { base_port.saturating_add(node.0 as u16) };
            listeners.push((node, net.listen(&Addr::tcp(self.addr(node).host(), port))?));
        }
        let mut addrs = Vec::new();
        for (node, listener) in listeners {
            let addr = listener.local_addr();
            self.state().nodes[node.0].port = addr.port();
            addrs.push(addr);
            tokio::task::spawn_local(attend(self.clone(), node, Arc::clone(net), listener));
        }
        Ok(addrs)
    }
}

/// Accepts connections while the node lives, and listens again when it is back.
async fn attend(cluster: Cluster, node: NodeId, net: Arc<dyn Net>, listener: Box<dyn Listener>) {
    let at = listener.local_addr();
    let doorbell = Rc::clone(&cluster.state().nodes[node.0].doorbell);
    let mut listener = Some(listener);
    loop {
        match (&mut listener, cluster.is_alive(node)) {
            (Some(open), true) => tokio::select! {
                biased;
                () = doorbell.notified() => {}
                accepted = open.accept() => match accepted.and_then(crate::net::Accepted::into_stream) {
                    Ok((stream, _)) => drop(tokio::task::spawn_local(wire::serve(cluster.clone(), node.0, stream))),
                    // Out of descriptors, most likely: give the process time to free some.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
            },
            (None, true) => match net.listen(&at) {
                Ok(again) => listener = Some(again),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            (_, false) => {
                listener = None;
                doorbell.notified().await;
            }
        }
    }
}

/// How long to wait before trying again what the system refused.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
