//! Every key of the configuration: its path, what it takes, and which field it fills.
//!
//! The one table from which the file reader, the environment, `config --effective` and the tests derive what
//! they know. What a key means is told by the field's own comment in its room and by `proxy.toml`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Config;
use super::log::{Format, Level};
use super::mistake::Wrong;
use crate::client::{Channels, ClusterView, Select, Split, Transactions};
use crate::keyspace::Keyspace;
use crate::net::Addr;
use crate::net::tls::{ClientAuth, Verify, Version};

/// One key.
pub(super) struct Key {
    /// Section and name, such as `cluster.seeds`.
    pub(super) path: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
}

/// What a key takes. The functions lead to the field.
pub(super) enum Kind {
    /// A whole number in a range.
    Count { at: fn(&mut Config) -> &mut usize, least: usize, most: usize },
    /// A whole number in a range, a small one.
    Small { at: fn(&mut Config) -> &mut u8, least: u8, most: u8 },
    /// Bytes, in a range.
    Size { at: fn(&mut Config) -> &mut usize, least: usize, most: usize },
    /// A length of time of at least `least`; with `zero`, zero is allowed too.
    Time { at: fn(&mut Config) -> &mut Duration, least: Duration, zero: bool },
    /// A length of time of at least `least`, or "off", which is zero.
    Switch { at: fn(&mut Config) -> &mut Duration, least: Duration },
    /// A list of texts.
    List(&'static dyn Items),
    /// An address to listen on.
    Address(fn(&mut Config) -> &mut Addr),
    /// An address to listen on, or `off`.
    MaybeAddress(fn(&mut Config) -> &mut Option<Addr>),
    /// Names of hosts.
    Hosts(fn(&mut Config) -> &mut Vec<String>),
    /// The path of a socket, which may be absent.
    Socket(fn(&mut Config) -> &mut Option<PathBuf>),
    /// The name of a file, which may be absent.
    File(fn(&mut Config) -> &mut Option<PathBuf>),
    /// The name of a host, which may be absent.
    Host(fn(&mut Config) -> &mut Option<String>),
    /// One word of several.
    Choice(&'static dyn Pick),
    /// A list of commands and categories of commands; whether they are to be allowed.
    Commands { at: fn(&mut Config) -> &mut Vec<String>, allows: bool },
    /// Where the keys of all clients live.
    Keyspace(fn(&mut Config) -> &mut Option<Keyspace>),
    /// The nodes to ask first.
    Seeds,
    /// The name that the proxy has at the nodes.
    Username,
    /// A secret.
    Secret {
        /// Whose it is.
        whose: Whose,
        /// Whether the value is the name of a file that holds it.
        in_file: bool,
        /// The other key for the same secret.
        twin: &'static str,
    },
    /// The proxy's own users.
    Users,
}

/// Whose secret it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The proxy's, towards the nodes.
    Cluster,
    /// The clients', towards the proxy: the user `default`.
    Clients,
    /// That of whoever uses the admin port.
    Admin,
}

/// A field that takes one word of several.
pub(super) trait Pick: Sync {
    /// The words.
    fn words(&self) -> Vec<&'static str>;
    /// Puts the value of `word` into its field; false when there is no such word.
    fn put(&self, config: &mut Config, word: &str) -> bool;
    /// The word of the present value.
    fn word(&self, config: &mut Config) -> &'static str;
}

struct Words<T: 'static> {
    all: &'static [(&'static str, T)],
    at: fn(&mut Config) -> &mut T,
}

impl<T: Copy + PartialEq + Sync> Pick for Words<T> {
    fn words(&self) -> Vec<&'static str> {
        self.all.iter().map(|(word, _)| *word).collect()
    }

    fn put(&self, config: &mut Config, word: &str) -> bool {
        let found = self.all.iter().find(|(name, _)| *name == word);
        found.inspect(|(_, value)| *(self.at)(config) = *value).is_some()
    }

    fn word(&self, config: &mut Config) -> &'static str {
        let now = *(self.at)(config);
        self.all.iter().find(|(_, value)| *value == now).map_or("", |(word, _)| word)
    }
}

/// A field that is a list; each element is written as a text.
pub(super) trait Items: Sync {
    /// Empties the list.
    fn clear(&self, config: &mut Config);
    /// Adds the element that `text` means.
    fn add(&self, config: &mut Config, text: &str) -> Result<(), Wrong>;
    /// The elements as they are written.
    fn show(&self, config: &mut Config) -> Vec<String>;
    /// What an element looks like.
    fn example(&self) -> &'static str;
}

struct Elements<T: 'static> {
    at: fn(&mut Config) -> &mut Vec<T>,
    example: &'static str,
}

impl<T: FromStr<Err = String> + fmt::Display> Items for Elements<T> {
    fn clear(&self, config: &mut Config) {
        (self.at)(config).clear();
    }

    fn add(&self, config: &mut Config, text: &str) -> Result<(), Wrong> {
        let wrong = |what: String| {
            // What is wrong with an address comes with what to write.
            let what = what.split_once("; ").map_or(what.as_str(), |(what, _)| what);
            Wrong::new(what, format!("write \"{}\"", self.example))
        };
        (self.at)(config).push(text.parse().map_err(wrong)?);
        Ok(())
    }

    fn show(&self, config: &mut Config) -> Vec<String> {
        (self.at)(config).iter().map(T::to_string).collect()
    }

    fn example(&self) -> &'static str {
        self.example
    }
}

const ADDRESS_MAP: &dyn Items =
    &Elements { at: |c| &mut c.backend.addresses.map, example: "203.0.113.1:7000 = 10.0.0.1:6379" };
const REDIRECT_ALLOW: &dyn Items = &Elements { at: |c| &mut c.backend.addresses.allowed, example: "10.0.0.0/16" };

const LEVEL: &dyn Pick = &Words {
    all: &[
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ],
    at: |c| &mut c.log.level,
};
const FORMAT: &dyn Pick = &Words { all: &[("text", Format::Text), ("json", Format::Json)], at: |c| &mut c.log.format };
const SELECT: &dyn Pick =
    &Words { all: &[("error", Select::Error), ("ignore", Select::Ignore)], at: |c| &mut c.client.select };

const CLUSTER: &dyn Pick = &Words {
    all: &[("disabled", ClusterView::Disabled), ("single", ClusterView::Single)],
    at: |c| &mut c.client.cluster,
};
const SPLIT: &dyn Pick =
    &Words { all: &[("all", Split::All), ("reads", Split::Reads), ("off", Split::Off)], at: |c| &mut c.client.split };

const TRANSACTIONS: &dyn Pick = &Words {
    all: &[("one_slot", Transactions::OneSlot), ("per_slot", Transactions::PerSlot)],
    at: |c| &mut c.client.transactions,
};

const CHANNELS: &dyn Pick =
    &Words { all: &[("shared", Channels::Shared), ("own", Channels::Own)], at: |c| &mut c.client.channels };

const CLIENT_AUTH: &dyn Pick = &Words {
    all: &[("off", ClientAuth::Off), ("optional", ClientAuth::Optional), ("require", ClientAuth::Require)],
    at: |c| &mut c.worker.tls.client_auth,
};
const MIN_VERSION: &dyn Pick =
    &Words { all: &[("1.2", Version::Tls12), ("1.3", Version::Tls13)], at: |c| &mut c.worker.tls.min_version };
const NODE_TLS: &dyn Pick = &Words { all: &[("off", false), ("on", true)], at: |c| &mut c.cluster.tls.on };
const VERIFY: &dyn Pick = &Words {
    all: &[("full", Verify::Full), ("chain", Verify::Chain), ("off", Verify::Off)],
    at: |c| &mut c.cluster.tls.verify,
};

const KB: usize = 1 << 10;
const GB: usize = 1 << 30;
const MS: Duration = Duration::from_millis(1);
/// No length of time is longer: a larger one is a slip, and sums of deadlines stay far from overflow.
pub(super) const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A row of [`KEYS`].
const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind }
}

const fn secret(path: &'static str, whose: Whose, in_file: bool, twin: &'static str) -> Key {
    key(path, Kind::Secret { whose, in_file, twin })
}

/// Every key there is, in the order in which it is shown.
#[rustfmt::skip] // One row a key.
pub(super) static KEYS: &[Key] = &[
    key("workers", Kind::Count { at: |c| &mut c.worker.workers, least: 0, most: 1024 }),
    key("listen.addr", Kind::Address(|c| &mut c.worker.addr)),
    key("listen.unix_socket", Kind::Socket(|c| &mut c.worker.unix_socket)),
    key("listen.max_clients", Kind::Count { at: |c| &mut c.worker.max_clients, least: 1, most: 10_000_000 }),
    key("listen.idle_timeout", Kind::Time { at: |c| &mut c.client.idle_timeout, least: MS, zero: true }),
    key("listen.tls_cert_file", Kind::File(|c| &mut c.worker.tls.cert_file)),
    key("listen.tls_key_file", Kind::File(|c| &mut c.worker.tls.key_file)),
    key("listen.tls_client_ca_file", Kind::File(|c| &mut c.worker.tls.client_ca_file)),
    key("listen.tls_client_auth", Kind::Choice(CLIENT_AUTH)),
    key("listen.tls_min_version", Kind::Choice(MIN_VERSION)),
    key("listen.tls_handshake_timeout", Kind::Time { at: |c| &mut c.worker.tls.handshake_timeout, least: MS, zero: false }),
    secret("auth.password", Whose::Clients, false, "auth.password_file"),
    secret("auth.password_file", Whose::Clients, true, "auth.password"),
    key("auth.users", Kind::Users),
    key("cluster.seeds", Kind::Seeds),
    key("cluster.username", Kind::Username),
    secret("cluster.password", Whose::Cluster, false, "cluster.password_file"),
    secret("cluster.password_file", Whose::Cluster, true, "cluster.password"),
    key("cluster.tls", Kind::Choice(NODE_TLS)),
    key("cluster.tls_ca_file", Kind::File(|c| &mut c.cluster.tls.ca_file)),
    key("cluster.tls_cert_file", Kind::File(|c| &mut c.cluster.tls.cert_file)),
    key("cluster.tls_key_file", Kind::File(|c| &mut c.cluster.tls.key_file)),
    key("cluster.tls_server_name", Kind::Host(|c| &mut c.cluster.tls.server_name)),
    key("cluster.tls_verify", Kind::Choice(VERIFY)),
    key("cluster.refresh_interval", Kind::Time {
        at: |c| &mut c.cluster.refresh_interval, least: Duration::from_millis(100), zero: false }),
    key("cluster.connect_timeout", Kind::Time { at: |c| &mut c.backend.connect_timeout, least: MS, zero: false }),
    key("cluster.request_timeout", Kind::Time { at: |c| &mut c.backend.request_timeout, least: MS, zero: false }),
    key("cluster.max_redirects", Kind::Small { at: |c| &mut c.backend.max_redirects, least: 1, most: 16 }),
    key("cluster.fail_fast_after", Kind::Switch { at: |c| &mut c.backend.fail_fast_after, least: MS }),
    key("cluster.canary", Kind::Switch { at: |c| &mut c.backend.canary, least: Duration::from_millis(10) }),
    key("cluster.address_map", Kind::List(ADDRESS_MAP)),
    key("cluster.redirect_allow", Kind::List(REDIRECT_ALLOW)),
    key("limits.bulk", Kind::Size { at: |c| &mut c.client.max_bulk_bytes, least: KB, most: 2 * GB }),
    key("limits.args", Kind::Count { at: |c| &mut c.client.max_args, least: 16, most: 1 << 24 }),
    key("limits.client_input", Kind::Size { at: |c| &mut c.client.max_input_bytes, least: 16 * KB, most: 64 * GB }),
    key("limits.client_output", Kind::Size { at: |c| &mut c.client.max_output_bytes, least: 16 * KB, most: 64 * GB }),
    key("limits.subscriber_output", Kind::Size {
        at: |c| &mut c.client.max_subscriber_bytes, least: 16 * KB, most: 64 * GB }),
    key("limits.client_in_flight", Kind::Count { at: |c| &mut c.client.max_in_flight, least: 1, most: 1 << 24 }),
    key("limits.node_queue", Kind::Size { at: |c| &mut c.backend.node_queue_bytes, least: 16 * KB, most: 64 * GB }),
    key("limits.dedicated", Kind::Count { at: |c| &mut c.backend.dedicated, least: 1, most: 1_000_000 }),
    key("limits.stream_above", Kind::Size {
        at: |c| &mut c.backend.stream_above, least: 64 * KB, most: 64 * GB }),
    key("limits.reply", Kind::Size { at: |c| &mut c.backend.max_reply_bytes, least: 16 * KB, most: 64 * GB }),
    key("admin.addr", Kind::MaybeAddress(|c| &mut c.admin.addr)),
    key("admin.hosts", Kind::Hosts(|c| &mut c.admin.hosts)),
    secret("admin.token", Whose::Admin, false, "admin.token_file"),
    secret("admin.token_file", Whose::Admin, true, "admin.token"),
    key("commands.deny", Kind::Commands { at: |c| &mut c.client.deny, allows: false }),
    key("commands.allow", Kind::Commands { at: |c| &mut c.client.allow, allows: true }),
    key("commands.split", Kind::Choice(SPLIT)),
    key("commands.transactions", Kind::Choice(TRANSACTIONS)),
    key("compat.select", Kind::Choice(SELECT)),
    key("compat.cluster", Kind::Choice(CLUSTER)),
    key("keyspace.pin", Kind::Keyspace(|c| &mut c.client.keyspace)),
    key("keyspace.channels", Kind::Choice(CHANNELS)),
    key("slowlog.threshold", Kind::Time { at: |c| &mut c.backend.slow_threshold, least: MS, zero: true }),
    key("slowlog.max_len", Kind::Count { at: |c| &mut c.client.slow_entries, least: 0, most: 1 << 20 }),
    key("log.level", Kind::Choice(LEVEL)),
    key("log.format", Kind::Choice(FORMAT)),
    key("shutdown.delay", Kind::Time { at: |c| &mut c.worker.delay, least: MS, zero: true }),
    key("shutdown.drain", Kind::Time { at: |c| &mut c.worker.drain, least: MS, zero: true }),
];

/// The key at `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Section and name of a path; the section of a top-level key is empty.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or(("", path))
}

/// Whether `name` is a section.
pub(super) fn is_section(name: &str) -> bool {
    !name.is_empty() && KEYS.iter().any(|key| split(key.path).0 == name)
}
