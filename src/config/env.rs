//! The environment: `SLOTWAY__SECTION__KEY` for every key, and three short names for what containers set most.

use super::draft::Draft;
use super::given::Given;
use super::keys::{self, KEYS, Key};
use super::listeners::{self, OWN};
use super::mistake::{Origin, Wrong};
use super::suggest::closest;

/// Short names and the key that each stands for.
const FLAT: [(&str, &str); 3] =
    [("SLOTWAY_LISTEN", "listen.addr"), ("SLOTWAY_SEEDS", "cluster.seeds"), ("SLOTWAY_PASSWORD", "cluster.password")];

const PREFIX: &str = "SLOTWAY__";

/// The variable of a key.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

/// Puts every variable that is meant for slotway into the draft; returns warnings.
///
/// An unknown `SLOTWAY__…` is a mistake. An unknown `SLOTWAY_…` is none: Kubernetes sets some for a service
/// called `slotway`; only a near miss of a short name is worth a warning.
pub(super) fn read(env: &[(String, String)], draft: &mut Draft) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, value) in env {
        let at = Origin::Env(name.clone());
        let path = FLAT.iter().find(|(flat, _)| flat == name).map(|(_, path)| *path);
        let known = match path {
            Some(path) => keys::find(path),
            None => KEYS.iter().find(|key| variable(key.path) == *name),
        };
        if let Some((listener, key)) = of_listener(name) {
            draft.sketch(&listener).named(&at);
            draft.sketch(&listener).give(key, Given::Text { text: value.clone(), loose: true }, &at);
        } else if let Some(key) = known {
            draft.put(key, &Given::Text { text: value.clone(), loose: true }, &at);
        } else if name.starts_with(PREFIX) {
            let mut variables: Vec<String> = KEYS.iter().map(|key| variable(key.path)).collect();
            // Those of the same listener.
            if let Some((listener, _)) =
                name.strip_prefix("SLOTWAY__LISTENERS__").and_then(|rest| rest.split_once("__"))
            {
                variables.extend(OWN.iter().map(|(own, _)| variable(&format!("listeners.{listener}.{own}"))));
            }
            let meant = nearest(name, &variables);
            let instead = meant.map_or_else(
                || "write SLOTWAY__SECTION__KEY, such as SLOTWAY__CLUSTER__REQUEST_TIMEOUT".to_owned(),
                |meant| format!("did you mean {meant}?"),
            );
            draft.note(Wrong::new("no key has this name", instead), &at, "");
        } else if name.starts_with("SLOTWAY_")
            && let Some(meant) = closest_flat(name)
        {
            warnings.push(format!("the environment variable {name} is not read; did you mean {meant}?"));
        }
    }
    warnings
}

/// `SLOTWAY__LISTENERS__NAME__KEY`: the listener's name and its key.
fn of_listener(variable: &str) -> Option<(String, &'static Key)> {
    let rest = variable.strip_prefix(PREFIX)?.strip_prefix("LISTENERS__")?;
    let (name, key) = rest.split_once("__")?;
    let name = name.to_ascii_lowercase();
    listeners::check_name(&name).ok()?;
    Some((name, listeners::find(&key.to_ascii_lowercase())?))
}

/// The closest known variable, compared without the prefix that all share.
fn nearest(name: &str, variables: &[String]) -> Option<String> {
    let tail = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let tails: Vec<String> =
        variables.iter().filter_map(|v| Some(v.strip_prefix(PREFIX)?.to_ascii_lowercase())).collect();
    closest(&tail, tails.iter().map(String::as_str)).map(|tail| format!("{PREFIX}{}", tail.to_ascii_uppercase()))
}

fn closest_flat(name: &str) -> Option<&'static str> {
    let tail = name.strip_prefix("SLOTWAY_")?.to_ascii_lowercase();
    let tails: [(&str, &str); 3] =
        [("listen", "SLOTWAY_LISTEN"), ("seeds", "SLOTWAY_SEEDS"), ("password", "SLOTWAY_PASSWORD")];
    let found = closest(&tail, tails.iter().map(|(tail, _)| *tail))?;
    tails.iter().find(|(tail, _)| *tail == found).map(|(_, name)| *name)
}
