//! "Did you mean": the known name that somebody most likely wanted to write.

use super::keys::{KEYS, is_section, split};

/// The candidate closest to `name`, when it is close enough to be a slip of the fingers.
pub(super) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let scored = candidates.into_iter().map(|known| (strsim::damerau_levenshtein(&name, known), known));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= (best.len() / 3).max(1)).then_some(best)
}

/// What to write instead of the unknown key `path`.
pub(super) fn instead_of(path: &str) -> String {
    let (section, name) = split(path);
    let here = KEYS.iter().map(|key| split(key.path)).filter(|(of, _)| *of == section).map(|(_, name)| name);
    if let Some(known) = closest(name, here.clone()) {
        return format!("did you mean {known}?");
    }
    if section.is_empty()
        && let Some(known) = closest(name, sections())
    {
        return format!("did you mean the section [{known}]?");
    }
    // The right word in the wrong section, or its tail: `listen_addr`, `timeout`.
    let elsewhere = KEYS.iter().map(|key| split(key.path)).find(|(of, known)| {
        closest(name, [*known]).is_some() || name.strip_prefix(of).is_some_and(|tail| tail.get(1..) == Some(known))
    });
    match elsewhere {
        Some(("", known)) => format!("did you mean {known}, above the first section?"),
        Some((of, known)) => format!("did you mean {known} in the section [{of}]?"),
        None if section.is_empty() => format!("known sections are {}", list(sections())),
        None => format!("known here are {}", list(here)),
    }
}

/// The names of all sections, each once.
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<&str> = KEYS.iter().map(|key| split(key.path).0).filter(|name| is_section(name)).collect();
    names.dedup();
    names.push(super::keys::LISTENERS);
    names
}

fn list(names: impl IntoIterator<Item = &'static str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_what_was_meant() {
        for (wrong, meant) in [
            ("cluster.request_timout", "did you mean request_timeout?"),
            ("cluster.max-redirects", "did you mean max_redirects?"),
            ("clustr", "did you mean the section [cluster]?"),
            ("worker", "did you mean workers?"),
            ("seeds", "did you mean seeds in the section [cluster]?"),
            ("listen.seeds", "did you mean seeds in the section [cluster]?"),
            ("listen_addr", "did you mean addr in the section [listen]?"),
            ("cluster.workers", "did you mean workers, above the first section?"),
        ] {
            assert_eq!(instead_of(wrong), meant, "{wrong}");
        }
    }

    #[test]
    fn far_away_names_get_the_list() {
        assert_eq!(instead_of("log.colour_of_the_sky"), "known here are level, format");
        assert!(instead_of("kubernetes").starts_with("known sections are listen, auth"));
    }
}
