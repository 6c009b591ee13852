//! The real network: TCP and Unix sockets with the options that a proxy wants.
//!
//! `TCP_NODELAY` always (replies are batched by the worker, not by the kernel); keepalive and a limit for bytes that
//! nobody acknowledges on both sides, so that a peer that vanished without a word is noticed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::beside::{Beside, replace_unix};
use super::{Accepted, Addr, Listener, LocalFuture, Net, SendFuture, Stream};

/// How many connections the kernel may hold that were not accepted yet.
pub(super) const BACKLOG: i32 = 4096;

/// TCP and Unix sockets.
#[derive(Clone, Debug, Default)]
pub struct Tcp;

impl Net for Tcp {
    fn connect<'a>(&'a self, to: &'a Addr) -> LocalFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            match to {
                Addr::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
                Addr::Tcp { host, port } => {
                    let stream = match host.parse::<IpAddr>() {
                        Ok(ip) => TcpStream::connect(SocketAddr::new(ip, *port)).await?,
                        Err(_) => connect_by_name(host, *port).await?,
                    };
                    tune(&SockRef::from(&stream), &NODES)?;
                    Ok(Stream::Tcp(stream))
                }
            }
        })
    }

    fn listen(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        match at {
            Addr::Tcp { host, port } => listen_tcp(host, *port),
            Addr::Unix(path) => listen_unix(path),
        }
    }

    fn listen_beside(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        Ok(match at {
            Addr::Tcp { host, port } => Box::new(Beside::bind(host, *port)?),
            Addr::Unix(path) => Box::new(replace_unix(path)?),
        })
    }
}

/// How long one of a name's addresses is waited for before the next is tried.
const ONE_ADDRESS: Duration = Duration::from_millis(300);

/// Looks a name up anew and tries its addresses in turn: behind one name may stand many nodes, some of them gone.
async fn connect_by_name(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = None;
    let mut addrs = tokio::net::lookup_host((host, port)).await?.peekable();
    while let Some(addr) = addrs.next() {
        let attempt = TcpStream::connect(addr);
        // The last one has all the time that is left.
        let result = if addrs.peek().is_none() {
            attempt.await
        } else {
            tokio::time::timeout(ONE_ADDRESS, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the host has no address")))
}

fn listen_tcp(host: &str, port: u16) -> io::Result<Box<dyn Listener>> {
    use std::net::ToSocketAddrs as _;
    let at = (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the host has no address"))?;
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Box::new(TcpListener::from_std(socket.into())?))
}

fn listen_unix(path: &std::path::Path) -> io::Result<Box<dyn Listener>> {
    // A socket file that nobody answers on is left over from a process that was killed.
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(Box::new(UnixListener::bind(path)?))
}

/// How soon a peer that vanished is noticed.
struct Alertness {
    /// How long a connection is silent before it is probed.
    idle: Duration,
    /// From one unanswered probe to the next; the third one is the last.
    interval: Duration,
    /// How long sent bytes may stay unacknowledged, or a full peer may take nothing.
    unacknowledged: Duration,
}

/// Nodes are near and answer fast: gone after half a minute.
const NODES: Alertness = Alertness {
    idle: Duration::from_secs(15),
    interval: Duration::from_secs(5),
    unacknowledged: Duration::from_secs(30),
};
/// Clients may be far, and may leave replies unread for a while.
const CLIENTS: Alertness = Alertness {
    idle: Duration::from_mins(1),
    interval: Duration::from_secs(10),
    unacknowledged: Duration::from_mins(10),
};

/// `TCP_NODELAY`, keepalive and `TCP_USER_TIMEOUT`.
fn tune(socket: &SockRef<'_>, alertness: &Alertness) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(alertness.idle).with_interval(alertness.interval).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(alertness.unacknowledged))?;
    Ok(())
}

impl Listener for TcpListener {
    fn accept(&mut self) -> SendFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, _) = Self::accept(self).await?;
            let stream = stream.into_std()?;
            tune(&SockRef::from(&stream), &CLIENTS)?;
            Ok(Accepted::Tcp(stream))
        })
    }

    fn local_addr(&self) -> Addr {
        Self::local_addr(self).map_or_else(|_| Addr::tcp("?", 0), |a| Addr::tcp(&a.ip().to_string(), a.port()))
    }
}

impl Listener for UnixListener {
    fn accept(&mut self) -> SendFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, _) = Self::accept(self).await?;
            Ok(Accepted::Unix(stream.into_std()?))
        })
    }

    fn local_addr(&self) -> Addr {
        let path = Self::local_addr(self).ok().and_then(|a| a.as_pathname().map(std::path::Path::to_path_buf));
        Addr::Unix(path.unwrap_or_default())
    }
}
