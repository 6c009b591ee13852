//! Listeners beside `[listen]`: `[listeners.NAME]` tables, each with what it has of its own; the rest is as given for all.
//!
//! A listener's key takes the place of one of the keys for all (`addr` that of `listen.addr`, `deny` that of
//! `commands.deny`), so what it takes, its messages and how it is shown are those of that key.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::given::{Given, Sketch};
use super::keys::{self, Key, Kind, LISTENERS};
use super::mistake::{Mistake, Origin, Wrong};
use super::suggest::closest;
use super::{Config, Door};
use crate::net::Addr;

/// The longest name of a listener, in bytes.
const LONGEST: usize = 32;

/// The keys of a listener, each with the key whose place it takes.
pub(super) const OWN: &[(&str, &str)] = &[
    ("addr", "listen.addr"),
    ("unix_socket", "listen.unix_socket"),
    ("proxy_protocol", "listen.proxy_protocol"),
    ("max_clients", "listen.max_clients"),
    ("idle_timeout", "listen.idle_timeout"),
    ("password", "auth.password"),
    ("password_file", "auth.password_file"),
    ("users", "auth.users"),
    ("deny", "commands.deny"),
    ("allow", "commands.allow"),
    ("split", "commands.split"),
    ("transactions", "commands.transactions"),
    ("select", "compat.select"),
    ("cluster", "compat.cluster"),
    ("pin", "keyspace.pin"),
    ("channels", "keyspace.channels"),
];

/// One `[listeners.NAME]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listener {
    /// What it is called.
    pub name: String,
    /// Paths of the keys that it has of its own.
    given: Vec<&'static str>,
    /// The configuration as it is for its clients.
    config: Config,
}

impl Listener {
    /// What a key of all is for the clients of this listener.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) const fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Whether it has a value of its own for this key of all; users and passwords are one thing.
    pub(super) fn has_own(&self, path: &str) -> bool {
        let is_auth = path.starts_with("auth.");
        self.given.iter().any(|given| *given == path || (is_auth && given.starts_with("auth.")))
    }

    /// Has, or no longer has, a value of its own for a key.
    pub(super) fn set_own(&mut self, path: &'static str, own: bool) {
        self.given.retain(|given| *given != path);
        if own {
            self.given.push(path);
        }
    }

    /// As clients come in by it.
    pub(super) fn door(&self) -> Door<'_> {
        let worker = &self.config.worker;
        let addr = Some(worker.addr.clone()).filter(|_| self.has_own("listen.addr"));
        let socket = worker.unix_socket.clone().filter(|_| self.has_own("listen.unix_socket")).map(Addr::Unix);
        Door { name: &self.name, addrs: addr.into_iter().chain(socket).collect(), worker, client: &self.config.client }
    }
}

/// The key of all whose place a listener's key takes.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    OWN.iter().find(|(own, _)| *own == name).and_then(|(_, path)| keys::find(path))
}

/// What to write in the place of a key that no listener has.
pub(super) fn instead_of(name: &str) -> String {
    let names = || OWN.iter().map(|(own, _)| *own);
    closest(name, names()).map_or_else(
        || format!("known here are {}", names().collect::<Vec<_>>().join(", ")),
        |known| format!("did you mean {known}?"),
    )
}

/// Whether a listener may be called so.
pub(super) fn check_name(name: &str) -> Result<(), Wrong> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if name == "listen" || name == "admin" {
        return Err(Wrong::new(format!("\"{name}\" is what another address is called"), "choose another name"));
    }
    if begins && name.len() <= LONGEST && name.chars().all(is_fine) && !name.contains("__") {
        return Ok(());
    }
    let instead =
        format!("write up to {LONGEST} lower-case letters, digits and '_', a letter first, such as \"reads\"");
    Err(Wrong::new(format!("a listener cannot be called \"{name}\""), instead))
}

/// Puts the listeners of a finished draft together.
pub(super) fn finish(draft: &mut Draft) {
    for (name, sketch) in std::mem::take(&mut draft.sketches) {
        let (listener, origins, mistakes) = put_together(&name, sketch, draft);
        draft.config.listeners.push(listener);
        draft.listener_origins.push(origins);
        draft.mistakes.extend(mistakes);
    }
}

/// One of them; where its keys were given, and what is wrong with them.
fn put_together(name: &str, sketch: Sketch, all: &Draft) -> (Listener, BTreeMap<&'static str, Origin>, Vec<Mistake>) {
    let mut draft = Draft::beside(all, sketch.users);
    let is_auth = |(key, ..): &(&Key, Given, Origin)| key.path.starts_with("auth.");
    if sketch.keys.iter().any(is_auth) {
        draft.config.client.users.clear();
    }
    for (key, given, at) in &sketch.keys {
        match (&key.kind, given) {
            // It has none, although all others have.
            (Kind::Keyspace(field), Given::Text { text, .. }) if text.is_empty() => {
                *field(&mut draft.config) = None;
                draft.origins.insert(key.path, at.clone());
            }
            (Kind::Users, Given::List(_)) => {
                draft.origins.insert(key.path, at.clone());
            }
            _ => draft.put(key, given, at),
        }
    }
    draft.finish_clients();
    let given: Vec<_> = OWN.iter().map(|(_, path)| *path).filter(|path| draft.origins.contains_key(path)).collect();
    if !given.iter().any(|path| matches!(*path, "listen.addr" | "listen.unix_socket")) {
        let wrong = Wrong::new("it listens nowhere", "give it an addr or a unix_socket");
        draft.note(wrong, &sketch.at.unwrap_or(Origin::Default), "");
    }
    let own_path = |key: &str| {
        let own = OWN.iter().find(|(_, path)| *path == key).map(|(own, _)| format!(".{own}"));
        format!("{LISTENERS}.{name}{}", own.unwrap_or_default())
    };
    // A listener's keys of [auth] have no section.
    let own = |text: &str| text.replace("auth.", "");
    let mistakes = draft.mistakes.into_iter().map(|Mistake { at, key, wrong, instead }| Mistake {
        at,
        key: own_path(&key),
        wrong: own(&wrong),
        instead: own(&instead),
    });
    let mistakes = mistakes.collect();
    (Listener { name: name.to_owned(), given, config: draft.config }, draft.origins, mistakes)
}
