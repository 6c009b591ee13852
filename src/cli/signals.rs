//! SIGTERM and SIGINT: the first asks for a drain, the second ends the process. SIGHUP asks for a reload.
//!
//! They are watched on a thread of their own, so that the second one works whatever the others are busy with.

use std::future::Future;
use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::admin::reload::{Ask, Asks};

/// The signals that are watched.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// Starts to catch them; must be called within a runtime.
    fn catch() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next SIGTERM or SIGINT and gives its name; has the configuration read again meanwhile.
    async fn stop(&mut self, asks: Option<&Asks>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.hup.recv() => {
                    // If so many wait already, one of them comes behind whatever this one is for.
                    let _ = asks.map(|asks| asks.try_send(Ask { by: "SIGHUP", answer: None }));
                }
            }
        }
    }
}

/// Completes at SIGINT or SIGTERM, for what has nothing to drain. Must be polled within a runtime.
pub(super) async fn interrupted() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut int), Ok(mut term)) => {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
        }
        // Signals that cannot be caught end the process by themselves.
        _ => std::future::pending().await,
    }
}

/// Watches the signals from now on. The future completes at the first that asks to stop. Without `asks` there is no
/// configuration to be read again.
pub(super) fn shutdown(asks: Option<Asks>) -> io::Result<impl Future<Output = ()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::catch()?
    };
    let (asked, shutdown) = oneshot::channel();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let name = signals.stop(asks.as_ref()).await;
            tracing::info!("{name}: draining; a second signal exits at once");
            let _ = asked.send(());
            let name = signals.stop(asks.as_ref()).await;
            tracing::warn!("{name} again: exiting at once");
            std::process::exit(1);
        });
    })?;
    Ok(async {
        // The sender lives as long as the thread: an error cannot come before the process ends.
        let _ = shutdown.await;
    })
}
