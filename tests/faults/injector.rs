//! A relay in front of each node, through which the proxy goes, and which can do to bytes what networks do: hold
//! them up, take them apart, end in the middle of them, swallow them, put others in their place. Never reorder them.
//!
//! One thread moves the bytes of all relays. What a relay does may change at any time and holds for connections that
//! exist, too; a [`Cut`] is for one connection, the next one on which the proxy sends a request of a client (those on
//! which it asks for the map are left alone).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;

/// How a connection ends at a [`Cut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a reset on both sides.
    Reset,
    /// The direction is closed; the other one goes on.
    HalfClose,
    /// Nothing gets through any more, and nobody is told.
    Blackhole,
    /// Bytes that mean nothing come in place of the rest.
    Garbage,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Requests.
    ToNode,
    /// Replies.
    ToProxy,
}

/// The end of one connection, after so many bytes that way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) way: Way,
    pub(crate) after: usize,
    pub(crate) end: End,
}

/// What all connections of a relay suffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// How long each piece is held up on its way to the proxy.
    pub(crate) delay: Duration,
    /// Whether bytes go one by one.
    pub(crate) single_bytes: bool,
    /// Whether nothing gets through, either way, and new connections are left in the air.
    pub(crate) blackhole: bool,
    /// Whether new connections are refused by closing them.
    pub(crate) refuse: bool,
}

/// What a relay knows.
struct State {
    weather: Mutex<Weather>,
    cuts: Mutex<VecDeque<Cut>>,
    /// Raised to reset every connection.
    resets: watch::Sender<u64>,
    accepted: AtomicU64,
    cut: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn weather(&self) -> Weather {
        *lock(&self.weather)
    }
}

/// One relay for each node.
pub(crate) struct Injector {
    nodes: Vec<(SocketAddr, SocketAddr, Arc<State>)>,
    /// Ends the thread when it is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Injector {
    /// Begins to relay for each of the nodes.
    pub(crate) fn start(nodes: &[SocketAddr]) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (told, relays) = std::sync::mpsc::channel();
        let targets = nodes.to_vec();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .unwrap();
            runtime.block_on(async move {
                for node in targets {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let state = Arc::new(State {
                        weather: Mutex::default(),
                        cuts: Mutex::default(),
                        resets: watch::Sender::new(0),
                        accepted: AtomicU64::new(0),
                        cut: AtomicU64::new(0),
                    });
                    told.send((listener.local_addr().unwrap(), node, Arc::clone(&state))).unwrap();
                    spawn_local(relay(listener, node, state));
                }
                drop(told);
                // Either way this is the end.
                let _ = stopped.await;
            });
        });
        Self { nodes: relays.iter().collect(), _stop: stop }
    }

    /// Where the proxy finds the nodes, by their number.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|(relay, _, _)| *relay).collect()
    }

    /// The proxy's `cluster.address_map`.
    pub(crate) fn address_map(&self) -> String {
        self.nodes.iter().map(|(relay, node, _)| format!("{relay}={node}")).collect::<Vec<_>>().join(",")
    }

    /// From now on the connections to this node suffer this.
    pub(crate) fn weather(&self, node: usize, weather: Weather) {
        *lock(&self.nodes[node].2.weather) = weather;
    }

    /// Resets every connection to this node.
    pub(crate) fn reset(&self, node: usize) {
        self.nodes[node].2.resets.send_modify(|count| *count += 1);
    }

    /// The next connection on which a client's request goes to this node ends so; several queue up.
    pub(crate) fn cut_next(&self, node: usize, cut: Cut) {
        lock(&self.nodes[node].2.cuts).push_back(cut);
    }

    /// How many cuts wait at this node for their connection.
    pub(crate) fn cuts_left(&self, node: usize) -> usize {
        lock(&self.nodes[node].2.cuts).len()
    }

    /// How many cuts were carried out.
    pub(crate) fn cuts_made(&self) -> u64 {
        self.nodes.iter().map(|(_, _, state)| state.cut.load(Ordering::Relaxed)).sum()
    }

    /// How many connections this node's relay has taken.
    pub(crate) fn accepted(&self, node: usize) -> u64 {
        self.nodes[node].2.accepted.load(Ordering::Relaxed)
    }
}

async fn relay(listener: TcpListener, node: SocketAddr, state: Arc<State>) {
    while let Ok((proxy, _)) = listener.accept().await {
        state.accepted.fetch_add(1, Ordering::Relaxed);
        if state.weather().refuse {
            continue;
        }
        spawn_local(connection(proxy, node, Arc::clone(&state)));
    }
}

async fn connection(proxy: TcpStream, node: SocketAddr, state: Arc<State>) {
    while state.weather().blackhole {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Ok(node) = TcpStream::connect(node).await else { return };
    // A connection that cannot be set up so is not worth more words.
    let _ = (proxy.set_nodelay(true), node.set_nodelay(true));
    let mut resets = state.resets.subscribe();
    let plan = Arc::new(Plan { state, cut: Mutex::default(), over: Notify::new() });
    let (from_proxy, to_proxy) = proxy.into_split();
    let (from_node, to_node) = node.into_split();
    tokio::select! {
        _ = async {
            tokio::join!(pump(Way::ToNode, from_proxy, to_node, &plan), pump(Way::ToProxy, from_node, to_proxy, &plan))
        } => {}
        _ = resets.changed() => {}
        () = plan.over.notified() => {}
    }
}

/// What both directions of a connection share.
struct Plan {
    state: Arc<State>,
    cut: Mutex<Option<Cut>>,
    /// The whole connection is at its end.
    over: Notify,
}

impl Plan {
    /// The cut of this connection, which gets one when the first request of a client comes.
    fn cut(&self, way: Way, bytes: &[u8]) -> Option<Cut> {
        let mut cut = lock(&self.cut);
        if cut.is_none() && way == Way::ToNode && !OWN.iter().any(|own| bytes.starts_with(own)) {
            *cut = lock(&self.state.cuts).pop_front();
        }
        *cut
    }
}

/// What a request must begin with to be none of a client's: what the proxy asks for itself.
const OWN: [&[u8]; 4] =
    [b"*2\r\n$7\r\nCLUSTER\r\n", b"*2\r\n$4\r\nINFO\r\n", b"*1\r\n$4\r\nROLE\r\n", b"*1\r\n$4\r\nPING\r\n"];

/// Moves the bytes of one direction until it ends. Gives the sockets back, so that they live until both end.
async fn pump(
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: &Plan,
) -> (OwnedReadHalf, OwnedWriteHalf) {
    let mut chunk = vec![0; 64 << 10];
    let mut passed = 0;
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let mut bytes = &chunk[..read];
        while plan.state.weather().blackhole {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let weather = plan.state.weather();
        if !weather.delay.is_zero() && way == Way::ToProxy {
            tokio::time::sleep(weather.delay).await;
        }
        let cut = plan.cut(way, bytes);
        let last = cut.filter(|cut| cut.way == way && passed + read >= cut.after);
        if let Some(cut) = last {
            bytes = &bytes[..cut.after - passed];
        }
        if send(&mut to, bytes, weather.single_bytes).await.is_err() {
            break;
        }
        passed += if cut.is_some() { bytes.len() } else { 0 };
        if let Some(cut) = last {
            plan.state.cut.fetch_add(1, Ordering::Relaxed);
            end(cut.end, &mut from, &mut to, plan).await;
            return (from, to);
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown().await;
    (from, to)
}

async fn send(to: &mut OwnedWriteHalf, bytes: &[u8], one_by_one: bool) -> std::io::Result<()> {
    if !one_by_one {
        return to.write_all(bytes).await;
    }
    for byte in bytes {
        to.write_all(std::slice::from_ref(byte)).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Ends a direction before its time; what still comes that way is thrown away.
async fn end(how: End, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, plan: &Plan) {
    // Whatever cannot be said any more is as good as said.
    match how {
        End::Reset => {
            let _ = (from.as_ref().set_zero_linger(), to.as_ref().set_zero_linger());
            plan.over.notify_one();
        }
        End::HalfClose => drop(to.shutdown().await),
        End::Garbage => drop(to.write_all(b"\x16\x03\x01 this is no reply\r\n").await),
        End::Blackhole => {}
    }
    let mut scrap = vec![0; 4096];
    while let Ok(1..) = from.read(&mut scrap).await {}
}
