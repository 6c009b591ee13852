//! TLS on both sides: handshakes in pieces, slow ones, wrong doors, and bytes that wait on either side of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slotway::config::Config;
use slotway::demo::embedded::Options;
use slotway::net::tls::{ClientAuth, NodeOptions, Nodes, Secured, Server, ServerOptions, Version, advice};
use slotway::net::{Addr, Gate as _, Listener, LocalFuture, Net, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::client::{Client, frame};
use crate::net::Plan;
use crate::pki::{Authority, Folder};
use crate::proxy::{bulk, ms, pass, proxied, proxied_with, start_with};
use crate::world::{Stage, World, seeds, world};

/// Files that a proxy, its clients and its nodes can use.
struct Paper {
    _folder: Folder,
    ca: PathBuf,
    server: ServerOptions,
    client: (PathBuf, PathBuf),
}

impl Paper {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let authority = Authority::new("clients and nodes");
        let ca = folder.write("ca.crt", &authority.pem);
        let (cert, key) = folder.write_pair("server", &authority.issue(&["127.0.0.1", "slotway.example"]));
        let client = folder.write_pair("client", &authority.issue(&["client.example"]));
        let server = ServerOptions { cert_file: Some(cert), key_file: Some(key), ..ServerOptions::default() };
        Self { _folder: folder, ca, server, client }
    }

    /// How a client that trusts the authority connects.
    fn trusting(&self) -> NodeOptions {
        NodeOptions { on: true, ca_file: Some(self.ca.clone()), ..NodeOptions::default() }
    }
}

impl World {
    /// A client that speaks TLS.
    pub(crate) async fn sealed(&self, options: &NodeOptions) -> io::Result<Client> {
        let nodes = Arc::new(Nodes::new(options).expect("good files"));
        Ok(Client::over(Secured::new(Arc::new(self.net.clone()), nodes).connect(&self.front).await?))
    }
}

fn with(tls: &ServerOptions) -> impl FnOnce(&mut Config) {
    let tls = tls.clone();
    move |config: &mut Config| config.worker.tls = tls
}

#[test]
fn requests_and_replies_of_any_size_pass_in_any_pieces() {
    let paper = Paper::new("pieces");
    for (seed, most) in seeds(12).into_iter().zip([0, 1, 3, 5, 100, 1400, 20_000].into_iter().cycle()) {
        proxied_with(seed, Options::default(), with(&paper.server), async |world| {
            let big = "x".repeat(300_000);
            world.net.plan(&world.front, Plan::fragments(if most < 100 { 0 } else { most }));
            let mut client = world.sealed(&paper.trusting()).await.expect("a handshake");
            assert_eq!(client.call(&[b"SET", b"big", big.as_bytes()]).await.unwrap(), b"+OK\r\n");
            world.net.plan(&world.front, Plan::fragments(most));
            let mut other = world.sealed(&paper.trusting()).await.expect("a handshake in pieces");
            assert_eq!(other.say("SET small 1").await, r"+OK\r\n");
            let requests: Vec<u8> = (0..200).flat_map(|n| frame(&[b"SET", format!("k{n}").as_bytes(), b"v"])).collect();
            other.send(&requests).await.unwrap();
            for _ in 0..200 {
                assert_eq!(other.hear().await, r"+OK\r\n");
            }
            assert_eq!(client.say("GET big").await, bulk(&big));
            assert_eq!(client.say("GET k199").await, bulk("v"));
        });
    }
}

#[test]
fn a_client_that_reads_late_gets_all_and_then_the_end() {
    let paper = Paper::new("late");
    proxied_with(1, Options::default(), with(&paper.server), async |world| {
        // The last piece is most likely still on its way when the last reply has been written.
        world.net.plan(&world.front, Plan::fragments(1400));
        let mut client = world.sealed(&paper.trusting()).await.expect("a handshake");
        let big = "y".repeat(100_000);
        assert_eq!(client.call(&[b"SET", b"big", big.as_bytes()]).await.unwrap(), b"+OK\r\n");
        let asked: Vec<u8> = std::iter::repeat_n(frame(&[b"GET", b"big"]), 9).flatten().chain(*b"QUIT\r\n").collect();
        client.send(&asked).await.unwrap();
        pass(ms(3_000)).await;
        let reply = format!("$100000\r\n{big}\r\n");
        let expected = [reply.repeat(9).as_bytes(), b"+OK\r\n"].concat();
        assert!(client.rest().await == expected, "all nine replies, and that to QUIT, before the end");
    });
}

#[test]
fn a_client_that_only_stops_to_send_still_gets_its_replies() {
    let paper = Paper::new("half");
    proxied_with(1, Options::default(), with(&paper.server), async |world| {
        // What the client sends ends behind its fifth request, without a word of TLS about it.
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let mut front = world.net.dial(&world.front).await.unwrap();
        tokio::task::spawn_local(async move {
            let (mut from_client, mut to_client) = tokio::io::split(theirs);
            let (mut from_proxy, mut to_proxy) = tokio::io::split(&mut front);
            let up = async {
                // Ends when the client's own end is closed for writing.
                let _ = tokio::io::copy(&mut from_client, &mut to_proxy).await;
                let _ = to_proxy.shutdown().await;
            };
            let down = async { drop(tokio::io::copy(&mut from_proxy, &mut to_client).await) };
            tokio::join!(up, down);
        });
        let mut stream = seal(ours, &paper).await;
        let requests: Vec<u8> = (0..5).flat_map(|n| frame(&[b"SET", format!("k{n}").as_bytes(), b"v"])).collect();
        stream.write_all(&requests).await.unwrap();
        stream.flush().await.unwrap();
        stream.get_mut().0.shutdown().await.unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, b"+OK\r\n".repeat(5));
    });
}

/// Shakes hands over a pipe, with the raw pipe at hand.
async fn seal(
    pipe: tokio::io::DuplexStream,
    paper: &Paper,
) -> tokio_rustls::client::TlsStream<tokio::io::DuplexStream> {
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(&paper.ca).expect("good files")).expect("good files");
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("good files").with_root_certificates(roots);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let name = rustls_pki_types::ServerName::try_from("slotway.example").expect("good files");
    connector.connect(name, pipe).await.expect("good files")
}

#[test]
fn who_does_not_go_on_with_the_handshake_is_closed_and_holds_nobody_up() {
    let paper = Paper::new("slow");
    proxied_with(1, Options::default(), with(&paper.server), async |world| {
        let mut slow = Vec::new();
        for sent in 0..900_usize {
            let mut stream = world.net.dial(&world.front).await.unwrap();
            // The beginning of a ClientHello, one byte after the other.
            stream.write_all(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..sent % 12]).await.unwrap();
            slow.push(stream);
        }
        let begun = tokio::time::Instant::now();
        let mut client = world.sealed(&paper.trusting()).await.expect("a handshake beside them");
        assert_eq!(client.say("PING").await, r"+PONG\r\n");
        assert!(begun.elapsed() < ms(100), "{:?}", begun.elapsed());
        for mut stream in slow {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "closed without a word");
        }
        assert_eq!(begun.elapsed().as_secs(), 10, "after listen.tls_handshake_timeout");
        pass(ms(50)).await;
        assert!(client.say("INFO clients").await.contains(r"connected_clients:1\r\n"));
    });
}

#[test]
fn those_who_do_not_speak_tls_where_it_is_spoken_are_closed() {
    let paper = Paper::new("plain");
    proxied_with(1, Options::default(), with(&paper.server), async |world| {
        let mut client = world.client().await;
        client.send(b"PING\r\n").await.unwrap();
        let told = client.rest().await;
        assert!(told.is_empty() || told.starts_with(b"\x15"), "nothing but an alert: {told:?}");
        drop(world.net.dial(&world.front).await.unwrap());
        let mut client = world.sealed(&paper.trusting()).await.expect("a handshake");
        assert!(client.say("INFO clients").await.contains(r"connected_clients:1\r\n"));
    });
}

#[test]
fn those_who_speak_tls_where_it_is_not_spoken_are_closed_at_once() {
    let paper = Paper::new("foreign");
    proxied(1, async |world| {
        let begun = tokio::time::Instant::now();
        assert!(world.sealed(&paper.trusting()).await.is_err());
        assert!(begun.elapsed() < ms(100), "{:?}", begun.elapsed());
        assert_eq!(world.client().await.say("PING").await, r"+PONG\r\n");
    });
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let paper = Paper::new("mutual");
    let stranger = {
        let (folder, authority) = (Folder::new("stranger"), Authority::new("somebody else"));
        (folder.write_pair("client", &authority.issue(&["client.example"])), folder)
    };
    for (auth, without, good, bad) in [
        (ClientAuth::Require, false, true, false),
        (ClientAuth::Optional, true, true, false),
        (ClientAuth::Off, true, true, true),
    ] {
        let server =
            ServerOptions { client_ca_file: Some(paper.ca.clone()), client_auth: auth, ..paper.server.clone() };
        proxied_with(1, Options::default(), with(&server), async |world| {
            for (shown, expected) in [(None, without), (Some(&paper.client), good), (Some(&stranger.0), bad)] {
                let options = NodeOptions {
                    cert_file: shown.map(|(cert, _)| cert.clone()),
                    key_file: shown.map(|(_, key)| key.clone()),
                    ..paper.trusting()
                };
                // With TLS 1.3 a client is through before the other side has looked at its certificate.
                let got_in = match world.sealed(&options).await {
                    Ok(mut client) => client.say("PING").await == r"+PONG\r\n",
                    Err(_) => false,
                };
                assert_eq!(got_in, expected, "{auth:?} {shown:?}");
            }
        });
    }
}

#[test]
fn who_checks_the_certificate_finds_out_a_wrong_one() {
    let paper = Paper::new("checks");
    let server = ServerOptions { min_version: Version::Tls13, ..paper.server.clone() };
    proxied_with(1, Options::default(), with(&server), async |world| {
        let stranger = Folder::new("unknown");
        let other = stranger.write("ca.crt", &Authority::new("somebody else").pem);
        let unknown = world.sealed(&NodeOptions { ca_file: Some(other), ..paper.trusting() }).await;
        let text = unknown.err().expect("nobody known has signed it").to_string();
        assert!(text.contains("not signed by anybody"), "{text}");
        let options = NodeOptions { server_name: Some("redis.example".to_owned()), ..paper.trusting() };
        let text = world.sealed(&options).await.err().expect("another name").to_string();
        assert!(text.contains("redis.example"), "{text}");
        let options = NodeOptions { server_name: Some("slotway.example".to_owned()), ..paper.trusting() };
        assert!(world.sealed(&options).await.is_ok());
    });
}

/// Nodes that speak TLS, behind pipes so narrow that most writes stop in the middle.
struct SealedNodes {
    net: Arc<dyn Net>,
    gate: Arc<Server>,
    width: usize,
}

impl Net for SealedNodes {
    fn connect<'a>(&'a self, to: &'a Addr) -> LocalFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let mut node = self.net.connect(to).await?;
            let (ours, theirs) = tokio::io::duplex(self.width);
            let gate = Arc::clone(&self.gate);
            tokio::task::spawn_local(async move {
                let opened = gate.open(Stream::Other(Box::new(theirs)), &Semaphore::new(1)).await;
                if let Ok(mut opened) = opened {
                    // Either side may end it in any way.
                    let _ = tokio::io::copy_bidirectional(&mut opened, &mut node).await;
                }
            });
            Ok(Stream::Other(Box::new(ours)))
        })
    }

    fn listen(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        self.net.listen(at)
    }
}

/// Runs a scenario before nodes that speak TLS.
fn before_sealed_nodes(seed: u64, paper: &Paper, width: usize, scenario: impl AsyncFnOnce(World)) {
    let front = async |mut stage: Stage| {
        let gate = Arc::new(Server::new(&paper.server).expect("good files"));
        stage.net = Arc::new(SealedNodes { net: stage.net, gate, width });
        let tls = NodeOptions { server_name: Some("slotway.example".to_owned()), ..paper.trusting() };
        start_with(stage, |config| config.cluster.tls = tls).await
    };
    world(seed, Options::default(), front, scenario);
}

#[test]
fn nodes_are_spoken_to_by_tls_through_narrow_pipes() {
    let paper = Paper::new("nodes");
    for (seed, width) in seeds(6).into_iter().zip([64, 600, 1500, 5000, 17_000, 70_000].into_iter().cycle()) {
        before_sealed_nodes(seed, &paper, width, async |world| {
            let big = "z".repeat(200_000);
            let mut client = world.client().await;
            assert_eq!(client.call(&[b"SET", b"big", big.as_bytes()]).await.unwrap(), b"+OK\r\n");
            assert_eq!(client.say("GET big").await, bulk(&big));
            let mut requests: Vec<u8> = Vec::new();
            for n in 0..300 {
                requests.extend(frame(&[b"SET", format!("k{n}").as_bytes(), &vec![b'v'; n * 7]]));
                requests.extend(frame(&[b"STRLEN", format!("k{n}").as_bytes()]));
            }
            client.send(&requests).await.unwrap();
            for n in 0..300 {
                assert_eq!(client.hear().await, r"+OK\r\n");
                assert_eq!(client.hear().await, format!(r":{}\r\n", n * 7));
            }
            // One connection that is lent, and one for messages.
            let mut waiting = world.client().await;
            waiting.tell("BLPOP list 0").await;
            let mut subscriber = world.client().await;
            assert!(subscriber.say("SUBSCRIBE news").await.contains("subscribe"));
            assert_eq!(client.say("RPUSH list a").await, r":1\r\n");
            assert!(waiting.hear().await.contains(r"\r\na\r\n"));
            assert_eq!(client.call(&[b"PUBLISH", b"news", big.as_bytes()]).await.unwrap(), b":1\r\n");
            assert!(subscriber.hear().await.ends_with(&format!(r"{big}\r\n")));
        });
    }
}

#[test]
fn a_node_that_speaks_no_tls_is_told_from_one_that_does() {
    let paper = Paper::new("wrong");
    proxied(1, async |world| {
        let mut listener = world.net.listen(&Addr::tcp("10.0.0.1", 0)).unwrap();
        let addr = listener.local_addr();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap().into_stream().unwrap();
            stream.write_all(b"-ERR unknown command\r\n").await.unwrap();
        });
        let nodes = Arc::new(Nodes::new(&paper.trusting()).unwrap());
        let error = Secured::new(Arc::new(world.net.clone()), nodes).connect(&addr).await.err().expect("no TLS");
        assert!(error.to_string().contains("does not speak TLS"), "{error}");
        assert!(advice(&error).is_some_and(|advice| advice.contains("tls-port")), "{error}");
    });
}

#[test]
fn certificates_are_replaced_and_bad_ones_are_not_taken() {
    let folder = Folder::new("rotation");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let trust = |authority: &Authority, name: &str| NodeOptions {
        on: true,
        ca_file: Some(folder.write(name, &authority.pem)),
        ..NodeOptions::default()
    };
    let (old, new) = (trust(&first, "first.crt"), trust(&second, "second.crt"));
    let (cert, key) = folder.write_pair("server", &first.issue(&["127.0.0.1"]));
    let server = ServerOptions { cert_file: Some(cert), key_file: Some(key), ..ServerOptions::default() };
    proxied_with(1, Options::default(), with(&server), async |world| {
        let mut early = world.sealed(&old).await.expect("the first certificate");
        // Nothing that is not whole and good takes its place.
        let expired = second.issue_until(&["127.0.0.1"], 2021);
        let mismatched = crate::pki::Issued { cert: second.issue(&["127.0.0.1"]).cert, key: first.issue(&["a"]).key };
        let nonsense = crate::pki::Issued { cert: "-----BEGIN".to_owned(), key: String::new() };
        for bad in [&expired, &mismatched, &nonsense] {
            folder.write_pair("server", bad);
            pass(Duration::from_secs(25)).await;
            assert!(world.sealed(&new).await.is_err());
            assert_eq!(world.sealed(&old).await.expect("still the first").say("PING").await, r"+PONG\r\n");
        }
        folder.write_pair("server", &second.issue(&["127.0.0.1"]));
        pass(Duration::from_secs(11)).await;
        assert!(world.sealed(&old).await.is_err());
        assert_eq!(world.sealed(&new).await.expect("the second").say("PING").await, r"+PONG\r\n");
        assert_eq!(early.say("PING").await, r"+PONG\r\n", "who is there stays");
    });
}
