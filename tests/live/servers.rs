//! The cluster that the other tests stand on does what they rely on.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use slotway::demo::servers::{Options, Server};

use crate::harness::{PATIENCE, alone, own_cluster, slot};

#[test]
fn a_cluster_forms_moves_slots_and_survives_its_primaries() {
    let _alone = alone();
    let begun = Instant::now();
    let cluster = own_cluster(&Options::default());
    assert!(begun.elapsed() < Duration::from_secs(10), "formed only after {:?}", begun.elapsed());
    assert_eq!(cluster.primaries().unwrap(), [0, 1, 2]);
    assert_eq!(cluster.replicas_of(1).unwrap(), [4]);

    let place = slot(b"moved");
    let from = cluster.owner(place, 5).unwrap().unwrap();
    cluster.call(from, &["SET", "moved", "along"]).unwrap();
    let to = (from + 1) % 3;
    cluster.move_slot(place, to).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(cluster.owner(place, from).unwrap(), Some(to));
    assert_eq!(cluster.call(to, &["GET", "moved"]).unwrap().text(), Some("along"));

    let replica = cluster.replicas_of(to).unwrap()[0];
    cluster.fail_over(replica, PATIENCE).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(cluster.owner(place, from).unwrap(), Some(replica));
    assert_eq!(cluster.replicas_of(replica).unwrap(), [to]);

    cluster.kill(replica).unwrap();
    assert!(!cluster.running().contains(&replica));
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(cluster.owner(place, from).unwrap(), Some(to));
    cluster.restart(replica).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(cluster.call(to, &["GET", "moved"]).unwrap().text(), Some("along"));
    assert_eq!(cluster.replicas_of(to).unwrap(), [replica]);
}

#[test]
fn a_stopped_node_answers_again_when_it_goes_on() {
    let cluster = own_cluster(&Options { primaries: 1, replicas: 0, ..Options::default() });
    let mut stream = TcpStream::connect(cluster.addrs()[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = [0; 7];
    cluster.pause(0).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    assert_eq!(stream.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    cluster.resume(0).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_missing_program_is_named() {
    let options = Options { program: Some("/nowhere/redis-server".into()), ..Options::default() };
    let error = Server::start(&options).unwrap_err().to_string();
    assert!(error.contains("/nowhere/redis-server"), "{error}");
    let options = Options { settings: vec![("no-such-setting".to_owned(), "1".to_owned())], ..Options::default() };
    let error = Server::start(&options).unwrap_err().to_string();
    assert!(error.contains("ended while starting"), "{error}");
}

/// Plays both parts: started by itself with the variable set, it holds a server until it is killed.
#[test]
fn servers_die_with_a_killed_parent() {
    const PART: &str = "LIVE_HOLD_A_SERVER";
    if std::env::var_os(PART).is_some() {
        let server = Server::start(&Options::default()).unwrap();
        #[expect(clippy::print_stdout, reason = "the other part reads it")]
        {
            println!("\nserver at {}", server.addr());
        }
        std::thread::sleep(PATIENCE);
        return;
    }
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers::servers_die_with_a_killed_parent", "--nocapture"])
        .env(PART, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
    let addr = { lines }.find_map(|line| line.strip_prefix("server at ").map(str::to_owned));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let addr = addr.expect("the parent says where its server is").parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok() {
        assert!(Instant::now() < deadline, "the server at {addr} outlived its parent");
        std::thread::sleep(Duration::from_millis(20));
    }
}
