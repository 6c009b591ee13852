//! The admin port: probes, every metric, the status while the cluster changes, and who may ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use slotway::admin::{Options as Admin, Token};
use slotway::config::Config;
use slotway::demo::embedded::{Options, slot};
use slotway::net::tls::{NodeOptions, ServerOptions, Verify};
use slotway::telemetry::names::{self, ALL};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::pki::{Authority, Folder};
use crate::proxy::{drained, ms, pass, proxied_with};
use crate::scrape::{self, Family};
use crate::world::World;

/// With the admin port at its usual address.
fn with_admin(config: &mut Config) {
    config.admin = Admin::default();
}

fn administered(seed: u64, scenario: impl AsyncFnOnce(World)) {
    proxied_with(seed, Options::default(), with_admin, scenario);
}

impl World {
    /// Sends bytes to the admin port and reads until it closes.
    async fn http(&self, request: &str) -> String {
        let mut stream = self.net.dial(&Admin::usual_addr()).await.expect("the admin port listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        // A connection that is closed in anger has said what it had to say.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    /// Asks for a path: the code and the body.
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http(&format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:9379\r\n\r\n")).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code"), body.to_owned())
    }

    async fn scrape(&self) -> BTreeMap<String, Family> {
        let (code, text) = self.get("/metrics").await;
        assert_eq!(code, 200);
        scrape::read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
    }

    async fn status(&self) -> Value {
        let (code, text) = self.get("/status.json").await;
        assert_eq!(code, 200);
        serde_json::from_str(&text).expect("JSON")
    }
}

/// The value of the one series with these labels; other labels may be there.
fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.get(name).or_else(|| families.values().find(|family| family.samples.contains_key(name)));
    let samples = family.and_then(|family| family.samples.get(name)).unwrap_or_else(|| panic!("no {name}"));
    let fits = |of: &&(BTreeMap<String, String>, f64)| labels.iter().all(|(k, v)| of.0.get(*k).is_some_and(|x| x == v));
    let found: Vec<_> = samples.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0].1
}

#[test]
fn every_metric_is_there_with_its_labels_and_no_other() {
    let (folder, authority) = (Folder::new("metrics"), Authority::new("somebody"));
    let (cert, key) = folder.write_pair("server", &authority.issue(&["127.0.0.1"]));
    let tls = ServerOptions { cert_file: Some(cert), key_file: Some(key), ..ServerOptions::default() };
    let change = |config: &mut Config| {
        with_admin(config);
        config.worker.tls = tls;
    };
    proxied_with(1, Options::default(), change, async |world| {
        let trust = NodeOptions { verify: Verify::Off, on: true, ..NodeOptions::default() };
        let mut client = world.sealed(&trust).await.expect("a handshake");
        client.say("SET a 1").await;
        let mut plain = world.client().await;
        plain.send(b"PING\r\n").await.expect("it reads");
        plain.rest().await;
        drop(world.net.dial(&world.front).await);
        pass(ms(1500)).await;
        let families = world.scrape().await;
        for (result, count) in [("ok", 1.0), ("plain", 1.0), ("failed", 0.0), ("late", 0.0), ("foreign", 0.0)] {
            assert_eq!(
                value(&families, "slotway_client_tls_handshakes_total", &[("result", result)]),
                count,
                "{result}"
            );
        }
        assert_eq!(value(&families, "slotway_tls_certificate_expiry_timestamp_seconds", &[]), 4_102_444_800.0);
        let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(families.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
        for metric in ALL {
            let family = &families[metric.name];
            assert_eq!((family.kind.as_str(), family.help.as_str()), (metric.kind.word(), metric.help));
            assert!(!family.samples.is_empty(), "{} has no sample", metric.name);
            for (labels, _) in family.samples.values().flatten() {
                let labels: BTreeSet<&str> = labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
                assert_eq!(labels, metric.labels.iter().copied().collect(), "{}", metric.name);
            }
        }
    });
}

#[test]
fn docs_describe_the_metrics_that_there_are() {
    let docs = std::fs::read_to_string("docs/metrics.md").expect("docs/metrics.md");
    let table = names::markdown();
    assert!(docs.contains(&table), "docs/metrics.md is out of date; its table has to be:\n{table}");
}

#[test]
fn requests_are_counted_by_command_class_node_and_error() {
    administered(2, async |world| {
        let mut client = world.client().await;
        let keys = world.keys();
        for key in &keys {
            client.say(&format!("SET {key} 1")).await;
            client.say(&format!("GET {key}")).await;
        }
        client.say(&format!("MGET {}", keys.join(" "))).await;
        client.say("PING").await;
        client.say("CLIENT ID").await;
        client.say("NONSENSE").await;
        client.say(&format!("LPUSH {} x", keys[0])).await;
        let node = world.cluster.owner(slot(keys[0].as_bytes())).expect("an owner");
        let addr = world.cluster.addr(node).to_string();
        let families = world.scrape().await;
        let counted = |command: &str| value(&families, "slotway_client_commands_total", &[("command", command)]);
        let by_command = ["set", "get", "mget", "ping", "client|id", "lpush", "other"].map(counted);
        assert_eq!(by_command, [3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let took = |class: &str| value(&families, "slotway_client_command_duration_seconds_count", &[("class", class)]);
        assert_eq!(["read", "write", "split", "local"].map(took), [3.0, 4.0, 1.0, 2.0]);
        let errors = |kind: &str| value(&families, "slotway_client_command_errors_total", &[("kind", kind)]);
        assert_eq!(["WRONGTYPE", "ERR", "OOM"].map(errors), [1.0, 1.0, 0.0]);
        let at_node = |name: &str| value(&families, name, &[("node", &addr)]);
        assert_eq!(at_node("slotway_backend_commands_total"), 4.0, "SET, GET, a part of MGET, LPUSH");
        assert_eq!(at_node("slotway_backend_command_duration_seconds_count"), 4.0);
        let wrong = [("node", addr.as_str()), ("kind", "WRONGTYPE")];
        assert_eq!(value(&families, "slotway_backend_errors_total", &wrong), 1.0);
        assert_eq!(value(&families, "slotway_client_connections", &[]), 1.0);
    });
}

#[test]
fn durations_are_those_of_the_clock() {
    administered(3, async |world| {
        let key = world.keys()[0].clone();
        let node = world.cluster.owner(slot(key.as_bytes())).expect("an owner");
        let mut client = world.client().await;
        client.say(&format!("GET {key}")).await;
        world.cluster.delay(node, ms(30));
        for _ in 0..20 {
            client.say(&format!("GET {key}")).await;
        }
        pass(ms(1500)).await;
        let families = world.scrape().await;
        let addr = world.cluster.addr(node).to_string();
        for (name, label) in [("client", ("class", "read")), ("backend", ("node", addr.as_str()))] {
            let name = format!("slotway_{name}_command_duration_seconds");
            let bucket = |le: &str| value(&families, &format!("{name}_bucket"), &[label, ("le", le)]);
            assert_eq!((bucket("0.025"), bucket("0.05")), (1.0, 21.0), "{name}");
            let sum = value(&families, &format!("{name}_sum"), &[label]);
            assert!((0.6..0.7).contains(&sum), "{sum}");
        }
        let node = world.status().await["nodes"].as_array().expect("nodes").iter().find(|n| n["addr"] == addr).cloned();
        let p99 = node.expect("the node")["latency"]["p99_us"].as_f64().expect("a p99");
        assert!((25_000.0..40_000.0).contains(&p99), "{p99}");
    });
}

#[test]
fn readiness_follows_the_map_and_the_drain_and_life_does_not() {
    let change = |config: &mut Config| {
        with_admin(config);
        config.worker.delay = Duration::from_secs(5);
    };
    drained(4, change, async |world, shutdown| {
        assert_eq!(world.get("/readyz").await, (200, "ready\n".to_owned()));
        // A cluster that is down takes no proxy out of its balancer.
        world.cluster.nodes().into_iter().for_each(|node| world.cluster.kill(node));
        pass(Duration::from_mins(1)).await;
        assert_eq!(world.get("/readyz").await.0, 200);
        world.cluster.nodes().into_iter().for_each(|node| world.cluster.revive(node));
        pass(ms(500)).await;
        shutdown.begin();
        pass(ms(100)).await;
        assert_eq!(world.get("/readyz").await, (503, "not ready: draining\n".to_owned()));
        assert_eq!(world.get("/livez").await, (200, "alive\n".to_owned()));
        assert!(world.get("/healthz").await.1.starts_with("alive: yes\nready: no, draining\n"));
        assert_eq!(value(&world.scrape().await, "slotway_draining", &[]), 1.0);
        assert_eq!(world.status().await["state"], "draining");
    });
}

#[test]
fn a_failover_and_moves_are_seen_in_the_status() {
    administered(5, async |world| {
        let [first, second, ..] = world.cluster.primaries()[..] else { panic!("three primaries") };
        let replica = world.cluster.siblings(first).into_iter().find(|node| *node != first).expect("a replica");
        pass(ms(2100)).await;
        let before = world.status().await;
        assert_eq!(before["problems"], Value::Array(Vec::new()));
        assert_eq!(before["slots"].as_array().map(Vec::len), Some(3));
        for moved in 0..7 {
            world.cluster.move_slot(moved, second);
        }
        world.cluster.begin_migration(100, second);
        pass(Duration::from_secs(12)).await;
        world.status().await;
        pass(ms(2500)).await;
        let status = world.status().await;
        let (from, to) = (world.cluster.addr(first).to_string(), world.cluster.addr(second).to_string());
        assert_eq!(status["changes"][0]["text"], format!("7 slots moved from {from} to {to}"));
        assert_eq!(status["slots"][0]["last"], 6);
        assert_eq!(status["slots"][0]["shard"], before["slots"][1]["shard"], "colours stay with their nodes");
        let on_the_move = serde_json::json!([{ "first": 100, "last": 100, "from": from, "to": to }]);
        assert_eq!(status["migrations"], on_the_move);
        world.cluster.failover(replica);
        pass(Duration::from_secs(12)).await;
        let status = world.status().await;
        let texts: Vec<&str> = status["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .filter_map(|change| change["text"].as_str())
            .collect();
        let new = world.cluster.addr(replica);
        assert!(
            texts.contains(&format!("{new} took over 5454 slots from {from}, whose replica it was").as_str()),
            "{texts:?}"
        );
        let shard = |addr: &str| {
            let nodes = status["nodes"].as_array().expect("nodes");
            nodes.iter().find(|node| node["addr"] == addr).expect("the node")["shard"].clone()
        };
        assert_eq!(shard(&from), shard(&new.to_string()), "a shard keeps its number when its primary changes");
    });
}

#[test]
fn the_sick_node_is_named_and_one_that_left_has_no_series() {
    administered(6, async |world| {
        let key = world.keys()[1].clone();
        let node = world.cluster.owner(slot(key.as_bytes())).expect("an owner");
        let addr = world.cluster.addr(node).to_string();
        let mut client = world.client().await;
        client.say(&format!("SET {key} 1")).await;
        pass(ms(2100)).await;
        world.cluster.kill(node);
        client.say(&format!("SET {key} 2")).await;
        pass(ms(1500)).await;
        let status = world.status().await;
        assert_eq!(status["problems"][0]["severity"], "bad");
        assert_eq!(status["problems"][0]["node"], addr);
        let families = world.scrape().await;
        assert!(value(&families, "slotway_backend_errors_total", &[("node", &addr), ("kind", "connect")]) > 0.0);
        assert!(value(&families, "slotway_backend_connects_total", &[("node", &addr), ("result", "failed")]) > 0.0);
        assert_eq!(value(&families, "slotway_backend_connections", &[("node", &addr), ("role", "primary")]), 0.0);
    });
}

#[test]
fn an_unknown_cluster_is_not_ready() {
    let options = Options::default();
    let change = |config: &mut Config| {
        with_admin(config);
        config.cluster.seeds = vec![slotway::net::Addr::tcp("127.0.0.1", 1)];
    };
    proxied_with(7, options, change, async |world| {
        assert_eq!(world.get("/livez").await.0, 200);
        let (code, text) = world.get("/readyz").await;
        assert_eq!((code, text.as_str()), (503, "not ready: no node of the cluster has answered yet\n"));
        assert_eq!(world.status().await["state"], "starting");
        let families = world.scrape().await;
        let failed = [("trigger", "interval"), ("result", "failed")];
        assert!(value(&families, "slotway_cluster_topology_refresh_total", &failed) > 0.0);
        assert!(value(&families, "slotway_cluster_topology_age_seconds", &[]) > 4.0);
    });
}

#[test]
fn strangers_and_wrong_methods_are_turned_away() {
    administered(8, async |world| {
        let code = async |request: &str| {
            let answer = world.http(request).await;
            answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()).unwrap_or(0)
        };
        assert_eq!(code("GET /status.json HTTP/1.0\r\nHost: evil.example\r\n\r\n").await, 421);
        assert_eq!(code("GET / HTTP/1.0\r\n\r\n").await, 421);
        assert_eq!(code("GET /livez HTTP/1.0\r\nHost: evil.example\r\n\r\n").await, 200, "probes tell nothing");
        assert_eq!(code("GET / HTTP/1.0\r\nHost: localhost:9379\r\n\r\n").await, 200);
        assert_eq!(code("POST /metrics HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await, 405);
        assert_eq!(code("GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n").await, 404);
        let long = format!("GET / HTTP/1.0\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(40_000));
        assert_eq!(code(&long).await, 431);
        let many = format!("GET / HTTP/1.0\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(100));
        assert_eq!(code(&many).await, 431);
        assert_eq!(code("nonsense\r\n\r\n").await, 400);
        let page = world.http("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").await.to_lowercase();
        assert!(
            page.contains("content-security-policy: default-src 'none'")
                && page.contains("x-content-type-options: nosniff")
        );
    });
}

#[test]
fn a_token_opens_everything_but_the_probes_which_are_open() {
    let change = |config: &mut Config| {
        with_admin(config);
        config.admin.token = Some(Token("let me in".to_owned()));
    };
    proxied_with(9, Options::default(), change, async |world| {
        let code = async |path: &str, extra: &str| {
            let answer = world.http(&format!("GET {path} HTTP/1.0\r\nHost: any.example\r\n{extra}\r\n")).await;
            answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()).unwrap_or(0)
        };
        for path in ["/", "/metrics", "/status.json"] {
            assert_eq!(code(path, "").await, 401, "{path}");
            assert_eq!(code(path, "Authorization: Bearer let me out\r\n").await, 401, "{path}");
            assert_eq!(code(path, "Authorization: Bearer let me in\r\n").await, 200, "{path}");
        }
        assert_eq!(code("/readyz", "").await, 200);
    });
}

#[test]
fn those_who_say_nothing_do_not_keep_others_out() {
    administered(10, async |world| {
        let mut silent = Vec::new();
        for _ in 0..64 {
            silent.push(world.net.dial(&Admin::usual_addr()).await.expect("it listens"));
        }
        pass(ms(10)).await;
        assert_eq!(world.http("GET /livez HTTP/1.0\r\n\r\n").await, "", "there is a limit");
        pass(Duration::from_secs(31)).await;
        assert_eq!(world.get("/livez").await.0, 200, "and silence ends");
    });
}

/// The paths of all fields, lists and maps by what is in them.
fn paths(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // The names of classes are no fields.
                let is_class = prefix == "latency";
                let path = if is_class { "latency.*".to_owned() } else { format!("{prefix}.{name}") };
                paths(path.trim_start_matches('.'), value, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(&format!("{prefix}[]"), item, out)),
        _ => {
            out.insert(prefix.to_owned());
        }
    }
}

#[test]
fn docs_describe_every_field_of_the_status() {
    administered(11, async |world| {
        let [first, second, ..] = world.cluster.primaries()[..] else { panic!("three primaries") };
        let mut client = world.client().await;
        client.say("SET a 1").await;
        client.say("LPUSH a 1").await;
        world.cluster.begin_migration(0, second);
        world.status().await;
        world.cluster.kill(first);
        for key in world.keys() {
            client.say(&format!("SET {key} 1")).await;
        }
        pass(ms(2500)).await;
        let mut there = BTreeSet::new();
        let status = world.status().await;
        paths("", &status, &mut there);
        let docs = std::fs::read_to_string("docs/status.md").expect("docs/status.md");
        let told: BTreeSet<String> =
            docs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect();
        let untold: Vec<_> = there.difference(&told).collect();
        assert!(untold.is_empty(), "docs/status.md does not tell of {untold:?}");
        // What can be absent from one answer: lists that are empty, and nothing else.
        let absent: Vec<_> =
            told.difference(&there).filter(|path| !path.contains("[]") && !path.contains('*')).collect();
        assert!(absent.is_empty(), "docs/status.md tells of {absent:?}, which is not there: {status}");
    });
}
