//! The servers behind the proxies: a real cluster of three primaries, three plain ones, and one alone.
//!
//! Also a tiny blocking client for what is asked once (is it up, who owns which slot). The load itself is `load`'s.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::child::{self, Child, free_port, local};

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// How long anything may take to come up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One redis-server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens on loopback.
    pub(crate) port: u16,
}

impl Server {
    fn start(program: &Path, directory: &Path, clustered: bool) -> Result<Self> {
        let port = free_port()?;
        let home = directory.join(format!("redis-{port}"));
        std::fs::create_dir_all(&home)?;
        let yes = if clustered { "yes" } else { "no" };
        let words = format!(
            "--port {port} --bind 127.0.0.1 --dir {} --appendonly no --loglevel warning --cluster-enabled {yes}",
            home.display()
        );
        let mut args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        args.extend(["--save".to_owned(), String::new()]);
        let mut child = Child::spawn(program, &args, &directory.join(format!("redis-{port}.log")))?;
        wait_for(&mut child, local(port), &["PING"], "+PONG")?;
        Ok(Self { child, port })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// Which servers stand behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The cluster.
    Cluster,
    /// Three servers that know nothing of each other.
    Three,
    /// A single one.
    One,
}

/// All servers of the run.
#[derive(Debug)]
pub(crate) struct Servers {
    cluster: Vec<Server>,
    three: Vec<Server>,
    one: Vec<Server>,
    /// For each slot the index of the cluster's server that owns it.
    pub(crate) owners: Vec<u8>,
}

impl Servers {
    /// Starts them and forms the cluster.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let missing = "is missing: install the package redis-server (or redis)";
        let program = child::on_path("redis-server").ok_or(format!("redis-server {missing}"))?;
        let cli = child::on_path("redis-cli").ok_or(format!("redis-cli {missing}"))?;
        let many = |count, clustered| -> Result<Vec<Server>> {
            (0..count).map(|_| Server::start(&program, directory, clustered)).collect()
        };
        let cluster = many(3, true)?;
        form(&cli, &cluster)?;
        let owners = owners(&cluster)?;
        Ok(Self { cluster, three: many(3, false)?, one: many(1, false)?, owners })
    }

    /// The servers of one ground.
    pub(crate) fn on(&self, ground: Ground) -> &[Server] {
        match ground {
            Ground::Cluster => &self.cluster,
            Ground::Three => &self.three,
            Ground::One => &self.one,
        }
    }
}

/// Joins the servers to a cluster and waits until each says that it is well.
fn form(cli: &Path, servers: &[Server]) -> Result<()> {
    let nodes = servers.iter().map(|server| local(server.port).to_string());
    let output = Command::new(cli)
        .args(["--cluster", "create"])
        .args(nodes)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(format!("redis-cli --cluster create: {}", String::from_utf8_lossy(&output.stdout)).into());
    }
    let deadline = Instant::now() + PATIENCE;
    for server in servers {
        while !ask(local(server.port), &["CLUSTER", "INFO"])?.contains("cluster_state:ok") {
            if Instant::now() > deadline {
                return Err("the cluster did not form".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Reads from `CLUSTER NODES` who owns which slot.
fn owners(servers: &[Server]) -> Result<Vec<u8>> {
    let first = servers.first().ok_or("no servers")?;
    let text = ask(local(first.port), &["CLUSTER", "NODES"])?;
    let mut owners = vec![u8::MAX; usize::from(SLOTS)];
    for line in text.lines() {
        let mut fields = line.split(' ');
        let address = fields.nth(1).unwrap_or_default();
        let port = address.split('@').next().and_then(|at| at.rsplit(':').next()).unwrap_or_default();
        let Some(index) = servers.iter().position(|server| server.port.to_string() == port) else { continue };
        for range in fields.skip(6) {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let (from, to): (usize, usize) = (from.parse()?, to.parse()?);
            owners.get_mut(from..=to).ok_or("a slot beyond the last")?.fill(index as u8);
        }
    }
    if owners.contains(&u8::MAX) {
        return Err("the cluster leaves slots without an owner".into());
    }
    Ok(owners)
}

/// Asks one question on a connection of its own; a bulk reply is given without its header, others as they came.
pub(crate) fn ask(address: SocketAddr, words: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    write!(request, "*{}\r\n", words.len())?;
    for word in words {
        write!(request, "${}\r\n{word}\r\n", word.len())?;
    }
    stream.write_all(&request)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(length) = line.strip_prefix('$').and_then(|length| length.trim_end().parse::<usize>().ok()) else {
        return Ok(line.trim_end().to_owned());
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Asks again and again until the reply begins as it should; says what came instead when patience or the child ends.
pub(crate) fn wait_for(child: &mut Child, address: SocketAddr, words: &[&str], wanted: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let got = match ask(address, words) {
            Ok(reply) if reply.starts_with(wanted) => return Ok(()),
            Ok(reply) => format!("answered {reply:?}"),
            Err(error) => error.to_string(),
        };
        if let Some(status) = child.ended()? {
            return Err(format!("ended with {status} before it answered: {}", child.last_words()).into());
        }
        if Instant::now() > deadline {
            let last = child.last_words();
            return Err(format!("no {wanted} to {} within {PATIENCE:?}: {got}; {last}", words.join(" ")).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
