//! Lists of commands, each one checked: a name that nobody knows would deny nothing and warn nobody.

use super::draft::{Given, mismatch, text};
use super::mistake::Wrong;
use super::suggest::closest;
use crate::client::rights;

/// Reads a list of commands and categories that are to be denied, or allowed.
pub(super) fn rules(given: &Given, allows: bool) -> Result<Vec<String>, Wrong> {
    const LIST: &str = "write [\"flushall\", \"config|set\", \"@dangerous\"]";
    let rules: Vec<String> = match given {
        Given::List(items) => {
            let item = |item: &Result<Given, Wrong>| {
                item.as_ref().map_err(Clone::clone).and_then(|item| text(item, "\"flushall\"").map(str::to_owned))
            };
            items.iter().map(|(read, _)| item(read)).collect::<Result<_, _>>()?
        }
        Given::Text { text, loose: true } => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
        other => return Err(mismatch(other, "a list of commands", LIST)),
    };
    for rule in &rules {
        match rights::check(rule, allows) {
            Ok(()) => {}
            Err(true) => {
                let what = format!("\"{rule}\" cannot be allowed: it acts on one server");
                return Err(Wrong::new(what, "leave it out, and connect to that server itself"));
            }
            Err(false) => {
                let known = rights::known();
                let meant = closest(&rule.replace(' ', "|"), known.iter().map(String::as_str));
                let instead = meant.map_or_else(|| LIST.to_owned(), |known| format!("did you mean \"{known}\"?"));
                return Err(Wrong::new(format!("\"{rule}\" is no command and no category"), instead));
            }
        }
    }
    Ok(rules)
}
