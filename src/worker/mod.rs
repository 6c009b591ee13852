//! One worker: its clients, its nodes, and the turn that drives them all.
//!
//! A worker owns everything on the way of a request, on one thread, and shares nothing. Sockets put their tokens
//! on the ready list; the driver takes the whole list and makes one turn:
//!
//! ```text
//!   read every ready client ─► write each dirty node once ─► read every ready node ─► write each dirty client once
//! ```
//!
//! Batches come from this order alone: every request that is there goes into one write to its node, every reply
//! that is there into one write to its client. A client that may go on after its replies went out is resumed at
//! the end of the turn. New connections come through the [`Mailbox`]; deadlines through one timer.

mod desk;
mod gate;
mod hearing;
mod leaving;
mod mailbox;
mod sampling;
mod timer;
mod writing;

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use slab::Slab;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backend::{self, Backend, Millis, Surroundings};
use crate::client::process::Tally;
use crate::client::{Process, Room, Session, errands};
use crate::cluster::Hint;
use crate::cluster::topology::Topology;
use crate::net::tls::ServerOptions;
use crate::net::{Addr, Link, Net, Ready, Token};
use crate::replies::ClientId;
use crate::resp::request::Args;
use gate::Lobby;
use leaving::SWEEP;
pub use mailbox::Mailbox;
use sampling::Probe;
use timer::Timer;

/// Where to listen and how wide.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `[listen] addr`.
    pub addr: Addr,
    /// `[listen] unix_socket`, beside `addr`.
    pub unix_socket: Option<std::path::PathBuf>,
    /// `[listen] tls_cert_file` and what belongs to it: what is shown to clients at `addr`.
    pub tls: ServerOptions,
    /// `[listen] max_clients` over all workers; more are told so and closed.
    pub max_clients: usize,
    /// `workers`; 0 means as many as the cores that this process may use.
    pub workers: usize,
    /// `[shutdown] drain`: how long clients may finish what is in flight.
    pub drain: Duration,
    /// `[shutdown] delay`: how long to go on accepting after SIGTERM, so that balancers notice first.
    pub delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addr: Addr::tcp("127.0.0.1", 7379),
            unix_socket: None,
            tls: ServerOptions::default(),
            max_clients: 10_000,
            workers: 0,
            drain: Duration::from_secs(20),
            delay: Duration::ZERO,
        }
    }
}

/// How much is read from a socket at once. One buffer for all sockets of a worker.
const SCRATCH: usize = 64 << 10;
/// How often one client is read in one turn before the others get theirs.
const READS_A_TURN: usize = 4;

/// Tokens below this are clients.
const PIPELINES: Token = 1 << 30;
/// Tokens from here on are connections for subscriptions.
const FEEDS: Token = PIPELINES | 1 << 29;
/// Tokens from here on are the worker's own.
const OWN: Token = 1 << 31;
const MAIL: Token = OWN;
const DIALED: Token = OWN + 1;
const MAP: Token = OWN + 2;
const TIMER: Token = OWN + 3;
const SWEEPER: Token = OWN + 4;
const RESUME: Token = OWN + 5;
const FEED_DIALED: Token = OWN + 6;
const FEED_TIMER: Token = OWN + 7;
const LETTERS: Token = OWN + 8;
const DESK: Token = OWN + 9;
const GAUGES: Token = OWN + 10;
const OPENED: Token = OWN + 11;
const MOMENT: Token = OWN + 12;

/// What a worker needs from outside.
pub struct Parts {
    /// Which worker it is, from 0.
    pub index: usize,
    /// How nodes are reached.
    pub backend: backend::Options,
    /// Where connections to nodes come from.
    pub net: Arc<dyn Net>,
    /// To discovery.
    pub hints: mpsc::Sender<Hint>,
    /// What all workers share.
    pub process: Arc<Process>,
    /// Where other threads leave word.
    pub mailbox: Arc<Mailbox>,
    /// Those of all workers, its own too.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// How long clients may finish what is in flight when the worker drains.
    pub drain: Duration,
}

/// One connected client.
struct Client {
    link: Link,
    session: Session,
    /// Nothing more comes from it, or it is being sent away: closed once it has its replies.
    leaving_since: Option<Millis>,
}

/// One thread's worth of proxy.
pub struct Worker {
    index: usize,
    clients: Slab<Client>,
    room: Room,
    args: Args,
    scratch: Box<[u8]>,
    ready: Arc<Ready>,
    mailbox: Arc<Mailbox>,
    lobby: Lobby,
    mailboxes: Arc<[Arc<Mailbox>]>,
    /// Questions that other workers have not all answered.
    open: Slab<desk::Open>,
    map: arc_swap::Cache<Arc<arc_swap::ArcSwap<Topology>>, Arc<Topology>>,
    /// The version of the map that was adopted last.
    adopted: u64,
    started: Instant,
    timer: Timer,
    sweeper: Timer,
    probe: Probe,
    /// The latest slow request that was shown.
    slow_shown: Option<u64>,
    /// Bytes read from clients and written to them.
    received: u64,
    sent: u64,
    feed_timer: Timer,
    /// For how long replies are held back.
    moment: Timer,
    /// Subscribers that were closed because their messages piled up.
    slow: u64,
    draining_since: Option<Millis>,
    drain: Duration,
    // Lists that are used anew in each turn.
    tokens: Vec<Token>,
    nodes: Vec<Token>,
    written: Vec<ClientId>,
    waiting: Vec<ClientId>,
}

impl Worker {
    /// A worker without clients. Must be called on the runtime that will drive it.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let ready = Arc::clone(&parts.mailbox.ready);
        let tally = Arc::clone(parts.process.tally(parts.index));
        let around = Surroundings {
            net: parts.net,
            ready: Arc::clone(&ready),
            token: PIPELINES,
            dialed: DIALED,
            desk: DESK,
            scripts: Arc::clone(&parts.process.scripts),
            hints: parts.hints,
            worker: parts.index,
            tally: Arc::clone(&tally),
            tallies: Arc::clone(&parts.process.nodes),
        };
        let pubsub = hearing::subscriptions(&parts.backend, &around, &parts.process, parts.index as u32);
        let backend = Backend::new(parts.backend, around, parts.index as u32);
        let mut worker = Self {
            index: parts.index,
            clients: Slab::new(),
            map: arc_swap::Cache::new(Arc::clone(&parts.process.map)),
            room: Room::new(backend, pubsub, parts.process, parts.index, ready.waker(DESK)),
            args: Args::default(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            timer: Timer::new(ready.waker(TIMER)),
            sweeper: Timer::new(ready.waker(SWEEPER)),
            feed_timer: Timer::new(ready.waker(FEED_TIMER)),
            moment: Timer::new(ready.waker(MOMENT)),
            slow: 0,
            lobby: Lobby::new(&ready),
            ready,
            mailbox: parts.mailbox,
            mailboxes: parts.mailboxes,
            open: Slab::new(),
            adopted: 0,
            started: Instant::now(),
            probe: Probe::default(),
            slow_shown: None,
            received: 0,
            sent: 0,
            draining_since: None,
            drain: parts.drain,
            tokens: Vec::new(),
            nodes: Vec::new(),
            written: Vec::new(),
            waiting: Vec::new(),
        };
        worker.look_at_map();
        worker
    }

    /// Runs turns until the worker has been drained. Bounds its own work, and so runs unconstrained.
    pub async fn run(mut self) {
        tokio::task::unconstrained(poll_fn(move |cx| self.turn(cx))).await;
    }

    fn turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut tokens = mem::take(&mut self.tokens);
        self.ready.take(&mut tokens, cx.waker());
        if tokens.is_empty() {
            self.tokens = tokens;
            return Poll::Pending;
        }
        let began = self.started.elapsed();
        let micros = began.as_secs() * 1_000_000 + u64::from(began.subsec_micros());
        self.room.now = micros / 1000;
        self.room.backend.set_now(micros);
        self.room.pubsub.set_now(self.room.now);
        self.probe.begin(began);
        for &token in &tokens {
            match token {
                client if client < PIPELINES => self.read_client(client),
                pipe if pipe < FEEDS => self.nodes.push(pipe - PIPELINES),
                own => self.on_own(own),
            }
        }
        tokens.clear();
        self.tokens = tokens;
        self.room.backend.flush(&mut self.room.replies);
        self.probe.written(&self.room.backend, self.started);
        self.read_nodes();
        if self.room.replies.has_again() {
            errands::go_on(&mut self.room);
            self.room.backend.flush(&mut self.room.replies);
        }
        self.write_clients();
        while let Some(id) = self.room.replies.take_broken() {
            self.close(id);
        }
        if let Some(overhead) = self.probe.answered(&self.room.backend, self.started) {
            self.room.tally.overhead.record(overhead.as_micros() as u32, 1);
        }
        self.resume_clients();
        if !self.room.pubsub.is_idle() {
            self.tend_subscriptions();
        }
        self.room.backend.flush(&mut self.room.replies);
        self.write_clients();
        if !self.waiting.is_empty() {
            // Written to for the second time: whether they may go on is seen in one more turn.
            self.ready.push(RESUME);
        }
        if self.room.replies.has_again() {
            errands::go_on(&mut self.room);
            self.ready.push(RESUME);
        }
        debug_assert_eq!(
            self.room.replies.tickets_out(),
            self.room.backend.tickets() + self.room.pubsub.tickets() + self.asking(),
            "every ticket that is out must be with the backend, with a SUBSCRIBE, or wait for other workers"
        );
        self.arm();
        self.begin_moment();
        self.publish();
        if self.is_drained() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_own(&mut self, token: Token) {
        match token {
            MAIL => self.take_mail(),
            DIALED => self.room.backend.take_dialed(&mut self.room.replies),
            MAP => {
                self.look_at_map();
                self.look_at_lore(true);
            }
            TIMER => {
                self.timer.fired();
                self.room.backend.tick(&mut self.room.replies);
                self.look_at_pause();
                self.look_at_lore(false);
            }
            LETTERS => self.read_letters(),
            DESK => self.work_at_desk(),
            RESUME => {}
            MOMENT => self.end_moment(),
            GAUGES => self.show_gauges(),
            OPENED => self.take_opened(),
            FEED_DIALED => self.room.pubsub.take_dialed(&mut self.room.replies),
            FEED_TIMER => self.feed_timer.fired(),
            feed if feed < OWN => self.room.pubsub.read(feed, &mut self.scratch, &mut self.room.replies),
            _ => self.sweep(),
        }
    }

    /// Begins to serve a client.
    fn welcome(&mut self, stream: crate::net::Stream) {
        let id = self.room.replies.open();
        let entry = self.clients.vacant_entry();
        debug_assert_eq!(entry.key(), id as usize, "clients and their queues must have the same ids");
        let number = self.room.process.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session::new(number, &stream.peer(), &stream.local(), self.room.now);
        entry.insert(Client { link: Link::new(stream, self.ready.waker(id)), session, leaving_since: None });
        if !self.room.options.idle_timeout.is_zero() {
            self.sweeper.arm(SWEEP);
        }
        self.read_client(id);
    }

    /// The socket of a client became readable or writable.
    fn read_client(&mut self, id: ClientId) {
        self.room.replies.touch(id);
        for _ in 0..READS_A_TURN {
            let Some(client) = self.clients.get_mut(id as usize) else { return };
            if client.leaving_since.is_some() || !client.session.may_read(&self.room.options) {
                return self.settle(id);
            }
            let received = match client.link.read(&mut self.scratch) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.leave(id),
                Poll::Ready(Ok(bytes)) => {
                    self.received += bytes as u64;
                    self.scratch.get(..bytes).unwrap_or_default()
                }
                Poll::Ready(Err(_)) => return self.close(id),
            };
            client.session.receive(id, received, &mut self.args, &mut self.room);
            self.room.replies.end_batch(id);
            if client.session.is_closing() {
                return self.leave(id);
            }
            if client.session.is_waiting() {
                self.waiting.push(id);
                if let Some(token) = self.room.replies.press(id, true) {
                    self.ready.push(token);
                }
            }
        }
        self.ready.push(id);
    }

    fn read_nodes(&mut self) {
        let mut nodes = mem::take(&mut self.nodes);
        for pipe in nodes.drain(..) {
            self.room.backend.read(pipe, &mut self.scratch, &mut self.room.replies);
        }
        self.nodes = nodes;
    }

    /// Goes on with clients whose next request had to wait, if it need not any longer.
    fn resume_clients(&mut self) {
        if self.room.backend.take_drained() {
            let stuck = self.clients.iter().filter(|(_, client)| client.session.is_waiting());
            self.waiting.extend(stuck.map(|(id, _)| id as ClientId));
        }
        let mut waiting = mem::take(&mut self.waiting);
        self.room.backend.take_woken(&mut waiting);
        for id in waiting.drain(..) {
            let Some(client) = self.clients.get_mut(id as usize) else { continue };
            if !client.session.is_waiting() {
                continue;
            }
            client.session.resume(id, &mut self.args, &mut self.room);
            self.room.replies.press(id, client.session.is_waiting());
            if client.session.is_closing() {
                self.leave(id);
            } else if !client.session.is_waiting() && client.leaving_since.is_some() {
                self.close_if_served(id);
            } else if !client.session.is_waiting() {
                // Its socket was perhaps not read while it waited.
                self.ready.push(id);
            }
        }
        self.waiting = waiting;
    }

    fn look_at_map(&mut self) {
        let map = self.map.load();
        if map.version != self.adopted {
            self.adopted = map.version;
            let map = Arc::clone(map);
            self.room.backend.adopt(&map, &mut self.room.replies);
            self.room.pubsub.adopt(&map, &mut self.room.replies);
        }
    }

    /// Sets the timer to when the backend next has something to look at.
    fn arm(&mut self) {
        if let Some(at) = self.room.backend.wake_at() {
            self.timer.arm_at(self.started + Duration::from_millis(at));
        }
        if let Some(until) = self.room.lore_until {
            self.timer.arm_at(self.started + Duration::from_millis(until + 1));
        }
    }

    fn tally(&self) -> &Tally {
        self.room.process.tally(self.index)
    }
}
