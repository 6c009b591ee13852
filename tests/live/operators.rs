//! What operators run beside the proxy: `doctor` before clusters with something broken, `health` and `top` before a
//! live proxy.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use slotway::demo::servers::{Cluster, Options, Server};

use crate::harness::{Client, PATIENCE, Proxy, cluster, direct, frame, own_cluster, plain};

fn slotway(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotway"));
    command.args(args).envs(env.iter().copied()).output().unwrap()
}

/// What `doctor` says of `seeds`, and its exit code.
fn doctor(seeds: &[SocketAddr], env: &[(&str, &str)]) -> (String, i32) {
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    let output = slotway(&["doctor", &seeds.join(",")], env);
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

/// A cluster without replicas: started quickly, and broken without regret.
fn small(password: Option<&str>, settings: &[(&str, &str)]) -> Cluster {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let password = password.map(str::to_owned);
    own_cluster(&Options { replicas: 0, password, settings, ..Options::default() })
}

#[test]
fn a_healthy_cluster_gets_a_clean_bill() {
    let (said, code) = doctor(&cluster().addrs(), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("all 16384 slots have an owner") && said.contains("nothing bad, 0 warnings"), "{said}");
    for addr in cluster().addrs() {
        assert!(said.contains(&format!("ok    {addr} answers: redis 7.")) || said.contains("valkey"), "{addr}: {said}");
    }
}

#[test]
fn passwords_that_are_missing_or_wrong_are_told_apart() {
    let guarded = small(Some("sesame"), &[]);
    let seed = &guarded.addrs()[..1];
    let (said, code) = doctor(seed, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("NOAUTH") && said.contains("the node wants a password"), "{said}");
    let (said, code) = doctor(seed, &[("SLOTWAY_PASSWORD", "nonsense")]);
    assert_eq!(code, 1);
    assert!(said.contains("WRONGPASS") && said.contains("user or password are wrong"), "{said}");
    assert!(!said.contains("nonsense"), "no secret is shown: {said}");
    let (said, code) = doctor(seed, &[("SLOTWAY_PASSWORD", "sesame")]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("no replica could take over"), "{said}");
}

#[test]
fn a_user_without_rights_is_told_which_it_lacks() {
    let cluster = small(None, &[]);
    for node in 0..3 {
        cluster
            .call(node, &["ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-@scripting", "-persist"])
            .unwrap();
    }
    let env = [("SLOTWAY__CLUSTER__USERNAME", "app"), ("SLOTWAY_PASSWORD", "secret")];
    let (said, code) = doctor(&cluster.addrs()[..1], &env);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("may not run eval return 1 0 (scripts), persist slotway:doctor:"), "{said}");
}

#[test]
fn slots_without_an_owner_and_slots_left_on_the_move_are_told() {
    let cluster = small(None, &[("cluster-require-full-coverage", "no")]);
    let id = |node: usize| cluster.call(node, &["CLUSTER", "MYID"]).unwrap().text().unwrap().to_owned();
    let (mine, other) = (id(0), id(1));
    cluster.call(0, &["CLUSTER", "SETSLOT", "7", "MIGRATING", &other]).unwrap();
    cluster.call(1, &["CLUSTER", "SETSLOT", "7", "IMPORTING", &mine]).unwrap();
    for node in 0..3 {
        cluster.call(node, &["CLUSTER", "DELSLOTS", "100", "101"]).unwrap();
    }
    let (said, code) = doctor(&cluster.addrs()[..1], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("nobody owns the slots 100-101") && said.contains("--cluster fix"), "{said}");
    assert!(said.contains("gives away the slots 7") && said.contains("takes in the slots 7"), "{said}");
}

#[test]
fn announced_addresses_that_nobody_reaches_are_recognised() {
    // The nodes bind to 127.0.0.1 alone and tell everybody that they are at 127.0.0.9.
    let cluster = small(None, &[]);
    for node in 0..3 {
        cluster.call(node, &["CONFIG", "SET", "cluster-announce-ip", "127.0.0.9"]).unwrap();
    }
    let seed = cluster.addrs()[0];
    let announced = format!("127.0.0.9:{}", seed.port());
    let mut node = Client::connect(seed);
    for _ in 0..100 {
        if node.line("CLUSTER NODES").text().matches("127.0.0.9").count() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let (said, code) = doctor(&[seed], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&announced) && said.contains("cluster-announce-ip"), "{said}");
}

#[test]
fn a_single_server_and_a_port_where_nobody_is_are_told_apart() {
    let (said, code) = doctor(&[plain().addr()], &[]);
    assert_eq!(code, 1);
    assert!(said.contains("is a single server, not a node of a cluster"), "{said}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let (said, code) = doctor(&[addr], &[]);
    assert_eq!(code, 1);
    assert!(said.contains("nothing listens there"), "{said}");
    // A seed of no use beside one that answers is told, and the rest is looked at.
    let (said, code) = doctor(&[addr, cluster().addrs()[0]], &[]);
    assert_eq!(code, 1);
    assert!(said.contains("nothing listens there") && said.contains("all 16384 slots have an owner"), "{said}");
}

#[test]
fn commands_that_the_nodes_lack_are_listed() {
    let cluster = small(None, &[("rename-command", "GETDEL \"\"")]);
    let (said, code) = doctor(&cluster.addrs()[..1], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("commands: GETDEL\n") && said.contains("rename-command"), "{said}");
}

/// A port of loopback that was free a moment ago.
fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn health_and_top_ask_the_proxy_beside_them() {
    if direct() {
        return;
    }
    let admin = free_port();
    let proxy = Proxy::start(&cluster().addrs(), &["--admin", &admin], &[]);
    let mut client = Client::connect(proxy.addr());
    assert_eq!(client.line("SET operators 1").text(), "+OK\r\n");
    for args in [&["health", "--admin", &admin][..], &["health", "--live", "--admin", &admin]] {
        let output = slotway(args, &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let output = slotway(&["health"], &[("SLOTWAY__ADMIN__ADDR", &admin)]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "ready\n");
    std::thread::sleep(Duration::from_millis(1200));
    let top = String::from_utf8(slotway(&["top", "--admin", &admin], &[]).stdout).unwrap();
    assert!(!top.contains('\x1b'), "plain where there is no terminal: {top}");
    assert!(top.contains("ready") && top.contains("16384 of 16384 owned"), "{top}");
    for addr in cluster().addrs() {
        assert!(top.contains(&addr.to_string()), "{addr}: {top}");
    }
    drop(proxy);
    let output = slotway(&["health", "--admin", &admin], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be asked"));
    let output = slotway(&["health", "--admin", "off"], &[]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_second_proxy_on_this_machine_serves_without_a_page() {
    if direct() {
        return;
    }
    // Only the usual address may be taken; one that was asked for must be had.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let seeds = cluster().addrs()[0].to_string();
    let output = slotway(&["run", "--seeds", &seeds, "--listen", "127.0.0.1:0", "--admin", &addr], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen on"));
}

#[test]
fn a_password_of_a_server_without_one_is_explained() {
    let server = Server::start(&Options::default()).unwrap();
    let (said, code) = doctor(&[server.addr()], &[("SLOTWAY_PASSWORD", "x")]);
    assert_eq!(code, 1);
    assert!(said.contains("the node knows no password") || said.contains("single server"), "{said}");
}

/// What a client gets to hear from a server that runs somebody's script: word by word the same through the proxy.
#[test]
fn a_script_that_does_not_end_is_killed_at_once() {
    if direct() {
        return;
    }
    let limit = || vec![("busy-reply-threshold".to_owned(), "50".to_owned())];
    let nodes = own_cluster(&Options { replicas: 0, settings: limit(), ..Options::default() });
    let single = Server::start(&Options { settings: limit(), ..Options::default() }).unwrap();
    let through = Proxy::start(&nodes.addrs(), &["--workers", "2"], &[]);
    for container in ["SCRIPT", "FUNCTION"] {
        let [heard, expected] = [through.addr(), single.addr()].map(|addr| killed(addr, container));
        assert_eq!(heard, expected, "{container}");
    }
}

/// Runs a script or a function that does not end and has it killed: the replies that clients see.
fn killed(addr: SocketAddr, container: &str) -> Vec<String> {
    // Clients take turns with the threads of the proxy: those behind the script are not asked for.
    let (mut runs, mut other, mut kills) = (Client::connect(addr), Client::connect(addr), Client::connect(addr));
    let kill = [container, "KILL"];
    let mut heard = vec![kills.call(&kill).text(), other.line("GET k").text()];
    let function = "#!lua name=endless\nredis.register_function('endless', function(keys) while true do end end)";
    if container == "FUNCTION" {
        heard.push(kills.call(&["FUNCTION", "LOAD", "REPLACE", function]).text());
        runs.send(&frame(&["FCALL", "endless", "1", "k"]));
    } else {
        runs.send(&frame(&["EVAL", "while true do end", "1", "k"]));
    }
    let begun = Instant::now();
    let busy = loop {
        let answer = other.line("GET k").text();
        if answer.starts_with("-BUSY") || begun.elapsed() > PATIENCE {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    heard.push(busy);
    let before = Instant::now();
    heard.push(kills.call(&kill).text());
    assert!(before.elapsed() < Duration::from_millis(1500), "not at once: {:?}", before.elapsed());
    // What the killed one is told names a digest and a line.
    heard.push(runs.read().text().contains("Script killed by user with").to_string());
    heard.extend([other.line("GET k").text(), kills.call(&kill).text()]);
    heard
}

#[test]
fn what_the_operator_allows_is_done_on_all_nodes_within_a_transaction_too() {
    if direct() {
        return;
    }
    let nodes = small(None, &[]);
    let allow = [("SLOTWAY__COMMANDS__ALLOW", "config|set")];
    let proxy = Proxy::start(&nodes.addrs(), &[], &allow);
    let mut client = Client::connect(proxy.addr());
    for line in ["MULTI", "SET k v", "CONFIG SET hz 11", "GET k"] {
        assert!(client.line(line).text().starts_with('+'), "{line}");
    }
    assert_eq!(client.line("EXEC").text(), "*3\r\n+OK\r\n+OK\r\n$1\r\nv\r\n");
    for node in 0..3 {
        let hz = nodes.call(node, &["CONFIG", "GET", "hz"]).unwrap();
        assert!(format!("{hz:?}").contains(&format!("{:?}", b"11")), "node {node}: {hz:?}");
    }
    for line in ["CONFIG SET requirepass x", "CONFIG SET hz 12 RequirePass x"] {
        let refused = client.line(line).text();
        assert!(
            refused.starts_with("-ERR CONFIG SET failed (possibly related to argument 'requirepass')"),
            "{refused}"
        );
    }
    client.line("MULTI").ok();
    assert!(client.line("CONFIG SET port 1").text().starts_with("-ERR CONFIG SET failed"));
    assert!(client.line("EXEC").text().starts_with("-EXECABORT"));
    assert_eq!(client.line("CONFIG GET hz").text(), "*2\r\n$2\r\nhz\r\n$2\r\n11\r\n");
}
