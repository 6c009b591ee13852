//! Configuration: one value that holds every room's options.

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Listening and threads.
    pub worker: crate::worker::Options,
    /// What clients may do and cost.
    pub client: crate::client::Options,
    /// How nodes are reached.
    pub backend: crate::backend::Options,
    /// Where the cluster is.
    pub cluster: crate::cluster::Options,
}
