//! What came of the handshakes of clients, and of those who came to the wrong door.
//!
//! Each outcome is counted; the log gets a line for each kind once a minute at most.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::net::Unopened;
use crate::telemetry::Seldom;

/// Counters of all workers together: handshakes are rare enough to share them.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Clients that got through.
    pub opened: AtomicU64,
    /// Those that did not: no version or cipher in common, no good certificate, a connection that broke.
    pub failed: AtomicU64,
    /// Those that took too long.
    pub late: AtomicU64,
    /// Those that do not speak TLS where it is spoken.
    pub plain: AtomicU64,
    /// Those that speak it, or something else that is not RESP, where it is not.
    pub foreign: AtomicU64,
    trouble: Seldom,
    no_tls: Seldom,
    no_resp: Seldom,
}

impl Handshakes {
    /// A client at `peer` did not get through.
    pub fn note(&self, why: &Unopened, peer: &str) {
        tracing::debug!("client at {peer}: {why}");
        let (count, seldom) = match why {
            // Whoever only looks whether the port is open.
            Unopened::Gone => return,
            Unopened::Plain => (&self.plain, &self.no_tls),
            Unopened::Late => (&self.late, &self.trouble),
            Unopened::Failed(_) => (&self.failed, &self.trouble),
        };
        count.fetch_add(1, Ordering::Relaxed);
        let Some(more) = seldom.due() else { return };
        match why {
            Unopened::Plain => tracing::warn!(
                "a client at {peer} speaks no TLS at a port that speaks nothing else, and is closed \
                 ({more} more since the last such line)"
            ),
            why => tracing::warn!(
                "the TLS handshake of a client at {peer} failed: {why} ({more} more since the last such line)"
            ),
        }
    }

    /// A client at `peer` began with what is no RESP.
    #[cold]
    pub fn note_foreign(&self, peer: &str) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
        if let Some(more) = self.no_resp.due() {
            tracing::warn!(
                "a client at {peer} speaks TLS, or another protocol, at a port that speaks plain RESP, and is closed \
                 ({more} more since the last such line)"
            );
        }
    }
}
