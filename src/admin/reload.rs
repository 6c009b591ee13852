//! Reading the configuration again, as operators ask for it: by a signal, or by a POST here.

use tokio::sync::{mpsc, oneshot};

/// How long somebody may wait to be asked; more are told to come back.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Somebody wants the configuration to be read again.
#[derive(Debug)]
pub struct Ask {
    /// By which way: for the log.
    pub by: &'static str,
    /// Where to tell what came of it.
    pub answer: Option<oneshot::Sender<Told>>,
}

/// Where to ask.
pub type Asks = mpsc::Sender<Ask>;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether the new configuration is in use.
    pub good: bool,
    /// What has changed and what needs a restart, or what is wrong, each a line.
    pub text: String,
}
