//! Every command row that routes, asked of a plain server and through the proxy: the same bytes come back, in RESP2
//! and in RESP3.
//!
//! The commands stand in `rows/*.txt`, one a line, as one would type them into `redis-cli`; `@` stands for a prefix
//! that differs between the protocols. What stands before a command says how its answers are compared:
//!
//! - nothing: byte for byte;
//! - `%`: the same elements in any order (a hash table's order differs from process to process);
//! - `~`: the same shape (times, random picks);
//! - `! TEXT |`: sent only to the proxy, whose answer begins with TEXT, for what a cluster cannot do.

use std::collections::BTreeSet;

use slotway::command::{self, Plan};

use crate::harness::{Client, Reply, Value, alone, direct, plain, proxy, words};

/// Each file of commands with its name.
const ROWS: [(&str, &str); 10] = [
    ("strings", include_str!("rows/strings.txt")),
    ("lists", include_str!("rows/lists.txt")),
    ("hashes", include_str!("rows/hashes.txt")),
    ("sets", include_str!("rows/sets.txt")),
    ("zsets", include_str!("rows/zsets.txt")),
    ("streams", include_str!("rows/streams.txt")),
    ("bits", include_str!("rows/bits.txt")),
    ("keys", include_str!("rows/keys.txt")),
    ("scripts", include_str!("rows/scripts.txt")),
    ("server", include_str!("rows/server.txt")),
];

/// How two answers are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare<'a> {
    Bytes,
    Elements,
    Shape,
    OnlyProxy(&'a str),
}

/// The lines of one file: how to compare, and the command with its prefix put in.
fn lines<'a>(text: &'a str, prefix: &str) -> Vec<(Compare<'a>, String)> {
    let wanted = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &'a str| match line.split_at_checked(2) {
        Some(("% ", rest)) => (Compare::Elements, rest),
        Some(("~ ", rest)) => (Compare::Shape, rest),
        Some(("! ", rest)) => {
            let (text, rest) = rest.split_once(" | ").expect("`! TEXT | command`");
            (Compare::OnlyProxy(text), rest)
        }
        _ => (Compare::Bytes, line),
    };
    wanted.map(split).map(|(compare, line)| (compare, line.replace('@', prefix))).collect()
}

/// Whether the answers agree.
fn agree(compare: Compare<'_>, proxied: &Reply, single: &Reply) -> bool {
    match compare {
        Compare::Bytes => proxied.raw == single.raw,
        Compare::Elements => sorted(proxied) == sorted(single),
        Compare::Shape => shape(&proxied.value) == shape(&single.value),
        Compare::OnlyProxy(_) => false,
    }
}

fn sorted(reply: &Reply) -> Vec<String> {
    let mut elements: Vec<_> = reply.many().iter().map(|value| format!("{value:?}")).collect();
    elements.sort();
    elements.push(format!("{:?}", reply.raw.first()));
    elements
}

/// Types and lengths, without what varies.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Simple(_) => "simple".to_owned(),
        Value::Error(text) => format!("error {text}"),
        Value::Int(_) => "int".to_owned(),
        Value::Bulk(_) => "bulk".to_owned(),
        Value::Other(kind, _) => format!("other {kind}"),
        Value::Many(kind, items) => format!("{kind}{:?}", items.iter().map(shape).collect::<Vec<_>>()),
    }
}

/// Runs every line in one protocol; all differences in one message.
fn compare_all(resp3: bool) {
    // Scripts and functions belong to the whole server, so the two protocols take turns.
    let _alone = alone();
    let (proxy, prefix) = (proxy(), if resp3 { "r3:" } else { "r2:" });
    let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
    let mut differences = Vec::new();
    for (file, text) in ROWS {
        let (mut through, mut single) = (connect(proxy.addr()), connect(plain().addr()));
        // Each file has keys of its own, so that the files do not depend on each other.
        for (compare, line) in lines(text, &format!("{prefix}{file}:")) {
            let command = words(&line);
            if let Compare::OnlyProxy(text) = compare {
                if !direct() && !through.call(&command).text().starts_with(text) {
                    differences.push(format!("{file}: {line}\n  expected {text}"));
                }
                continue;
            }
            let (expected, answer) = (single.call(&command), through.call(&command));
            if !agree(compare, &answer, &expected) {
                differences.push(format!("{file}: {line}\n  expected {expected:?}\n  answered {answer:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn every_command_answers_as_a_single_server_in_resp2() {
    compare_all(false);
}

#[test]
fn every_command_answers_as_a_single_server_in_resp3() {
    compare_all(true);
}

/// Every row that the proxy sends somewhere.
fn routed() -> impl Iterator<Item = &'static command::Spec> {
    let all = command::all().flat_map(|spec| std::iter::once(spec).chain(spec.subs));
    all.filter(|spec| matches!(spec.plan, Plan::ByKey | Plan::Split(_) | Plan::AnyNode | Plan::Primaries(_)))
}

/// Rows that concern all keys at once, and so would disturb the tests beside this one; `split` looks after them. And
/// one that has more to tell on a node of a cluster.
const ELSEWHERE: [&str; 5] = ["dbsize", "flushall", "flushdb", "keys", "memory|stats"];

#[test]
fn every_row_that_routes_is_compared() {
    let mut compared = BTreeSet::new();
    for (_, text) in ROWS {
        for (compare, line) in lines(text, "") {
            let command = words(&line).into_iter().map(|word| String::from_utf8_lossy(&word).to_lowercase());
            let command: Vec<_> = command.take(2).collect();
            if !matches!(compare, Compare::OnlyProxy(_)) {
                compared.insert(command[0].clone());
                compared.insert(command.join("|"));
                compared.insert(command.join(" "));
            }
        }
    }
    let missing: Vec<_> = routed()
        .map(command::Spec::full_name)
        .filter(|name| !compared.contains(name) && !ELSEWHERE.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no line in rows/ for: {missing:?}");
}

#[test]
fn command_info_tells_all_that_the_server_tells() {
    let proxy = proxy();
    let (mut through, mut single) = (Client::connect(proxy.addr()), Client::connect(plain().addr()));
    let rows: Vec<_> = command::all().map(|spec| spec.name).filter(|name| *name != "proxy").collect();
    for name in rows {
        let ask = ["COMMAND", "INFO", name];
        let (answer, expected) = (through.call(&ask), single.call(&ask));
        assert_eq!(entry(&answer.many()[0]), entry(&expected.many()[0]), "{name}");
    }
}

/// An entry of COMMAND with those of its subcommands, by name; key specifications without the server's notes.
fn entry(value: &Value) -> Vec<String> {
    let Value::Many(_, fields) = value else { return vec![format!("{value:?}")] };
    let younger = |sub: &&Value| {
        let Value::Many(_, fields) = sub else { return false };
        let names: [&[u8]; 2] = [b"client|no-touch", b"client|setinfo"];
        names.iter().any(|name| fields[0] == Value::Bulk(name.to_vec()))
    };
    let Value::Many(_, specs) = &fields[8] else { panic!("no key specifications: {value:?}") };
    let specs: Vec<_> = specs.iter().map(without_notes).collect();
    let mut told = vec![fields[..8].iter().map(unordered).collect::<Vec<_>>().join(" "), specs.join(" ")];
    let Value::Many(_, subs) = &fields[9] else { panic!("no subcommands: {value:?}") };
    let subs = subs.iter().filter(|sub| !younger(sub));
    let mut subs: Vec<_> = subs.map(|sub| entry(sub).join(" ")).collect();
    subs.sort();
    told.extend(subs);
    told
}

fn without_notes(spec: &Value) -> String {
    let Value::Many(_, fields) = spec else { panic!("no key specification: {spec:?}") };
    fields
        .chunks(2)
        .filter(|pair| pair[0] != Value::Bulk(b"notes".to_vec()))
        .map(|pair| format!("{pair:?}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The flags are a set.
fn unordered(value: &Value) -> String {
    let Value::Many(_, items) = value else { return format!("{value:?}") };
    let mut items: Vec<_> = items.iter().map(unordered).collect();
    items.sort();
    items.join(" ")
}

#[test]
fn what_is_not_built_or_not_offered_says_so_and_changes_nothing() {
    if direct() {
        return;
    }
    let proxy = proxy();
    let mut client = Client::connect(proxy.addr());
    client.line("RPUSH refused:l a").ok();
    let refused = [
        "MIGRATE 127.0.0.1 1 refused:l 0 1",
        "SHUTDOWN NOSAVE",
        "DEBUG SLEEP 0",
        "REPLICAOF NO ONE",
        "CONFIG SET maxmemory 1",
        "CLUSTER RESET HARD",
        "ACL SETUSER x",
        "SAVE",
        "SWAPDB 0 1",
        "MODULE LOAD x",
        "FAILOVER",
        "CLIENT TRACKING ON",
        "ASKING",
    ];
    for line in refused {
        let reply = client.line(line);
        assert!(reply.error().is_some(), "{line} answered {reply:?}");
        assert_eq!(client.line("PING").text(), "+PONG\r\n", "after {line}");
    }
    assert_eq!(client.line("LRANGE refused:l 0 -1").text(), "*1\r\n$1\r\na\r\n");
}
