//! One client: its session from greeting to goodbye.
//!
//! A [`Session`] turns the bytes of one client into requests, answers what the proxy answers itself and hands
//! the rest to `backend`, each with its place in `replies`. It neither reads nor writes sockets: the worker
//! brings it bytes, and comes back when something that it waits for has happened.
//!
//! ```text
//!               bytes                     replies pending under an old map, or before a change of protocol,
//!   Flowing ◄──────────► (requests)       or the client's or a node's limit is reached
//!      │  ▲                                            │
//!      │  └──────────────── Waiting ◄──────────────────┘
//!      └─► Closing (QUIT, broken protocol): answers what is owed, then goes
//! ```

mod about;
mod asking;
mod auth;
mod blocking;
mod careful;
mod certificates;
mod dealt;
pub mod desk;
mod draws;
pub mod errands;
mod glob;
mod guard;
mod handshakes;
mod helps;
mod info;
mod keyspace;
mod learning;
mod local;
mod logs;
mod nodes;
mod pause;
mod per_slot;
mod pinned;
pub mod process;
mod proxy;
mod publish;
pub mod rights;
mod roster;
mod session;
mod setup;
mod shown;
mod single;
pub mod slow;
mod state;
mod subscriber;
mod transaction;
mod upload;
mod uploading;
mod watch;

pub use handshakes::Handshakes;
pub use process::Process;
pub use state::{Room, Session};

use crate::keyspace::Keyspace;

/// What one client may do and cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `[auth] users`; empty means that nobody needs to authenticate. The user `default` is the one that
    /// `AUTH password` without a name means.
    pub users: Vec<User>,
    /// `[limits] bulk`: the largest single argument, in bytes (Redis: `proto-max-bulk-len`).
    pub max_bulk_bytes: usize,
    /// `[limits] args`: the most arguments of one request.
    pub max_args: usize,
    /// `[limits] client_input`: bytes of requests that may wait unread by the proxy's parser, per client.
    pub max_input_bytes: usize,
    /// `[limits] client_output`: bytes of replies that may wait for one client before its requests wait too.
    pub max_output_bytes: usize,
    /// `[limits] subscriber_output`: bytes of messages that may wait for one subscriber before it is closed.
    pub max_subscriber_bytes: usize,
    /// `[limits] client_in_flight`: requests of one client that may be under way at once.
    pub max_in_flight: usize,
    /// `[listen] idle_timeout`: a client that is silent for so long is closed; zero means never.
    pub idle_timeout: std::time::Duration,
    /// `[compat] select`: what `SELECT n` answers for n other than 0.
    pub select: Select,
    /// `[compat] cluster`: what CLUSTER answers.
    pub cluster: ClusterView,
    /// `[commands] deny`: commands that clients may not use.
    pub deny: Vec<String>,
    /// `[commands] allow`: commands that they may use although they are denied, also by default.
    pub allow: Vec<String>,
    /// `[commands] split`: which commands over several slots are split.
    pub split: Split,
    /// `[commands] transactions`: over what a transaction may go.
    pub transactions: Transactions,
    /// `[keyspace] pin`: where the keys of all clients live; `None` leaves them where they are.
    pub keyspace: Option<Keyspace>,
    /// `[keyspace] channels`: whose the channels of a keyspace are.
    pub channels: Channels,
    /// `[slowlog] max_len`: how many slow requests are kept; 0 keeps none.
    pub slow_entries: usize,
}

/// One of the proxy's own users.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, `default` for the one without a name.
    pub name: String,
    /// The password; compared in constant time.
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What `SELECT n` answers for n other than 0: a cluster has only database 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// An error, so that no two programs share keys that they believe to be apart.
    #[default]
    Error,
    /// `+OK`, and every database is database 0.
    Ignore,
}

/// What CLUSTER answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterView {
    /// That there is no cluster, so that no client goes around the proxy.
    #[default]
    Disabled,
    /// One virtual node that owns every slot.
    Single,
}

/// Which commands over several slots are split, where that can break nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Reads and writes.
    #[default]
    All,
    /// Reads alone.
    Reads,
    /// None: keys of several slots are an error.
    Off,
}

/// Whose the channels of a keyspace are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// The whole cluster's.
    #[default]
    Shared,
    /// The application's own.
    Own,
}

/// Over what a transaction may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transactions {
    /// One slot, so that all of it is atomic.
    #[default]
    OneSlot,
    /// Several slots: one transaction for each, which is atomic by itself.
    PerSlot,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            max_bulk_bytes: 512 << 20,
            max_args: 1 << 20,
            max_input_bytes: 64 << 20,
            max_output_bytes: 1 << 20,
            max_subscriber_bytes: 32 << 20,
            max_in_flight: 4096,
            idle_timeout: std::time::Duration::ZERO,
            select: Select::Error,
            cluster: ClusterView::Disabled,
            deny: Vec::new(),
            allow: Vec::new(),
            split: Split::All,
            transactions: Transactions::OneSlot,
            keyspace: None,
            channels: Channels::Shared,
            slow_entries: 128,
        }
    }
}
