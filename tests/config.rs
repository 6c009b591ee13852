//! The configuration as its users meet it: `proxy.toml`, samples on disk, layers, and the binary's exit codes.
//!
//! `config/valid/NAME.toml` must load and show what `NAME.txt` says; `config/invalid/NAME.toml` must be refused
//! with exactly the lines of `NAME.txt`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use slotway::config::{Certificates, Config, Level, Loaded, Mistakes, Sources, default_of, known_keys, load};
use slotway::net::Addr;

#[path = "pki/mod.rs"]
mod pki;

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
    let loaded = load(&Sources { file: Some(path.clone()), env: pairs(env), flags, ..Sources::default() });
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
        if key == "listen.unix_socket" || key.ends_with("tls_client_ca_file") || key.ends_with("tls_ca_file") {
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

/// Loads a text that stands beside certificates.
fn load_beside(folder: &pki::Folder, text: &str, certificates: Certificates) -> Result<Loaded, Mistakes> {
    load(&Sources { file: Some(folder.write("proxy.toml", text)), certificates, ..Sources::default() })
}

#[test]
fn certificates_are_looked_at_and_what_is_wrong_is_told_with_its_line() {
    let folder = pki::Folder::new("config-tls");
    let (authority, other) = (pki::Authority::new("one"), pki::Authority::new("another"));
    folder.write("ca.crt", &authority.pem);
    folder.write_pair("good", &authority.issue(&["slotway.example"]));
    folder.write_pair("other", &other.issue(&["slotway.example"]));
    folder.write_pair("expired", &authority.issue_until(&["slotway.example"], 2021));
    folder.write("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    folder.write("empty.crt", "");
    let listen = |cert: &str, key: &str, ca: &str| {
        format!("[listen]\ntls_cert_file = \"{cert}\"\ntls_key_file = \"{key}\"\ntls_client_ca_file = \"{ca}\"\n")
    };
    let good = listen("good.crt", "good.key", "ca.crt");
    let loaded = load_beside(&folder, &good, Certificates::Valid).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loaded.warnings, [""; 0]);
    for (text, line, key, part) in [
        (listen("none.crt", "good.key", "ca.crt"), 2, "listen.tls_cert_file", "No such file"),
        (listen("empty.crt", "good.key", "ca.crt"), 2, "listen.tls_cert_file", "there is no certificate in"),
        (listen("good.key", "good.key", "ca.crt"), 2, "listen.tls_cert_file", "there is no certificate in"),
        (listen("good.crt", "good.crt", "ca.crt"), 3, "listen.tls_key_file", "there is no private key in"),
        (listen("good.crt", "locked.key", "ca.crt"), 3, "listen.tls_key_file", "is encrypted"),
        (listen("good.crt", "other.key", "ca.crt"), 3, "listen.tls_key_file", "does not belong to the certificate"),
        (listen("good.crt", "good.key", "empty.crt"), 4, "listen.tls_client_ca_file", "there is no certificate in"),
        (listen("expired.crt", "expired.key", "ca.crt"), 2, "listen.tls_cert_file", "expired"),
        (
            "[cluster]\ntls = \"on\"\ntls_ca_file = \"none.crt\"\n".to_owned(),
            3,
            "cluster.tls_ca_file",
            "No such file",
        ),
        (
            "[cluster]\ntls = \"on\"\ntls_ca_file = \"ca.crt\"\ntls_cert_file = \"good.crt\"\ntls_key_file = \"other.key\"\n"
                .to_owned(),
            5,
            "cluster.tls_key_file",
            "does not belong to the certificate",
        ),
    ] {
        let mistakes = load_beside(&folder, &text, Certificates::Valid).expect_err(&text).to_string();
        assert_eq!(mistakes.lines().count(), 1, "{mistakes}");
        assert!(mistakes.contains(&format!("proxy.toml:{line}:")), "{mistakes}");
        assert!(mistakes.contains(key) && mistakes.contains(part), "{part}: {mistakes}");
        assert!(load_beside(&folder, &text, Certificates::Unread).is_ok(), "nobody has looked");
    }
    let expired = listen("expired.crt", "expired.key", "ca.crt");
    let loaded = load_beside(&folder, &expired, Certificates::Usable).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.warnings.iter().any(|warning| warning.contains(":2:") && warning.contains("expired")));
    let lenient = "[cluster]\nseeds = [\"rediss://h:1\"]\ntls_verify = \"off\"\n";
    let loaded = load_beside(&folder, lenient, Certificates::Valid).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.config.cluster.tls.on && loaded.warnings.iter().any(|warning| warning.contains("ANYONE")));
}
