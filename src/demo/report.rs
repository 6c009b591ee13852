//! What the demo says: what runs where, lines to paste, a line each second, and how it went.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::chaos::Progress;
use super::elections::Elections;
use super::load::CONNECTIONS;
use super::nodes::Nodes;
use super::proxy::Proxy;
use super::servers::Error;
use super::servers::view::Seen;
use super::servers::wire::Wire;
use super::tally::Tally;

/// Keys of three slots that three primaries own at the start.
const KEYS: [&str; 3] = ["apple", "lemon", "pear"];

/// What runs where, and what to try.
pub(super) fn greeting(nodes: &Nodes, proxy: &Proxy) -> Result<String, Error> {
    let mut text = format!("\n{}\n\n", title(nodes));
    let workers = if proxy.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", proxy.workers) };
    let mut line = |what: &str, rest: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {what:<8} {rest}");
    };
    line("proxy", &format!("{}   ({workers}; for clients that know nothing of clusters)", proxy.addr));
    if let Some(page) = proxy.page {
        line("page", &format!("http://{page}/   (what goes on in it, live)"));
    }
    let seen = nodes.seen()?;
    let at = |node: &Seen| nodes.number(node).and_then(|n| nodes.addrs().get(n).copied());
    for primary in seen.iter().filter(|node| node.primary) {
        let Some(addr) = at(primary) else { continue };
        let slots: Vec<_> = primary.slots.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let replicas = seen.iter().filter(|node| node.primary_id.as_ref() == Some(&primary.id)).filter_map(at);
        let replicas: Vec<_> = replicas.map(|addr| addr.to_string()).collect();
        line("primary", &format!("{addr}   slots {:<14} replica {}", slots.join(","), replicas.join(" ")));
    }
    text += &lines_to_paste(proxy);
    Ok(text)
}

fn title(nodes: &Nodes) -> String {
    match nodes {
        Nodes::Servers(cluster) => {
            let info = cluster.call(0, &["INFO", "server"]).ok();
            let info = info.as_ref().and_then(|info| info.text()).unwrap_or_default();
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let version = match field("valkey_version:") {
                "" => field("redis_version:"),
                version => version,
            };
            format!("A cluster of 3 primaries and 3 replicas: {} {version}", cluster.program().display())
        }
        Nodes::Embedded(_) => "A cluster of 3 primaries and 3 replicas inside this process: a stand-in, not Redis.\n\
             It knows the common commands on five types. With redis-server or valkey-server on PATH the demo\n\
             starts real servers."
            .to_owned(),
    }
}

fn lines_to_paste(proxy: &Proxy) -> String {
    let (host, port) = (proxy.addr.ip(), proxy.addr.port());
    let cli = if proxy.addr.ip() == std::net::Ipv4Addr::LOCALHOST {
        format!("redis-cli -p {port}")
    } else {
        format!("redis-cli -h {host} -p {port}")
    };
    let [a, b, c] = KEYS;
    let mut text = "\nPaste into another terminal (the three keys are on three nodes):\n\n".to_owned();
    for command in [format!("MSET {a} red {b} yellow {c} dark"), format!("MGET {a} {b} {c}"), "INFO proxy".to_owned()] {
        let _ = writeln!(text, "  {cli} {command}");
    }
    text
}

/// The line of one second, and what must be told loudly before it.
#[derive(Debug)]
pub(super) struct Seconds<'a> {
    proxy: &'a Proxy,
    tally: &'a Tally,
    progress: &'a Progress,
    wire: Option<Wire>,
    requests: u64,
}

impl<'a> Seconds<'a> {
    /// Begins to watch.
    pub(super) const fn new(proxy: &'a Proxy, tally: &'a Tally, progress: &'a Progress) -> Self {
        Self { proxy, tally, progress, wire: None, requests: 0 }
    }

    /// What happened since the last line, which was `since` ago; `at` is the time since the beginning.
    pub(super) fn line(&mut self, at: Duration, since: Duration) -> String {
        let mut text = String::new();
        for told in self.tally.take_told() {
            let _ = writeln!(text, "!!! {told}");
        }
        let requests = value(&self.tally.requests);
        let ops = (requests - self.requests) as f64 / since.as_secs_f64();
        self.requests = requests;
        let redirects = self.redirects().map_or_else(|| "?".to_owned(), grouped);
        let _ = write!(
            text,
            "{:>4.0} s {:>8} ops/s {redirects:>9} redirects  errors {} outside elections, {} in them",
            at.as_secs_f64(),
            grouped(ops as u64),
            grouped(value(&self.tally.errors)),
            grouped(value(&self.tally.excused)),
        );
        if value(&self.tally.wrong) > 0 {
            let _ = write!(text, "  WRONG REPLIES {}", value(&self.tally.wrong));
        }
        let _ = writeln!(text, "  | {}", self.progress.now());
        text
    }

    /// MOVED and ASK that the proxy has followed, as it says itself.
    pub(super) fn redirects(&mut self) -> Option<u64> {
        if self.wire.is_none() {
            self.wire = Wire::open(self.proxy.addr, None, Duration::from_secs(1)).ok();
        }
        let info = self.wire.as_mut().and_then(|wire| wire.call(&["INFO", "proxy"]).ok());
        if info.is_none() {
            self.wire = None;
        }
        let info = info?;
        info.text()?.lines().find_map(|line| line.strip_prefix("redirects:")?.trim().parse().ok())
    }
}

/// How it went.
pub(super) fn summary(
    seconds: &mut Seconds<'_>,
    lasted: Duration,
    tally: &Tally,
    done: &Progress,
    elections: &Elections,
) -> String {
    let mut text = String::new();
    for told in tally.take_told() {
        let _ = writeln!(text, "!!! {told}");
    }
    let took: Vec<_> = elections.lasted().iter().map(|took| format!("{took:.1?}")).collect();
    let took = if took.is_empty() { String::new() } else { format!(" (elections took {})", took.join(", ")) };
    let kinds: Vec<_> = tally.excused_kinds().iter().map(|(kind, n)| format!("{kind} {}", grouped(*n))).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let given_back = match value(&done.given_back) {
        0 => String::new(),
        slots => format!(", {slots} given back to servers that had lost them"),
    };
    let rows = [
        (
            "requests",
            format!(
                "{} in {:.0} s over {CONNECTIONS} connections",
                grouped(value(&tally.requests)),
                lasted.as_secs_f64()
            ),
        ),
        (
            "chaos",
            format!(
                "{} slots moved, {} planned failovers, {} primaries killed{took}{given_back}",
                grouped(value(&done.slots)),
                value(&done.failovers),
                value(&done.kills)
            ),
        ),
        (
            "redirects",
            format!("{} followed by the proxy, unseen by clients", seconds.redirects().map_or("?".to_owned(), grouped)),
        ),
        ("wrong", format!("{} replies", grouped(value(&tally.wrong)))),
        (
            "errors",
            format!(
                "{} outside elections, {} in them{kinds}",
                grouped(value(&tally.errors)),
                grouped(value(&tally.excused))
            ),
        ),
    ];
    text.push('\n');
    for (name, what) in rows {
        let _ = writeln!(text, "  {name:<10} {what}");
    }
    text
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_keys_to_paste_are_on_three_nodes() {
        let mut owners = KEYS.map(|key| crate::cluster::slot::slot(key.as_bytes()) / 5461);
        owners.sort_unstable();
        assert_eq!(owners, [0, 1, 2]);
    }
}
