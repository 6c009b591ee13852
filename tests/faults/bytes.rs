//! Requests with broken bytes, sent to a plain server and to the proxy: the proxy may be stricter, but nothing may reach
//! a node through it that the server would not have run as it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{Client, PATIENCE, Random, Value, frame, long, own_cluster, plain};
use crate::report::Row;
use crate::stage::{Stage, alone};

/// So many streams go out before what they left is compared.
const ROUND: usize = 250;
/// Requests of each stream.
const REQUESTS: usize = 4;

/// Bytes that mean something.
const LIKELY: &[u8] = b"\r\n$*0123456789-+:\"' \0\xff";

/// Requests whose keys are used once, with some bytes changed, doubled, left out or put in.
fn stream(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in 0..REQUESTS {
        let (key, value) = (format!("{:016x}", random.next()), format!("value-{n}"));
        bytes.extend(match random.below(4) {
            0 => frame(&["RPUSH", &key, &value]),
            1 => frame(&["INCRBY", &key, "17"]),
            2 => format!("SET {key} '{value}'\r\n").into_bytes(),
            _ => frame(&["SET", &key, &value]),
        });
    }
    for _ in 0..=random.below(3) {
        if bytes.len() < 2 {
            break;
        }
        let at = random.below(bytes.len());
        let byte = if random.one_in(4) { random.next() as u8 } else { LIKELY[random.below(LIKELY.len())] };
        match random.below(5) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[at]),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// Sends it in two pieces, and waits until the other side has done what it does.
fn send(addr: SocketAddr, bytes: &[u8], cut: usize) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (head, tail) = bytes.split_at(cut);
    // Whoever has closed already has refused it, and nothing more of it counts.
    let _ =
        stream.write_all(head).and_then(|()| stream.write_all(tail)).and_then(|()| stream.shutdown(Shutdown::Write));
    let end = stream.read_to_end(&mut Vec::new());
    assert!(!end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it hangs: {}", bytes.escape_ascii());
}

type Keys = BTreeMap<Vec<u8>, Value>;

/// What a server holds.
fn held(client: &mut Client, names: impl IntoIterator<Item = Vec<u8>>) -> Keys {
    let value = |client: &mut Client, name: &[u8]| {
        let reply = client.call(&[b"GET".as_slice(), name]);
        if reply.error().is_none() { reply } else { client.call(&[b"LRANGE".as_slice(), name, b"0", b"-1"]) }
    };
    names.into_iter().map(|name| (name.clone(), value(client, &name).value)).collect()
}

fn names(reply: &Value) -> BTreeSet<Vec<u8>> {
    let Value::Many(_, names) = reply else { panic!("{reply:?}") };
    let name = |name: &Value| if let Value::Bulk(name) = name { name.clone() } else { panic!("{name:?}") };
    names.iter().map(name).collect()
}

/// The keys of all primaries, asked past the proxy.
fn keys_of(cluster: &Cluster) -> BTreeSet<Vec<u8>> {
    let keys = |node| names(&Client::connect(cluster.addrs()[node]).call(&["KEYS", "*"]).value);
    cluster.primaries().unwrap().into_iter().flat_map(keys).collect()
}

#[test]
fn t5_nothing_is_forwarded_that_redis_would_not_run() {
    let _alone = alone();
    let stage = Stage::before(own_cluster(&Options { replicas: 0, ..Options::default() }), &[]);
    let seed = Random::seed();
    let mut random = Random::new(seed);
    let rounds = if long() { 400 } else { 6 };
    let (mut forwarded, mut run) = (0, 0);
    for round in 0..rounds {
        for _ in 0..ROUND {
            let bytes = stream(&mut random);
            let cut = random.below(bytes.len() + 1);
            send(plain().addr(), &bytes, cut);
            send(stage.addr(), &bytes, cut);
        }
        let mut direct = Client::connect(plain().addr());
        let there = names(&direct.call(&["KEYS", "*"]).value);
        let here = keys_of(&stage.cluster);
        let more: Vec<_> = here.difference(&there).map(|name| name.escape_ascii().to_string()).collect();
        assert!(more.is_empty(), "LIVE_SEED={seed} round {round}: through the proxy alone: {more:?}");
        let (ours, theirs) = (held(&mut stage.client(), here.clone()), held(&mut direct, here));
        assert_eq!(ours, theirs, "LIVE_SEED={seed} round {round}");
        (forwarded, run) = (forwarded + ours.len(), run + there.len());
        direct.call(&["FLUSHALL"]).ok();
        stage.client().call(&["FLUSHALL"]).ok();
    }
    assert!(forwarded * 10 > run * 8, "{forwarded} of {run}: little was tested");
    Row {
        test: "T5",
        what: "requests with broken bytes go to a plain server and to the proxy",
        client: "Redis' own errors; bytes that servers overlook are refused",
        passes: "never forwards what Redis would not have run; 0 panics",
        figures: format!(
            "{} streams: Redis ran {run} commands, slotway forwarded {forwarded} of them and no other",
            rounds * ROUND
        ),
    }
    .tell();
}
