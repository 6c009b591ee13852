//! A client that sends anything to a whole proxy, with an embedded cluster behind it and time that stands still.

#[path = "../../tests/sim/net.rs"]
#[expect(dead_code, reason = "no faults are ordered here")]
mod net;

use std::sync::Arc;
use std::time::Duration;

use net::MemoryNet;
use slotway::config::Config;
use slotway::demo::embedded::{Cluster, Options};
use slotway::net::{Addr, Stream};
use slotway::resp::Proto;
use slotway::resp::reply::Scanner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

/// The proxy survives, answers in whole replies, frames what it sends to nodes canonically, and serves others.
pub(crate) fn session(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime without drivers").block_on(async {
        let cluster = Cluster::new(Options { replicas: 0, ..Options::default() });
        let net = MemoryNet::new(1, cluster.clone());
        let addr = proxy(&cluster, &net).await;
        let mut client = net.dial(&addr).await.expect("the proxy listens");
        let (now, later) = bytes.split_at(usize::from(first) % (bytes.len() + 1));
        for piece in [now, later] {
            // The proxy may have closed it, and it may refuse to read on.
            let _ = tokio::time::timeout(Duration::from_secs(1), client.write_all(piece)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        check_replies(&hear(&mut client).await);
        drop(client);
        let mut other = net.dial(&addr).await.expect("the proxy still listens");
        other.write_all(b"*2\r\n$4\r\nECHO\r\n$5\r\nstill\r\n").await.expect("the proxy still reads");
        let mut reply = [0; 11];
        let heard = tokio::time::timeout(Duration::from_secs(5), other.read_exact(&mut reply)).await;
        heard.expect("the proxy still answers").expect("the proxy still answers");
        assert_eq!(&reply, b"$5\r\nstill\r\n");
        assert!(cluster.violations().is_empty(), "{:?}", cluster.violations());
    });
}

async fn proxy(cluster: &Cluster, net: &MemoryNet) -> Addr {
    let mut config = Config::default();
    config.admin.addr = None;
    config.worker.addr = Addr::tcp("127.0.0.1", 0);
    config.cluster.seeds = cluster.nodes().into_iter().map(|node| cluster.addr(node)).collect();
    let (bound, addr) = oneshot::channel();
    let net = Arc::new(net.clone());
    tokio::task::spawn_local(async move {
        let ready = |addrs: &[Addr]| bound.send(addrs[0].clone()).expect("the check waits for the address");
        slotway::run_local(config, net, ready, std::future::pending()).await.expect("the proxy runs");
    });
    addr.await.expect("the proxy starts")
}

/// Everything that comes until the proxy is silent or closes.
async fn hear(client: &mut Stream) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(5), client.read(&mut chunk)).await {
            Ok(Ok(count @ 1..)) => heard.extend_from_slice(&chunk[..count]),
            _ => return heard,
        }
    }
}

/// Whole replies and nothing else.
fn check_replies(mut bytes: &[u8]) {
    let mut scanner = Scanner::new(Proto::Resp3, 1 << 30);
    while !bytes.is_empty() {
        let end = scanner.end(bytes).expect("replies").expect("whole replies");
        bytes = &bytes[end..];
    }
}
