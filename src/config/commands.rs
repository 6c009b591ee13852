//! Lists of commands, each one checked: a name that nobody knows would deny nothing and warn nobody.

use super::mistake::Wrong;
use super::suggest::closest;
use crate::client::rights;

/// What to write.
pub(super) const LIST: &str = "write [\"flushall\", \"config|set\", \"@dangerous\"]";

/// Looks at rules that deny, or allow, commands and categories of commands.
pub(super) fn check(rules: &[String], allows: bool) -> Result<(), Wrong> {
    for rule in rules {
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
    Ok(())
}
