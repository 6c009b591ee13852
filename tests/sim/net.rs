//! A network in memory, with faults: what the proxy is given instead of TCP.
//!
//! Addresses of the embedded cluster lead to its nodes, bound addresses to whoever listens there. A [`Plan`] says
//! what goes wrong on the connections of one address, and it always works at the proxy's end: of a connection
//! that the proxy opens, and of one that it accepts. Each connection draws from a generator of its own, made of
//! the seed and the connection's number, so that a run repeats itself.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use slotway::demo::embedded::{Cluster, Random};
use slotway::net::{Accepted, Addr, Listener, LocalFuture, Net, SendFuture, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

/// How many bytes a pipe holds each way.
const PIPE: usize = 64 * 1024;

/// What happens to a connect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Dialing {
    /// It succeeds at once.
    #[default]
    Open,
    /// It succeeds after this long.
    Late(Duration),
    /// It is refused.
    Refused,
    /// It is never answered.
    Unanswered,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    /// They pass in random pieces of at most so many bytes; as they come, if 0.
    pub(crate) fragment: usize,
    /// Each piece waits a random while of at most this.
    pub(crate) delay: Duration,
    /// After so many bytes, this happens.
    pub(crate) end: Option<(usize, End)>,
}

/// How a direction ends before its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The whole connection is reset.
    Reset,
    /// Only this direction is closed.
    HalfClose,
    /// Nothing more gets through, and nobody is told.
    Blackhole,
}

/// What goes wrong on the connections of an address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// The connect; of no meaning where the proxy listens.
    pub(crate) dialing: Dialing,
    /// What the proxy reads.
    pub(crate) read: Way,
    /// What the proxy writes.
    pub(crate) write: Way,
}

impl Plan {
    /// Both directions in random pieces of at most `bytes`.
    pub(crate) fn fragments(bytes: usize) -> Self {
        let way = Way { fragment: bytes, ..Way::default() };
        Self { read: way, write: way, ..Self::default() }
    }

    /// Connects fare so.
    pub(crate) fn dialing(dialing: Dialing) -> Self {
        Self { dialing, ..Self::default() }
    }

    /// The proxy reads so.
    pub(crate) fn reading(read: Way) -> Self {
        Self { read, ..Self::default() }
    }

    /// The proxy writes so.
    pub(crate) fn writing(write: Way) -> Self {
        Self { write, ..Self::default() }
    }
}

/// A request for a connection to a node, carried to the task that holds the cluster.
type Dial = (Addr, oneshot::Sender<io::Result<Stream>>);

/// The network. Clones are of the same one; it may be shared between threads, although the cluster may not.
#[derive(Clone)]
pub(crate) struct MemoryNet {
    dial: mpsc::UnboundedSender<Dial>,
    board: Arc<Mutex<Board>>,
}

/// What is known of addresses.
struct Board {
    seed: u64,
    connections: u64,
    next_port: u16,
    listeners: HashMap<Addr, mpsc::UnboundedSender<Accepted>>,
    plans: HashMap<Addr, Plan>,
    /// Plans for single connections, used up before those above.
    once: HashMap<Addr, VecDeque<Plan>>,
}

impl Board {
    /// The plan of the next connection at an address, and its number.
    fn plan(&mut self, addr: &Addr) -> (Plan, u64) {
        self.connections += 1;
        let once = self.once.get_mut(addr).and_then(VecDeque::pop_front);
        (once.or_else(|| self.plans.get(addr).copied()).unwrap_or_default(), self.connections)
    }
}

impl MemoryNet {
    /// A network that leads to the nodes of `cluster`. Must be called where local tasks can be spawned.
    pub(crate) fn new(seed: u64, cluster: Cluster) -> Self {
        let (dial, mut dials) = mpsc::unbounded_channel::<Dial>();
        tokio::task::spawn_local(async move {
            while let Some((addr, answer)) = dials.recv().await {
                // Whoever asked may have given up.
                drop(answer.send(cluster.connect(&addr)));
            }
        });
        let board = Board {
            seed,
            connections: 0,
            next_port: 40_000,
            listeners: HashMap::new(),
            plans: HashMap::new(),
            once: HashMap::new(),
        };
        Self { dial, board: Arc::new(Mutex::new(board)) }
    }

    /// From now on the connections of an address fare so.
    pub(crate) fn plan(&self, addr: &Addr, plan: Plan) {
        self.board().plans.insert(addr.clone(), plan);
    }

    /// The next connection of an address fares so; several queue up.
    pub(crate) fn plan_once(&self, addr: &Addr, plan: Plan) {
        self.board().once.entry(addr.clone()).or_default().push_back(plan);
    }

    /// A client's connection: the faults of the address, if any, are at the other end.
    pub(crate) async fn dial(&self, to: &Addr) -> io::Result<Stream> {
        if let Some(stream) = self.dial_listener(to)? {
            return Ok(stream);
        }
        let (answer, stream) = oneshot::channel();
        self.dial.send((to.clone(), answer)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        stream.await.unwrap_or_else(|_| Err(io::ErrorKind::ConnectionRefused.into()))
    }

    fn dial_listener(&self, to: &Addr) -> io::Result<Option<Stream>> {
        let mut board = self.board();
        let Some(listener) = board.listeners.get(to).cloned() else { return Ok(None) };
        let (plan, number) = board.plan(to);
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let theirs = Faulty::new(Stream::Other(Box::new(theirs)), plan, board.seed, number);
        if listener.send(Accepted::Other(Box::new(theirs))).is_err() {
            board.listeners.remove(to);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Some(Stream::Other(Box::new(ours))))
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().expect("nothing panics while it holds the board")
    }
}

impl Net for MemoryNet {
    fn connect<'a>(&'a self, to: &'a Addr) -> LocalFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let (plan, number) = {
                let mut board = self.board();
                // Where somebody listens, the plan is for the end that accepts.
                if board.listeners.contains_key(to) { (Plan::default(), 0) } else { board.plan(to) }
            };
            match plan.dialing {
                Dialing::Open => {}
                Dialing::Late(by) => tokio::time::sleep(by).await,
                Dialing::Refused => return Err(io::ErrorKind::ConnectionRefused.into()),
                Dialing::Unanswered => std::future::pending().await,
            }
            let stream = self.dial(to).await?;
            let seed = self.board().seed;
            Ok(Stream::Other(Box::new(Faulty::new(stream, plan, seed, number))))
        })
    }

    fn listen(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        let mut board = self.board();
        let mut at = at.clone();
        if at.port() == 0 && !at.host().is_empty() {
            board.next_port += 1;
            at = Addr::tcp(at.host(), board.next_port);
        }
        if board.listeners.get(&at).is_some_and(|listener| !listener.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, accepted) = mpsc::unbounded_channel();
        board.listeners.insert(at.clone(), sender);
        Ok(Box::new(MemoryListener { at, accepted }))
    }
}

/// A bound address in memory.
struct MemoryListener {
    at: Addr,
    accepted: mpsc::UnboundedReceiver<Accepted>,
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> SendFuture<'_, io::Result<Accepted>> {
        Box::pin(async { self.accepted.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into()) })
    }

    fn local_addr(&self) -> Addr {
        self.at.clone()
    }
}

/// A stream on which a plan is carried out.
struct Faulty {
    /// Gone after a reset, so that the other side sees the end too.
    inner: Option<Stream>,
    read: Lane,
    write: Lane,
}

/// One direction and how far it is.
struct Lane {
    way: Way,
    random: Random,
    passed: usize,
    /// The wait before the next piece, while it lasts.
    wait: Option<Pin<Box<Sleep>>>,
    /// Whether the next piece has waited enough.
    due: bool,
}

impl Lane {
    fn new(way: Way, seed: u64) -> Self {
        Self { way, random: Random::new(seed), passed: 0, wait: None, due: false }
    }

    /// How this direction has ended, if it has.
    fn ended(&self) -> Option<End> {
        self.way.end.filter(|(after, _)| self.passed >= *after).map(|(_, end)| end)
    }

    /// Waits until bytes may pass; how many may.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if !self.due {
            if self.way.delay > Duration::ZERO {
                let most = self.way.delay.as_micros() as u64 + 1;
                let random = &mut self.random;
                let wait = self
                    .wait
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_micros(random.below(most)))));
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            self.due = true;
            if self.way.fragment > 0 && self.random.one_in(2) {
                // Others get their turn, so that the pieces really arrive one by one.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let room = self.way.end.map_or(usize::MAX, |(after, _)| after - self.passed);
        let piece = match self.way.fragment {
            0 => usize::MAX,
            most => 1 + self.random.below(most as u64) as usize,
        };
        Poll::Ready(piece.min(room))
    }

    /// Counts what passed; the next piece waits anew.
    fn pass(&mut self, bytes: usize) {
        self.passed += bytes;
        self.due = false;
    }
}

impl Faulty {
    fn new(inner: Stream, plan: Plan, seed: u64, number: u64) -> Self {
        let seed = Random::new(seed ^ (number << 32)).bits();
        Self { inner: Some(inner), read: Lane::new(plan.read, seed), write: Lane::new(plan.write, !seed) }
    }

    fn reset<T>(&mut self) -> Poll<io::Result<T>> {
        self.inner = None;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncRead for Faulty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.read.ended() {
            Some(End::Reset) => return this.reset(),
            Some(End::HalfClose) => return Poll::Ready(Ok(())),
            // Nobody wakes the reader: it waits for ever.
            Some(End::Blackhole) => return Poll::Pending,
            None => {}
        }
        let piece = ready!(this.read.poll_piece(cx)).min(buf.remaining()).min(PIPE);
        let Some(inner) = &mut this.inner else { return this.reset() };
        let mut scratch = vec![0; piece];
        let mut part = ReadBuf::new(&mut scratch);
        ready!(Pin::new(inner).poll_read(cx, &mut part))?;
        this.read.pass(part.filled().len());
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.write.ended() {
            Some(End::Reset) => return this.reset(),
            Some(End::HalfClose) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(End::Blackhole) => return Poll::Ready(Ok(bytes.len())),
            None => {}
        }
        let piece = ready!(this.write.poll_piece(cx)).min(bytes.len());
        let Some(inner) = &mut this.inner else { return this.reset() };
        let wrote = ready!(Pin::new(&mut *inner).poll_write(cx, &bytes[..piece]))?;
        this.write.pass(wrote);
        match this.write.ended() {
            Some(End::Reset) => this.inner = None,
            Some(End::HalfClose) => drop(Pin::new(inner).poll_shutdown(cx)),
            Some(End::Blackhole) | None => {}
        }
        Poll::Ready(Ok(wrote))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.inner.as_mut().map_or(Poll::Ready(Ok(())), |inner| Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.write.ended(), Some(End::Blackhole)) {
            return Poll::Ready(Ok(()));
        }
        this.inner.as_mut().map_or(Poll::Ready(Ok(())), |inner| Pin::new(inner).poll_shutdown(cx))
    }
}
