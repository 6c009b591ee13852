//! The house law that no lint knows: which room may use which, how long files and functions may be, how a file
//! opens, and what must not be left lying about.
//!
//! The checks are plain functions over `(path, text)`, so that `tidy/broken.rs` can feed them samples that
//! break each law; `tidy/code.rs` reads the source. To add a room, give it a place in [`LAYERS`].

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "tidy/broken.rs"]
mod broken;
#[path = "tidy/code.rs"]
mod code;

use code::{code_only, functions, line_of, spell_out, words};

/// The rooms, the lowest first. A file uses only rooms above it in this list, and its own.
/// A folder or file of `src/`; `cluster/slot` stands apart from the rest of its folder.
const LAYERS: &[&[&str]] = &[
    &["net", "telemetry"],
    &["resp", "cluster/slot"],
    &["command"],
    &["keyspace"],
    &["merge", "cluster"],
    &["route", "replies", "scan"],
    &["backend", "pubsub"],
    &["client"],
    &["worker"],
    &["accept", "admin"],
    &["config", "doctor"],
    &["reload"],
    &["run"],
    &["demo"],
    &["lib"],
    &["cli"],
    &["main"],
];

/// Rooms that do no I/O and read no clock.
const PURE: &[&str] = &["resp", "command", "route", "keyspace", "merge", "replies", "scan", "cluster/slot"];

/// Words of code that such rooms have no use for.
const IMPURE: &[&str] =
    &["tokio::", "std::fs", "std::io", "std::net", "std::time", "std::thread", "Instant", "SystemTime"];

/// Words of code that only some rooms may use, and why. The demo stands beside the proxy: it starts processes and
/// talks to them with its own blocking sockets.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("metrics::", &["telemetry"], "only telemetry names metrics"),
    ("toml::", &["config"], "only config reads configuration files"),
    ("TcpStream", &["net", "demo"], "only net opens sockets"),
    ("TcpListener", &["net", "demo"], "only net opens sockets"),
    ("UnixStream", &["net", "demo"], "only net opens sockets"),
    ("UnixListener", &["net", "demo"], "only net opens sockets"),
    ("std::thread::sleep", &["demo"], "a thread that sleeps serves nobody: await tokio::time::sleep"),
    ("SystemTime", &["client", "demo", "telemetry"], "the wall clock jumps: Instant, but for what a person reads"),
    ("println!", &[], "write to a locked stdout or stderr, or log"),
    ("print!", &[], "write to a locked stdout or stderr, or log"),
    ("eprintln!", &[], "log"),
    ("eprint!", &[], "write to a locked stdout or stderr, or log"),
    ("dbg!", &[], "a leftover of debugging"),
    ("todo!", &[], "finish it"),
    ("unimplemented!", &[], "finish it"),
];

/// Words that no line may hold, comments included.
const LEFTOVERS: &[&str] = &["FIXME", "XXX", "TODO", "HACK"];

/// What must not stand in any file of the project. In two halves, or this file would hold it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("index.cra", "tes.io"),
    ("static.cra", "tes.io"),
    ("registry.n", "pmjs.org"),
    ("py", "pi.org"),
    ("files.pyt", "honhosted.org"),
];

/// Files that tools write: they name their registry themselves.
const GENERATED: &[&str] = &["Cargo.lock", "package-lock.json"];

const MAX_FILE_LINES: usize = 450;
const MAX_MAIN_LINES: usize = 80;
const MAX_FUNCTION_LINES: usize = 70;
/// Shorter opening words say nothing.
const MIN_DOC_CHARS: usize = 20;

/// A source file: its path below `src/` without extension, its text, and its code without comments and strings.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.trim_end_matches(".rs").to_owned(), text: text.to_owned(), code: code_only(text) }
    }

    /// Its module path; `net/mod` is the module `net`, `lib` is the root.
    fn module(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts.pop_if(|last| matches!(*last, "mod" | "lib"));
        parts
    }

    fn room(&self) -> Option<(usize, &'static str)> {
        if self.path == "lib" { place(&["lib"]) } else { place(&self.module()) }
    }

    /// The code before the unit tests; a file of tests ships nothing.
    fn shipped(&self) -> &str {
        if self.path.ends_with("/tests") {
            return "";
        }
        let inline = |at: &usize| self.code[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
        let tests = self.code.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at).find(inline);
        &self.code[..tests.unwrap_or(self.code.len())]
    }
}

/// Row and name of the room that a module path lies in; the longest name wins.
fn place(module: &[&str]) -> Option<(usize, &'static str)> {
    let names = [module.get(..2).map(|two| two.join("/")), module.first().map(|one| (*one).to_owned())];
    let rows = || LAYERS.iter().enumerate().flat_map(|(row, rooms)| rooms.iter().map(move |room| (row, *room)));
    names.into_iter().flatten().find_map(|name| rows().find(|(_, room)| *room == name))
}

/// What a file uses of the crate: line, and path from the crate's root.
fn uses(source: &Source) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut spell = |code: &str, at: usize, base: Vec<String>, skipped: usize| {
        let mut paths = Vec::new();
        spell_out(&code[at + skipped..], &base, &mut paths);
        found.extend(paths.into_iter().map(|path| (line_of(code, at), path)));
    };
    for at in words(&source.code, "crate::") {
        spell(&source.code, at, Vec::new(), "crate::".len());
    }
    // Inside the unit tests `super` is the file itself.
    let code = source.shipped();
    for at in words(code, "super::").filter(|at| !code[..*at].ends_with("::")) {
        let mut base: Vec<String> = source.module().into_iter().map(ToOwned::to_owned).collect();
        let mut skipped = 0;
        while code[at + skipped..].starts_with("super::") {
            skipped += "super::".len();
            base.pop();
        }
        spell(code, at, base, skipped);
    }
    found
}

/// Names that a folder's `mod.rs` re-exports, with the file they come from.
fn reexports(face: &Source) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for at in words(face.shipped(), "pub use ") {
        let mut paths = Vec::new();
        spell_out(face.shipped()[at + "pub use ".len()..].trim_start_matches("self::"), &[], &mut paths);
        names.extend(paths.into_iter().filter_map(|path| Some((path.last()?.clone(), path.first()?.clone()))));
    }
    names
}

/// Files use lower layers only, and inside a folder there is no circle.
///
/// A folder's `mod.rs` is its face: it may use its files, and they may use what is defined in it.
fn layering(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let faces = sources.iter().filter(|s| s.path.ends_with("/mod"));
    let faces: BTreeMap<String, _> = faces.map(|face| (face.module().join("/"), reexports(face))).collect();
    let modules: BTreeSet<String> = sources.iter().map(|source| source.module().join("/")).collect();
    // What a room's tests compare it with may stand anywhere.
    for source in sources.iter().filter(|source| !source.path.ends_with("/tests")) {
        let Some((own_row, own_room)) = source.room() else {
            wrong.push(format!("{}: this room has no place in LAYERS", source.path));
            continue;
        };
        for (line, path) in uses(source) {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            let (row, room) = place(&parts).or_else(|| place(&["lib"])).unwrap_or_default();
            if room != own_room {
                if row >= own_row {
                    wrong.push(format!("{}:{line}: {own_room} must not use {}", source.path, path.join("::")));
                }
                continue;
            }
            let module = source.module();
            let (Some(from), Some(name)) = (module.get(1), parts.get(1)) else { continue };
            let original = faces.get(room).and_then(|names| names.get(*name)).map_or(*name, String::as_str);
            if original != *from && modules.contains(&format!("{room}/{original}")) {
                edges.entry(format!("{room}/{from}")).or_default().insert(format!("{room}/{original}"));
            }
        }
    }
    wrong.extend(circles(&edges));
    wrong
}

/// Every file that reaches itself.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reaches_itself = |start: &String| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![start]);
        while let Some(at) = todo.pop() {
            todo.extend(edges.get(at).into_iter().flatten().filter(|next| seen.insert(*next)));
        }
        seen.contains(start)
    };
    edges.keys().filter(|file| reaches_itself(file)).map(|file| format!("{file}: part of a circle of uses")).collect()
}

/// Files open with a paragraph, and neither they nor their functions are too long.
fn lengths(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let (path, lines) = (&source.path, source.text.lines().count());
    let most = if path == "main" { MAX_MAIN_LINES } else { MAX_FILE_LINES };
    if lines > most {
        wrong.push(format!("{path}: {lines} lines, {most} at most"));
    }
    let opening = source.text.lines().map_while(|line| line.strip_prefix("//!"));
    if opening.map(|line| line.trim().chars().count()).sum::<usize>() < MIN_DOC_CHARS {
        wrong.push(format!("{path}: the file does not open by saying what it is for"));
    }
    for (line, name, length) in functions(&source.code) {
        if length > MAX_FUNCTION_LINES {
            wrong.push(format!("{path}:{line}: {name} has {length} lines, {MAX_FUNCTION_LINES} at most"));
        }
    }
    wrong
}

/// Words that this room, or the whole house, has no use for.
fn vocabulary(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let (path, code, room) = (&source.path, source.shipped(), source.room().map_or("", |(_, room)| room));
    let mut note = |code: &str, word: &str, why: &str| {
        wrong.extend(words(code, word).map(|at| format!("{path}:{}: {word} here: {why}", line_of(code, at))));
    };
    for (word, rooms, why) in RESERVED {
        // Only the command line speaks to a terminal.
        let speaks = room == "cli" && word.contains("print");
        if !speaks && !rooms.contains(&room) {
            note(code, word, why);
        }
    }
    if PURE.contains(&room) {
        for word in IMPURE {
            note(code, word, "this room does no I/O and reads no clock");
        }
    }
    for word in LEFTOVERS {
        note(&source.text, word, "a leftover");
    }
    wrong
}

/// Words that no file of the project may hold.
fn forbidden(path: &str, text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let held = FORBIDDEN.iter().map(|(a, b)| format!("{a}{b}")).filter(|word| lower.contains(word));
    held.map(|word| format!("{path}:{}: {word}", line_of(&lower, lower.find(&word).unwrap_or(0)))).collect()
}

fn all_laws(sources: &[Source]) -> Vec<String> {
    let mut wrong = layering(sources);
    wrong.extend(sources.iter().flat_map(|source| [lengths(source), vocabulary(source)].concat()));
    wrong
}

/// Every Rust file below `folder`, with its path relative to it.
fn sources(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.push(Source::new(name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every file that git knows or would take; without git, every file but what is built.
fn project_files() -> Vec<PathBuf> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    if let Ok(out) = std::process::Command::new("git").args(listed).output()
        && out.status.success()
    {
        let names = String::from_utf8(out.stdout).unwrap();
        return names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    }
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from(".")]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let built = ["target", ".git", "node_modules"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !built && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} broken:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_house_keeps_its_law() {
    let sources = sources(Path::new("src"));
    assert!(sources.len() > 10, "{} files found", sources.len());
    assert_none(&all_laws(&sources));
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let files = project_files();
    assert!(files.iter().any(|path| path.ends_with("Cargo.toml")), "{files:?}");
    let texts = files.iter().filter(|path| !GENERATED.iter().any(|name| path.ends_with(name)));
    let texts = texts.filter_map(|path| Some((path.display().to_string(), std::fs::read_to_string(path).ok()?)));
    assert_none(&texts.flat_map(|(path, text)| forbidden(&path, &text)).collect::<Vec<_>>());
}
