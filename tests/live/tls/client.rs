//! A client that speaks TLS over a blocking socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::harness::{Reply, frame, parse};

/// How long a reply may take.
const LIMIT: Duration = Duration::from_secs(15);

/// One connection.
pub(super) struct Sealed {
    stream: StreamOwned<ClientConnection, TcpStream>,
    inbox: Vec<u8>,
    at: usize,
}

impl Sealed {
    /// Connects, shows a certificate, and has said PING.
    pub(super) fn connect(addr: SocketAddr, ca: &Path, pair: &(PathBuf, PathBuf)) -> Result<Self, String> {
        let (cert, key) = super::pair(pair);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        // Files that are replaced meanwhile may not belong together for a moment.
        let config = (0..100).find_map(|_| {
            let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
            let made = config.clone().with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap());
            made.inspect_err(|_| std::thread::sleep(Duration::from_millis(5))).ok()
        });
        let name = ServerName::from(addr.ip());
        let session = ClientConnection::new(Arc::new(config.unwrap()), name).unwrap();
        let socket = TcpStream::connect_timeout(&addr, LIMIT).map_err(|error| error.to_string())?;
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        let mut client = Self { stream: StreamOwned::new(session, socket), inbox: Vec::new(), at: 0 };
        client.stream.write_all(b"PING\r\n").map_err(|error| error.to_string())?;
        let reply = client.try_read()?;
        if reply.text() == "+PONG\r\n" { Ok(client) } else { Err(format!("{reply:?}")) }
    }

    /// The certificate of the other side.
    pub(super) fn certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Sends one command and reads its reply.
    #[track_caller]
    pub(super) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.send(&frame(args));
        self.read()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("send {} bytes: {error}", bytes.len()));
        self.stream.flush().unwrap();
    }

    /// Reads one reply.
    #[track_caller]
    pub(super) fn read(&mut self) -> Reply {
        self.try_read().unwrap_or_else(|why| panic!("{why}"))
    }

    fn try_read(&mut self) -> Result<Reply, String> {
        loop {
            if let Some((value, used)) = parse(&self.inbox[self.at..]) {
                let raw = self.inbox[self.at..self.at + used].to_vec();
                self.at += used;
                return Ok(Reply { raw, value });
            }
            self.inbox.drain(..std::mem::take(&mut self.at));
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("closed".to_owned()),
                Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
