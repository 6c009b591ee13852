//! A JSON schema of the configuration, for editors that complete and check it while it is written.
//!
//! Made from the table of keys; what a key is for is taken from the comments of `proxy.toml`. It says less than the
//! reader, which looks at several keys together: what the schema refuses is wrong, what it lets pass may be.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Config;
use super::effective::value;
use super::keys::{self, KEYS, Key, Kind, LISTENERS};
use super::listeners::OWN;
use super::units::show_size;

/// Where the comments are.
const COMMENTED: &str = include_str!("../../proxy.toml");
/// `${NAME}`, which may stand for anything.
const EXPANDED: &str = r"\$\{[^}]*\}";
const SIZE: &str = r"^\s*[0-9]+\s*([kKmMgG][bB]?|[bB])?\s*$";
const TIME: &str = r"^\s*[0-9]+\s*(ms|s|m|h|d)\s*$";
/// The names of listeners.
const NAME: &str = "^[a-z][a-z0-9_]*$";

/// The schema, as JSON.
#[must_use]
pub fn schema() -> String {
    let comments = comments();
    let (mut top, mut sections) = (Map::new(), BTreeMap::<&str, Map<String, Value>>::new());
    for key in KEYS {
        let of = described(key, comments.get(key.path), default(key));
        match keys::split(key.path) {
            ("", name) => drop(top.insert(name.to_owned(), of)),
            (section, name) => drop(sections.entry(section).or_default().insert(name.to_owned(), of)),
        }
    }
    top.extend(sections.into_iter().map(|(name, keys)| (name.to_owned(), table(&keys))));
    let own = OWN.iter().filter_map(|(name, path)| {
        let about = format!("As {path}, for this listener alone.");
        Some(((*name).to_owned(), described(keys::find(path)?, Some(&about), None)))
    });
    let listeners = json!({
        "description": "More listeners, each with what is different for its clients.",
        "type": "object",
        "propertyNames": { "pattern": NAME },
        "additionalProperties": table(&own.collect()),
    });
    top.insert(LISTENERS.to_owned(), listeners);
    let mut schema = table(&top);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert("title".to_owned(), json!("The configuration of slotway"));
    }
    // A value can always be written.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

fn table(properties: &Map<String, Value>) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// What a key takes, with what it is for and what it is by default.
fn described(key: &Key, about: Option<&String>, default: Option<Value>) -> Value {
    let mut of = takes(key);
    if let Some(of) = of.as_object_mut() {
        of.extend(about.map(|about| ("description".to_owned(), json!(about))));
        of.extend(default.map(|default| ("default".to_owned(), default)));
    }
    of
}

fn takes(key: &Key) -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let whole = |least: usize, most: usize| json!({ "type": "integer", "minimum": least, "maximum": most });
    let texts = || json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
    let or = |some: Vec<Value>| json!({ "anyOf": some });
    match &key.kind {
        Kind::Count { least, most, .. } => or(vec![whole(*least, *most), text(EXPANDED)]),
        Kind::Small { least, most, .. } => or(vec![whole((*least).into(), (*most).into()), text(EXPANDED)]),
        Kind::Size { least, most, .. } => {
            let mut of = or(vec![whole(*least, *most), text(SIZE), text(EXPANDED)]);
            of["title"] = json!(format!("from {} to {}", show_size(*least), show_size(*most)));
            of
        }
        Kind::Time { .. } => or(vec![text(TIME), text(EXPANDED)]),
        Kind::Switch { .. } => or(vec![json!({ "const": "off" }), text(TIME), text(EXPANDED)]),
        Kind::Choice(pick) => or(vec![json!({ "enum": pick.words() }), text(EXPANDED)]),
        Kind::List(_) | Kind::Hosts(_) | Kind::Commands { .. } | Kind::Seeds => or(vec![texts(), text(EXPANDED)]),
        Kind::Address(_) => or(vec![text(r"^unix:.+|:[0-9]{1,5}$"), text(EXPANDED)]),
        Kind::MaybeAddress(_) => or(vec![text(r"^off$|^unix:.+|:[0-9]{1,5}$"), text(EXPANDED)]),
        Kind::Keyspace(_) => or(vec![text("^[A-Za-z0-9._-]{0,64}$"), text(EXPANDED)]),
        Kind::Username => text(r"^\S+$"),
        Kind::Socket(_) | Kind::Secret { .. } => text("."),
        Kind::Users => users(),
    }
}

fn users() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let user = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "oneOf": [{ "required": ["password"] }, { "required": ["password_file"] }],
        "properties": { "name": text, "password": text, "password_file": text },
    });
    json!({ "type": "array", "items": user })
}

/// The default of a key, as it would be written.
fn default(key: &Key) -> Option<Value> {
    let line = format!("default = {}", value(key, &Config::default())?);
    let mut read: toml::Table = line.parse().ok()?;
    serde_json::to_value(read.remove("default")?).ok()
}

/// What `proxy.toml` says of each key: the comment above it.
fn comments() -> BTreeMap<String, String> {
    let (mut section, mut above, mut found) = (String::new(), Vec::new(), BTreeMap::new());
    for line in COMMENTED.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
            above.clear();
        } else if let Some(words) = line.strip_prefix("# ") {
            above.push(words);
        } else if let Some((name, _)) = bare.split_once(" = ") {
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            found.insert(path, above.join(" "));
            above.clear();
        } else {
            above.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description() {
        let comments = comments();
        let bare: Vec<_> = KEYS.iter().filter(|key| comments.get(key.path).is_none_or(String::is_empty)).collect();
        assert!(bare.is_empty(), "{:?}", bare.iter().map(|key| key.path).collect::<Vec<_>>());
    }
}
