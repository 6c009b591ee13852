//! A real module's commands, which no table knows: they are learned from the nodes and go to the right one at once.
//!
//! The module is `RediSearch` as Debian packages it: full-text search of its time, with its keys at several places.

use std::path::Path;

use slotway::demo::servers::{Options, Server};

use crate::harness::{Client, Proxy, Random, direct, own_cluster, words};

/// Where Debian's package `redis-redisearch` puts it.
const MODULE: &str = "/usr/lib/redis/modules/redisearch.so";

#[test]
fn commands_of_a_module_are_answered_as_by_one_server() {
    if direct() {
        return;
    }
    assert!(
        Path::new(MODULE).exists(),
        "{MODULE} is missing: install the package redis-redisearch of Debian or Ubuntu"
    );
    let load = || vec![("loadmodule".to_owned(), MODULE.to_owned())];
    let nodes = own_cluster(&Options { replicas: 0, settings: load(), ..Options::default() });
    let single = Server::start(&Options { settings: load(), ..Options::default() }).unwrap();
    let proxy = Proxy::start(&nodes.addrs(), &[], &[]);
    for resp3 in [false, true] {
        let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
        let (mut through, mut plain) = (connect(proxy.addr()), connect(single.addr()));
        let mut same = |line: &str| {
            let (answer, expected) = (through.call(&words(line)), plain.call(&words(line)));
            assert_eq!(answer.text(), expected.text(), "{line}, RESP3 {resp3}");
        };
        let mut random = Random::new(7);
        for n in 0..40 {
            // The module reads documents where their index is, so both have one hash tag.
            let name = format!("{resp3}{n}");
            same(&format!("FT.SUGADD dictionary{name} hello {}", 1 + random.below(9)));
            same(&format!("FT.SUGADD dictionary{name} help 1 INCR"));
            same(&format!("FT.SUGGET dictionary{name} he"));
            same(&format!("FT.SUGLEN dictionary{name}"));
            same(&format!("FT.SUGDEL dictionary{name} help"));
            same(&format!("FT.CREATE index{{{name}}} SCHEMA t TEXT n NUMERIC"));
            same(&format!("FT.ADD index{{{name}}} document{{{name}}} 1 FIELDS t \"hello world\" n {n}"));
            same(&format!("FT.SEARCH index{{{name}}} hello"));
            same(&format!("FT.SEARCH index{{{name}}} \"@n:[100 200]\""));
            same(&format!("FT.EXPLAIN index{{{name}}} \"hello world\""));
            same(&format!("FT.CURSOR READ index{{{name}}} 1"));
            same(&format!("FT.SEARCH nosuch{name} hello"));
            same(&format!("FT.DROP index{{{name}}}"));
        }
        for line in [
            "FT.SUGADD",
            "ft.suglen",
            "FT.NOSUCH a",
            "COMMAND GETKEYS FT.SUGLEN a",
            "COMMAND GETKEYS FT.CURSOR READ a 1",
        ] {
            same(line);
        }
    }
    let told = Client::connect(proxy.addr()).line("INFO proxy").text();
    assert!(told.contains("\nredirects:0\r"), "none was sent to the wrong node: {told}");
}
