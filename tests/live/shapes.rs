//! RESP2 and RESP3 differ in the shape of replies; a connection may go to and fro between them.

use crate::harness::{Client, frame, plain, proxy, words};

/// Replies whose shape differs between the protocols.
const SHAPED: [&str; 12] = [
    "HGETALL shape:h",
    "GET shape:none",
    "SMEMBERS shape:s",
    "ZRANGE shape:z 0 -1 WITHSCORES",
    "ZSCORE shape:z a",
    "HRANDFIELD shape:h 2 WITHVALUES",
    "XREAD COUNT 1 STREAMS shape:x 0",
    "LPOP shape:none 2",
    "MGET shape:s shape:none",
    "GEOPOS shape:z none",
    "ZMSCORE shape:z a none",
    "EVAL 'redis.setresp(3) return {double=1.5}' 1 shape:h",
];

#[test]
fn a_pipeline_that_changes_the_protocol_gets_each_reply_in_its_own() {
    let mut bytes = Vec::new();
    for line in ["HSET shape:h f v", "SADD shape:s 1", "ZADD shape:z 1.5 a", "XADD shape:x MAXLEN 1 1-1 f v"] {
        bytes.extend(frame(&words(line)));
    }
    let mut skipped = Vec::new();
    let mut count = 4;
    for round in 0..6 {
        skipped.push(count);
        bytes.extend(frame(&["HELLO", if round % 2 == 0 { "3" } else { "2" }]));
        for line in SHAPED {
            bytes.extend(frame(&words(line)));
        }
        count += 1 + SHAPED.len();
    }
    let all = |addr| {
        let mut client = Client::connect(addr);
        client.call(&["DEL", "shape:x"]).ok();
        client.send(&bytes);
        (0..count).map(|_| client.read()).collect::<Vec<_>>()
    };
    let proxy = proxy();
    let (expected, answers) = (all(plain().addr()), all(proxy.addr()));
    for (n, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
        if skipped.contains(&n) {
            // HELLO tells of the server itself; its shape is what counts.
            assert_eq!(answer.raw[0], expected.raw[0], "HELLO: {answer:?}");
        } else {
            assert_eq!(answer, expected, "reply {n}");
        }
    }
    assert!(expected.iter().any(|reply| reply.raw.starts_with(b"%")), "RESP3 was spoken");
}

#[test]
fn hello_tells_what_clients_look_for() {
    let proxy = proxy();
    for (version, first) in [("2", b'*'), ("3", b'%')] {
        let mut client = Client::connect(proxy.addr());
        let reply = client.line(&format!("HELLO {version}")).ok();
        assert_eq!(reply.raw[0], first);
        let pairs: Vec<_> = reply.many().chunks(2).map(|pair| format!("{:?}", pair[0])).collect();
        for field in ["server", "version", "proto", "id", "mode", "role", "modules"] {
            let wanted = format!("{:?}", crate::harness::Value::Bulk(field.into()));
            assert!(pairs.contains(&wanted), "no {field} in {reply:?}");
        }
        let text = reply.text();
        assert!(text.contains("standalone") && text.contains("master"), "{text}");
        assert!(text.contains(&format!("proto\r\n:{version}\r\n")), "{text}");
    }
    let mut client = Client::connect(proxy.addr());
    for line in ["HELLO 4", "HELLO 1", "HELLO x", "HELLO 3 NONSENSE", "HELLO 3 SETNAME"] {
        let expected = Client::connect(plain().addr()).line(line);
        assert_eq!(client.line(line), expected, "{line}");
        assert_eq!(client.line("HGETALL none").text(), "*0\r\n", "{line} changes nothing");
    }
}
