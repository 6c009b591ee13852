//! Samples that break each law: what finds nothing in the house must find something here.

use super::*;

const DOC: &str = "//! A file that says at length what it is for.\n";

/// The laws that a house of these files breaks.
fn broken(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, &format!("{DOC}{text}"))).collect();
    all_laws(&sources)
}

fn assert_told(files: &[(&str, &str)], parts: &[&str]) {
    let told = broken(files);
    assert_eq!(told.len(), parts.len(), "{told:?}");
    for (told, part) in told.iter().zip(parts) {
        assert!(told.contains(part), "{told} does not tell {part}");
    }
}

#[test]
fn a_house_in_order_is_left_alone() {
    let files = [
        ("lib.rs", "pub mod net;\n"),
        ("net/mod.rs", "pub mod addr;\npub mod tcp;\npub use addr::Addr;\npub trait Net {}\nuse tcp::Tcp;\n"),
        ("net/addr.rs", "pub struct Addr;\n"),
        ("net/tcp.rs", "use super::{Addr, Net};\npub struct Tcp;\n"),
        ("cluster/mod.rs", "pub mod slot;\nuse crate::{net::Addr, resp::Proto as P};\n"),
        ("cluster/slot.rs", "// see crate::worker\nconst S: &str = \"crate::client\";\n"),
        (
            "command/mod.rs",
            "use crate::cluster::slot::of;\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use std::time;\n}\n",
        ),
        ("scan.rs", "#[cfg(test)]\nmod tests;\n"),
        ("scan/tests.rs", "use std::time::Duration;\n"),
        ("cli/mod.rs", "fn main() { println!(\"{}\", crate::run()); }\n"),
    ];
    assert_eq!(broken(&files), [""; 0]);
}

#[test]
fn using_a_higher_room_is_told() {
    assert_told(
        &[("resp/mod.rs", "use crate::worker::Options;\n")],
        &["resp/mod:2: resp must not use worker::Options"],
    );
    assert_told(
        &[("merge.rs", "fn f(x: &crate::client::Session) {}\n")],
        &["merge:2: merge must not use client::Session"],
    );
    let grouped = "use crate::{\n    net::Addr,\n    backend::{self, pipeline::{A, B}},\n};\n";
    let told = broken(&[("route.rs", grouped)]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_told(&[("net/mod.rs", "use super::worker;\n")], &["net must not use worker"]);
    assert_told(&[("net/tcp.rs", "use super::super::config::Config;\n")], &["net must not use config::Config"]);
    assert_told(&[("client/mod.rs", "use crate::Error;\n")], &["client must not use Error"]);
}

#[test]
fn neighbours_on_one_floor_do_not_use_each_other() {
    assert_told(&[("scan.rs", "use crate::replies::Ticket;\n")], &["scan must not use replies::Ticket"]);
}

#[test]
fn the_part_that_stands_lower_must_not_use_its_own_folder() {
    assert_told(
        &[("cluster/slot.rs", "use super::topology::Topology;\n")],
        &["cluster/slot must not use cluster::topology"],
    );
}

#[test]
fn a_room_without_a_place_is_told() {
    assert_told(&[("utils/mod.rs", "")], &["no place in LAYERS"]);
    assert_told(&[("worker.rs", "use crate::utils::x;\n")], &["worker must not use utils::x"]);
}

#[test]
fn circles_between_siblings_are_told() {
    let a = ("client/a.rs", "use super::b::B;\n");
    let direct = [a, ("client/b.rs", "use crate::client::a::A;\n")];
    assert_told(&direct, &["client/a: part of a circle", "client/b: part of a circle"]);
    let through_the_face =
        [a, ("client/b.rs", "use super::A;\n"), ("client/mod.rs", "mod a;\nmod b;\npub use a::A;\n")];
    assert_told(&through_the_face, &["client/a: part of a circle", "client/b: part of a circle"]);
    assert_told(&[a, ("client/b.rs", "")], &[]);
}

#[test]
fn long_files_and_functions_are_told() {
    assert_told(&[("worker.rs", &"\n".repeat(449))], &[]);
    assert_told(&[("worker.rs", &"\n".repeat(450))], &["451 lines, 450 at most"]);
    assert_told(&[("main.rs", &"\n".repeat(80))], &["81 lines, 80 at most"]);
    let of =
        |lines: usize| format!("fn f<'a>(x: [u8; 2]) -> char {{\n{}    '}}'\n}}\n", "    // {\n".repeat(lines - 3));
    assert_told(&[("worker.rs", &of(70))], &[]);
    assert_told(&[("worker.rs", &of(71))], &["worker:2: f has 71 lines, 70 at most"]);
}

#[test]
fn a_file_that_says_nothing_is_told() {
    for text in [
        "",
        "fn f() {}\n",
        "//! To come.\n",
        "// A comment that is not about the whole file.\n",
        "\n//! Too late for a doc comment.\n",
    ] {
        let told = all_laws(&[Source::new("worker.rs", text)]);
        assert!(told.iter().any(|told| told.contains("what it is for")), "{text:?}: {told:?}");
    }
}

#[test]
fn leftovers_are_told() {
    for line in [
        "todo!()",
        "unimplemented!()",
        "dbg!(1)",
        "println!()",
        "eprintln!()",
        "print!(\"\")",
        concat!("// FIX", "ME: later"),
        concat!("// XX", "X"),
        concat!("/* TO", "DO */"),
    ] {
        assert_eq!(broken(&[("worker.rs", &format!("fn f() {{\n    {line}\n}}\n"))]).len(), 1, "{line}");
    }
    assert_told(&[("worker.rs", "const S: &str = r#\"println!() \"todo!()\" dbg!()\"#;\n")], &[]);
    assert_told(&[("cli/mod.rs", "fn f() {\n    dbg!(1)\n}\n")], &["cli/mod:3: dbg! here"]);
}

#[test]
fn what_belongs_to_one_room_is_told_elsewhere() {
    assert_told(&[("client/mod.rs", "fn f() { metrics::counter!(\"x\"); }\n")], &["only telemetry"]);
    assert_told(&[("backend/mod.rs", "use tokio::net::TcpStream;\n")], &["only net opens sockets"]);
    assert_told(&[("cluster/mod.rs", "fn f() { toml::from_str(\"\"); }\n")], &["only config"]);
    assert_told(&[("net/mod.rs", "use tokio::net::TcpStream;\n"), ("config/mod.rs", "use toml::Spanned;\n")], &[]);
    assert_told(&[("route.rs", "use std::time::Duration;\n")], &["route:2: std::time here"]);
    let below = "#[cfg(test)]\nmod tests;\nuse std::time::Duration;\n";
    assert_told(&[("route.rs", below)], &["route:4: std::time here"]);
    assert_told(&[("cluster/slot.rs", "fn f() { Instant::now(); }\n")], &["reads no clock"]);
}

#[test]
fn paths_and_hosts_are_told() {
    for (a, b) in FORBIDDEN {
        let text = format!("first line\nsee {a}{} for it\n", b.to_uppercase());
        assert_eq!(forbidden("notes.md", &text).len(), 1, "{text}");
        assert!(forbidden("notes.md", &text)[0].starts_with("notes.md:2: "));
    }
    assert!(forbidden("notes.md", "nothing of that kind\n").is_empty());
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    for (text, left) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("a \"b \\\" c\" d", "a          d"),
        ("a r#\"b \" c\"# d", "a            d"),
        ("for 'a' in '\\'' of \"'\"", "for     in      of    "),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("br\"x\" bar\"y\"", "      bar   "),
    ] {
        assert_eq!(code_only(text), left, "{text}");
    }
}
