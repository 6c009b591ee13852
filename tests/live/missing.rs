//! Scripts that a node does not have: the proxy that has seen them gives them to it.

use slotway::demo::servers::Options;

use crate::harness::{Client, PATIENCE, Proxy, direct, own_cluster, slot};

const SCRIPT: &str = "return {KEYS[1], redis.call('incr', KEYS[1])}";
const LIBRARY: &str = "#!lua name=lib\nredis.register_function('up', function(k) return redis.call('incr', k[1]) end)";

#[test]
fn a_script_is_given_to_nodes_that_miss_it() {
    if direct() {
        return;
    }
    let cluster = own_cluster(&Options::default());
    let proxy = Proxy::start(&cluster.addrs(), &[], &[]);
    let mut client = Client::connect(proxy.addr());
    let sha = String::from_utf8(client.call(&["SCRIPT", "LOAD", SCRIPT]).bulk().unwrap().to_vec()).unwrap();
    client.call(&["FUNCTION", "LOAD", LIBRARY]).ok();
    // A replica has never seen the script.
    let primary = (0..3).find(|&node| cluster.owner(slot(b"k"), 0).unwrap() == Some(node)).unwrap();
    cluster.fail_over(cluster.replicas_of(primary).unwrap()[0], PATIENCE).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(client.call(&["EVALSHA", &sha, "1", "k"]).text(), "*2\r\n$1\r\nk\r\n:1\r\n");
    // And one that is emptied behind the proxy's back, in the middle of a pipeline.
    for node in cluster.running() {
        cluster.call(node, &["SCRIPT", "FLUSH"]).unwrap();
    }
    for node in cluster.primaries().unwrap() {
        cluster.call(node, &["FUNCTION", "FLUSH"]).unwrap();
    }
    let mut all = Vec::new();
    for _ in 0..50 {
        all.extend(crate::harness::frame(&["EVALSHA", &sha.to_uppercase(), "1", "k"]));
    }
    client.send(&all);
    for n in 2..52 {
        assert_eq!(client.read().text(), format!("*2\r\n$1\r\nk\r\n:{n}\r\n"));
    }
    assert_eq!(client.line("GET k").bulk(), Some(b"51".as_slice()));
    for n in 0..30 {
        assert_eq!(client.line(&format!("FCALL up 1 other{n}")).text(), ":1\r\n");
    }
    // A script without keys runs anywhere.
    let any = "return 'anywhere'";
    client.call(&["EVAL", any, "0"]).ok();
    let mut one = String::new();
    for _ in 0..6 {
        let reply = client.line("EVALSHA 7c4c4e2b4e7d1e6ab5d6c1f4a5e4c5b5c1d3f0aa 0");
        one = reply.error().unwrap().to_owned();
    }
    assert_eq!(one, "NOSCRIPT No matching script. Please use EVAL.");
    let loaded = client.call(&["SCRIPT", "LOAD", any]);
    let digest = String::from_utf8(loaded.bulk().unwrap().to_vec()).unwrap();
    for _ in 0..6 {
        assert_eq!(client.call(&["EVALSHA", &digest, "0"]).bulk(), Some(b"anywhere".as_slice()));
    }
    // What was flushed through the proxy is gone.
    client.line("SCRIPT FLUSH").ok();
    client.line("FUNCTION FLUSH").ok();
    assert!(client.call(&["EVALSHA", &sha, "1", "k"]).error().unwrap().starts_with("NOSCRIPT"));
    assert_eq!(client.line("FCALL up 1 k").error(), Some("ERR Function not found"));
}
