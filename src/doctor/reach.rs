//! The way in: the seeds one after the other, until one tells who belongs to the cluster.

use super::{Findings, Options};
use crate::cluster::dial::{ConnectError, Conversation};
use crate::cluster::roster::{self, Member};
use crate::net::{Addr, Net, tls};
use crate::resp::Proto;
use crate::resp::value::Value;

/// The node that answered first, and what it said.
pub(super) struct Entry {
    pub(super) seed: Addr,
    /// Every node, itself included.
    pub(super) members: Vec<Member>,
}

impl Entry {
    /// Where to reach a member: nodes that do not know their own address are where they were asked.
    pub(super) fn addr(&self, member: &Member) -> Option<Addr> {
        let (host, port) = member.addr.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|&port| port > 0)?;
        let host = if matches!(host, "" | "?") { self.seed.host() } else { host };
        Some(Addr::tcp(host, port))
    }
}

/// Tries each seed, and tells of every one that is of no use.
pub(super) async fn first_seed(net: &dyn Net, options: &Options, findings: &mut Findings<'_>) -> Option<Entry> {
    let mut entry = None;
    for seed in &options.seeds {
        match open(net, options, seed).await {
            Err(error) => findings.bad(format!("the seed {seed} cannot be used: {error}"), advice(&error, options)),
            Ok(mut node) if entry.is_none() => entry = members(&mut node, options, seed, findings).await,
            Ok(_) => findings.good(format!("the seed {seed} answers")),
        }
    }
    if entry.is_none() {
        findings.bad("no seed leads to a cluster", "name a node that answers: slotway doctor HOST:PORT");
    }
    entry
}

/// A connection as the proxy makes it, that has answered a PING.
pub(super) async fn open(net: &dyn Net, options: &Options, addr: &Addr) -> Result<Conversation, ConnectError> {
    let credentials = options.credentials.as_ref();
    let mut node = Conversation::open(net, addr, credentials, Proto::Resp2, options.timeout).await?;
    match ask(&mut node, options, &["PING"]).await? {
        Value::Error(error) => Err(ConnectError::Refused { command: "PING", error }),
        _ => Ok(node),
    }
}

/// Asks within the limit.
pub(super) async fn ask(node: &mut Conversation, options: &Options, words: &[&str]) -> Result<Value, ConnectError> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let answer = tokio::time::timeout(options.timeout, node.ask(&words)).await;
    answer.map_err(|_| ConnectError::TimedOut(options.timeout))?
}

/// What to do about a connection that cannot be made.
pub(super) fn advice(error: &ConnectError, options: &Options) -> String {
    let text = match error {
        ConnectError::Refused { error, .. } if error.starts_with("WRONGPASS") => {
            "user or password are wrong: check cluster.username and cluster.password_file (or SLOTWAY_PASSWORD)"
        }
        ConnectError::Refused { error, .. } if error.starts_with("NOAUTH") => {
            "the node wants a password: set cluster.password_file or SLOTWAY_PASSWORD"
        }
        ConnectError::Refused { error, .. } if error.contains("without any password configured") => {
            "the node knows no password: leave cluster.password_file out"
        }
        ConnectError::Refused { error, .. } if error.starts_with("NOPERM") => {
            "the user lacks the right: ACL SETUSER NAME +@all ~* &*, or at least +ping +cluster +info +hello +asking"
        }
        ConnectError::Refused { error, .. } if error.starts_with("DENIED") => {
            "the node is in protected mode: give it a password, or bind it to the addresses of its clients"
        }
        ConnectError::Refused { .. } => "the node answers, but not as a server of a cluster should",
        ConnectError::TimedOut(_) if options.timeout.as_millis() < 500 => {
            "nothing came in time, and the time is short: raise cluster.connect_timeout"
        }
        ConnectError::TimedOut(_) if options.tls => {
            "nothing came in time: does it speak TLS at this port (tls-port), or is a firewall in between?"
        }
        ConnectError::TimedOut(_) => {
            "nothing came in time: is a firewall in between, or the node stopped? A host that is down does not even refuse"
        }
        ConnectError::Protocol(_) => {
            "something else than a server listens there: is it TLS (cluster.tls, rediss://), or another port?"
        }
        ConnectError::Io(error) if let Some(advice) = tls::advice(error) => advice,
        ConnectError::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "nothing listens there: is the server up, and is this its port?",
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                "it closed the connection: is it TLS (cluster.tls, rediss://), are its maxclients reached, or does it not allow this address?"
            }
            std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                "there is no way to it from here: check routes and security groups"
            }
            _ => "check the name, the address and the network in between",
        },
    };
    text.to_owned()
}

async fn members(
    node: &mut Conversation,
    options: &Options,
    seed: &Addr,
    findings: &mut Findings<'_>,
) -> Option<Entry> {
    let answer = ask(node, options, &["CLUSTER", "NODES"]).await;
    match answer {
        Ok(Value::Error(error)) if error.contains("cluster support disabled") => findings.bad(
            format!("{seed} is a single server, not a node of a cluster"),
            "name a node with cluster-enabled yes; a single server needs no slotway",
        ),
        Ok(Value::Error(error)) => {
            let why = ConnectError::Refused { command: "CLUSTER NODES", error };
            findings.bad(format!("{seed} does not tell who belongs to its cluster: {why}"), advice(&why, options));
        }
        Err(error) => findings.bad(format!("{seed} stopped to answer: {error}"), advice(&error, options)),
        Ok(value) => {
            let members = roster::read(value.text().unwrap_or_default());
            findings.good(format!("the seed {seed} answers and names {} nodes", members.len()));
            return Some(Entry { seed: seed.clone(), members });
        }
    }
    None
}
