//! What is logged and how. The subscriber itself is set up by the command line.

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `level`: the least important lines that are still written.
    pub level: Level,
    /// `format`: for people or for programs.
    pub format: Format,
}

/// How much is logged; each level includes those before it. No level logs single requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// What needs a person.
    Error,
    /// What a person should know of.
    Warn,
    /// Start, stop, and what changes in the cluster.
    #[default]
    Info,
    /// Connections to nodes and each refresh of the map.
    Debug,
    /// Everything.
    Trace,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
