//! A configuration under construction: values are put in, layer by layer, and mistakes are collected.
//!
//! Sources come in the order of their rank, the weakest first, so that putting a value simply overrides. What
//! depends on several keys (credentials, users) is kept aside and put together in [`Draft::finish`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keys::{Items, Key, Kind, Whose};
use super::mistake::{Mistake, Origin, Wrong};
use super::seed::{self, Seed};
use super::units;
use super::{Config, commands};
use crate::admin::Token;
use crate::backend::Credentials;
use crate::client::{Channels, User};
use crate::keyspace::Keyspace;

/// A value as a source gave it.
pub(super) enum Given {
    /// A text. `loose` when the source has nothing but text (environment, arguments, an expanded `${NAME}`), so
    /// that numbers and lists are read from it too.
    Text { text: String, loose: bool },
    /// A whole number.
    Integer(i64),
    /// A list; each element, or what is wrong with it, with its place.
    List(Vec<(Result<Self, Wrong>, Origin)>),
    /// Anything else, by its name: no key takes it.
    Other(&'static str),
}

/// A configuration under construction.
#[derive(Default)]
pub(super) struct Draft {
    /// The plain fields.
    pub(super) config: Config,
    /// Where each key was given last, whether its value was good or not.
    pub(super) origins: BTreeMap<&'static str, Origin>,
    /// What was wrong so far.
    pub(super) mistakes: Vec<Mistake>,
    /// The folder of the file: names of secret files in it are relative to that.
    pub(super) folder: PathBuf,
    /// The seeds of the strongest layer that has some.
    pub(super) seeds: Vec<(Seed, Origin)>,
    /// `[[auth.users]]`.
    pub(super) users: Vec<(User, Origin)>,
    cluster_username: Option<String>,
    cluster_password: Option<String>,
    client_password: Option<String>,
}

impl Draft {
    /// Notes a mistake.
    pub(super) fn note(&mut self, wrong: Wrong, at: &Origin, key: &str) {
        self.mistakes.push(wrong.at(at.clone(), key));
    }

    /// Where `key` was given.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Puts a value into the field of `key`, or notes what is wrong with it.
    pub(super) fn put(&mut self, key: &Key, given: &Given, at: &Origin) {
        self.refuse_twice(key, at);
        if let Err(wrong) = self.try_put(key, given, at) {
            self.note(wrong, at, key.path);
        }
        self.origins.insert(key.path, at.clone());
    }

    /// One layer may say a thing only once: two ways to say it hide which one counts.
    fn refuse_twice(&mut self, key: &Key, at: &Origin) {
        let twin = if let Kind::Secret { twin, .. } = key.kind { twin } else { key.path };
        for path in [key.path, twin] {
            let Some(other) = self.origins.get(path).filter(|other| other.rank() == at.rank()) else { continue };
            let wrong = Wrong::new(format!("it is given twice: also by {path} ({other})"), "keep one of them");
            self.note(wrong, at, key.path);
            return;
        }
        self.origins.remove(twin);
    }

    fn try_put(&mut self, key: &Key, given: &Given, at: &Origin) -> Result<(), Wrong> {
        let config = &mut self.config;
        match &key.kind {
            Kind::Count { at, least, most } => *at(config) = whole(given, *least as u64, *most as u64)? as usize,
            Kind::Small { at, least, most } => {
                *at(config) = whole(given, u64::from(*least), u64::from(*most))? as u8;
            }
            Kind::Size { at, least, most } => *at(config) = bytes(given, *least, *most)?,
            Kind::Time { at, least, zero } => *at(config) = time(given, *least, *zero)?,
            Kind::Switch { at, .. } if matches!(given, Given::Text { text, .. } if text == "off") => {
                *at(config) = std::time::Duration::ZERO;
            }
            Kind::Switch { at, least } => *at(config) = time(given, *least, false)?,
            Kind::List(items) => self.put_list(key.path, *items, given, at)?,
            Kind::Address(at) => *at(config) = seed::address(text(given, "\"127.0.0.1:7379\"")?)?,
            Kind::MaybeAddress(at) => {
                let text = text(given, "\"127.0.0.1:9379\" or \"off\"")?;
                *at(config) = if text == "off" { None } else { Some(seed::address(text)?) };
            }
            Kind::Hosts(at) => *at(config) = hosts(given)?,
            Kind::Socket(at) => *at(config) = Some(socket(given)?),
            Kind::File(at_field) => {
                let name = filled(text(given, "\"/run/secrets/tls.crt\"")?.to_owned(), "the name of the file")?;
                let path = if at.rank() == 1 { self.folder.join(name) } else { name.into() };
                // Whoever reads the effective configuration may stand elsewhere.
                *at_field(config) = Some(std::path::absolute(&path).unwrap_or(path));
            }
            Kind::Host(at) => *at(config) = Some(host(text(given, "\"redis.example\"")?)?),
            Kind::Choice(pick) => {
                let words = pick.words().iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
                let word = text(given, &words)?;
                if !pick.put(config, word) {
                    return Err(Wrong::new(format!("\"{word}\" is not known here"), format!("write {words}")));
                }
            }
            Kind::Commands { at, allows } => {
                let rules = list(given)?;
                commands::check(&rules, *allows)?;
                *at(config) = rules;
            }
            Kind::Keyspace(at) => *at(config) = Some(keyspace(given)?),
            Kind::Seeds => self.put_seeds(given, at)?,
            Kind::Username => self.cluster_username = Some(name(given)?),
            Kind::Secret { whose, in_file, .. } => {
                let secret = self.secret(given, *in_file, at)?;
                match whose {
                    Whose::Cluster => self.cluster_password = Some(secret),
                    Whose::Clients => self.client_password = Some(secret),
                    Whose::Admin => self.config.admin.token = Some(Token(secret)),
                }
            }
            Kind::Users => {
                return Err(Wrong::new("users are tables", "write [[auth.users]] in the file, with name and password"));
            }
        }
        Ok(())
    }

    /// A secret, or the content of the file that holds it.
    pub(super) fn secret(&self, given: &Given, in_file: bool, at: &Origin) -> Result<String, Wrong> {
        let value = text(given, if in_file { "\"/run/secrets/slotway\"" } else { "a text in quotes" })?;
        if !in_file {
            return filled(value.to_owned(), "the password");
        }
        let path = if at.rank() == 1 { self.folder.join(value) } else { PathBuf::from(value) };
        let content = std::fs::read_to_string(&path).map_err(|error| {
            Wrong::new(format!("cannot read {}: {error}", path.display()), "name a file that this user may read")
        })?;
        let secret = content.strip_suffix('\n').unwrap_or(&content);
        filled(secret.strip_suffix('\r').unwrap_or(secret).to_owned(), &format!("the file {}", path.display()))
    }

    fn put_list(&mut self, path: &str, items: &dyn Items, given: &Given, at: &Origin) -> Result<(), Wrong> {
        let example = format!("\"{}\"", items.example());
        items.clear(&mut self.config);
        match given {
            Given::List(elements) => {
                for (element, at) in elements {
                    let read = element.as_ref().map_err(Clone::clone).and_then(|element| text(element, &example));
                    if let Err(wrong) = read.and_then(|text| items.add(&mut self.config, text)) {
                        self.note(wrong, at, path);
                    }
                }
            }
            Given::Text { text, loose: true } => {
                for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    if let Err(wrong) = items.add(&mut self.config, part) {
                        self.note(wrong, at, path);
                    }
                }
            }
            other => return Err(mismatch(other, "a list of texts", &format!("write [{example}]"))),
        }
        Ok(())
    }

    fn put_seeds(&mut self, given: &Given, at: &Origin) -> Result<(), Wrong> {
        const LIST: &str = "write [\"10.0.0.1:7000\", \"10.0.0.2:7000\"]";
        self.seeds.clear();
        match given {
            Given::List(items) => {
                for (item, at) in items {
                    let read = item.as_ref().map_err(Clone::clone);
                    let read = read.and_then(|item| text(item, "\"10.0.0.1:7000\"")).and_then(seed::parse);
                    self.put_seed(read, at);
                }
            }
            Given::Text { text, loose: true } => {
                for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    self.put_seed(seed::parse(part), at);
                }
            }
            other => return Err(mismatch(other, "a list of addresses", LIST)),
        }
        Ok(())
    }

    fn put_seed(&mut self, read: Result<Seed, Wrong>, at: &Origin) {
        match read {
            Ok(seed) => self.seeds.push((seed, at.clone())),
            Err(wrong) => self.note(wrong, at, "cluster.seeds"),
        }
    }

    /// Puts together what depends on several keys.
    pub(super) fn finish(&mut self) {
        self.adopt_seed_schemes();
        self.config.cluster.seeds = self.seeds.iter().map(|(seed, _)| seed.addr.clone()).collect();
        self.adopt_seed_credentials();
        self.config.backend.credentials = match (self.cluster_username.take(), self.cluster_password.take()) {
            (username, Some(password)) => Some(Credentials { username, password }),
            (None, None) => None,
            (Some(_), None) => {
                let wrong = Wrong::new("a user without a password", "add password_file or SLOTWAY_PASSWORD");
                // A password that was given but is bad has its own message.
                if self.origin("cluster.password").rank().max(self.origin("cluster.password_file").rank()) == 0 {
                    self.note(wrong, &self.origin("cluster.username"), "cluster.username");
                }
                None
            }
        };
        self.gather_users();
        let client = &mut self.config.client;
        let own_channels = client.channels == Channels::Own;
        client.keyspace = client.keyspace.take().map(|keyspace| keyspace.with_own_channels(own_channels));
    }

    /// `rediss://` asks for TLS; a seed without a scheme asks for nothing.
    fn adopt_seed_schemes(&mut self) {
        let asked = self.seeds.iter().find(|(seed, _)| seed.tls == Some(true));
        let Some(at) = asked.map(|(_, at)| at.clone()) else { return };
        let said = self.origin("cluster.tls");
        if !self.config.cluster.tls.on && said.rank() > 0 {
            let wrong =
                Wrong::new(format!("rediss:// asks for TLS, and {said} says off"), "write cluster.tls = \"on\"");
            self.note(wrong, &at, "cluster.seeds");
        } else if self.seeds.iter().any(|(seed, _)| seed.tls == Some(false)) {
            let wrong = Wrong::new("some seeds ask for TLS and some do not", "write rediss:// before each of them");
            self.note(wrong, &at, "cluster.seeds");
        }
        self.config.cluster.tls.on = true;
    }

    /// Credentials in seeds become those of the cluster; two that differ are a mistake.
    fn adopt_seed_credentials(&mut self) {
        let keys = ["cluster.password", "cluster.password_file", "cluster.username"];
        let mut from = keys.iter().find_map(|key| self.origins.get(key).cloned());
        for (seed, at) in self.seeds.clone() {
            let Some(password) = seed.password else { continue };
            let user_differs = from.is_some() && self.cluster_username != seed.username;
            if user_differs || self.cluster_password.as_ref().is_some_and(|known| *known != password) {
                let from = from.as_ref().unwrap_or(&Origin::Default);
                let what = format!("the user or password of {} is not the one given in {from}", seed.addr);
                self.note(Wrong::new(what, "give one user and password for the whole cluster"), &at, "cluster.seeds");
                continue;
            }
            self.cluster_username = seed.username;
            self.cluster_password = Some(password);
            from = from.or(Some(at));
        }
    }

    fn gather_users(&mut self) {
        if let Some(password) = self.client_password.take() {
            let at = self.origins.get("auth.password").or_else(|| self.origins.get("auth.password_file"));
            let at = at.cloned().unwrap_or(Origin::Default);
            self.users.insert(0, (User { name: "default".to_owned(), password }, at));
        }
        let users = std::mem::take(&mut self.users);
        for (user, at) in users {
            if self.config.client.users.iter().any(|known| known.name == user.name) {
                let what = format!("the user \"{}\" is given twice", user.name);
                let instead = "keep one (auth.password is the password of the user \"default\")";
                self.note(Wrong::new(what, instead), &at, "auth.users");
            } else {
                self.config.client.users.push(user);
            }
        }
    }
}

/// Says that a value has the wrong type.
fn mismatch(given: &Given, wanted: &str, instead: &str) -> Wrong {
    let got = match given {
        Given::Text { .. } => "a text".to_owned(),
        Given::Integer(n) => format!("the number {n}"),
        Given::List(_) => "a list".to_owned(),
        Given::Other(what) => (*what).to_owned(),
    };
    Wrong::new(format!("it is {got}, not {wanted}"), instead)
}

fn text<'a>(given: &'a Given, example: &str) -> Result<&'a str, Wrong> {
    if let Given::Text { text, .. } = given {
        Ok(text)
    } else {
        Err(mismatch(given, "a text", &format!("write {example}")))
    }
}

/// The name of a host, without a port.
fn host(name: &str) -> Result<String, Wrong> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_ip = name.parse::<std::net::IpAddr>().is_ok();
    if is_ip || !name.is_empty() && name.chars().all(is_name) {
        return Ok(name.to_owned());
    }
    Err(Wrong::new(format!("\"{name}\" is no name of a host"), "write the name alone, without a port"))
}

/// Names of hosts, without ports.
fn hosts(given: &Given) -> Result<Vec<String>, Wrong> {
    const LIST: &str = "write [\"slotway.example\"]";
    let check = host;
    match given {
        Given::List(items) => {
            let item = |(item, _): &(Result<Given, Wrong>, Origin)| {
                item.as_ref().map_err(Clone::clone).and_then(|item| check(text(item, "\"slotway.example\"")?))
            };
            items.iter().map(item).collect()
        }
        Given::Text { text, loose: true } => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(check).collect()
        }
        other => Err(mismatch(other, "a list of names", LIST)),
    }
}

/// A list of commands.
fn list(given: &Given) -> Result<Vec<String>, Wrong> {
    match given {
        Given::List(items) => {
            let read = items.iter().map(|(item, _)| item.as_ref().map_err(Clone::clone));
            read.map(|item| text(item?, "\"flushall\"").map(str::to_owned)).collect()
        }
        Given::Text { text, loose: true } => {
            Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        }
        other => Err(mismatch(other, "a list of commands", commands::LIST)),
    }
}

/// The name of a user: Redis splits nothing, but a space or an empty name is always a slip.
pub(super) fn name(given: &Given) -> Result<String, Wrong> {
    let name = text(given, "a name in quotes")?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Wrong::new("a name has no spaces and is not empty", "write a name such as \"app\""));
    }
    Ok(name.to_owned())
}

/// The name of a keyspace.
fn keyspace(given: &Given) -> Result<Keyspace, Wrong> {
    let name = text(given, "\"app1\"")?;
    let longest = crate::keyspace::LONGEST;
    Keyspace::new(name).ok_or_else(|| {
        let instead = format!("write 1 to {longest} letters, digits, '.', '-' and '_', such as \"app1\"");
        Wrong::new(format!("\"{name}\" cannot be the name of a keyspace"), instead)
    })
}

fn filled(secret: String, what: &str) -> Result<String, Wrong> {
    if secret.is_empty() {
        Err(Wrong::new(format!("{what} is empty"), "leave the key out for none"))
    } else {
        Ok(secret)
    }
}

fn whole(given: &Given, least: u64, most: u64) -> Result<u64, Wrong> {
    let range = format!("write a whole number from {least} to {most}, without quotes");
    let number = match given {
        Given::Integer(n) => u64::try_from(*n).ok(),
        Given::Text { text, loose: true } => {
            let number = text.trim().parse().map_err(|_| Wrong::new(format!("\"{text}\" is not a number"), &range))?;
            Some(number)
        }
        other => return Err(mismatch(other, "a whole number", &range)),
    };
    match number {
        Some(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(out_of_range(given, range)),
    }
}

fn out_of_range(given: &Given, range: String) -> Wrong {
    let value = match given {
        Given::Integer(n) => n.to_string(),
        Given::Text { text, .. } => format!("\"{text}\""),
        Given::List(_) | Given::Other(_) => "it".to_owned(),
    };
    Wrong::new(format!("{value} is out of range"), range)
}

fn bytes(given: &Given, least: usize, most: usize) -> Result<usize, Wrong> {
    let range = format!("write a size from \"{}\" to \"{}\"", units::show_size(least), units::show_size(most));
    let bytes = match given {
        Given::Integer(n) => usize::try_from(*n).unwrap_or(0),
        Given::Text { text, .. } => units::size(text)?,
        other => return Err(mismatch(other, "a size", &range)),
    };
    if (least..=most).contains(&bytes) { Ok(bytes) } else { Err(out_of_range(given, range)) }
}

fn time(given: &Given, least: std::time::Duration, zero: bool) -> Result<std::time::Duration, Wrong> {
    let longest = super::keys::LONGEST;
    let least_shown = if zero { "0s".to_owned() } else { units::show_duration(least) };
    let range = format!("write a duration from \"{least_shown}\" to \"{}\"", units::show_duration(longest));
    let span = match given {
        Given::Text { text, .. } => units::duration(text)?,
        Given::Integer(n) => {
            let n = n.unsigned_abs();
            let instead = format!("write the unit: \"{n}s\" or \"{n}ms\"");
            return Err(Wrong::new(format!("{n} is a bare number, not a duration"), instead));
        }
        other => return Err(mismatch(other, "a duration", "write a text such as \"500ms\" or \"10s\"")),
    };
    let fits = (least..=longest).contains(&span) || (zero && span.is_zero());
    if fits { Ok(span) } else { Err(out_of_range(given, range)) }
}

fn socket(given: &Given) -> Result<PathBuf, Wrong> {
    /// `sun_path` of Linux without its final zero.
    const LONGEST_PATH: usize = 107;
    let path = text(given, "\"/run/slotway.sock\"")?;
    let path = path.strip_prefix("unix:").unwrap_or(path);
    if path.is_empty() || path.len() > LONGEST_PATH {
        let instead = format!("write a path of 1 to {LONGEST_PATH} bytes, such as \"/run/slotway.sock\"");
        return Err(Wrong::new(format!("the path of a socket cannot be {} bytes long", path.len()), instead));
    }
    Ok(path.into())
}
