//! The operator's door: probes, metrics and the status page, over HTTP on an address of its own.
//!
//! ```text
//!   connection ─► server (limits) ─► guard (host, token) ─► answer ─┬─► probes     /livez /readyz /healthz
//!                                                                  ├─► scrape     /metrics
//!         history (once a second), changes, moves ─► status ───────┼─► /status.json
//!                                                                  └─► page       /
//! ```
//!
//! Runs on the control thread, away from every request. It only reads what others count, and asks the workers once a
//! second for what takes a look at all of their clients. [`ask`] is the other side: how `slotway top` and
//! `slotway health` get their answers.

mod answer;
pub mod ask;
mod changes;
mod guard;
mod history;
mod moves;
mod page;
mod problems;
pub mod reload;
mod report;
mod scrape;
mod server;
mod shards;
pub mod status;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{Instant, MissedTickBehavior};

use crate::client::Process;
use crate::cluster::dial::Credentials;
use crate::net::{Addr, Listener, Net};
use crate::worker::Mailbox;
use changes::Changes;
use history::History;
use moves::Moves;
use reload::Asks;
use shards::Shards;

/// Where the admin port is and who may use it. Each field is a key of `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `addr`; `None` is `"off"`.
    pub addr: Option<Addr>,
    /// `token`: what a caller has to know, except for the probes.
    pub token: Option<Token>,
    /// `hosts`: names by which the port may be called, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Options {
    /// The address when none is given.
    #[must_use]
    pub fn usual_addr() -> Addr {
        Addr::tcp("127.0.0.1", 9379)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { addr: Some(Self::usual_addr()), token: None, hosts: Vec::new() }
    }
}

/// A secret that callers have to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// What the admin port needs from outside.
pub struct Parts {
    /// Who may use it, and how it asks nodes.
    pub access: Arc<ArcSwap<Access>>,
    /// What the workers count.
    pub process: Arc<Process>,
    /// The workers.
    pub workers: Arc<[Arc<Mailbox>]>,
    /// Where clients connect.
    pub listen: Vec<Addr>,
    /// Where connections to nodes come from.
    pub net: Arc<dyn Net>,
    /// Where to ask for the configuration to be read again, if that can be.
    pub reload: Option<Asks>,
}

/// Who may use the admin port, and how it asks nodes; may change while the proxy runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Who may use it. The address stays.
    pub options: Options,
    /// Who the proxy is to the nodes.
    pub credentials: Option<Credentials>,
    /// How long a node may take to answer.
    pub timeout: Duration,
}

/// The admin port: what it knows and how it answers.
pub struct Admin {
    parts: Parts,
    history: RefCell<History>,
    changes: RefCell<Changes>,
    shards: RefCell<Shards>,
    moves: RefCell<Moves>,
    /// When somebody last asked for the status.
    watched: Cell<Option<Instant>>,
}

/// How often the workers are asked.
const TICK: Duration = Duration::from_secs(1);

impl Admin {
    /// An admin port that knows nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            history: RefCell::default(),
            changes: RefCell::default(),
            shards: RefCell::default(),
            moves: RefCell::default(),
            watched: Cell::new(None),
        }
    }

    /// Answers on `listener` for as long as it is polled. Starts tasks of its own on a set of its own.
    pub async fn run(self, listener: Box<dyn Listener>) {
        let this = Rc::new(self);
        let tasks = tokio::task::LocalSet::new();
        tasks
            .run_until(async {
                tokio::join!(
                    server::serve(listener, Rc::clone(&this)),
                    Rc::clone(&this).keep_history(),
                    moves::watch(Rc::clone(&this))
                );
            })
            .await;
    }

    async fn keep_history(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
            self.parts.workers.iter().for_each(|worker| worker.show_gauges());
        }
    }

    /// Takes note of what has changed since the last look.
    fn look(&self) {
        let process = &self.parts.process;
        self.history.borrow_mut().take(process);
        let map = process.map.load_full();
        self.shards.borrow_mut().learn(&map);
        self.changes.borrow_mut().learn(&map);
    }

    /// Why clients should not be sent here, if so.
    fn not_ready(&self) -> Option<&'static str> {
        let process = &self.parts.process;
        if process.draining.load(Ordering::Relaxed) {
            Some("draining")
        } else if process.map.load().version == 0 {
            Some("no node of the cluster has answered yet")
        } else if !process.accepting.load(Ordering::Relaxed) {
            Some("starting")
        } else {
            None
        }
    }
}
