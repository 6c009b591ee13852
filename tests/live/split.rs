//! MGET, MSET, DEL, UNLINK, EXISTS and TOUCH over many slots answer as one server does.

use slotway::demo::servers::Options;

use crate::harness::{Client, Proxy, Random, Value, direct, own_cluster, plain, proxy, slot};

/// Random calls over a pool of keys, some missing, some of another type, many named twice.
#[test]
fn many_keys_answer_as_one_server_whatever_their_slots() {
    let seed = Random::seed();
    let mut random = Random::new(seed);
    let proxy = proxy();
    for (resp3, rounds) in [(false, 400), (true, 400)] {
        let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
        let (mut through, mut single) = (connect(proxy.addr()), connect(plain().addr()));
        for round in 0..rounds {
            let command = call(&mut random, resp3);
            let (expected, answer) = (single.call(&command), through.call(&command));
            assert_eq!(answer, expected, "LIVE_SEED={seed} resp3={resp3} round {round}: {}", command.join(" "));
        }
    }
}

fn call(random: &mut Random, resp3: bool) -> Vec<String> {
    let key = |random: &mut Random| match random.below(10) {
        // Some share a slot.
        0 => format!("split:{resp3}:{{tag}}{}", random.below(8)),
        _ => format!("split:{resp3}:{}", random.below(300)),
    };
    let name = ["MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH", "LPUSH", "MGET", "MSET"][random.below(9)];
    let mut command = vec![name.to_owned()];
    let count = if random.one_in(20) { 1000 } else { 1 + random.below(40) };
    match name {
        // A key of another type: MGET shows it as nil, MSET writes over it.
        "LPUSH" => command.extend([key(random), "element".to_owned()]),
        "MSET" => (0..count).for_each(|_| command.extend([key(random), random.next().to_string()])),
        _ => command.extend((0..count).map(|_| key(random))),
    }
    command
}

#[test]
fn keys_of_every_node_are_found_by_one_call() {
    let proxy = proxy();
    let mut client = Client::connect(proxy.addr());
    let keys: Vec<_> = (0..3000).map(|n| format!("wide:{n}")).collect();
    let slots: std::collections::BTreeSet<_> = keys.iter().map(|key| slot(key.as_bytes())).collect();
    assert!(slots.len() > 2000, "the keys lie in {} slots", slots.len());
    let pairs: Vec<_> = keys.iter().flat_map(|key| [key.clone(), format!("value of {key}")]).collect();
    assert_eq!(client.call(&[vec!["MSET".to_owned()], pairs].concat()).text(), "+OK\r\n");
    let ask = |name: &str| [vec![name.to_owned()], keys.clone()].concat();
    let reply = client.call(&ask("MGET"));
    for (key, value) in keys.iter().zip(reply.many()) {
        assert_eq!(value, &Value::Bulk(format!("value of {key}").into_bytes()));
    }
    for (name, expected) in [("EXISTS", 3000), ("TOUCH", 3000), ("UNLINK", 3000), ("DEL", 0), ("EXISTS", 0)] {
        assert_eq!(client.call(&ask(name)).int(), expected, "{name}");
    }
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let proxy = proxy();
    let (mut through, mut single) = (Client::connect(proxy.addr()), Client::connect(plain().addr()));
    for line in ["MSET odd:1 a odd:2", "MSET odd:1", "MGET", "DEL", "UNLINK", "EXISTS", "TOUCH", "MSET"] {
        assert_eq!(through.line(line), single.line(line), "{line}");
    }
    assert_eq!(through.line("EXISTS odd:1 odd:2").int(), 0);
}

#[test]
fn what_concerns_all_keys_asks_all_primaries() {
    if direct() {
        return;
    }
    let cluster = own_cluster(&Options { replicas: 0, ..Options::default() });
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut client = Client::connect(proxy.addr());
    for flush in ["FLUSHALL", "FLUSHDB", "FLUSHALL SYNC"] {
        for n in 0..300 {
            assert_eq!(client.call(&["SET", &format!("all:{n}"), "v"]).text(), "+OK\r\n");
        }
        let counts: Vec<_> = (0..3).map(|node| cluster.call(node, &["DBSIZE"]).unwrap().int().unwrap()).collect();
        assert!(counts.iter().all(|&count| count > 50), "the keys lie on the nodes like this: {counts:?}");
        assert_eq!(client.line("DBSIZE").int(), 300);
        assert_eq!(client.line("KEYS all:*").many().len(), 300);
        let mut found: Vec<_> = client.line("KEYS all:1?").many().iter().map(|key| format!("{key:?}")).collect();
        found.sort();
        let wanted: Vec<_> = (10..20).map(|n| format!("{:?}", Value::Bulk(format!("all:{n}").into_bytes()))).collect();
        assert_eq!(found, wanted);
        assert_eq!(client.line(flush).text(), "+OK\r\n", "{flush}");
        assert_eq!(client.line("DBSIZE").int(), 0, "{flush}");
    }
    let digest = client.line("SCRIPT LOAD \"return KEYS[1]\"").ok();
    for n in 0..20 {
        let key = format!("script:{n}");
        let reply = client.call(&["EVALSHA".as_bytes(), digest.bulk().unwrap(), b"1", key.as_bytes()]);
        assert_eq!(reply.bulk(), Some(key.as_bytes()), "a script is loaded on every node");
    }
}
