//! The configuration as its users meet it: `proxy.toml`, samples on disk, layers, and the binary's exit codes.
//!
//! `config/valid/NAME.toml` must load and show what `NAME.txt` says; `config/invalid/NAME.toml` must be refused
//! with exactly the lines of `NAME.txt`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

#[path = "config/schema.rs"]
mod schema;

use slotway::config::{Config, Level, Loaded, Mistakes, Sources, default_of, known_keys, load};
use slotway::net::Addr;

/// What `${NAME}` finds in the samples.
const SAMPLE_ENV: [(&str, &str); 6] = [
    ("NODE", "10.0.0.9"),
    ("NODE_PASSWORD", "topsecret"),
    ("HOPS", "7"),
    ("SEED_HOST", "10.0.0.1"),
    ("SECRET", "topsecret"),
    ("TIMEOUT", "5"),
];

fn pairs(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Loads a file with the environment of the samples.
fn load_sample(path: &Path) -> Result<Loaded, Mistakes> {
    load(&Sources { file: Some(path.to_owned()), env: pairs(&SAMPLE_ENV), seeds_needed: true, ..Sources::default() })
}

/// Loads with nothing but an environment.
fn load_env(env: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    load(&Sources { env: pairs(env), ..Sources::default() })
}

/// Writes `text` to a file of its own and loads it, with `env` and `flags` over it.
fn load_text(
    name: &str,
    text: &str,
    env: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<Loaded, Mistakes> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let flags = flags.iter().map(|(flag, key, value)| (*flag, *key, (*value).to_owned())).collect();
    let loaded = load(&Sources { file: Some(path.clone()), env: pairs(env), flags, seeds_needed: false });
    std::fs::remove_file(path).unwrap();
    loaded
}

fn samples(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new("tests/config").join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    paths.sort();
    assert!(!paths.is_empty(), "no samples in {folder}");
    paths
}

fn beside(sample: &Path) -> String {
    std::fs::read_to_string(sample.with_extension("txt"))
        .unwrap_or_else(|error| panic!("{}: {error}", sample.display()))
}

/// Drops the `# origin` comments of `config --effective`.
fn without_origins(effective: &str) -> String {
    effective.lines().map(|line| line.split(" # ").next().unwrap().trim_end().to_owned() + "\n").collect()
}

#[test]
fn valid_samples_show_what_they_say() {
    for sample in samples("valid") {
        let loaded = load_sample(&sample).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(without_origins(&loaded.effective()), beside(&sample), "{}", sample.display());
    }
}

#[test]
fn invalid_samples_tell_every_mistake() {
    for sample in samples("invalid") {
        let mistakes = load_sample(&sample).err().unwrap_or_else(|| panic!("{} was accepted", sample.display()));
        assert_eq!(format!("{mistakes}\n"), beside(&sample), "{}", sample.display());
    }
}

#[test]
fn no_message_shows_a_secret() {
    for sample in samples("invalid") {
        let mistakes = load_sample(&sample).err().map(|mistakes| format!("{mistakes} {mistakes:?}"));
        assert!(!mistakes.unwrap_or_default().contains("topsecret"), "{}", sample.display());
    }
    for sample in samples("valid") {
        let loaded = load_sample(&sample).unwrap();
        let shown = format!("{} {:?} {:?}", loaded.effective(), loaded.config, loaded.warnings);
        assert!(!shown.contains("topsecret") && !shown.contains("app's"), "{}", sample.display());
    }
}

/// A key line of `proxy.toml`, commented out or not.
struct Documented {
    path: String,
    line: String,
    commented: bool,
    explained: bool,
}

fn documented() -> Vec<Documented> {
    let text = std::fs::read_to_string("proxy.toml").unwrap();
    let (mut section, mut explained, mut found) = (String::new(), false, Vec::new());
    for line in text.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        let is_key = bare.starts_with(|c: char| c.is_ascii_lowercase()) && bare.contains(" = ");
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if is_key {
            let name = bare.split(" = ").next().unwrap();
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            found.push(Documented { path, line: bare.to_owned(), commented: line != bare, explained });
        }
        explained = line.starts_with("# ");
    }
    found
}

#[test]
fn proxy_toml_has_every_key_and_no_other() {
    let found = documented();
    let keys: Vec<&str> = found.iter().map(|key| key.path.as_str()).collect();
    assert_eq!(keys, known_keys().collect::<Vec<_>>());
    let bare: Vec<&str> = found.iter().filter(|key| !key.explained).map(|key| key.path.as_str()).collect();
    assert!(bare.is_empty(), "no comment above {bare:?}");
}

#[test]
fn proxy_toml_with_its_comments_taken_off_is_the_default() {
    let mut text = String::new();
    let mut uncommented = BTreeSet::new();
    for key in documented() {
        let (section, _) = key.path.split_once('.').unwrap_or_default();
        if default_of(&key.path).is_some() || !key.commented {
            let dotted = if section.is_empty() { key.line } else { format!("{section}.{}", key.line) };
            text.push_str(&(dotted + "\n"));
            uncommented.insert(key.path);
        }
    }
    assert!(uncommented.len() > 15, "{uncommented:?}");
    let mut loaded = load_text("defaults", &text, &[], &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loaded.config.cluster.seeds, [Addr::tcp("127.0.0.1", 7000)]);
    loaded.config.cluster.seeds.clear();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn proxy_toml_examples_of_keys_without_default_are_valid() {
    let env = [("CLIENT_PASSWORD", "a"), ("CLUSTER_PASSWORD", "b"), ("ADMIN_TOKEN", "c")];
    for key in documented().iter().filter(|key| default_of(&key.path).is_none() && !key.path.ends_with("_file")) {
        let line = key.line.replace("password_file = \"/run/secrets/app\"", "password = \"c\"");
        let section = key.path.split_once('.').unwrap().0;
        let extra = if key.path == "cluster.username" { "cluster.password = \"b\"\n" } else { "" };
        let loaded = load_text("examples", &format!("{section}.{line}\n{extra}"), &env, &[]);
        assert_ne!(loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).config, Config::default(), "{}", key.path);
    }
}

#[test]
fn the_file_as_shipped_loads() {
    let loaded = load_sample(Path::new("proxy.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn what_effective_prints_is_read_back() {
    for sample in samples("valid") {
        let first = load_sample(&sample).unwrap();
        let second = load_text("again", &first.effective(), &[], &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(without_origins(&first.effective()), without_origins(&second.effective()));
        assert_eq!(first.config.worker, second.config.worker);
        assert_eq!(first.config.cluster, second.config.cluster);
        assert_eq!(first.config.log, second.config.log);
    }
}

#[test]
fn stronger_layers_win() {
    let file = "workers = 1\n[cluster]\nrequest_timeout = \"1s\"\nconnect_timeout = \"250ms\"\nmax_redirects = 2\n";
    let env =
        [("SLOTWAY__WORKERS", "2"), ("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "3s"), ("SLOTWAY_LISTEN", "127.0.0.1:1")];
    let flags = [("--workers", "workers", "3"), ("--log-level", "log.level", "warn")];
    let loaded = load_text("layers", file, &env, &flags).unwrap();
    let config = &loaded.config;
    assert_eq!(config.worker.workers, 3);
    assert_eq!(config.log.level, Level::Warn);
    assert_eq!(config.backend.request_timeout, Duration::from_secs(3));
    assert_eq!(config.worker.addr, Addr::tcp("127.0.0.1", 1));
    assert_eq!(config.backend.max_redirects, 2);
    assert_eq!(config.worker.max_clients, Config::default().worker.max_clients);
    for part in ["workers = 3", "# --workers", "# environment variable SLOTWAY_LISTEN", "layers.toml:5:17"] {
        assert!(loaded.effective().contains(part), "{part} in\n{}", loaded.effective());
    }
}

#[test]
fn seeds_and_secrets_of_a_stronger_layer_replace_all_of_the_weaker() {
    let file = "[cluster]\nseeds = [\"redis://me:old@10.0.0.1:1\", \"10.0.0.2:1\"]\n";
    let env = [("SLOTWAY_SEEDS", "10.0.0.3:1, 10.0.0.4:1"), ("SLOTWAY_PASSWORD", "new")];
    let config = load_text("replace", file, &env, &[]).unwrap().config;
    assert_eq!(config.cluster.seeds, [Addr::tcp("10.0.0.3", 1), Addr::tcp("10.0.0.4", 1)]);
    let credentials = config.backend.credentials.unwrap();
    assert_eq!((credentials.username, credentials.password.as_str()), (None, "new"));

    let file = "[cluster]\nusername = \"me\"\npassword_file = \"no-such-file-but-overridden\"\n";
    let mistakes = load_text("file", file, &[("SLOTWAY_PASSWORD", "new")], &[]).err().unwrap();
    assert!(mistakes.to_string().contains("cannot read"), "a broken weaker layer is told too: {mistakes}");
}

#[test]
fn every_key_has_a_variable() {
    // Of each, a value that none takes: the mistake proves that the variable reached its key.
    for key in known_keys().filter(|key| !key.ends_with("password") && !key.ends_with("token")) {
        let variable = format!("SLOTWAY__{}", key.replace('.', "__").to_uppercase());
        let mistakes = load_env(&[(variable.as_str(), "no such value\u{7f}")]).err();
        if key == "listen.unix_socket" {
            assert!(mistakes.is_none(), "any text is a path");
            continue;
        }
        let mistakes = mistakes.unwrap_or_else(|| panic!("{variable} is not read"));
        assert_eq!(mistakes.0[0].key, key);
        assert!(mistakes.to_string().starts_with(&format!("environment variable {variable}: ")), "{mistakes}");
    }
}

#[test]
fn variables_with_a_slip_are_told() {
    let mistakes = load_env(&[("SLOTWAY__CLUSTER__REQUEST_TIMEOUTS", "1s"), ("SLOTWAY__CLUSTER_SEEDS", "a:1")]).err();
    let told = mistakes.unwrap().to_string();
    assert!(told.contains("did you mean SLOTWAY__CLUSTER__REQUEST_TIMEOUT?"), "{told}");
    assert!(told.contains("did you mean SLOTWAY__CLUSTER__SEEDS?"), "{told}");
    let twice = load_env(&[("SLOTWAY_LISTEN", "127.0.0.1:1"), ("SLOTWAY__LISTEN__ADDR", "127.0.0.1:2")]).err();
    assert!(twice.unwrap().to_string().contains("given twice"));
    // Kubernetes sets these for a service of this name; they are nobody's mistake.
    let kubernetes = [("SLOTWAY_SERVICE_HOST", "10.0.0.1"), ("SLOTWAY_PORT", "tcp://10.0.0.1:6379")];
    assert!(load_env(&kubernetes).unwrap().warnings.is_empty());
    assert!(load_env(&[("SLOTWAY_SEED", "a:1")]).unwrap().warnings[0].contains("did you mean SLOTWAY_SEEDS?"));
}

#[test]
fn an_open_door_is_a_loud_warning() {
    let open = load_env(&[("SLOTWAY_LISTEN", "0.0.0.0:7379")]).unwrap();
    assert!(open.warnings.iter().any(|warning| warning.contains("ANYONE")), "{:?}", open.warnings);
    let env = [("SLOTWAY_LISTEN", "0.0.0.0:7379"), ("SLOTWAY__AUTH__PASSWORD", "x")];
    assert!(load_env(&env).unwrap().warnings.is_empty());
    assert!(load_env(&[("SLOTWAY_LISTEN", "[::1]:7379")]).unwrap().warnings.is_empty());
}

#[test]
fn listeners_come_from_the_environment_too() {
    let file = "[listen]\nmax_clients = 7\n[auth]\npassword = \"a\"\n[listeners.reads]\naddr = \"127.0.0.1:1\"\n";
    let env = [
        ("SLOTWAY__LISTENERS__READS__ADDR", "0.0.0.0:2"),
        ("SLOTWAY__LISTENERS__READS__DENY", "@write, keys"),
        ("SLOTWAY__LISTENERS__OPEN__ADDR", "0.0.0.0:3"),
        ("SLOTWAY__LISTENERS__OPEN__PASSWORD", "b"),
    ];
    let loaded = load_text("listeners", file, &env, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let doors: Vec<_> = loaded.config.doors().collect();
    assert_eq!(doors.iter().map(|door| door.name).collect::<Vec<_>>(), ["listen", "reads", "open"]);
    assert_eq!(doors[1].addrs, [Addr::tcp("0.0.0.0", 2)]);
    assert_eq!(doors[1].client.deny, ["@write", "keys"]);
    assert_eq!(doors[1].client.users[0].password, "a", "as for all");
    assert_eq!(doors[2].client.users[0].password, "b");
    assert_eq!(doors[2].worker.max_clients, 7);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let open = [("SLOTWAY__LISTENERS__READS__USERS", "ann"), ("SLOTWAY__LISTENERS__READS__DENNY", "keys")];
    let told = load_text("listeners", file, &open, &[]).err().unwrap().to_string();
    assert!(told.contains("did you mean SLOTWAY__LISTENERS__READS__DENY?"), "{told}");
    let open = load_env(&[("SLOTWAY__LISTENERS__OPEN__ADDR", "0.0.0.0:3")]).unwrap();
    assert!(open.warnings[0].contains("ANYONE who reaches 0.0.0.0:3"), "{:?}", open.warnings);
}

/// What becomes of one configuration when another is read.
fn renewed(before: &str, after: &str) -> slotway::config::Renewed {
    let load = |text: &str| load_text("renewed", text, &[], &[]).unwrap_or_else(|mistakes| panic!("{mistakes}")).config;
    load(before).renewed(load(after))
}

#[test]
fn what_needs_a_restart_stays_and_is_named() {
    let before = "workers = 2\n[auth]\npassword = \"a\"\n[limits]\nargs = 100\n[keyspace]\npin = \"one\"\n\
                  [listeners.a]\naddr = \"127.0.0.1:1\"\n[listeners.b]\naddr = \"127.0.0.1:2\"\ndeny = [\"keys\"]\n";
    let after = "workers = 3\n[auth]\npassword = \"b\"\n[limits]\nargs = 200\n[keyspace]\npin = \"two\"\n\
                 [listeners.b]\naddr = \"127.0.0.1:3\"\ndeny = []\nsplit = \"off\"\n[listeners.c]\naddr = \"127.0.0.1:4\"\n";
    let renewed = renewed(before, after);
    assert_eq!(renewed.changed, ["auth.users", "limits.args", "listeners.b.deny", "listeners.b.split"]);
    let restart = ["workers", "keyspace.pin", "listeners.c", "listeners.a", "listeners.b.addr"];
    assert_eq!(renewed.restart, restart);
    let config = &renewed.config;
    assert_eq!((config.worker.workers, config.client.max_args), (2, 200));
    let doors: Vec<_> = config.doors().collect();
    assert_eq!(doors.iter().map(|door| door.name).collect::<Vec<_>>(), ["listen", "a", "b"]);
    assert_eq!(doors[2].addrs, [Addr::tcp("127.0.0.1", 2)]);
    assert_eq!((doors[2].client.deny.len(), doors[2].client.max_args), (0, 200));
    assert!(doors.iter().all(|door| door.client.keyspace.as_ref().is_some_and(|keyspace| keyspace.name() == "one")));
}

#[test]
fn every_change_of_a_key_is_noticed() {
    // For each key another value than its default, if it has one.
    let other = |key: &str, default: &str| {
        let number = default.parse::<i64>().map(|n| (n + 16).min(16).max(n / 2).to_string());
        match default.trim_matches('"') {
            _ if number.is_ok() => number.unwrap(),
            "off" if key == "admin.addr" => "\"127.0.0.1:1\"".to_owned(),
            "off" if key.starts_with("listen") => "\"on\"".to_owned(),
            "off" => "\"1s\"".to_owned(),
            "false" => "true".to_owned(),
            "[]" => "[\"keys\"]".to_owned(),
            "error" | "disabled" | "all" | "one_slot" | "shared" | "info" | "text" => {
                let words = ["ignore", "single", "reads", "per_slot", "own", "warn", "json"];
                let fits = |word: &&&str| load_text("word", &format!("{key} = \"{word}\""), &[], &[]).is_ok();
                format!("\"{}\"", words.iter().find(fits).unwrap_or_else(|| panic!("a word for {key}")))
            }
            text if text.contains(':') => "\"127.0.0.1:1\"".to_owned(),
            text if text.ends_with('b') => "\"123456\"".to_owned(),
            _ => "\"7s\"".to_owned(),
        }
    };
    let mut tried = 0;
    for key in known_keys() {
        let Some(default) = default_of(key) else { continue };
        let after = format!("{key} = {}", other(key, &default));
        let renewed = renewed("", &after);
        let told = if slotway::config::needs_restart(key) { &renewed.restart } else { &renewed.changed };
        assert_eq!(told, &[key], "{after}: {renewed:?}");
        let stays = renewed.config == Config::default();
        assert_eq!(stays, slotway::config::needs_restart(key), "{after}");
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn a_password_in_an_argument_is_a_warning() {
    let seeds = "redis://me:topsecret@10.0.0.1:7000";
    let flags = vec![("--seeds", "cluster.seeds", seeds.to_owned())];
    let loaded = load(&Sources { flags, ..Sources::default() }).unwrap();
    assert!(loaded.warnings.iter().any(|warning| warning.contains("--seeds is visible")), "{:?}", loaded.warnings);
    assert!(load_env(&[("SLOTWAY_SEEDS", seeds)]).unwrap().warnings.is_empty());
}

/// Runs the binary with a clean environment.
fn slotway(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_slotway")).args(args).env_clear().output().unwrap()
}

#[test]
fn exit_codes_say_what_happened() {
    for (args, code) in [
        (&["check", "--seeds", "127.0.0.1:7000"][..], 0),
        (&["-t", "--config", "proxy.toml"], 0),
        (&["--version"], 0),
        (&["help"], 0),
        (&["config", "--effective"], 0),
        (&["completions", "bash"], 0),
        (&["man"], 0),
        (&["check"], 78),
        (&["--listen", "nonsense", "--seeds", "127.0.0.1:7000"], 78),
        (&["run", "--workers", "-1", "--seeds", "127.0.0.1:7000"], 78),
        (&["check", "--config", "no/such/file.toml"], 78),
        (&["chekc"], 2),
        (&["--sed", "127.0.0.1:7000"], 2),
        (&["config", "--schema"], 0),
        (&["config", "--schema", "--effective"], 2),
        (&["config"], 2),
    ] {
        let out = slotway(args);
        let told = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {told}");
        assert_eq!(code == 0, !out.stdout.is_empty(), "{args:?} speaks on the wrong stream");
    }
}

#[test]
fn an_address_that_is_taken_is_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let out = slotway(&["--listen", &addr, "--seeds", "127.0.0.1:1"]);
    let told = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("cannot listen on {addr}")), "{told}");
}

#[test]
fn mistakes_are_counted_on_stderr() {
    let out = slotway(&["check", "--config", "tests/config/invalid/durations.toml"]);
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(told.starts_with(&beside(Path::new("tests/config/invalid/durations.toml"))), "{told}");
    assert!(told.ends_with("slotway: 6 mistakes in the configuration\n"), "{told}");
}

#[test]
fn the_version_names_commit_and_features() {
    let told = String::from_utf8(slotway(&["-V"]).stdout).unwrap();
    assert!(told.starts_with(&format!("slotway {} (commit ", env!("CARGO_PKG_VERSION"))), "{told}");
    assert!(told.contains("features: "), "{told}");
}
