//! Requests before and after they are dressed, replies before and after they are undressed.

use super::*;
use crate::command::lookup;
use crate::resp::request::{Args, Decoder, Limits, Step};

const LIMITS: Limits = Limits { args: 1000, bulk: 1000, frame: 100_000, unauthenticated: false };

fn dressed(line: &str) -> (String, Shape) {
    dressed_in(0, line).expect(line)
}

fn dressed_in(db: u16, line: &str) -> Result<(String, Shape), String> {
    let (mut args, line) = (Args::default(), format!("{line}\r\n"));
    let Ok(Step::Request { used, inline }) = Decoder::default().step(line.as_bytes(), &mut args, &LIMITS) else {
        panic!("no request: {line}")
    };
    let request = args.request(line.as_bytes(), used, inline);
    let spec = lookup(request.name()).and_then(|spec| spec.resolve(&request)).unwrap();
    let mut out = Vec::new();
    let worn = Keyspace::new("app").unwrap().dress(db, spec, &request, &mut out).map_err(|why| why.to_string())?;
    assert!(worn.spec.name == "eval" || !out.windows(8).any(|word| word == b"\r\nEVAL\r\n"), "{line}");
    let mut words = Vec::new();
    let Ok(Step::Request { used, inline }) = Decoder::default().step(&out, &mut args, &LIMITS) else {
        panic!("no canonical frame: {}", out.escape_ascii())
    };
    words.extend(args.request(&out, used, inline).args().map(|arg| String::from_utf8(arg.to_vec()).unwrap()));
    Ok((words.join(" "), worn.shape))
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
        ("debug object k", "debug object {app}0:k"),
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
}

#[test]
fn keys_go_from_one_database_to_another() {
    let line = |line| dressed_in(1, line).map(|(line, _)| line);
    assert_eq!(line("copy a b").unwrap(), "copy {app}1:a {app}1:b");
    assert_eq!(line("copy a b db 3 replace").unwrap(), "copy {app}1:a {app}3:b replace");
    assert!(line("move k 2").unwrap().ends_with(" 2 {app}1:k {app}2:k"));
    assert!(line("swapdb 0 2").unwrap().ends_with(" {app}0: {app}2: {app}swapped:"));
    for (wrong, why) in [
        ("copy a b db 16", "ERR DB index is out of range"),
        ("move k x", "ERR value is not an integer or out of range"),
        ("move k 1", "ERR source and destination objects are the same"),
        ("swapdb 0 x", "ERR invalid second DB index"),
        ("swapdb -1 0", "ERR DB index is out of range"),
        ("flushdb now", "ERR syntax error"),
        ("msetnx a", "ERR wrong number of arguments for 'msetnx' command"),
    ] {
        assert_eq!(line(wrong), Err(why.to_owned()), "{wrong}");
    }
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
        (Shape::Anywhere, "*2\r\n*1\r\n$8\r\n{app}0:k\r\n:1\r\n", "*2\r\n*1\r\n$1\r\nk\r\n:1\r\n"),
        (Shape::Anywhere, "~1\r\n$8\r\n{app}0:k\r\n", "~1\r\n$1\r\nk\r\n"),
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
    let wear = [Shape::Nowhere, Shape::First, Shape::Nowhere].map(|shape| (shape, b"{app}0:".to_vec()));
    undress_each(&wear, reply, &mut out);
    assert_eq!(out, b"*3\r\n$8\r\n{app}0:v\r\n*2\r\n$1\r\nl\r\n$1\r\nx\r\n:1\r\n");
    for whole in [&b"*-1\r\n"[..], b"_\r\n", b"-EXECABORT no\r\n"] {
        let mut out = Vec::new();
        undress_each(&wear[1..2], whole, &mut out);
        assert_eq!(out, whole);
    }
}

#[test]
fn channels_of_events_name_keys_and_others_only_belong_to_it_when_asked() {
    let shared = Keyspace::new("app").unwrap();
    let own = shared.clone().with_own_channels(true);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for (name, is_pattern, at_nodes) in [
        ("__keyspace@3__:k", false, "__keyspace@0__:{app}3:k"),
        ("__keyspace@*__:k*", true, "__keyspace@0__:{app}*:k*"),
        ("__keyspace@*", true, "__keyspace@*"),
        ("__keyevent@3__:del", false, "__keyevent@0__:del"),
        ("__keyevent@*__:*", true, "__keyevent@0__:*"),
        ("__key*__:k", true, "__key*"),
        ("__keyspace", false, "__keyspace"),
        ("news.*", true, "news.*"),
        ("*", true, "*"),
    ] {
        assert_eq!(text(shared.channel(name.as_bytes(), is_pattern)), at_nodes, "{name}");
    }
    assert_eq!(text(own.channel(b"news", false)), "{app}:news");
    assert_eq!(text(own.channel(b"__keyevent@0__:del", false)), "__keyevent@0__:del");
    let heard = |of: &Keyspace, channel: &str, message: &str| {
        of.heard(channel.as_bytes(), message.as_bytes()).map(|(channel, message)| (text(channel), text(message)))
    };
    let pair = |channel: &str, message: &str| Some((channel.to_owned(), message.to_owned()));
    assert_eq!(heard(&shared, "__keyspace@0__:{app}3:a:b", "set"), pair("__keyspace@3__:a:b", "set"));
    assert_eq!(heard(&shared, "__keyevent@0__:set", "{app}0:k"), pair("__keyevent@0__:set", "k"));
    assert_eq!(heard(&shared, "__keyevent@0__:set", "{app2}0:k"), None);
    assert_eq!(heard(&shared, "__keyspace@0__:k", "set"), None);
    assert_eq!(heard(&shared, "news", "m"), pair("news", "m"));
    assert_eq!(heard(&own, "{app}:news", "m"), pair("news", "m"));
    assert_eq!(heard(&own, "news", "m"), None);
}
