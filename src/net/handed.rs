//! Sockets that a service manager opened and handed over when it started the process: systemd's socket activation.
//!
//! The manager goes on listening while the service is restarted, so nobody is refused meanwhile. It says how many
//! sockets there are in `LISTEN_FDS`, for whom in `LISTEN_PID`, and their names in `LISTEN_FDNAMES`.

use std::io;
use std::sync::{Mutex, PoisonError};

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::tcp::Tcp;
use super::{Addr, Listener, LocalFuture, Net, Stream};

/// A socket that was handed over.
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The real network, with sockets that were handed over.
pub struct Handed(Mutex<Vec<(String, Socket)>>);

impl Handed {
    /// Takes what was handed over. To be called once, before there are threads: it takes the variables away, so that no
    /// child believes that they are meant for it.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..handed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = match handed.take_unix_listener(number) {
                Ok(socket) => socket.map(Socket::Unix),
                Err(_) => handed.take_tcp_listener(number).map_err(|error| unfit(&name, &error))?.map(Socket::Tcp),
            };
            sockets.extend(socket.map(|socket| (name, socket)));
        }
        Ok(Self(Mutex::new(sockets)))
    }
}

fn unfit(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the socket '{name}' that was handed over is no stream socket: {error}"))
}

impl Net for Handed {
    fn connect<'a>(&'a self, to: &'a Addr) -> LocalFuture<'a, io::Result<Stream>> {
        Tcp.connect(to)
    }

    fn listen(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        Tcp.listen(at)
    }

    fn listen_beside(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        Tcp.listen_beside(at)
    }

    fn handed(&self) -> io::Result<Vec<(String, Box<dyn Listener>)>> {
        let sockets = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let listen = |(name, socket): (String, Socket)| -> io::Result<(String, Box<dyn Listener>)> {
            Ok((
                name,
                match socket {
                    Socket::Tcp(socket) => {
                        socket.set_nonblocking(true)?;
                        Box::new(TcpListener::from_std(socket)?)
                    }
                    Socket::Unix(socket) => {
                        socket.set_nonblocking(true)?;
                        Box::new(UnixListener::from_std(socket)?)
                    }
                },
            ))
        };
        sockets.into_iter().map(listen).collect()
    }
}
