//! What of a new configuration can be taken up while the proxy runs, and what needs a restart.
//!
//! [`Config::renewed`] puts the configuration together that is in use then: the new one, but for what needs a restart,
//! which stays as it is and is named. A key that is not in [`LIVE`] needs one: whoever adds a key to that list also sees
//! to it that its room takes it up.

use std::mem::swap;

use super::Config;
use super::effective::value;
use super::keys::{self, KEYS, Key, Kind, LISTENERS, Whose};
use super::listeners::{Listener, OWN};

/// The keys that change while the proxy runs.
const LIVE: &[&str] = &[
    "listen.proxy_protocol",
    "listen.max_clients",
    "listen.idle_timeout",
    "auth.password",
    "auth.password_file",
    "auth.users",
    "cluster.seeds",
    "cluster.username",
    "cluster.password",
    "cluster.password_file",
    "cluster.refresh_interval",
    "cluster.connect_timeout",
    "cluster.request_timeout",
    "cluster.max_redirects",
    "cluster.fail_fast_after",
    "cluster.canary",
    "cluster.address_map",
    "cluster.redirect_allow",
    "limits.bulk",
    "limits.args",
    "limits.client_input",
    "limits.client_output",
    "limits.subscriber_output",
    "limits.client_in_flight",
    "limits.node_queue",
    "limits.dedicated",
    "limits.reply",
    "admin.hosts",
    "admin.token",
    "admin.token_file",
    "commands.deny",
    "commands.allow",
    "commands.split",
    "commands.transactions",
    "compat.select",
    "compat.cluster",
    "slowlog.threshold",
    "slowlog.max_len",
    "log.level",
    "log.format",
    "shutdown.delay",
    "shutdown.drain",
];

/// What a new configuration comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewed {
    /// The configuration that is in use now.
    pub config: Config,
    /// The keys that have changed, such as `cluster.seeds` or `listeners.reads.deny`.
    pub changed: Vec<String>,
    /// The keys, or listeners, whose change needs a restart.
    pub restart: Vec<String>,
}

/// Whether a change of this key needs a restart.
#[must_use]
pub fn needs_restart(path: &str) -> bool {
    !LIVE.contains(&path)
}

impl Config {
    /// What becomes of this configuration, which is in use, when `new` is there.
    #[must_use]
    pub fn renewed(&self, new: Self) -> Renewed {
        let (mut changed, mut restart) = (Vec::new(), Vec::new());
        let mut config = new;
        let listeners = std::mem::take(&mut config.listeners);
        for key in KEYS.iter().filter(|key| is_told(key)) {
            if !differ(key, self, &config) {
                continue;
            }
            if needs_restart(key.path) {
                keep(key, self, &mut config);
                restart.push(key.path.to_owned());
            } else {
                changed.push(key.path.to_owned());
            }
        }
        let is_named = |among: &[Listener], name: &str| among.iter().any(|listener| listener.name == name);
        for listener in listeners.iter().filter(|listener| !is_named(&self.listeners, &listener.name)) {
            restart.push(format!("{LISTENERS}.{}", listener.name));
        }
        for old in &self.listeners {
            let listener = if let Some(new) = listeners.iter().find(|new| new.name == old.name) {
                old.renewed(new, &mut changed, &mut restart)
            } else {
                restart.push(format!("{LISTENERS}.{}", old.name));
                old.clone()
            };
            config.listeners.push(listener);
        }
        Renewed { config, changed, restart }
    }
}

impl Listener {
    /// The same for one listener.
    fn renewed(&self, new: &Self, changed: &mut Vec<String>, restart: &mut Vec<String>) -> Self {
        let mut listener = new.clone();
        for (name, path) in OWN {
            let Some(key) = keys::find(path) else { continue };
            let is_own = self.has_own(path) || new.has_own(path);
            let has_changed = self.has_own(path) != new.has_own(path) || differ(key, self.config(), new.config());
            let told = format!("{LISTENERS}.{}.{name}", self.name);
            if needs_restart(path) {
                // What it has from all listeners is told of these.
                keep(key, self.config(), listener.config_mut());
                listener.set_own(path, self.has_own(path));
                if is_own && has_changed {
                    restart.push(told);
                }
            } else if is_own && has_changed && is_told(key) {
                changed.push(told);
            }
        }
        listener
    }
}

/// Whether it is this key that is named when its value changes, and not another for the same thing.
const fn is_told(key: &Key) -> bool {
    !matches!(key.kind, Kind::Secret { in_file: true, .. } | Kind::Secret { whose: Whose::Clients, .. })
}

/// Whether two configurations differ in a key.
fn differ(key: &Key, one: &Config, other: &Config) -> bool {
    let password = |config: &Config| config.backend.credentials.as_ref().map(|known| known.password.clone());
    match &key.kind {
        Kind::Secret { whose: Whose::Cluster, .. } => password(one) != password(other),
        Kind::Secret { whose: Whose::Admin, .. } => one.admin.token != other.admin.token,
        Kind::Secret { whose: Whose::Clients, .. } | Kind::Users => one.client.users != other.client.users,
        _ => value(key, one) != value(key, other),
    }
}

/// Puts the value that a key has in `old` into `new`.
fn keep(key: &Key, old: &Config, new: &mut Config) {
    let mut old = old.clone();
    match &key.kind {
        Kind::Count { at, .. } | Kind::Size { at, .. } => *at(new) = *at(&mut old),
        Kind::Small { at, .. } => *at(new) = *at(&mut old),
        Kind::Time { at, .. } | Kind::Switch { at, .. } => *at(new) = *at(&mut old),
        Kind::Address(at) => swap(at(new), at(&mut old)),
        Kind::MaybeAddress(at) => swap(at(new), at(&mut old)),
        Kind::Hosts(at) | Kind::Commands { at, .. } => swap(at(new), at(&mut old)),
        Kind::Socket(at) => swap(at(new), at(&mut old)),
        Kind::Keyspace(at) => swap(at(new), at(&mut old)),
        Kind::Choice(pick) => {
            let word = pick.word(&mut old);
            let is_known = pick.put(new, word);
            debug_assert!(is_known, "{}: {word} came from here", key.path);
        }
        // All of these can change while the proxy runs.
        Kind::List(_) | Kind::Seeds | Kind::Username | Kind::Secret { .. } | Kind::Users => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_live_is_a_key_and_what_cannot_be_kept_is_live() {
        for path in LIVE {
            assert!(keys::find(path).is_some(), "{path}");
        }
        for key in KEYS {
            let cannot_be_kept =
                matches!(key.kind, Kind::List(_) | Kind::Seeds | Kind::Username | Kind::Secret { .. } | Kind::Users);
            assert!(!cannot_be_kept || !needs_restart(key.path), "{}", key.path);
        }
    }
}
