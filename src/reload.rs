//! A new configuration while the proxy runs: read whole, checked whole, and taken up by every room, or not at all.
//!
//! ```text
//!   SIGHUP, POST /reload ─► Ask ─► read (file, environment, arguments) ─┬─ mistakes: told, counted; the old one stays
//!                                                                      └─ renewed ─► Settings ─► workers ─► clients
//!                                                                                 ├─► discovery, learning
//!                                                                                 └─► admin, log
//! ```
//!
//! Runs on the control thread. Workers get the new settings as they get a new map: a value that is published, and a
//! word on their ready list. No request waits for any of this.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use crate::admin;
use crate::admin::reload::{Ask, Asks, Told};
use crate::client::{Process, Settings};
use crate::cluster;
use crate::config::{Config, Loaded, Mistakes, Renewed};
use crate::net::LocalFuture;
use crate::worker::Mailbox;

/// So many may ask at the same time.
const ASKS: usize = 8;

/// Reads the configuration again, from where it came from.
pub type Read = Box<dyn Fn() -> LocalFuture<'static, Result<Loaded, Mistakes>>>;

/// How far a reload is, for those who are to know: the log, a service manager.
pub enum Stage<'a> {
    /// The configuration is about to be read.
    Began,
    /// This one is in use now; it is the one from before if the new one was bad.
    Over(&'a Config),
}

/// How the configuration is read again.
pub struct Reloads {
    /// Where others may ask for it.
    pub asks: Asks,
    asked: mpsc::Receiver<Ask>,
    read: Read,
    told: Box<dyn Fn(Stage<'_>)>,
}

impl Reloads {
    /// `told` is called before and after each.
    #[must_use]
    pub fn new(read: Read, told: Box<dyn Fn(Stage<'_>)>) -> Self {
        let (asks, asked) = mpsc::channel(ASKS);
        Self { asks, asked, read, told }
    }
}

/// Everybody who takes up a new configuration.
pub(crate) struct Rooms {
    pub(crate) config: Arc<ArcSwap<Config>>,
    pub(crate) process: Arc<Process>,
    pub(crate) workers: Arc<[Arc<Mailbox>]>,
    pub(crate) cluster: watch::Sender<cluster::Access>,
    pub(crate) admin: Arc<ArcSwap<admin::Access>>,
}

/// What workers and clients are told of a configuration.
pub(crate) fn settings(config: &Config, effective: String) -> Settings {
    Settings {
        clients: config.doors().map(|door| door.client.clone()).collect(),
        backend: config.backend.clone(),
        drain: config.worker.drain,
        effective,
    }
}

/// What discovery is told of it.
pub(crate) fn cluster_access(config: &Config) -> cluster::Access {
    cluster::Access {
        options: config.cluster.clone(),
        credentials: config.backend.credentials.clone(),
        addresses: config.backend.addresses.clone(),
        timeout: config.backend.connect_timeout,
    }
}

/// What the admin port is told of it.
pub(crate) fn admin_access(config: &Config) -> admin::Access {
    admin::Access {
        options: config.admin.clone(),
        credentials: config.backend.credentials.clone(),
        timeout: config.backend.connect_timeout,
    }
}

impl Rooms {
    /// Does what is asked for, one after the other, for as long as it is polled.
    pub(crate) async fn serve(self, reloads: Option<Reloads>) {
        let Some(mut reloads) = reloads else { return std::future::pending().await };
        while let Some(ask) = reloads.asked.recv().await {
            (reloads.told)(Stage::Began);
            let read = (reloads.read)().await;
            let told = self.take(ask.by, read);
            (reloads.told)(Stage::Over(&self.config.load()));
            if let Some(answer) = ask.answer {
                // Whoever asked may have gone.
                let _ = answer.send(told);
            }
        }
    }

    fn take(&self, by: &str, read: Result<Loaded, Mistakes>) -> Told {
        let good = read.is_ok();
        self.process.config_is_good.store(good, Ordering::Relaxed);
        self.process.reloads(good).fetch_add(1, Ordering::Relaxed);
        match read {
            Ok(loaded) => {
                let renewed = self.config.load().renewed(loaded.config);
                let mut text = summary(&renewed);
                tracing::info!("{by}: {}", text.replace('\n', "; "));
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}");
                    text.push_str("\nwarning: ");
                    text.push_str(warning);
                }
                self.publish(renewed);
                Told { good, text }
            }
            Err(mistakes) => {
                tracing::error!("{by}: the configuration is bad, and the one from before stays in use:");
                for mistake in &mistakes.0 {
                    tracing::error!("{mistake}");
                }
                let text = format!("the configuration is bad, and the one from before stays in use:\n{mistakes}");
                Told { good, text }
            }
        }
    }

    /// Gives every room what it has to know.
    fn publish(&self, renewed: Renewed) {
        let Renewed { config, restart, .. } = renewed;
        let mut effective = config.effective();
        if !restart.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(effective, "\n# Changed, and in use after a restart: {}", restart.join(", "));
        }
        for (at, door) in config.doors().enumerate() {
            self.process.door(at).set_max_clients(door.worker.max_clients);
        }
        self.process.settings.store(Arc::new(settings(&config, effective)));
        self.admin.store(Arc::new(admin_access(&config)));
        let access = cluster_access(&config);
        self.cluster.send_if_modified(|now| {
            let is_new = *now != access;
            *now = access;
            is_new
        });
        self.config.store(Arc::new(config));
        self.workers.iter().for_each(|worker| worker.new_settings());
    }
}

/// What has changed, a line or two.
fn summary(renewed: &Renewed) -> String {
    let mut lines = Vec::new();
    if renewed.changed.is_empty() && renewed.restart.is_empty() {
        lines.push("the configuration was read again: nothing has changed".to_owned());
    }
    if !renewed.changed.is_empty() {
        lines.push(format!("the configuration was read again; changed: {}", renewed.changed.join(", ")));
    }
    if !renewed.restart.is_empty() {
        lines.push(format!("needs a restart: {}", renewed.restart.join(", ")));
    }
    lines.join("\n")
}
