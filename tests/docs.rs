//! The book in `docs/` as far as a program can judge it: do its links lead somewhere, does it name every key and
//! every command, and do the files under `deploy/` agree with the program?
//!
//! Whether what it says is true is left to its readers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use slotway::command::{self, Plan};
use slotway::config::{Config, Sources, default_of, known_keys, load};
use yaml_rust2::{Yaml, YamlLoader};

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "no *{ending} in {folder}");
    found
}

/// What GitHub makes of a heading to link to: lower case, spaces as dashes, other signs left out.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The text of a page outside of blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(anchor).collect()
}

/// What is wrong with the links of a page that stands at `path`.
fn broken_links(path: &Path, text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut wrong = Vec::new();
    for target in targets.filter(|target| !target.contains("://")) {
        let (file, part) = target.split_once('#').unwrap_or((target, ""));
        let to = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        if !to.exists() {
            wrong.push(format!("{}: there is no {file}", path.display()));
        } else if !part.is_empty() && !anchors(&read(&to)).contains(part) {
            wrong.push(format!("{}: {file} has no heading #{part}", path.display()));
        }
    }
    wrong
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = files("docs", ".md");
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from));
    let wrong: Vec<String> = pages.iter().flat_map(|page| broken_links(page, &read(page))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let book = read("docs/README.md");
    let names = pages.iter().filter(|page| page.starts_with("docs")).map(|page| page.file_name().unwrap());
    let left_out: Vec<_> = names.filter(|name| !book.contains(&format!("({})", name.to_string_lossy()))).collect();
    assert_eq!(left_out, ["README.md"], "not in the table of contents");
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let page = Path::new("docs/README.md");
    for (text, part) in [
        ("[a](no-such-page.md)", "no no-such-page.md"),
        ("# B\n[a](#c)", "no heading #c"),
        ("[a](concepts.md#no-such-heading)", "no heading #no-such-heading"),
    ] {
        assert!(broken_links(page, text).iter().any(|told| told.contains(part)), "{text}");
    }
    assert!(broken_links(page, "[a](https://example.org/) [b](concepts.md#hash-tags)\n```\n[c](none)\n```").is_empty());
}

#[test]
fn the_page_of_the_configuration_has_every_key_with_its_default() {
    let page = read("docs/configuration.md");
    let mut told = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
        let (key, default) = (cells.next().unwrap(), cells.next().unwrap());
        assert_eq!(told.insert(key.clone(), default), None, "{key} is there twice");
    }
    let keys: BTreeMap<String, String> =
        known_keys().map(|key| (key.to_owned(), default_of(key).unwrap_or_else(|| "none".to_owned()))).collect();
    let differ = |(key, default): (&String, &String), other: &BTreeMap<String, String>| {
        (other.get(key) != Some(default)).then(|| format!("{key}: {default}"))
    };
    let missing: Vec<String> = keys.iter().filter_map(|key| differ(key, &told)).collect();
    let wrong: Vec<String> = told.iter().filter_map(|row| differ(row, &keys)).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "there is {missing:?}, the page says {wrong:?}");
}

/// The text under a heading, up to the next one of its kind.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let rest = page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn the_page_of_the_commands_has_each_where_its_plan_puts_it() {
    let page = read("docs/commands.md");
    let mut missing = Vec::new();
    for spec in command::all() {
        let headings: &[&str] = match spec.plan {
            Plan::ByKey => &["To the node of their key"],
            Plan::Split(_) => &["Split"],
            Plan::Primaries(_) | Plan::AllNodes(_) | Plan::AnyNode => &["Over the whole cluster"],
            Plan::Pin(_) => &["On a connection of its own"],
            Plan::Refuse(_) => &["Refused"],
            // What slotway puts together itself may come from anywhere.
            _ => &["To the node of their key", "Over the whole cluster", "Answered by slotway", "Refused"],
        };
        let name = spec.name.to_uppercase();
        let names = [format!("`{name}`"), format!("`{name} ")];
        if !headings.iter().any(|heading| names.iter().any(|name| section(&page, heading).contains(name))) {
            missing.push(format!("{name} under {headings:?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The documents of a file in YAML.
fn yaml(path: impl AsRef<Path>) -> Vec<Yaml> {
    let path = path.as_ref();
    YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Loads a configuration, whose files of secrets need not be there, as slotway would.
fn settings(name: &str, text: &str, env: &[(String, String)]) -> Config {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let secret = folder.join("docs-secret");
    std::fs::write(&secret, "secret").unwrap();
    let here = |line: &str| match line.split_once("/run/secrets/") {
        Some((start, rest)) => format!("{start}{}{}", secret.display(), if rest.ends_with('"') { "\"" } else { "" }),
        None => line.to_owned(),
    };
    let file = folder.join(format!("docs-{name}.toml"));
    std::fs::write(&file, text.lines().map(|line| here(line) + "\n").collect::<String>()).unwrap();
    let env = env.iter().map(|(key, value)| (key.clone(), here(value))).collect();
    let sources = Sources { file: Some(file), env, seeds_needed: true, ..Sources::default() };
    load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

/// The value at a path of keys and places.
fn at<'a>(value: &'a Yaml, path: &str) -> &'a Yaml {
    path.split('.').fold(value, |value, step| match step.parse::<usize>() {
        Ok(place) => &value[place],
        Err(_) => &value[step],
    })
}

#[test]
fn the_manifests_give_slotway_a_configuration_that_it_takes_and_time_to_drain() {
    let map = &yaml("deploy/kubernetes/configmap.yaml")[0];
    let config = settings("kubernetes", map["data"]["proxy.toml"].as_str().unwrap(), &[]);
    let deployment = &yaml("deploy/kubernetes/deployment.yaml")[0];
    let pod = at(deployment, "spec.template.spec");
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    assert!(grace > (config.worker.delay + config.worker.drain).as_secs() as i64, "{grace} s");
    let port = at(pod, "containers.0.ports.0.containerPort").as_i64().unwrap();
    assert_eq!(i64::from(config.worker.addr.port()), port);
    assert!(!config.worker.addr.is_loopback(), "nobody outside the pod could connect");

    let sidecar = at(&yaml("deploy/kubernetes/sidecar.yaml")[0], "spec.template.spec.initContainers.0").clone();
    let env = sidecar["env"].as_vec().unwrap().iter();
    let pair = |entry: &Yaml| (entry["name"].as_str().unwrap().to_owned(), entry["value"].as_str().unwrap().to_owned());
    let config = settings("sidecar", "", &env.map(pair).collect::<Vec<_>>());
    assert!(config.worker.addr.is_loopback(), "others than the application could connect");
    assert_eq!(sidecar["restartPolicy"].as_str(), Some("Always"), "it would not be a sidecar");
}

#[test]
fn nothing_that_is_deployed_runs_as_root_or_writes() {
    for (file, containers) in [("deployment", "containers"), ("sidecar", "initContainers")] {
        let manifest = &yaml(format!("deploy/kubernetes/{file}.yaml"))[0];
        let pod = at(manifest, "spec.template.spec");
        assert_eq!(at(pod, "securityContext.runAsNonRoot").as_bool(), Some(true), "{file}");
        let own = &pod[containers][0]["securityContext"];
        assert_eq!(own["readOnlyRootFilesystem"].as_bool(), Some(true), "{file}");
        assert_eq!(own["allowPrivilegeEscalation"].as_bool(), Some(false), "{file}");
        assert_eq!(at(own, "capabilities.drop.0").as_str(), Some("ALL"), "{file}");
    }
    let unit = read("deploy/systemd/slotway.service");
    for line in ["User=slotway", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="] {
        assert!(unit.lines().any(|own| own == line), "{line}");
    }
    assert!(unit.lines().any(|line| line == "RestartPreventExitStatus=78"), "a bad configuration is tried for ever");
}

/// The rules of the file of alerts.
fn alerts() -> Vec<Yaml> {
    let groups = yaml("deploy/prometheus/alerts.yaml")[0]["groups"].as_vec().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_vec().unwrap().clone()).collect()
}

#[test]
fn every_alert_says_what_to_do_and_has_a_test() {
    let tests = read("deploy/prometheus/alerts.test.yaml");
    for rule in alerts() {
        let name = rule["alert"].as_str().unwrap();
        for word in ["summary", "description", "action"] {
            assert!(rule["annotations"][word].as_str().is_some_and(|text| text.len() > 20), "{name} has no {word}");
        }
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning" | "info")), "{name}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "no test of {name}");
    }
}

/// The names of slotway's metrics in an expression; those of a histogram without their ending.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own = words.filter(|word| word.starts_with("slotway_") || word.starts_with("process_"));
    own.map(|word| ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    // The page is made from the table of the metrics.
    let page = read("docs/metrics.md");
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let there: BTreeSet<String> = names.map(ToOwned::to_owned).collect();
    let mut asked: BTreeSet<String> =
        alerts().iter().flat_map(|rule| metrics(rule["expr"].as_str().unwrap())).collect();
    let board: serde_json::Value = serde_json::from_str(&read("deploy/grafana/slotway.json")).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    asked.extend(targets.flat_map(|target| metrics(target["expr"].as_str().unwrap())));
    assert!(asked.len() > 20, "{asked:?}");
    let unknown: Vec<_> = asked.difference(&there).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
