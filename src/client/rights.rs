//! What operators forbid and allow by `[commands]`, beyond what the table does by default.
//!
//! A rule names a command (`flushall`), a subcommand (`config|set`, `config set`) or a category (`@dangerous`). A name
//! with a dot may be that of a module's command, which is known only when nodes are asked. What
//! `allow` names is neither denied by `deny` nor, where it can be done on all primaries, refused by default.

use crate::command::told;
use crate::command::{self, Merge, Plan, Spec, TOTAL};
use crate::resp::request::Request;
use crate::route::Refused;

/// Commands that the default refuses and that mean something when every primary runs them.
const ON_ALL_PRIMARIES: [&str; 10] = [
    "acl|deluser",
    "acl|load",
    "acl|save",
    "acl|setuser",
    "bgrewriteaof",
    "bgsave",
    "config|resetstat",
    "config|rewrite",
    "config|set",
    "save",
];

/// Parameters that decide who reaches a node, and how: with another value slotway itself might be locked out.
const DOORS: [&str; 4] = ["bind", "port", "requirepass", "tls-port"];

/// The parameter of a `CONFIG SET` that no client may set, even where it may set others.
fn door(spec: &Spec, request: &Request<'_>) -> Option<&'static str> {
    let is_set = spec.parent == Some("config") && spec.name == "set";
    let mut named = request.args().skip(2).step_by(2).take_while(|_| is_set);
    named.find_map(|name| DOORS.into_iter().find(|door| door.as_bytes().eq_ignore_ascii_case(name)))
}

/// What may be done with which command; nothing is kept while no rule is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    denied: Vec<bool>,
    allowed: Vec<bool>,
    /// The rules themselves in lower case, for commands that are learned later.
    deny: Vec<String>,
    allow: Vec<String>,
}

impl Rights {
    /// Puts rules together, which [`check`] has found to be some.
    #[must_use]
    pub fn new(deny: &[String], allow: &[String]) -> Self {
        let places = |rules: &[String]| -> Vec<bool> {
            let mut places = vec![false; if rules.is_empty() { 0 } else { TOTAL }];
            for spec in rules.iter().flat_map(|rule| named(rule)) {
                if let Some(place) = places.get_mut(usize::from(spec.index)) {
                    *place = true;
                }
            }
            places
        };
        let (mut denied, allowed) = (places(deny), places(allow));
        denied.iter_mut().zip(&allowed).for_each(|(denied, allowed)| *denied &= !allowed);
        let lower = |rules: &[String]| rules.iter().map(|rule| rule.trim().to_ascii_lowercase()).collect();
        Self { denied, allowed, deny: lower(deny), allow: lower(allow) }
    }

    /// Whether any command is denied.
    #[must_use]
    pub const fn deny_something(&self) -> bool {
        !self.denied.is_empty()
    }

    /// Whether this command is denied.
    #[must_use]
    pub fn denies(&self, spec: &Spec) -> bool {
        if spec.is_learned() {
            return names_learned(&self.deny, spec) && !names_learned(&self.allow, spec);
        }
        self.denied.get(usize::from(spec.index)).copied().unwrap_or(false)
    }

    /// Whether this command, which the default refuses, is to be run by all primaries.
    #[must_use]
    pub fn allows(&self, spec: &Spec) -> bool {
        self.allowed.get(usize::from(spec.index)).copied().unwrap_or(false)
            && ON_ALL_PRIMARIES.contains(&spec.full_name().as_str())
    }

    /// What becomes of a request that was refused: all primaries run it if it is allowed, and their answers are folded
    /// so; or else the client is told why not.
    pub(super) fn instead(&self, why: Refused, spec: &Spec, request: &Request<'_>) -> Result<Merge, String> {
        if !matches!(why, Refused::Admin(_)) || !self.allows(spec) {
            return Err(why.to_string());
        }
        match door(spec, request) {
            None => Ok(Merge::AllOk),
            Some(name) => Err(format!(
                "ERR CONFIG SET failed (possibly related to argument '{name}') - it could lock slotway out of its nodes; \
                 set it on the nodes themselves"
            )),
        }
    }
}

/// Whether a rule names a command that was learned, or a category that its flags put it into.
fn names_learned(rules: &[String], spec: &Spec) -> bool {
    let categories = told::categories(spec);
    let name = spec.parent.unwrap_or(spec.name);
    rules.iter().any(|rule| match rule.strip_prefix('@') {
        Some(category) => categories.contains(&category),
        None => *rule == name || *rule == spec.full_name(),
    })
}

/// The error for a denied command.
pub(super) fn refusal(spec: &Spec) -> String {
    format!("NOPERM this user has no permissions to run the '{}' command", spec.full_name())
}

/// The commands that a rule names, subcommands of a container included.
fn named(rule: &str) -> Vec<&'static Spec> {
    let rule = rule.trim().to_ascii_lowercase();
    let everything = || command::all().flat_map(|spec| std::iter::once(spec).chain(spec.subs));
    if let Some(category) = rule.strip_prefix('@') {
        return everything().filter(|spec| told::categories(spec).contains(&category)).collect();
    }
    let (name, sub) = rule.split_once(['|', ' ']).map_or((rule.as_str(), None), |(name, sub)| (name, Some(sub.trim())));
    let Some(spec) = command::lookup(name.as_bytes()) else { return Vec::new() };
    match sub {
        Some(sub) => spec.sub(sub.as_bytes()).into_iter().collect(),
        None => std::iter::once(spec).chain(spec.subs).collect(),
    }
}

/// What a rule may name, for suggestions: commands and categories.
pub fn known() -> Vec<String> {
    let everything = command::all().flat_map(|spec| std::iter::once(spec).chain(spec.subs));
    let categories = told::CATEGORIES.iter().map(|name| format!("@{name}"));
    everything.map(Spec::full_name).chain(categories).collect()
}

/// Whether `rule` is one; `Err(true)` if it names a command that cannot be allowed.
pub fn check(rule: &str, allows: bool) -> Result<(), bool> {
    let named = named(rule);
    if named.is_empty() {
        let may_be_learned = rule.contains('.') && !rule.starts_with('@');
        return if may_be_learned { Ok(()) } else { Err(false) };
    }
    let never = |spec: &&Spec| {
        matches!(spec.plan, Plan::Refuse(command::Refusal::Admin))
            && !ON_ALL_PRIMARIES.contains(&spec.full_name().as_str())
    };
    if allows && !rule.starts_with('@') && named.iter().all(never) { Err(true) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Flags;

    fn spec(name: &str) -> &'static Spec {
        named(name).first().copied().expect("a known command")
    }

    #[test]
    fn rules_name_commands_subcommands_and_categories() {
        let text = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        let rights = Rights::new(&text(&["KEYS", "config get", "@geo", "acl"]), &text(&["geoadd", "config|set"]));
        for denied in ["keys", "config|get", "geodist", "acl", "acl|whoami"] {
            assert!(rights.denies(spec(denied)), "{denied}");
        }
        for not in ["get", "config|set", "config|help", "geoadd"] {
            assert!(!rights.denies(spec(not)), "{not}");
        }
        assert!(rights.allows(spec("config|set")) && !rights.allows(spec("save")) && !rights.allows(spec("geoadd")));
        assert!(!Rights::default().deny_something());
    }

    #[test]
    fn rules_reach_commands_that_are_learned_later() {
        let learned = |name, flags| Spec { index: u16::MAX, ..Spec::row(name, 1, &[], flags, Plan::AnyNode) };
        let (ask, change) = (learned("odd.ask", Flags::READONLY), learned("odd.change", Flags::WRITE));
        let rights = |deny: &str, allow: &str| Rights::new(&[deny.to_owned()], &[allow.to_owned()]);
        assert!(rights("@write", "").denies(&change) && !rights("@write", "").denies(&ask));
        assert!(!rights("@write", "odd.change").denies(&change));
        assert!(rights("ODD.ask", "").denies(&ask) && check("odd.ask", false).is_ok());
    }

    #[test]
    fn rules_that_are_none_are_found() {
        assert_eq!(check("flushal", false), Err(false));
        assert_eq!(check("@nothing", false), Err(false));
        assert_eq!(check("config|sett", true), Err(false));
        assert_eq!(check("shutdown", true), Err(true));
        assert_eq!(check("shutdown", false), Ok(()));
        assert_eq!(check("CONFIG SET", true), Ok(()));
    }
}
