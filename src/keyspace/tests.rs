//! Requests before and after they are dressed, replies before and after they are undressed.

use super::*;
use crate::command::lookup;
use crate::resp::request::{Args, Decoder, Limits, Step};

const LIMITS: Limits = Limits { args: 1000, bulk: 1000, frame: 100_000, unauthenticated: false };

fn dressed(line: &str) -> (String, Shape) {
    let (mut args, line) = (Args::default(), format!("{line}\r\n"));
    let Ok(Step::Request { used, inline }) = Decoder::default().step(line.as_bytes(), &mut args, &LIMITS) else {
        panic!("no request: {line}")
    };
    let request = args.request(line.as_bytes(), used, inline);
    let spec = lookup(request.name()).and_then(|spec| spec.resolve(&request)).unwrap();
    let mut out = Vec::new();
    let shape = Keyspace::new("app").unwrap().dress(0, spec, &request, &mut out).unwrap();
    let mut words = Vec::new();
    let Ok(Step::Request { used, inline }) = Decoder::default().step(&out, &mut args, &LIMITS) else {
        panic!("no canonical frame: {}", out.escape_ascii())
    };
    words.extend(args.request(&out, used, inline).args().map(|arg| String::from_utf8(arg.to_vec()).unwrap()));
    (words.join(" "), shape)
}

fn undressed(shape: Shape, reply: &str) -> String {
    let mut out = Vec::new();
    undress(shape, b"{app}0:", reply.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_key_gets_the_prefix_and_nothing_else_does() {
    for (line, expected) in [
        ("get k", "get {app}0:k"),
        ("mset a 1 b 2", "mset {app}0:a 1 {app}0:b 2"),
        ("blpop a b 0", "blpop {app}0:a {app}0:b 0"),
        ("eval x 2 a b c", "eval x 2 {app}0:a {app}0:b c"),
        ("xread count 1 streams s t 0 0", "xread count 1 streams {app}0:s {app}0:t 0 0"),
        ("object encoding k", "object encoding {app}0:k"),
        ("zunionstore d 2 a b", "zunionstore {app}0:d 2 {app}0:a {app}0:b"),
        ("keys *", "keys {app}0:*"),
        (
            "sort l by w_* get # get o_* store d limit 0 1",
            "sort {app}0:l by {app}0:w_* get # get {app}0:o_* store {app}0:d limit 0 1",
        ),
        ("sort l by nosort", "sort {app}0:l by nosort"),
        ("scan 0", "scan 0 MATCH {app}0:*"),
        ("scan 7 count 10 match u:*", "scan 7 count 10 match {app}0:u:*"),
        ("spublish c m", "spublish c m"),
        ("ping k", "ping k"),
    ] {
        assert_eq!(dressed(line).0, expected, "{line}");
    }
}

#[test]
fn what_concerns_all_keys_concerns_these() {
    let (line, shape) = dressed("dbsize");
    assert!(line.starts_with("EVAL local s=ARGV[1]"), "{line}");
    assert!(line.ends_with(&format!(" 1 {{app}} {} {{app}}0:", slot(b"app"))), "{line}");
    assert_eq!(shape, Shape::Nowhere);
    assert_eq!(dressed("randomkey").1, Shape::Whole);
    assert!(dressed("flushdb async").0.ends_with(" {app}0: ^"));
    assert!(dressed("flushall").0.ends_with(" {app} ^%d+:"));
    assert_eq!(becomes(lookup(b"dbsize").unwrap()).name, "eval");
    assert_eq!(becomes(lookup(b"get").unwrap()).name, "get");
}

#[test]
fn databases_do_not_meet() {
    let keyspace = Keyspace::new("app").unwrap();
    assert_eq!(keyspace.prefix(12), b"{app}12:");
    assert_eq!(keyspace.slot(), slot(b"{app}12:any{thing}"));
}

#[test]
fn names_that_would_break_the_prefix_are_no_names() {
    for name in ["", "a b", "a{b", "a}b", "a*", "[a]", &"x".repeat(LONGEST + 1)] {
        assert_eq!(Keyspace::new(name), None, "{name:?}");
    }
}

#[test]
fn key_names_lose_the_prefix_where_they_stand() {
    for (shape, reply, expected) in [
        (Shape::Whole, "$8\r\n{app}0:k\r\n", "$1\r\nk\r\n"),
        (Shape::Whole, "$-1\r\n", "$-1\r\n"),
        (Shape::Whole, "_\r\n", "_\r\n"),
        (Shape::Elements, "*2\r\n$8\r\n{app}0:a\r\n$7\r\n{app}0:\r\n", "*2\r\n$1\r\na\r\n$0\r\n\r\n"),
        (Shape::First, "*2\r\n$8\r\n{app}0:l\r\n$8\r\n{app}0:v\r\n", "*2\r\n$1\r\nl\r\n$8\r\n{app}0:v\r\n"),
        (Shape::First, "*-1\r\n", "*-1\r\n"),
        (Shape::First, "_\r\n", "_\r\n"),
        (Shape::Scan, "*2\r\n$1\r\n7\r\n*1\r\n$8\r\n{app}0:k\r\n", "*2\r\n$1\r\n7\r\n*1\r\n$1\r\nk\r\n"),
        (Shape::Streams, "*1\r\n*2\r\n$8\r\n{app}0:s\r\n*0\r\n", "*1\r\n*2\r\n$1\r\ns\r\n*0\r\n"),
        (Shape::Streams, "%1\r\n$8\r\n{app}0:s\r\n*0\r\n", "%1\r\n$1\r\ns\r\n*0\r\n"),
        (Shape::Nowhere, "$8\r\n{app}0:v\r\n", "$8\r\n{app}0:v\r\n"),
        (Shape::Nowhere, "-NOGROUP No such key '{app}0:s' or\r\n", "-NOGROUP No such key 's' or\r\n"),
    ] {
        assert_eq!(undressed(shape, reply), expected, "{shape:?} {reply:?}");
    }
}

#[test]
fn a_reply_of_another_form_stays_as_it_is() {
    for reply in [":1\r\n", "+OK\r\n", "*1\r\n:5\r\n"] {
        for shape in [Shape::Whole, Shape::Elements, Shape::First, Shape::Scan, Shape::Streams] {
            assert_eq!(undressed(shape, reply), reply);
        }
    }
}

#[test]
fn the_replies_of_a_transaction_are_undressed_one_by_one() {
    let mut out = Vec::new();
    let reply = b"*3\r\n$8\r\n{app}0:v\r\n*2\r\n$8\r\n{app}0:l\r\n$1\r\nx\r\n:1\r\n";
    undress_each(&[Shape::Nowhere, Shape::First, Shape::Nowhere], b"{app}0:", reply, &mut out);
    assert_eq!(out, b"*3\r\n$8\r\n{app}0:v\r\n*2\r\n$1\r\nl\r\n$1\r\nx\r\n:1\r\n");
    for whole in [&b"*-1\r\n"[..], b"_\r\n", b"-EXECABORT no\r\n"] {
        let mut out = Vec::new();
        undress_each(&[Shape::First], b"{app}0:", whole, &mut out);
        assert_eq!(out, whole);
    }
}
