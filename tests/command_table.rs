//! Every row of the command table beside what a real redis-server 7.0 says of that command.
//!
//! Two throw-away servers on loopback are the oracles: a plain one for `COMMAND`, `COMMAND GETKEYS` and the wording of
//! errors, and a cluster node that owns a single slot: it refuses a command exactly when it sees a key outside of it.
//! How a request then travels is tested elsewhere.

#![expect(clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use slotway::command::keys::{each_key, first_key};
use slotway::command::{Spec, all, lookup};
use slotway::resp::request::{Request, Span};

const SAMPLES: &str = include_str!("command_samples.txt");

/// Rows that a 7.0 server does not have: current clients send them to any server.
const YOUNGER: [&str; 2] = ["client|no-touch", "client|setinfo"];

/// Whether a row is one of the proxy's own.
fn is_own(name: &str) -> bool {
    name == "proxy" || name.starts_with("proxy|")
}

/// Where `COMMAND GETKEYS` tells something else than the node itself goes by when it checks slots, and what it tells.
const GETKEYS_DIFFERS: [(&str, &str); 8] = [
    // The last of these words wins; GETKEYS takes the first of each.
    ("GEORADIUS key 15 37 200 km STORE other STOREDIST target", "key other target"),
    ("GEORADIUSBYMEMBER key member 200 km STORE other STORE target", "key other"),
    // GETKEYS takes a consumer of that name for the word.
    ("XREADGROUP COUNT 1 GROUP group streams STREAMS key >", "STREAMS"),
    // For GETKEYS, sources have to follow the target.
    ("PFMERGE target", "-ERR Invalid arguments specified for command"),
    // Channels have slots, but GETKEYS knows only keys.
    ("SPUBLISH channel message", "-ERR The command has no key arguments"),
    ("SSUBSCRIBE channel", "-ERR The command has no key arguments"),
    ("SSUBSCRIBE channel channel2", "-ERR The command has no key arguments"),
    ("SUNSUBSCRIBE channel channel2", "-ERR The command has no key arguments"),
];

/// Requests whose keys cannot be told, each answered by the server with the error that the table gives.
const MISTAKES: &str = "\
EVAL return(1) x key|EVAL return(1) 01 key|EVAL return(1) +1 key|EVAL return(1) 2 key|EVAL return(1) -1 key\
|EVAL return(1) 9223372036854775807 key|EVAL return(1) 9223372036854775808 key|EVAL_RO return(1) 2 key\
|EVALSHA ffffffffffffffffffffffffffffffffffffffff 2 key|EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff x key\
|FCALL known x key|FCALL known 2 key|FCALL known -1 key|FCALL_RO known 01 key|FCALL_RO known 5 key\
|ZUNION x key|ZUNION 0 key|ZUNION -1 key|ZUNION 2 key|ZINTER 0 key|ZINTER 2 key|ZDIFF 0 key|ZDIFF 3 key key2\
|ZINTERCARD x key|ZINTERCARD 0 key|ZINTERCARD 2 key|ZUNIONSTORE target x key|ZUNIONSTORE target 0 key\
|ZINTERSTORE target 2 key|ZDIFFSTORE target -1 key|SINTERCARD x key|SINTERCARD 0 key|SINTERCARD 2 key\
|LMPOP x key LEFT|LMPOP 0 key LEFT|LMPOP 3 key LEFT|ZMPOP -1 key MIN|ZMPOP 3 key MIN|BLMPOP 0.01 x key LEFT\
|BLMPOP 0.01 3 key LEFT|BZMPOP 0.01 0 key MIN|BZMPOP 0.01 3 key MIN|MSET key text key2|MSETNX key text key2\
|XREAD STREAMS key key2 0|XREAD COUNT 1 STREAMS|XREAD COUNT 1 BLOCK 1|XREADGROUP GROUP group consumer STREAMS key 0 1";

#[test]
fn every_command_of_the_server_has_its_row_and_every_row_its_command() {
    let server = Server::plain();
    let told: BTreeMap<String, Row> = rows_told_by(&server.ask(&["COMMAND"])).collect();
    let mut known = BTreeSet::new();
    for spec in all().flat_map(|spec| std::iter::once(spec).chain(spec.subs)) {
        let name = spec.full_name();
        if let Some(row) = told.get(&name) {
            assert_eq!(*row, Row::of(spec), "{name}: the server (left) and the table differ");
        } else {
            assert!(YOUNGER.contains(&name.as_str()) || is_own(&name), "the server has no {name}");
        }
        known.insert(name);
    }
    let missing: Vec<&String> = told.keys().filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    assert!(YOUNGER.iter().all(|name| !told.contains_key(*name)), "the server knows what is listed as younger");
}

#[test]
fn every_command_with_keys_has_a_sample() {
    let sampled: BTreeSet<String> = samples().map(|words| spec_of(&words).full_name()).collect();
    let rows = all().flat_map(|spec| std::iter::once(spec).chain(spec.subs));
    let missing: Vec<String> =
        rows.filter(|spec| !spec.keys.is_empty()).map(Spec::full_name).filter(|name| !sampled.contains(name)).collect();
    assert!(missing.is_empty(), "add a line to tests/command_samples.txt for {missing:?}");
}

#[test]
fn keys_are_where_command_getkeys_finds_them() {
    let server = Server::plain();
    let lines: Vec<String> = samples().map(|words| words.join(" ")).collect();
    assert!(GETKEYS_DIFFERS.iter().all(|(sample, _)| lines.iter().any(|line| line == sample)), "an exception is gone");
    for words in samples() {
        let line = words.join(" ");
        let answer = match server.ask(&[&["COMMAND", "GETKEYS"], words.as_slice()].concat()) {
            Value::Array(keys) => keys.iter().map(Value::text).collect::<Vec<_>>().join(" "),
            // Which is how it says that there are none this time.
            Value::Error(error) if error.contains("no key arguments") && positions(&words).is_empty() => String::new(),
            other => format!("-{}", other.text()),
        };
        let found = positions(&words).into_iter().map(|at| words[at]).collect::<Vec<_>>().join(" ");
        match GETKEYS_DIFFERS.iter().find(|(sample, _)| *sample == line) {
            Some((_, told)) => assert!(answer == *told && found != answer, "{line}: no longer an exception: {answer}"),
            None => assert_eq!(answer, found, "{line}: the server (left) and the table differ"),
        }
    }
}

#[test]
fn a_cluster_node_looks_at_the_same_keys() {
    let node = Server::node_of_one_slot("here");
    for words in samples() {
        let line = words.join(" ");
        let keys = positions(&words);
        let request = |elsewhere: Option<usize>| -> Vec<String> {
            let tagged = |(at, word): (usize, &&str)| {
                let tag = if elsewhere == Some(at) { "{elsewhere}" } else { "{here}" };
                if keys.contains(&at) { format!("{tag}{word}") } else { (*word).to_owned() }
            };
            words.iter().enumerate().map(tagged).collect()
        };
        let refused = |elsewhere| match node.ask(&request(elsewhere)) {
            Value::Error(error) => error.starts_with("CROSSSLOT") || error.starts_with("CLUSTERDOWN"),
            _ => false,
        };
        assert!(!refused(None), "{line}: the node sees a key that the table does not");
        for at in &keys {
            assert!(refused(Some(*at)), "{line}: for the node, argument {at} is no key");
        }
    }
}

#[test]
fn a_wrong_count_is_worded_as_the_server_words_it() {
    let server = Server::plain();
    let library = "#!lua name=sample\nredis.register_function{function_name='known',callback=function() return 1 end,\
                   flags={'no-writes'}}";
    assert_eq!(server.ask(&["FUNCTION", "LOAD", library]).text(), "sample");
    for line in MISTAKES.split('|') {
        let words: Vec<&str> = line.split(' ').collect();
        let error = with_request(&words, |spec, request| each_key(spec, request, |_| ()).map_err(|e| e.to_string()));
        assert_eq!(Value::Error(error.expect_err(line)), server.ask(&words), "{line}: the table (left) and the server");
    }
}

// The table's side.

fn samples() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = SAMPLES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect())
}

fn spec_of(words: &[&str]) -> &'static Spec {
    with_request(words, |spec, _| spec)
}

fn positions(words: &[&str]) -> Vec<usize> {
    with_request(words, |spec, request| {
        let mut found = Vec::new();
        each_key(spec, request, |at| found.push(at)).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(first_key(spec, request), Ok(found.first().copied()), "{words:?}");
        assert!(spec.arity_ok(words.len()), "{words:?} has a wrong number of arguments");
        found
    })
}

fn with_request<T>(words: &[&str], look: impl FnOnce(&'static Spec, &Request<'_>) -> T) -> T {
    let frame = words.concat();
    let mut start = 0;
    let span = |word: &&str| {
        let span = Span { start, len: u32::try_from(word.len()).expect("short") };
        start += span.len;
        span
    };
    let spans: Vec<Span> = words.iter().map(span).collect();
    let request = Request::new(frame.as_bytes(), &spans);
    let spec = lookup(request.name()).and_then(|spec| spec.resolve(&request));
    look(spec.unwrap_or_else(|| panic!("no row for {words:?}")), &request)
}

/// What a row and an entry of `COMMAND` both tell.
#[derive(Debug, PartialEq)]
struct Row {
    arity: i64,
    flags: Vec<String>,
    legacy_keys: (i64, i64, i64),
    /// Whether there are key specifications at all, where the legacy positions may be zeros.
    keys: bool,
}

impl Row {
    fn of(spec: &Spec) -> Self {
        Self {
            arity: spec.arity.into(),
            flags: spec.flags.names().map(str::to_owned).collect(),
            legacy_keys: spec.legacy_keys(),
            keys: !spec.keys.is_empty(),
        }
    }
}

/// The entries of a `COMMAND` reply, those of subcommands too.
fn rows_told_by(reply: &Value) -> Box<dyn Iterator<Item = (String, Row)> + '_> {
    Box::new(reply.items().iter().flat_map(|entry| {
        let entry = entry.items();
        let row = Row {
            arity: entry[1].integer(),
            flags: entry[2].items().iter().map(Value::text).collect(),
            legacy_keys: (entry[3].integer(), entry[4].integer(), entry[5].integer()),
            keys: !entry[8].items().is_empty(),
        };
        std::iter::once((entry[0].text(), row)).chain(rows_told_by(&entry[9]))
    }))
}

// The server's side.

/// A redis-server of this test's own, which ends with it.
struct Server {
    child: Child,
    port: u16,
    /// Where it keeps its files, when it has any.
    dir: Option<PathBuf>,
}

impl Server {
    fn plain() -> Self {
        Self::start(&[], None)
    }

    /// A cluster of one node that serves only the slot of `tag`.
    fn node_of_one_slot(tag: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("one-slot-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory of its own");
        let (place, bus) = (dir.to_str().expect("a path in UTF-8"), free_port().to_string());
        let cluster = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"];
        let options = [&cluster[..], &["--cluster-port", &bus, "--dir", place]].concat();
        let node = Self::start(&options, Some(dir.clone()));
        let slot = node.ask(&["CLUSTER", "KEYSLOT", tag]).integer().to_string();
        assert_eq!(node.ask(&["CLUSTER", "ADDSLOTS", &slot]).text(), "OK");
        until("the cluster is up", || node.ask(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok"));
        node
    }

    /// Tries several ports, because another program may take one between the look and the start.
    fn start(options: &[&str], dir: Option<PathBuf>) -> Self {
        let server = (0..10).find_map(|_| Self::start_on(free_port(), options));
        let mut server = server.expect("redis-server ends as soon as it is started");
        server.dir = dir;
        let info = server.ask(&["INFO", "server"]).text();
        assert!(info.contains("redis_version:7.0."), "this test needs redis-server 7.0; found: {info}");
        server
    }

    fn start_on(port: u16, options: &[&str]) -> Option<Self> {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server does not start ({error}); install redis-server 7.0"));
        let mut server = Self { child, port, dir: None };
        let mut ended = false;
        until("redis-server listens", || {
            ended = server.child.try_wait().expect("a child of this test").is_some();
            ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let own = format!("process_id:{}\r", server.child.id());
        (!ended && server.ask(&["INFO", "server"]).text().contains(&own)).then_some(server)
    }

    /// One request on a connection of its own, so that no request changes what a later one means.
    fn ask<T: AsRef<str>>(&self, words: &[T]) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let bulk = |word: &T| format!("${}\r\n{}\r\n", word.as_ref().len(), word.as_ref());
        let frame = format!("*{}\r\n{}", words.len(), words.iter().map(bulk).collect::<String>());
        stream.write_all(frame.as_bytes()).expect("the request leaves");
        Value::read(&mut BufReader::new(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // These fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(dir) = &self.dir {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// A port below those that the system gives to outgoing connections, free at this moment.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut ports = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        (20_000 + (std::process::id() * 31 + step) % 12_000) as u16
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("ports never end")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A RESP2 reply.
#[derive(Debug, PartialEq)]
enum Value {
    Text(String),
    Error(String),
    Integer(i64),
    Array(Vec<Self>),
    Nil,
}

impl Value {
    fn read(from: &mut impl BufRead) -> Self {
        let mut line = String::new();
        from.read_line(&mut line).expect("a reply in time");
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().expect("a number");
        match kind {
            "+" => Self::Text(rest.to_owned()),
            "-" => Self::Error(rest.to_owned()),
            ":" => Self::Integer(number()),
            "$" | "*" if rest == "-1" => Self::Nil,
            "*" => Self::Array((0..number()).map(|_| Self::read(from)).collect()),
            "$" => {
                let mut bytes = vec![0; usize::try_from(number()).expect("a length") + 2];
                from.read_exact(&mut bytes).expect("the whole reply");
                bytes.truncate(bytes.len() - 2);
                Self::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => panic!("not RESP2: {line:?}"),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Error(text) => text.clone(),
            other => panic!("not a text: {other:?}"),
        }
    }

    fn integer(&self) -> i64 {
        match self {
            Self::Integer(integer) => *integer,
            other => panic!("not an integer: {other:?}"),
        }
    }

    fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }
}
