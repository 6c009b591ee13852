//! Listeners that share their address with another process, so that a new slotway takes over from an old one.
//!
//! Both bind the address with `SO_REUSEPORT`, and the system deals new connections out to those that listen. The new
//! one listens when it is told to, so that no connection waits for a process that is not ready. The old
//! one cannot simply close: what the system has let in for it, or is about to, would be reset. It first has the system
//! drop what would begin a connection with it, which clients try again a second later, with whoever listens then;
//! takes what had begun before; and closes when nothing is left.
//!
//! ```text
//!   old:  listens ────────────────► retire: SYN is dropped, ACK is not ─► accepts the rest ─► closes
//!   new:        binds ─► (not ready) ─► listens ──────────────────────────────────────────────────►
//! ```

use std::io;
use std::net::ToSocketAddrs as _;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::tcp::BACKLOG;
use super::{Accepted, Addr, Listener, SendFuture};

/// A TCP listener that shares its address.
pub(super) struct Beside {
    /// Bound, until it listens.
    bound: Option<Socket>,
    listener: Option<TcpListener>,
    addr: Addr,
}

impl Beside {
    /// Binds `host` and `port` together with others that do the same.
    pub(super) fn bind(host: &str, port: u16) -> io::Result<Self> {
        let at = (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the host has no address"))?;
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&at.into())?;
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?.as_socket();
        let addr =
            bound.map_or_else(|| Addr::tcp(host, port), |bound| Addr::tcp(&bound.ip().to_string(), bound.port()));
        Ok(Self { bound: Some(socket), listener: None, addr })
    }

    fn listener(&mut self) -> io::Result<&mut TcpListener> {
        if let Some(socket) = self.bound.take() {
            socket.listen(BACKLOG)?;
            self.listener = Some(TcpListener::from_std(socket.into())?);
        }
        self.listener.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Listener for Beside {
    fn accept(&mut self) -> SendFuture<'_, io::Result<Accepted>> {
        Box::pin(async move { Listener::accept(self.listener()?).await })
    }

    fn local_addr(&self) -> Addr {
        self.addr.clone()
    }

    fn open(&mut self) -> io::Result<()> {
        self.listener().map(drop)
    }

    fn retire(&mut self) -> bool {
        self.listener.as_ref().is_some_and(|listener| match drop_new(&SockRef::from(listener)) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("connections that come just now may be refused: {error}");
                false
            }
        })
    }
}

/// Has the system drop what would begin a connection: packets with SYN and without ACK.
#[cfg(target_os = "linux")]
fn drop_new(socket: &SockRef<'_>) -> io::Result<()> {
    use socket2::SockFilter;
    // Classic BPF over the TCP header, whose 14th byte has the flags.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    socket.attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(not(target_os = "linux"))]
fn drop_new(_: &SockRef<'_>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system cannot let the next process have them all"))
}

/// Binds a Unix socket in the place of another one, whose listener still has those that connected before.
pub(super) fn replace_unix(path: &Path) -> io::Result<UnixListener> {
    let mut aside = PathBuf::from(path).into_os_string();
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    // Left over from a process of the same number.
    let _ = std::fs::remove_file(&aside);
    let listener = unix::UnixListener::bind(&aside)?;
    std::fs::rename(&aside, path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn echo(accepted: Accepted) {
        let mut stream = accepted.into_stream().unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        stream.write_all(&byte).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_came_to_the_old_one_is_served_and_the_next_come_to_the_new_one() {
        let mut old = Beside::bind("127.0.0.1", 0).unwrap();
        old.listener().unwrap();
        let addr = old.local_addr();
        let connect = move || std::net::TcpStream::connect((addr.host(), addr.port()));
        // They are let in by the system, and wait.
        let early: Vec<_> = (0..20).map(|_| connect().unwrap()).collect();
        let mut new = Beside::bind("127.0.0.1", old.local_addr().port()).unwrap();
        assert!(old.retire());
        new.listener().unwrap();
        let late: Vec<_> = (0..20).map(|_| std::thread::spawn(connect.clone())).collect();
        for mut client in early {
            echo_through(&mut old, &mut client).await;
        }
        assert!(tokio::time::timeout(Duration::from_millis(50), old.accept()).await.is_err(), "that was all");
        drop(old);
        let mut served = 0;
        while let Ok(accepted) = tokio::time::timeout(Duration::from_secs(3), new.accept()).await {
            drop(accepted.unwrap());
            served += 1;
            if served == late.len() {
                break;
            }
        }
        assert_eq!(served, late.len());
        assert!(late.into_iter().all(|client| client.join().unwrap().is_ok()), "nobody is refused");
    }

    async fn echo_through(listener: &mut Beside, client: &mut std::net::TcpStream) {
        client.write_all(b"x").unwrap();
        echo(listener.accept().await.unwrap()).await;
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[tokio::test]
    async fn a_unix_socket_is_replaced_without_a_moment_in_which_there_is_none() {
        let folder = std::env::temp_dir().join(format!("slotway-beside-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("s");
        let mut old = replace_unix(&path).unwrap();
        let _early = unix::UnixStream::connect(&path).unwrap();
        let mut new = replace_unix(&path).unwrap();
        let _late = unix::UnixStream::connect(&path).unwrap();
        Listener::accept(&mut old).await.unwrap();
        Listener::accept(&mut new).await.unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
