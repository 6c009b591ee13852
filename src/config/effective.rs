//! The configuration in use, written as TOML, secrets hidden.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Config;
use super::keys::{self, KEYS, Key, Kind, Whose};
use super::mistake::Origin;
use super::units;
use crate::client::User;

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

/// Every key that has a value, section by section, each with the place it came from.
pub(super) fn show(config: &Config, origins: &BTreeMap<&'static str, Origin>) -> String {
    let mut out = String::new();
    let mut section = "";
    for key in KEYS {
        let Some(value) = value(key, config) else { continue };
        let (of, name) = keys::split(key.path);
        if of != section {
            section = of;
            let _ = write!(out, "\n[{of}]\n");
        }
        let line = format!("{name} = {value}");
        let _ = match origin(key, origins) {
            Some(origin) => writeln!(out, "{line:<40} # {origin}"),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

/// Where the value of a key came from: for a secret, perhaps from its twin; for users, also from `auth.password`.
fn origin<'a>(key: &Key, origins: &'a BTreeMap<&'static str, Origin>) -> Option<&'a Origin> {
    let others: &[&str] = match key.kind {
        Kind::Secret { twin, .. } => &[twin],
        Kind::Users => &["auth.password", "auth.password_file"],
        _ => &[],
    };
    std::iter::once(&key.path).chain(others).find_map(|path| origins.get(path))
}

/// The value of a key as TOML; `None` when it has none.
pub(super) fn value(key: &Key, config: &Config) -> Option<String> {
    let mut config = config.clone();
    Some(match &key.kind {
        Kind::Count { at, .. } => at(&mut config).to_string(),
        Kind::Small { at, .. } => at(&mut config).to_string(),
        Kind::Size { at, .. } => quoted(&units::show_size(*at(&mut config))),
        Kind::Time { at, .. } => quoted(&units::show_duration(*at(&mut config))),
        Kind::Switch { at, .. } if at(&mut config).is_zero() => quoted("off"),
        Kind::Switch { at, .. } => quoted(&units::show_duration(*at(&mut config))),
        Kind::List(items) => {
            let items = items.show(&mut config);
            if items.is_empty() {
                return None;
            }
            format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
        }
        Kind::Address(at) => quoted(&at(&mut config).to_string()),
        Kind::MaybeAddress(at) => {
            quoted(&at(&mut config).as_ref().map_or_else(|| "off".to_owned(), ToString::to_string))
        }
        Kind::Hosts(at) if at(&mut config).is_empty() => return None,
        Kind::Hosts(at) => {
            format!("[{}]", at(&mut config).iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
        }
        Kind::Socket(at) => quoted(&at(&mut config).as_ref()?.display().to_string()),
        Kind::File(at) => quoted(&at(&mut config).as_ref()?.display().to_string()),
        Kind::Host(at) => quoted(at(&mut config).as_ref()?),
        Kind::Keyspace(at) => quoted(at(&mut config).as_ref()?.name()),
        Kind::Choice(pick) => quoted(pick.word(&mut config)),
        Kind::Commands { at, .. } => {
            let rules = at(&mut config).iter().map(|rule| quoted(rule));
            format!("[{}]", rules.collect::<Vec<_>>().join(", "))
        }
        Kind::Seeds if config.cluster.seeds.is_empty() => return None,
        Kind::Seeds => {
            let seeds = config.cluster.seeds.iter().map(|seed| quoted(&seed.to_string()));
            format!("[{}]", seeds.collect::<Vec<_>>().join(", "))
        }
        Kind::Username => quoted(config.backend.credentials?.username.as_ref()?),
        Kind::Secret { whose: Whose::Cluster, in_file: false, .. } => {
            config.backend.credentials?;
            quoted(HIDDEN)
        }
        Kind::Secret { whose: Whose::Admin, in_file: false, .. } => {
            config.admin.token?;
            quoted(HIDDEN)
        }
        // The password of clients is shown as that of the user `default`.
        Kind::Secret { .. } => return None,
        Kind::Users if config.client.users.is_empty() => return None,
        Kind::Users => format!("[{}]", config.client.users.iter().map(user).collect::<Vec<_>>().join(", ")),
    })
}

fn user(user: &User) -> String {
    format!("{{ name = {}, password = {} }}", quoted(&user.name), quoted(HIDDEN))
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
