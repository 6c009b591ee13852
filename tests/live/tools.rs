//! The tools that everybody has at hand: redis-cli and redis-benchmark.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Client, alone, direct, proxy};

/// Runs a tool of Redis and gives what it printed; it must end well.
#[track_caller]
fn run(program: &str, args: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; it comes with the package redis-tools"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {}\n{text}", output.status);
    text
}

#[test]
fn redis_cli_works_as_with_one_server() {
    let proxy = proxy();
    let port = proxy.port();
    let cli = |args: &[&str]| run("redis-cli", &[&["-p", &port], args].concat(), b"");
    assert_eq!(cli(&["SET", "cli:a", "1"]), "OK\n");
    assert_eq!(cli(&["SET", "cli:b", "2"]), "OK\n");
    assert_eq!(cli(&["GET", "cli:a"]), "1\n");
    assert_eq!(cli(&["MGET", "cli:a", "cli:none", "cli:b"]), "1\n\n2\n");
    assert_eq!(cli(&["--no-raw", "MGET", "cli:a", "cli:none"]), "1) \"1\"\n2) (nil)\n");
    assert_eq!(cli(&["HSET", "cli:h", "f", "v"]), "1\n");
    assert_eq!(cli(&["-3", "--no-raw", "HGETALL", "cli:h"]), "1# \"f\" => \"v\"\n");
    assert!(cli(&["HELLO", "3"]).contains("standalone"));
    assert_eq!(cli(&["-n", "0", "PING"]), "PONG\n");
    assert_eq!(cli(&["-r", "3", "INCR", "cli:n"]), "1\n2\n3\n");
    assert!(cli(&["INFO", "server"]).contains("redis_version:"));
    assert_eq!(cli(&["DEL", "cli:a", "cli:b", "cli:h", "cli:n"]), "4\n");
    // Commands on standard input, as scripts do.
    let many = run("redis-cli", &["-p", &port], b"SET cli:x 1\nGET cli:x\nNOSUCH\nDEL cli:x\n");
    assert!(many.starts_with("OK\n1\nERR unknown command 'NOSUCH'"), "{many}");
}

#[test]
fn redis_cli_pipe_loads_a_hundred_thousand_commands() {
    let _alone = alone();
    let proxy = proxy();
    let mut input = Vec::new();
    for n in 0..100_000 {
        input.extend(crate::harness::frame(&["SET", &format!("pipe:{}", n % 5000), &n.to_string()]));
    }
    let told = run("redis-cli", &["-p", &proxy.port(), "--pipe"], &input);
    assert!(told.contains("errors: 0, replies: 100000"), "{told}");
    let mut client = Client::connect(proxy.addr());
    assert_eq!(client.line("GET pipe:4999").bulk(), Some(b"99999".as_slice()));
}

#[test]
fn redis_benchmark_runs_all_of_its_tests_without_an_error() {
    let _alone = alone();
    let proxy = proxy();
    let port = proxy.port();
    for more in [&[][..], &["-P", "16"], &["-3"]] {
        let args = ["-p", &port, "-n", "5000", "-c", "20", "-r", "1000", "--csv"];
        let told = run("redis-benchmark", &[&args, more].concat(), b"");
        let rows: Vec<_> = told.lines().filter(|line| line.starts_with('"')).collect();
        for test in
            ["PING_INLINE", "SET", "GET", "INCR", "LPUSH", "SADD", "HSET", "ZADD", "LRANGE_600", "MSET (10 keys)"]
        {
            assert!(rows.iter().any(|row| row.starts_with(&format!("\"{test}"))), "no {test} in {told}");
        }
        let errors: Vec<_> = told.lines().filter(|line| line.to_lowercase().contains("error")).collect();
        assert!(errors.is_empty(), "{more:?}: {errors:#?}");
    }
}

#[test]
fn a_load_balancers_probes_are_answered() {
    let proxy = proxy();
    let mut client = Client::connect(proxy.addr());
    client.send(b"PING\r\ninfo replication\r\nQUIT\r\n");
    assert_eq!(client.read().text(), "+PONG\r\n");
    let info = client.read();
    assert!(info.text().contains("role:master"), "{info:?}");
    assert_eq!(client.read().text(), "+OK\r\n");
    assert_eq!(client.read_to_end().as_deref(), Ok(b"".as_slice()), "QUIT closes");
    drop(Client::connect(proxy.addr()));
}

#[test]
fn info_tells_what_clients_read_in_it() {
    if direct() {
        return;
    }
    let proxy = proxy();
    let info = Client::connect(proxy.addr()).line("INFO").text();
    for line in ["redis_version:", "redis_mode:standalone", "role:master", "loading:0", "cluster_enabled:0", "# Proxy"]
    {
        assert!(info.lines().any(|told| told.starts_with(line)), "no {line} in {info}");
    }
}
