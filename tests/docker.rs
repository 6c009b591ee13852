//! `docker/` as far as it can be judged without an engine: are the files well formed, does what they name exist,
//! and does slotway understand the settings that they hand it?
//!
//! Where the compose plugin is installed, its own `config` reads the file as well. Building and starting the
//! images is left to a machine with an engine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use slotway::config::{Loaded, Sources, load};
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Loads the settings among some variables as slotway would.
fn settings(env: &BTreeMap<String, String>) -> Loaded {
    let env = env.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    load(&Sources { env, ..Sources::default() }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// One instruction of a Dockerfile: its name, its flags, and the rest.
struct Instruction {
    name: String,
    flags: Vec<String>,
    words: Vec<String>,
    text: String,
}

/// The instructions of a Dockerfile, continued lines joined.
fn instructions(text: &str) -> Vec<Instruction> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.fold(String::new(), |all, line| match line.strip_suffix('\\') {
        Some(open) => all + open,
        None => all + line + "\n",
    });
    let lines = joined.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (flags, words): (Vec<&str>, Vec<&str>) =
                rest.split_whitespace().partition(|word| word.starts_with("--"));
            let own = |words: Vec<&str>| words.into_iter().map(ToOwned::to_owned).collect();
            Instruction { name: name.to_owned(), flags: own(flags), words: own(words), text: rest.trim().to_owned() }
        })
        .collect()
}

/// What is wrong with a Dockerfile whose context is the root of the project.
fn dockerfile_mistakes(text: &str) -> Vec<String> {
    const KNOWN: [&str; 11] =
        ["FROM", "ARG", "RUN", "COPY", "WORKDIR", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT"];
    let mut wrong = Vec::new();
    let mut stages = BTreeSet::new();
    for instruction in instructions(text) {
        let Instruction { name, flags, words, text } = &instruction;
        if !KNOWN.contains(&name.as_str()) {
            wrong.push(format!("{name} is not known"));
        }
        if stages.is_empty() && !matches!(name.as_str(), "FROM" | "ARG") {
            wrong.push(format!("{name} before FROM"));
        }
        if name == "FROM" {
            stages.insert(words.get(2).cloned().unwrap_or_else(|| format!("stage {}", stages.len())));
        }
        let from = flags.iter().find_map(|flag| flag.strip_prefix("--from="));
        match (name.as_str(), from) {
            ("COPY", Some(stage)) if !stages.contains(stage) => wrong.push(format!("no stage is called {stage}")),
            ("COPY", None) => {
                let sources = words.split_last().map_or(&[][..], |(_, sources)| sources);
                let missing = sources.iter().filter(|source| !Path::new(source).exists());
                wrong.extend(missing.map(|source| format!("COPY {source}: there is no such file")));
                let ignored = sources.iter().filter(|source| *source != "." && !reaches_the_engine(source));
                wrong.extend(ignored.map(|source| format!("COPY {source}: Dockerfile.dockerignore keeps it back")));
            }
            ("ENTRYPOINT", _) if !text.starts_with("[\"") => wrong.push("ENTRYPOINT through a shell".to_owned()),
            _ => {}
        }
    }
    wrong
}

fn reaches_the_engine(source: &str) -> bool {
    read("docker/Dockerfile.dockerignore").lines().any(|line| line == format!("!{source}"))
}

/// The instructions of the last stage by name; a later one overrides an earlier one.
fn last_stage(text: &str) -> BTreeMap<String, String> {
    let all = instructions(text);
    let start = all.iter().rposition(|instruction| instruction.name == "FROM").unwrap();
    all.into_iter().skip(start).map(|instruction| (instruction.name, instruction.text)).collect()
}

#[test]
fn the_dockerfile_is_well_formed() {
    assert_eq!(dockerfile_mistakes(&read("docker/Dockerfile")), [""; 0]);
}

#[test]
fn mistakes_in_a_dockerfile_are_found() {
    for (text, part) in [
        ("RUN x\nFROM a\n", "RUN before FROM"),
        ("FROM a AS one\nFROM b\nCOPY --from=two /x /x\n", "no stage is called two"),
        ("FROM a\nCOPY no-such-file /x\n", "no such file"),
        ("FROM a\nCOPY proxy.toml /x\n", "keeps it back"),
        ("FROM a\nENTRYPOINT /slotway\n", "shell"),
        ("FROM a\nENTRIPOINT [\"/slotway\"]\n", "ENTRIPOINT is not known"),
    ] {
        let told = dockerfile_mistakes(text);
        assert!(told.iter().any(|told| told.contains(part)), "{text}: {told:?}");
    }
}

#[test]
fn the_image_runs_slotway_without_root_and_on_the_port_that_it_exposes() {
    let stage = last_stage(&read("docker/Dockerfile"));
    let user: Vec<u32> = stage["USER"].split(':').map(|id| id.parse().unwrap()).collect();
    assert!(user.len() == 2 && user.iter().all(|id| *id > 0), "{user:?}");
    assert_eq!(stage["ENTRYPOINT"], "[\"/slotway\"]");
    let env = stage["ENV"].split_whitespace().map(|pair| pair.split_once('=').unwrap());
    let config = settings(&env.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()).config;
    assert_eq!(config.worker.addr.port().to_string(), stage["EXPOSE"]);
    assert!(!config.worker.addr.is_loopback(), "nobody outside the container could connect");
}

#[test]
fn the_image_is_built_by_the_compiler_that_the_manifest_names() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let from = format!("FROM rust:{}-alpine AS build", version.trim_matches('"'));
    assert!(read("docker/Dockerfile").lines().any(|line| line == from), "{from}");
    assert!(manifest.contains("jemalloc"), "the image relies on jemalloc in place of musl's allocator");
}

/// A mapping with its `<<` merged in, as compose reads it.
fn merged(value: &Yaml) -> BTreeMap<String, Yaml> {
    let empty = Hash::new();
    let own = value.as_hash().unwrap_or(&empty);
    let mut all = BTreeMap::new();
    for (key, value) in own {
        let key = key.as_str().unwrap().to_owned();
        if key == "<<" {
            for (key, value) in merged(value) {
                all.entry(key).or_insert(value);
            }
        } else {
            all.insert(key, value.clone());
        }
    }
    all
}

fn services(compose: &str) -> BTreeMap<String, BTreeMap<String, Yaml>> {
    let documents = YamlLoader::load_from_str(compose).unwrap();
    merged(&documents[0]["services"]).iter().map(|(name, service)| (name.clone(), merged(service))).collect()
}

/// `KEY: value` pairs as text.
fn variables(service: &BTreeMap<String, Yaml>) -> BTreeMap<String, String> {
    let pairs = merged(service.get("environment").unwrap_or(&Yaml::Null));
    pairs.into_iter().map(|(key, value)| (key, value.into_string().unwrap())).collect()
}

/// What is wrong with a compose file.
fn compose_mistakes(text: &str) -> Vec<String> {
    const KNOWN: [&str; 17] = [
        "image",
        "user",
        "build",
        "restart",
        "stop_grace_period",
        "healthcheck",
        "entrypoint",
        "command",
        "environment",
        "networks",
        "depends_on",
        "ports",
        "volumes",
        "profiles",
        "read_only",
        "cap_drop",
        "security_opt",
    ];
    let documents = match YamlLoader::load_from_str(text) {
        Ok(documents) => documents,
        Err(error) => return vec![format!("this is not YAML: {error}")],
    };
    let networks = merged(&documents[0]["networks"]);
    let services = services(text);
    let mut wrong = Vec::new();
    for (name, service) in &services {
        let unknown = service.keys().filter(|key| !KNOWN.contains(&key.as_str()));
        wrong.extend(unknown.map(|key| format!("{name}: {key} is not known")));
        if !service.contains_key("image") && !service.contains_key("build") {
            wrong.push(format!("{name}: neither image nor build"));
        }
        let joined = service.get("networks").map_or_else(Vec::new, |joined| match joined.as_vec() {
            Some(list) => list.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
            None => merged(joined).into_keys().collect(),
        });
        let undeclared = joined.iter().filter(|network| !networks.contains_key(*network));
        wrong.extend(undeclared.map(|network| format!("{name}: the network {network} is not declared")));
        for (other, how) in merged(service.get("depends_on").unwrap_or(&Yaml::Null)) {
            match (services.get(&other), how["condition"].as_str()) {
                (None, _) => wrong.push(format!("{name}: there is no service {other}")),
                (Some(other), Some("service_healthy")) if other.contains_key("healthcheck") => {}
                (Some(_), Some("service_started" | "service_completed_successfully")) => {}
                (_, how) => wrong.push(format!("{name}: {other} can never be {how:?}")),
            }
        }
    }
    for (name, service) in &services {
        let mounts = service.get("volumes").and_then(Yaml::as_vec).into_iter().flatten().filter_map(Yaml::as_str);
        let from_here = mounts.filter(|mount| mount.starts_with('.')).filter_map(|mount| mount.split(':').next());
        let missing = from_here.filter(|path| !Path::new("docker").join(path).exists());
        wrong.extend(missing.map(|path| format!("{name}: there is no {path} to mount")));
    }
    // Compose replaces $NAME itself, before a shell in the container sees it.
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    if text.replace("$$", "").contains('$') {
        wrong.push("a single $ is replaced by compose; write $$".to_owned());
    }
    wrong
}

#[test]
fn the_compose_file_is_well_formed() {
    assert_eq!(compose_mistakes(&read("docker/compose.yaml")), [""; 0]);
}

#[test]
fn mistakes_in_a_compose_file_are_found() {
    for (text, part) in [
        ("services: [", "not YAML"),
        ("services: { a: { image: x, envronment: {} } }", "envronment is not known"),
        ("services: { a: { restart: no } }", "neither image nor build"),
        ("services: { a: { image: x, networks: [b] } }", "b is not declared"),
        ("services: { a: { image: x, depends_on: { b: { condition: service_started } } } }", "no service b"),
        (
            "services: { a: { image: x, depends_on: { b: { condition: service_healthy } } }, b: { image: x } }",
            "can never be",
        ),
        ("services: { a: { image: x, command: \"echo $PORT\" } }", "write $$"),
        ("services: { a: { image: x, volumes: [\"./no-such-file:/x\"] } }", "no ./no-such-file to mount"),
    ] {
        let told = compose_mistakes(text);
        assert!(told.iter().any(|told| told.contains(part)), "{text}: {told:?}");
    }
}

#[test]
fn six_nodes_and_the_proxy_agree_on_their_addresses() {
    let services = services(&read("docker/compose.yaml"));
    let nodes: BTreeSet<String> = (0..6)
        .map(|n| {
            let node = &services[&format!("node-{n}")];
            let port = variables(node)["PORT"].clone();
            assert_eq!(port, (7000 + n).to_string());
            format!("{}:{port}", node["networks"]["cluster"]["ipv4_address"].as_str().unwrap())
        })
        .collect();
    assert_eq!(nodes.len(), 6, "{nodes:?}");

    let script = services["init"]["command"][0].as_str().unwrap().to_owned();
    let create = script.split("--cluster-replicas 1").nth(1).unwrap().split("until").next().unwrap();
    let created: BTreeSet<String> =
        create.split_whitespace().filter(|word| *word != "\\").map(ToOwned::to_owned).collect();
    assert_eq!(created, nodes);

    let config = settings(&variables(&services["slotway"])).config;
    assert!(!config.cluster.seeds.is_empty());
    assert!(config.cluster.seeds.iter().all(|seed| nodes.contains(&seed.to_string())), "{:?}", config.cluster.seeds);
}

#[test]
fn the_proxy_is_published_on_loopback_and_has_time_to_drain() {
    let services = services(&read("docker/compose.yaml"));
    let slotway = &services["slotway"];
    let exposed = &last_stage(&read("docker/Dockerfile"))["EXPOSE"];
    assert_eq!(slotway["ports"][0].as_str().unwrap(), format!("127.0.0.1:7379:{exposed}"));
    let grace: u64 = slotway["stop_grace_period"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
    let config = settings(&variables(slotway)).config;
    assert!(grace > (config.worker.delay + config.worker.drain).as_secs(), "{grace} s");
}

#[test]
fn prometheus_scrapes_the_address_at_which_the_admin_port_is() {
    let services = services(&read("docker/compose.yaml"));
    let address = services["slotway"]["networks"]["cluster"]["ipv4_address"].as_str().unwrap();
    let port = variables(&services["slotway"])["SLOTWAY__ADMIN__ADDR"].rsplit(':').next().unwrap().to_owned();
    let scraped = YamlLoader::load_from_str(&read("docker/observability/prometheus.yaml")).unwrap();
    let targets = &scraped[0]["scrape_configs"][0]["static_configs"][0]["targets"];
    assert_eq!(targets[0].as_str().unwrap(), format!("{address}:{port}"));
}

#[test]
fn compose_itself_reads_the_file_where_it_is_installed() {
    let compose = |args: &[&str]| Command::new("docker").arg("compose").args(args).output();
    if !compose(&["version"]).is_ok_and(|out| out.status.success()) {
        return;
    }
    let out = compose(&["-f", "docker/compose.yaml", "config", "--quiet"]).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
