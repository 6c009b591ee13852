//! The file: TOML, walked once, every mistake noted with its line and column.
//!
//! The walk knows tables and keys; what a value may be is [`super::draft`]'s business.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{Draft, name};
use super::expand::expand;
use super::given::Given;
use super::keys::{self, Kind};
use super::listeners;
use super::mistake::{Origin, Wrong};
use super::suggest::{closest, instead_of};
use crate::client::User;

/// Keys of one `[[auth.users]]` table.
const USER_KEYS: [&str; 3] = ["name", "password", "password_file"];

/// A file that is being read.
struct Walk<'a> {
    file: Arc<str>,
    text: &'a str,
    env: &'a [(String, String)],
    draft: &'a mut Draft,
    /// Where the part that can be relied on ends.
    end: usize,
}

/// Puts every value of `text`, the content of the file called `file`, into the draft. False when the text is no
/// TOML: then only what stands before the first error was read, for the parser only guesses what follows it.
pub(super) fn read(file: &str, text: &str, env: &[(String, String)], draft: &mut Draft) -> bool {
    let (table, errors) = DeTable::parse_recoverable(text);
    let (meaning, grammar): (Vec<_>, Vec<_>) = errors.iter().partition(|error| is_about_meaning(error));
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let first = grammar.into_iter().min_by_key(|error| start(error));
    let end = first.map_or(usize::MAX, start);
    let mut walk = Walk { file: file.into(), text, env, draft, end };
    for error in meaning {
        walk.report(error, "write each key and section once");
    }
    if let Some(error) = first {
        walk.report(error, "correct this first, for what follows was not read");
    }
    walk.table(table.get_ref(), "");
    first.is_none()
}

/// Whether the parser understood the text and objects to what it says; it then knows what follows, too.
fn is_about_meaning(error: &toml::de::Error) -> bool {
    error.message().contains("duplicate key") || error.message().contains("cannot extend")
}

impl Walk<'_> {
    /// The place of a byte of the file.
    fn origin(&self, byte: usize) -> Origin {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Origin::File { name: Arc::clone(&self.file), line, column }
    }

    fn at(&self, span: &Range<usize>) -> Origin {
        self.origin(span.start)
    }

    /// Notes an error of the parser.
    fn report(&mut self, error: &toml::de::Error, instead: &str) {
        let at = self.origin(error.span().map_or(0, |span| span.start));
        let what = error.message().replace('\n', ", ");
        self.draft.note(Wrong::new(format!("this is not TOML: {what}"), instead), &at, "");
    }

    /// The keys of the top level, or of one section.
    fn table(&mut self, table: &DeTable<'_>, section: &str) {
        for (key, value) in table {
            let path =
                if section.is_empty() { key.get_ref().to_string() } else { format!("{section}.{}", key.get_ref()) };
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            if key.span().start >= self.end || (!is_table && value.span().start >= self.end) {
                continue;
            }
            let at = self.at(&key.span());
            match (keys::find(&path), value.get_ref()) {
                (Some(known), DeValue::Array(users)) if matches!(known.kind, Kind::Users) => {
                    self.draft.origins.insert(known.path, at);
                    let users = self.users(users, known.path);
                    self.draft.users.extend(users);
                }
                (None, DeValue::Table(listeners)) if path == keys::LISTENERS => self.listeners(listeners),
                (None, _) if path == keys::LISTENERS => {
                    let wrong =
                        Wrong::new("listeners are tables with names", "write [listeners.NAME], and addr below it");
                    self.draft.note(wrong, &at, &path);
                }
                (Some(known), _) => {
                    let at = self.at(&value.span());
                    match self.given(value) {
                        Ok(given) => self.draft.put(known, &given, &at),
                        Err(wrong) => {
                            self.draft.origins.insert(known.path, at.clone());
                            self.draft.note(wrong, &at, known.path);
                        }
                    }
                }
                (None, DeValue::Table(inner)) if section.is_empty() && keys::is_section(&path) => {
                    self.table(inner, &path);
                }
                (None, _) if section.is_empty() && keys::is_section(&path) => {
                    let wrong =
                        Wrong::new("it is a section, not a key", format!("write [{path}], and its keys below it"));
                    self.draft.note(wrong, &at, &path);
                }
                (None, DeValue::Table(_)) => {
                    self.draft.note(Wrong::new("this section is not known", instead_of(&path)), &at, &path);
                }
                (None, _) => self.draft.note(Wrong::new("this key is not known", instead_of(&path)), &at, &path),
            }
        }
    }

    /// A value in the shape that the draft reads.
    fn given(&self, value: &Spanned<DeValue<'_>>) -> Result<Given, Wrong> {
        Ok(match value.get_ref() {
            DeValue::String(text) => {
                let (text, loose) = expand(text, self.env)?;
                Given::Text { text, loose }
            }
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                let parsed = i64::from_str_radix(&digits, number.radix());
                Given::Integer(parsed.map_err(|_| Wrong::new("the number is too large", "write a smaller one"))?)
            }
            DeValue::Array(items) => {
                Given::List(items.iter().map(|item| (self.given(item), self.at(&item.span()))).collect())
            }
            DeValue::Float(_) => Given::Other("a number with a point"),
            DeValue::Boolean(_) => Given::Other("true or false"),
            DeValue::Datetime(_) => Given::Other("a date"),
            DeValue::Table(_) => Given::Other("a section"),
        })
    }

    /// The tables of `[listeners]`.
    fn listeners(&mut self, listeners: &DeTable<'_>) {
        for (name, value) in listeners {
            let (at, path) = (self.at(&name.span()), format!("{}.{}", keys::LISTENERS, name.get_ref()));
            if name.span().start >= self.end {
                continue;
            }
            let DeValue::Table(table) = value.get_ref() else {
                let wrong = Wrong::new("a listener is a table", format!("write [{path}], and addr below it"));
                self.draft.note(wrong, &at, &path);
                continue;
            };
            match listeners::check_name(name.get_ref()) {
                Ok(()) => self.listener(table, name.get_ref(), &at),
                Err(wrong) => self.draft.note(wrong, &at, &path),
            }
        }
    }

    /// The keys of one listener.
    fn listener(&mut self, table: &DeTable<'_>, name: &str, at: &Origin) {
        self.draft.sketch(name).named(at);
        for (key, value) in table {
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            if key.span().start >= self.end || (!is_table && value.span().start >= self.end) {
                continue;
            }
            let path = format!("{}.{name}.{}", keys::LISTENERS, key.get_ref());
            let Some(known) = listeners::find(key.get_ref()) else {
                let wrong = Wrong::new("this key is not known", listeners::instead_of(key.get_ref()));
                self.draft.note(wrong, &self.at(&key.span()), &path);
                continue;
            };
            let at = self.at(&value.span());
            let given = match value.get_ref() {
                DeValue::Array(users) if matches!(known.kind, Kind::Users) => {
                    let users = self.users(users, &path);
                    self.draft.sketch(name).users = users;
                    Ok(Given::List(Vec::new()))
                }
                _ => self.given(value),
            };
            match given {
                Ok(given) => self.draft.sketch(name).give(known, given, &at),
                Err(wrong) => self.draft.note(wrong, &at, &path),
            }
        }
    }

    /// `[[auth.users]]` tables, or those of a listener.
    fn users(&mut self, users: &[Spanned<DeValue<'_>>], path: &str) -> Vec<(User, Origin)> {
        users.iter().filter_map(|user| self.user(user, path)).collect()
    }

    /// One of them.
    fn user(&mut self, value: &Spanned<DeValue<'_>>, list: &str) -> Option<(User, Origin)> {
        let at = self.at(&value.span());
        let DeValue::Table(table) = value.get_ref() else {
            let wrong = Wrong::new("a user is a table", format!("write [[{list}]], and name and password below it"));
            self.draft.note(wrong, &at, list);
            return None;
        };
        let (mut called, mut secret, mut whole) = (None, None, true);
        for (key, value) in table {
            let at = self.at(&value.span());
            let path = format!("{list}.{}", key.get_ref());
            let read = match key.get_ref().as_ref() {
                "name" => self.given(value).and_then(|given| name(&given)).map(|name| called = Some(name)),
                "password" | "password_file" if secret.is_some() => {
                    Err(Wrong::new("password and password_file are both given", "keep one of them"))
                }
                which @ ("password" | "password_file") => {
                    let read = self.given(value);
                    let read = read.and_then(|given| self.draft.secret(&given, which == "password_file", &at));
                    read.map(|read| secret = Some(read))
                }
                other => {
                    let instead = closest(other, USER_KEYS).map(|known| format!("did you mean {known}?"));
                    Err(Wrong::new(
                        "this key is not known",
                        instead.unwrap_or_else(|| format!("known here are {}", USER_KEYS.join(", "))),
                    ))
                }
            };
            if let Err(wrong) = read {
                whole = false;
                self.draft.note(wrong, &at, &path);
            }
        }
        match (called, secret) {
            (Some(name), Some(password)) => return Some((User { name, password }, at)),
            _ if !whole => {}
            (None, _) => self.draft.note(Wrong::new("a user has no name", "add name = \"app\""), &at, list),
            (Some(name), None) => {
                let wrong = Wrong::new(format!("the user \"{name}\" has no password"), "add password_file = \"…\"");
                self.draft.note(wrong, &at, list);
            }
        }
        None
    }
}
