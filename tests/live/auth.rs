//! A cluster with a password behind a proxy with users of its own.

use std::path::PathBuf;

use slotway::demo::servers::{Cluster, Options};

use crate::harness::{Client, Proxy, direct, own_cluster};

const NODES: &str = "for the nodes: \"quoted\" and long";

/// A cluster that asks for a password and a proxy that knows it, with two users of the proxy's own.
fn guarded() -> (Cluster, Proxy) {
    let options = Options { primaries: 3, replicas: 0, password: Some(NODES.to_owned()), ..Options::default() };
    let cluster = own_cluster(&options);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("users-{}.toml", cluster.addrs()[0].port()));
    let users = "[[auth.users]]\nname = \"default\"\npassword = \"open sesame\"\n\
                 [[auth.users]]\nname = \"alice\"\npassword = \"wonderland\"\n";
    std::fs::write(&file, users).unwrap();
    let proxy = Proxy::start(&cluster.addrs(), &["--config", file.to_str().unwrap()], &[("SLOTWAY_PASSWORD", NODES)]);
    std::fs::remove_file(file).unwrap();
    (cluster, proxy)
}

#[test]
fn nothing_is_done_before_authentication_and_everything_after() {
    if direct() {
        return;
    }
    let (_cluster, proxy) = guarded();
    let noauth = "-NOAUTH Authentication required.\r\n";

    let mut client = Client::connect(proxy.addr());
    for line in [
        "GET k",
        "SET k v",
        "MGET a b",
        "PING",
        "ECHO x",
        "INFO",
        "COMMAND",
        "CLIENT ID",
        "SELECT 0",
        "FLUSHALL",
        "DBSIZE",
    ] {
        assert_eq!(client.line(line).text(), noauth, "{line}");
    }
    let hello = client.line("HELLO 3").text();
    assert!(hello.starts_with("-NOAUTH HELLO must be called with the client already authenticated"), "{hello}");
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    for line in [
        "AUTH nonsense",
        "AUTH alice nonsense",
        "AUTH bob wonderland",
        "AUTH default wonderland",
        "HELLO 3 AUTH alice x",
    ] {
        assert_eq!(client.line(line).text(), wrong, "{line}");
        assert_eq!(client.line("GET k").text(), noauth, "after {line}");
    }
    assert_eq!(client.line("AUTH").text(), "-ERR wrong number of arguments for 'auth' command\r\n");
    assert_eq!(client.line("AUTH a b c").text(), "-ERR syntax error\r\n");

    assert_eq!(client.line("AUTH \"open sesame\"").text(), "+OK\r\n");
    assert_eq!(client.line("SET k v").text(), "+OK\r\n");
    assert_eq!(client.line("GET k").text(), "$1\r\nv\r\n");
    assert_eq!(client.line("ACL WHOAMI").text(), "$7\r\ndefault\r\n");
    assert_eq!(client.line("AUTH alice wonderland").text(), "+OK\r\n");
    assert_eq!(client.line("ACL WHOAMI").text(), "$5\r\nalice\r\n");
    assert_eq!(client.line("AUTH alice nonsense").text(), wrong);
    assert_eq!(client.line("ACL WHOAMI").text(), "$5\r\nalice\r\n", "a failed AUTH changes nothing");

    assert_eq!(client.line("RESET").text(), "+RESET\r\n");
    assert_eq!(client.line("GET k").text(), noauth, "after RESET");
}

#[test]
fn hello_authenticates_and_chooses_the_protocol_at_once() {
    if direct() {
        return;
    }
    let (_cluster, proxy) = guarded();
    let mut client = Client::connect(proxy.addr());
    let hello = client.line("HELLO 3 AUTH alice wonderland SETNAME tea").ok();
    assert_eq!(hello.raw[0], b'%', "{hello:?}");
    assert_eq!(client.line("CLIENT GETNAME").text(), "$3\r\ntea\r\n");
    assert_eq!(client.line("HGETALL none").text(), "%0\r\n");
    client.line("HELLO 2").ok();
    assert_eq!(client.line("HGETALL none").text(), "*0\r\n");
    client.line("HELLO 3").ok();
    assert_eq!(client.line("RESET").text(), "+RESET\r\n");
    assert_eq!(client.line("AUTH alice wonderland").text(), "+OK\r\n");
    assert_eq!(client.line("HGETALL none").text(), "*0\r\n", "RESET goes back to RESP2");

    let mut hasty = Client::connect(proxy.addr());
    // All in one write: what comes before AUTH is refused, what comes behind it is done.
    hasty.send(b"GET k\r\nAUTH alice wonderland\r\nSET k v\r\nGET k\r\nRESET\r\nGET k\r\n");
    let answers: Vec<_> = (0..6).map(|_| hasty.read().text()).collect();
    let noauth = "-NOAUTH Authentication required.\r\n";
    assert_eq!(answers, [noauth, "+OK\r\n", "+OK\r\n", "$1\r\nv\r\n", "+RESET\r\n", noauth]);
}

#[test]
fn the_nodes_refusing_the_proxy_is_not_the_clients_fault() {
    if direct() {
        return;
    }
    let options = Options { primaries: 3, replicas: 0, password: Some(NODES.to_owned()), ..Options::default() };
    let cluster = own_cluster(&options);
    let proxy = Proxy::start(&cluster.addrs(), &[], &[("SLOTWAY_PASSWORD", "not this one")]);
    let mut client = Client::connect(proxy.addr());
    assert_eq!(client.line("PING").text(), "+PONG\r\n");
    let reply = client.line("GET k");
    let error = reply.error().unwrap_or_else(|| panic!("answered {reply:?}"));
    let told = ["PROXYUNSENT ", "CLUSTERDOWN "].iter().any(|prefix| error.starts_with(prefix));
    assert!(told, "the client is told: {error}");
}
