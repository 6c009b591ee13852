//! The JSON schema against the files that the reader takes and refuses, judged by a reader of schemas of its own that
//! knows as many words as are needed, and fails at any other.

use std::path::Path;

use regex::Regex;
use serde_json::{Map, Value};
use slotway::config::{known_keys, schema};

use super::{beside, samples, slotway};

/// What is wrong with `value` at `path`.
fn judge(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let rules = schema.as_object().expect("a schema is an object");
    let object = value.as_object();
    let matches = |pattern: &Value, text: &str| Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text);
    let passing =
        |some: &Value| some.as_array().unwrap().iter().filter(|one| judge(one, value, path).is_empty()).count();
    for (word, rule) in rules {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match rule.as_str().unwrap() {
                "object" => object.is_some(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("a type {other}"),
            },
            "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|n| n <= rule.as_i64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(rule, text)),
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" => passing(rule) > 0,
            "oneOf" => passing(rule) == 1,
            "required" => object
                .is_none_or(|o| rule.as_array().unwrap().iter().all(|name| o.contains_key(name.as_str().unwrap()))),
            "items" => {
                let items = value.as_array().into_iter().flatten();
                wrong.extend(items.flat_map(|item| judge(rule, item, path)));
                true
            }
            "properties" => {
                let known = rule.as_object().unwrap();
                let there = known.iter().filter_map(|(name, of)| Some((name, of, object?.get(name)?)));
                wrong.extend(there.flat_map(|(name, of, value)| judge(of, value, &format!("{path}.{name}"))));
                true
            }
            "propertyNames" => object.is_none_or(|o| o.keys().all(|name| matches(&rule["pattern"], name))),
            "additionalProperties" => {
                let none = Map::new();
                let known = rules.get("properties").and_then(Value::as_object).unwrap_or(&none);
                for (name, value) in object.into_iter().flatten().filter(|(name, _)| !known.contains_key(*name)) {
                    let path = format!("{path}.{name}");
                    if *rule == Value::Bool(false) {
                        wrong.push(format!("{path}: not known"));
                    } else {
                        wrong.extend(judge(rule, value, &path));
                    }
                }
                true
            }
            other => panic!("this reader of schemas does not know {other}"),
        };
        if !holds {
            wrong.push(format!("{path}: {word} {rule}, but it is {value}"));
        }
    }
    wrong
}

fn whole() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

fn wrong(toml: &str) -> Vec<String> {
    let table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("{error}"));
    judge(&whole(), &serde_json::to_value(table).unwrap(), "")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    for sample in samples("valid") {
        assert_eq!(wrong(&text(&sample)), Vec::<String>::new(), "{}", sample.display());
    }
    let file = text(Path::new("proxy.toml"));
    assert_eq!(wrong(&file), Vec::<String>::new());
    // With every key in it. What is commented with a space behind the sign is prose.
    let is_key =
        |line: &str| line.strip_prefix('#').is_some_and(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let open: String =
        file.lines().map(|line| if is_key(line) { &line[1..] } else { line }.to_owned() + "\n").collect();
    assert_eq!(wrong(&open), Vec::<String>::new());
}

#[test]
fn what_can_be_seen_in_one_value_the_schema_refuses() {
    for (name, least) in [("typos", 4), ("durations", 4), ("secrets", 5), ("keyspace", 1), ("listeners", 6)] {
        let path = Path::new("tests/config/invalid").join(name).with_extension("toml");
        let found = wrong(&text(&path));
        assert!(found.len() >= least, "{name}: {found:#?}\nthe reader says\n{}", beside(&path));
    }
    for line in [
        "workers = \"${N\"",
        "cluster.canary = \"of\"",
        "listen.proxy_protocol = true",
        "log.level = \"loud\"",
        "workers = 2.5",
        "auth.users = 5",
        "listeners.a = 1",
    ] {
        assert_eq!(wrong(line).len(), 1, "{line}");
    }
}

#[test]
fn every_key_is_in_the_schema_with_what_it_is_for() {
    let schema = whole();
    for path in known_keys() {
        let pointer = format!("/properties/{}", path.replace('.', "/properties/"));
        let key = schema.pointer(&pointer).unwrap_or_else(|| panic!("no {path}"));
        assert!(key["description"].as_str().is_some_and(|text| text.len() > 10), "{path}: {key}");
        if let Some(default) = slotway::config::default_of(path) {
            let of = wrong(&format!("{path} = {default}"));
            assert!(of.is_empty() && !key["default"].is_null(), "{path}: {of:?}");
        }
    }
}

#[test]
fn the_program_prints_it() {
    let out = slotway(&["config", "--schema"]);
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(String::from_utf8(out.stdout).unwrap(), schema());
}
