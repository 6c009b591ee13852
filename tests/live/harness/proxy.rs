//! The real binary, started for a test and gone with it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use slotway::demo::servers::keeper::{Keeper, Kept};
use slotway::demo::servers::{Options, Server};

/// What the binary logs on stderr as soon as it accepts connections, before the address.
const READY: &str = "listening on ";
/// How long it may take until then.
const LIMIT: Duration = Duration::from_secs(15);

/// A running proxy (or a plain server in its place, see [`super::direct`]).
pub(crate) struct Proxy {
    addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    process: Running,
}

enum Running {
    Binary(Kept),
    #[expect(dead_code, reason = "held so that it is killed with the test")]
    Server(Server),
}

impl Proxy {
    /// Starts one before the nodes `seeds`, with more arguments and environment variables.
    #[track_caller]
    pub(crate) fn start(seeds: &[SocketAddr], args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::try_start(seeds, args, env).unwrap_or_else(|why| panic!("{why}"))
    }

    pub(crate) fn try_start(seeds: &[SocketAddr], args: &[&str], env: &[(&str, &str)]) -> Result<Self, String> {
        if super::direct() {
            let server = Server::start(&Options::default()).map_err(|error| error.to_string())?;
            return Ok(Self { addr: server.addr(), log: Arc::default(), process: Running::Server(server) });
        }
        let program = std::env::var("LIVE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_slotway").to_owned());
        let seeds = seeds.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(&program);
        command.args(["run", "--seeds", &seeds, "--listen", "127.0.0.1:0"]).args(args);
        if !args.contains(&"--admin") {
            command.args(["--admin", "off"]);
        }
        command.envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let keeper = Keeper::new(None).map_err(|error| error.to_string())?;
        let mut process = keeper.spawn(&mut command).map_err(|error| format!("start {program}: {error}"))?;
        let stderr = process.child().stderr.take().ok_or("no stderr")?;
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (ready, readiness) = mpsc::channel();
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(addr) = address(&line) {
                    // Only the first address is waited for.
                    let _ = ready.send(addr);
                }
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        match readiness.recv_timeout(LIMIT) {
            Ok(addr) => Ok(Self { addr, log, process: Running::Binary(process) }),
            Err(_) => Err(format!(
                "{program} did not log `{READY}ADDR` within {LIMIT:?} ({:?}); its log:\n{}",
                process.ended().map_err(|error| error.to_string())?,
                tail(&log)
            )),
        }
    }

    /// Where clients connect.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        match &self.process {
            Running::Binary(kept) => kept.id(),
            Running::Server(_) => panic!("this test is about the proxy's own process"),
        }
    }

    /// The port, as text for a tool's argument.
    pub(crate) fn port(&self) -> String {
        self.addr.port().to_string()
    }

    /// Shows the log if the test is failing.
    fn tell(&self) {
        if std::thread::panicking() {
            super::tell(&format!("the proxy at {} logged:\n{}", self.addr, tail(&self.log)));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tell();
    }
}

/// The shared proxy, lent to one test.
pub(crate) struct Lent(&'static Proxy);

impl Lent {
    pub(crate) const fn new(proxy: &'static Proxy) -> Self {
        Self(proxy)
    }
}

impl Deref for Lent {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// The address in a line that says where the proxy listens; a log in colour or with fields behind it is fine.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(READY)?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn tail(log: &Mutex<Vec<String>>) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log[log.len().saturating_sub(40)..].join("\n")
}
