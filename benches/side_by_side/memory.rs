//! What memory a proxy has: with connections that are idle, and after a burst.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::cluster::PATIENCE;
use crate::limits::AFTER_BURST;
use crate::plan::Space;
use crate::rounds::Spaces;
use crate::targets::Running;
use crate::wire::{Keyspace, Owed, Verdict};
use crate::{Result, cpu};

/// Memory that idle connections cost.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    /// The target's name.
    pub(crate) target: &'static str,
    /// How many connections.
    pub(crate) connections: usize,
    /// Bytes per connection that has said nothing yet.
    pub(crate) fresh: f64,
    /// Bytes per connection that has asked sixteen times and is idle again.
    pub(crate) used: f64,
    /// Resident bytes of the process with all of them, after use.
    pub(crate) whole: f64,
}

/// Memory before, in and after a burst.
#[derive(Debug, Serialize)]
pub(crate) struct Burst {
    /// The target's name.
    pub(crate) target: &'static str,
    /// Resident bytes before, with all connections open and used.
    pub(crate) before: f64,
    /// At the peak.
    pub(crate) peak: f64,
    /// Half a minute after it, with all connections open and idle.
    pub(crate) after: f64,
    /// Seconds until it was back, if it was.
    pub(crate) back: Option<f64>,
}

/// Measures what idle connections cost a target that was just started.
pub(crate) fn idle(target: &Running, connections: usize, spaces: &Spaces) -> Result<Idle> {
    let (pid, address) = whereabouts(target)?;
    let keys = spaces.of(Space::Small);
    // The first connection pays for what all share.
    pipeline(&mut TcpStream::connect(address)?, keys, 16)?;
    let settled = || -> Result<f64> {
        std::thread::sleep(Duration::from_secs(2));
        Ok(cpu::resident(pid)? as f64)
    };
    let before = settled()?;
    let mut idle = (0..connections).map(|_| TcpStream::connect(address)).collect::<std::io::Result<Vec<_>>>()?;
    // Connections are accepted in their order: when a later one is answered, all are in.
    pipeline(idle.last_mut().ok_or("no connections")?, keys, 1)?;
    let fresh = (settled()? - before) / connections as f64;
    for stream in &mut idle {
        pipeline(stream, keys, 16)?;
    }
    let whole = settled()?;
    Ok(Idle { target: target.name, connections, fresh, used: (whole - before) / connections as f64, whole })
}

/// Connections of a burst.
const CLIENTS: usize = 1000;
/// GETs of 4 KB in the pipeline of each.
const DEPTH: u32 = 128;
/// A client that is slow to read: its kernel takes so much, the rest stays with the proxy.
const RECEIVE: usize = 16 << 10;
/// How long memory may take to come back.
const RECOVERY: Duration = Duration::from_secs(30);

/// A target that has had its burst.
pub(crate) struct Recovering {
    running: Running,
    clients: Vec<TcpStream>,
    ended: Instant,
    result: Burst,
}

/// Sends a burst to a target that was just started: a thousand clients with deep pipelines of large replies, none of
/// which reads before all have asked. Every reply is checked.
pub(crate) fn burst(running: Running, spaces: &Spaces) -> Result<Recovering> {
    let (pid, address) = whereabouts(&running)?;
    let keys = spaces.of(Space::Large);
    let mut clients = (0..CLIENTS).map(|_| slow_reader(address)).collect::<Result<Vec<_>>>()?;
    for client in &mut clients {
        pipeline(client, keys, 4)?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu::resident(pid)? as f64;
    cpu::forget_peak(pid)?;
    let mut request = Vec::new();
    (0..DEPTH).for_each(|key| keys.encode_get(&mut request, key));
    for client in &mut clients {
        client.write_all(&request)?;
    }
    std::thread::sleep(Duration::from_secs(1));
    for client in &mut clients {
        check(client, keys, DEPTH)?;
    }
    let peak = cpu::peak(pid)? as f64;
    let result = Burst { target: running.name, before, peak, after: f64::NAN, back: None };
    Ok(Recovering { running, clients, ended: Instant::now(), result })
}

/// Waits until the memory of each is back, or until it has had its time.
pub(crate) fn recover(all: Vec<Recovering>) -> Result<Vec<Burst>> {
    let mut done = Vec::new();
    let mut waiting = all;
    while !waiting.is_empty() {
        std::thread::sleep(Duration::from_millis(250));
        let mut left = Vec::new();
        for mut one in waiting {
            let (pid, _) = whereabouts(&one.running)?;
            let since = one.ended.elapsed();
            one.result.after = cpu::resident(pid)? as f64;
            if one.result.back.is_none() && one.result.after <= one.result.before * AFTER_BURST {
                one.result.back = Some(since.as_secs_f64());
            }
            if since < RECOVERY {
                left.push(one);
            } else {
                drop(one.clients);
                done.push(one.result);
            }
        }
        waiting = left;
    }
    Ok(done)
}

fn whereabouts(target: &Running) -> Result<(u32, SocketAddr)> {
    let pid = target.pid().ok_or("no process of its own")?;
    Ok((pid, *target.destination.addresses.first().ok_or("no address")?))
}

fn slow_reader(address: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(RECEIVE)?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    Ok(socket.into())
}

/// So many GETs in one pipeline.
fn pipeline(stream: &mut TcpStream, keys: &Keyspace, count: u32) -> Result<()> {
    let mut request = Vec::new();
    (0..count).for_each(|key| keys.encode_get(&mut request, key));
    stream.write_all(&request)?;
    check(stream, keys, count)
}

/// Reads the values of the first keys.
fn check(stream: &mut TcpStream, keys: &Keyspace, count: u32) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut replies, mut scratch) = (Vec::new(), [0; 16 << 10]);
    let mut key = 0;
    while key < count {
        let read = stream.read(&mut scratch)?;
        if read == 0 {
            return Err("closed by the proxy".into());
        }
        replies.extend_from_slice(scratch.get(..read).unwrap_or_default());
        let mut used = 0;
        while let Some((length, verdict)) = keys.check(replies.get(used..).unwrap_or_default(), Owed::Value(key)) {
            if verdict != Verdict::Right {
                let reply = replies.get(used..).unwrap_or_default();
                return Err(format!("a GET was answered {}", String::from_utf8_lossy(reply)).into());
            }
            used += length;
            key += 1;
        }
        replies.drain(..used);
    }
    Ok(())
}
