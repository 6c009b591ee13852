//! What the proxy weighs: memory with connections that are idle and after a burst; and how clients are spread over workers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{Client, PATIENCE, Proxy, alone, cluster, frame, tell};

/// How long memory may take to come back after a burst.
const RECOVERY: Duration = Duration::from_secs(30);

/// The processes' resident memory, in kilobytes.
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// A client whose kernel takes little, so that what it does not read stays with the proxy.
fn slow_reader(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    socket.connect(&addr.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads so many bytes and gives the last ones.
fn swallow(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut got = vec![0; bytes];
    stream.read_exact(&mut got).unwrap();
    got.split_off(bytes.saturating_sub(16))
}

#[test]
fn memory_is_back_half_a_minute_after_a_burst() {
    const CLIENTS: usize = 1000;
    const DEPTH: usize = 32;
    let _alone = alone();
    let proxy = Proxy::start(&cluster().addrs(), &["--workers", "2"], &[]);
    let value = "v".repeat(4096);
    let mut client = Client::connect(proxy.addr());
    let keys: Vec<String> = (0..DEPTH).map(|n| format!("weight:{n}")).collect();
    for key in &keys {
        client.call(&["SET", key, &value]).ok();
    }
    let reply = format!("$4096\r\n{value}\r\n");
    let ask: Vec<u8> = keys.iter().flat_map(|key| frame(&["GET", key])).collect();
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| slow_reader(proxy.addr())).collect();
    for stream in &mut clients {
        stream.write_all(&frame(&["GET", "weight:0"])).unwrap();
        assert!(reply.as_bytes().ends_with(&swallow(stream, reply.len())));
    }
    let before = resident(proxy.pid());
    clients.iter_mut().for_each(|stream| stream.write_all(&ask).unwrap());
    std::thread::sleep(Duration::from_secs(1));
    let peak = resident(proxy.pid());
    for stream in &mut clients {
        assert!(reply.as_bytes().ends_with(&swallow(stream, reply.len() * DEPTH)));
    }
    assert!(peak > before * 2.0, "that was no burst: {before} kB before, {peak} kB in it");
    let began = Instant::now();
    let mut now = resident(proxy.pid());
    while now > before * 1.25 && began.elapsed() < RECOVERY {
        std::thread::sleep(Duration::from_millis(100));
        now = resident(proxy.pid());
    }
    let text = format!("{before} kB before, {peak} kB in it, {now} kB {:?} after it", began.elapsed());
    assert!(now <= before * 1.25, "memory did not come back: {text}");
    tell(&text);
    // And what was given back was not in use.
    assert_eq!(client.call(&["GET", "weight:1"]).raw.len(), reply.len());
}

#[test]
fn idle_connections_own_no_buffers() {
    const CLIENTS: usize = 2000;
    let _alone = alone();
    let proxy = Proxy::start(&cluster().addrs(), &["--workers", "1"], &[]);
    let value = "v".repeat(1000);
    let keys: Vec<String> = (0..16).map(|n| format!("weight:idle:{n}")).collect();
    let mut first = Client::connect(proxy.addr());
    for key in &keys {
        first.call(&["SET", key, &value]).ok();
    }
    // Each has a deep pipeline, replies that come early, and half a request that comes to its end.
    let ask: Vec<u8> = keys.iter().flat_map(|key| frame(&["GET", key])).collect();
    let length = format!("$1000\r\n{value}\r\n").len() * keys.len();
    let mut used = |client: &mut TcpStream| {
        let (half, rest) = ask.split_at(ask.len() - 7);
        client.write_all(half).unwrap();
        client.write_all(rest).unwrap();
        swallow(client, length)
    };
    let connect = || {
        let stream = TcpStream::connect(proxy.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut warm = connect();
    assert!(used(&mut warm).ends_with(b"v\r\n"));
    let before = resident(proxy.pid());
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect()).collect();
    clients.iter_mut().for_each(|client| assert!(used(client).ends_with(b"v\r\n")));
    let each = (resident(proxy.pid()) - before) * 1024.0 / CLIENTS as f64;
    tell(&format!("{each} bytes a connection that was used"));
    assert!(each < 2048.0, "{each} bytes a connection");
}

/// How many sockets each epoll instance of a process watches: each worker has one.
fn watched(pid: u32) -> BTreeMap<String, usize> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map_while(Result::ok);
    let polls = fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|at| at.as_os_str() == "anon_inode:[eventpoll]"));
    let count = |fd: &str| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
        info.lines().filter(|line| line.starts_with("tfd:")).count()
    };
    polls.map(|fd| fd.file_name().to_string_lossy().into_owned()).map(|fd| (fd.clone(), count(&fd))).collect()
}

/// Waits until so many clients are there, and gives how many each worker has.
fn spread(proxy: &Proxy, before: &BTreeMap<String, usize>, clients: usize) -> Vec<usize> {
    let began = Instant::now();
    loop {
        let now = watched(proxy.pid());
        let more = now.iter().map(|(fd, count)| count.saturating_sub(before.get(fd).copied().unwrap_or(0)));
        let more: Vec<usize> = more.filter(|count| *count > 0).collect();
        if more.iter().sum::<usize>() == clients {
            return more;
        }
        assert!(began.elapsed() < PATIENCE, "{clients} clients, but {more:?} sockets more than {before:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn clients_are_spread_evenly_over_workers_and_stay_so() {
    let _alone = alone();
    for workers in [2, 4] {
        let proxy = Proxy::start(&cluster().addrs(), &["--workers", &workers.to_string()], &[]);
        // Once all of the proxy's own sockets are there.
        let mut before = watched(proxy.pid());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = watched(proxy.pid());
            if now == before {
                break;
            }
            before = now;
        }
        let mut clients: Vec<Client> = Vec::new();
        let connect = || {
            let mut client = Client::connect(proxy.addr());
            client.line("PING").ok();
            client
        };
        let even = |count: usize| {
            let spread = spread(&proxy, &before, count);
            let (least, most) = (spread.iter().min().copied().unwrap_or(0), spread.iter().max().copied().unwrap_or(0));
            assert!(spread.len() == workers && most - least <= 1, "{count} clients of {workers} workers: {spread:?}");
        };
        for count in [8, 16, 200] {
            clients.resize_with(count, connect);
            even(count);
        }
        // Connections are handed out in turn, so this takes all clients from half of the workers.
        let mut index = 0;
        clients.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        let one_sided = spread(&proxy, &before, 100);
        assert!(one_sided.len() <= workers / 2, "{one_sided:?}");
        clients.resize_with(200, connect);
        even(200);
    }
}
