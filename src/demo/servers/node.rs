//! One server process: its ports, its directory, its start and its end.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use super::keeper::Kept;
use super::wire::Wire;
use super::{Error, Kind, Options, Workshop};

/// A cluster bus stands so far above the port for clients.
const BUS: u16 = 10_000;
/// Ports are drawn from here, so that neither they nor their buses lie where systems draw ephemeral ports from.
const PORTS: std::ops::Range<u16> = 11_000..22_000;
/// How long one answer of a node may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How often a starting server is asked whether it is there.
const POLL: Duration = Duration::from_millis(10);

/// One server of the cluster, running or not.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) addr: SocketAddr,
    directory: PathBuf,
    password: Option<String>,
    process: Mutex<Option<Kept>>,
}

impl Node {
    /// Starts a server on a free port and waits until it answers; a port lost to somebody else is drawn again.
    pub(super) fn start(workshop: &Workshop, options: &Options) -> Result<Self, Error> {
        let mut attempts = 0;
        loop {
            let node = Self::prepare(workshop, options)?;
            match node.run(workshop) {
                Ok(()) => return Ok(node),
                Err(Error::Ended { log, .. }) if log.contains("in use") && attempts < 5 => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn prepare(workshop: &Workshop, options: &Options) -> Result<Self, Error> {
        let port = free_port(workshop.kind)?;
        let directory = workshop.directory.join(port.to_string());
        let failed = |source| Error::Io { what: format!("write to {}", directory.display()), source };
        std::fs::create_dir_all(&directory).map_err(failed)?;
        std::fs::write(directory.join("redis.conf"), settings(port, options, workshop)).map_err(failed)?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { addr, directory, password: options.password.clone(), process: Mutex::new(None) })
    }

    /// Starts the process, or starts it again where it left off, and waits until it answers.
    pub(super) fn run(&self, workshop: &Workshop) -> Result<(), Error> {
        let program = &workshop.program;
        let failed = |source| Error::Io { what: format!("start {}", program.display()), source };
        let mut command = Command::new(program);
        command.arg("redis.conf").current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let kept = workshop.keeper.spawn(&mut command).map_err(failed)?;
        *self.process() = Some(kept);
        let begun = Instant::now();
        loop {
            if let Some(kept) = self.process().as_mut()
                && kept.ended().map_err(failed)?.is_some()
            {
                return Err(Error::Ended { program: program.display().to_string(), log: self.log() });
            }
            match self.answers() {
                Ok(true) => return Ok(()),
                Err(error) if begun.elapsed() > super::START_LIMIT => {
                    let what = format!("{} to answer", self.addr);
                    return Err(Error::Late { what, after: begun.elapsed(), seen: error.to_string() });
                }
                Ok(false) | Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    /// Whether the server behind the port is the one started here, not somebody else's who was quicker.
    fn answers(&self) -> Result<bool, Error> {
        let info = self.wire()?.call(&["INFO", "server"])?;
        let id = self.process().as_ref().map(Kept::id);
        let line = id.map(|id| format!("process_id:{id}"));
        Ok(info.text().is_some_and(|text| text.lines().any(|found| Some(found) == line.as_deref())))
    }

    /// A new connection to it.
    pub(super) fn wire(&self) -> Result<Wire, Error> {
        Wire::open(self.addr, self.password.as_deref(), CALL_LIMIT)
    }

    /// Whether its process runs (a stopped one does).
    pub(super) fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|kept| matches!(kept.ended(), Ok(None)))
    }

    /// Kills it and waits until it is gone.
    pub(super) fn kill(&self) -> Result<(), Error> {
        match self.process().as_mut() {
            Some(kept) => kept.kill().map_err(|source| self.failed("kill", source)),
            None => Ok(()),
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Error> {
        match self.process().as_mut() {
            Some(kept) => kept.signal(signal).map_err(|source| self.failed("signal", source)),
            None => Ok(()),
        }
    }

    fn failed(&self, verb: &str, source: std::io::Error) -> Error {
        Error::Io { what: format!("{verb} the node {}", self.addr), source }
    }

    fn process(&self) -> MutexGuard<'_, Option<Kept>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last lines that the server wrote.
    pub(super) fn log(&self) -> String {
        let text = std::fs::read(self.directory.join("node.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }
}

/// The server's settings: nothing on disk but the cluster's own file, replicas in sync as fast as possible, and
/// no primary that changes its role by itself.
fn settings(port: u16, options: &Options, workshop: &Workshop) -> String {
    let mut text = format!(
        "port {port}\nbind 127.0.0.1\ndaemonize no\nlogfile node.log\nsave \"\"\nappendonly no\n\
         repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n"
    );
    if workshop.kind == Kind::Member {
        let _ = write!(
            text,
            "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-announce-ip 127.0.0.1\n\
             cluster-node-timeout {}\ncluster-migration-barrier 999\n",
            options.node_timeout.as_millis()
        );
        if version_of(&workshop.program) >= (7, 0) {
            text.push_str("cluster-allow-replica-migration no\n");
        }
    }
    if let Some(password) = &options.password {
        let _ = write!(text, "requirepass {0}\nmasterauth {0}\n", quoted(password));
    }
    for (name, value) in &options.settings {
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

/// A value for a configuration line, whatever bytes it holds.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for byte in value.bytes() {
        let _ = write!(text, "\\x{byte:02x}");
    }
    text.push('"');
    text
}

/// Major and minor version of the server, from what `--version` prints; (0, 0) if it says nothing of the kind.
fn version_of(program: &Path) -> (u32, u32) {
    let Ok(output) = Command::new(program).arg("--version").stdin(Stdio::null()).output() else { return (0, 0) };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    let mut parts = version.unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// A port on which nobody listens, nor on its bus; never the same twice in one process.
fn free_port(kind: Kind) -> Result<u16, Error> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Where to begin differs from process to process.
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_micros());
    let begin = ((std::process::id().wrapping_mul(61) ^ clock) % u32::from(span)) as u16;
    let _ = NEXT.compare_exchange(0, begin, Ordering::Relaxed, Ordering::Relaxed);
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in 0..span {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % span;
        if free(port) && (kind == Kind::Plain || free(port + BUS)) {
            return Ok(port);
        }
    }
    Err(Error::NoPort { first: PORTS.start, last: PORTS.end - 1 })
}
