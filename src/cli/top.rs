//! `slotway top`: the status in a terminal, once a second; once and without colours where there is none.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use super::failure::{Failure, print};
use super::settings::Settings;
use super::signals;
use crate::admin::ask;
use crate::admin::status::{NodeStatus, Status};
use crate::net::tcp::Tcp;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How wide the bar of the slots is.
const BAR: usize = 64;
/// How many changes and commands are shown.
const LINES: usize = 6;
/// Clears the screen and goes to its beginning; hides and shows the cursor.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";
const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";
/// Colours of shards, as the terminal has them.
const SHARDS: [u8; 6] = [34, 32, 33, 35, 36, 31];

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show the status once and end, as without a terminal
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    #[command(flatten)]
    settings: Settings,
}

/// Shows the status until a signal, or once.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let options = args.settings.load(false)?.config.admin;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let look = || ask::status(&Tcp, &options, LIMIT);
    let failed = |error: ask::Error| Failure::Runtime(error.to_string());
    if args.once || !std::io::stdout().is_terminal() {
        return print(screen(&runtime.block_on(look()).map_err(failed)?, false).as_bytes());
    }
    let shutdown = signals::interrupted();
    let interval = Duration::from_secs(args.interval);
    let shown = runtime.block_on(async {
        let showing = async {
            // The first answer must come; later ones may fail while the proxy is restarted.
            let mut text = screen(&look().await.map_err(failed)?, true);
            loop {
                write!(std::io::stdout(), "{HIDE}{CLEAR}{text}\nCtrl-C ends this.\n")?;
                std::io::stdout().flush()?;
                tokio::time::sleep(interval).await;
                text = look().await.map_or_else(|error| format!("{error}\n"), |status| screen(&status, true));
            }
        };
        tokio::select! {
            done = showing => done,
            () = shutdown => Ok(()),
        }
    });
    print(SHOW.as_bytes())?;
    shown
}

/// Writes text in a colour, where there are colours.
struct Pen(bool);

impl Pen {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// The whole screen. Writing to a string cannot fail.
fn screen(status: &Status, colours: bool) -> String {
    let (pen, mut out) = (Pen(colours), String::new());
    let state = if status.state == "ready" { pen.paint("32;1", "ready") } else { pen.paint("33;1", &status.state) };
    let listen = status.listen.join(", ");
    let up = uptime(status.uptime_seconds);
    let _ = writeln!(out, "{} {}  {state}  up {up}  at {listen}", pen.bold("slotway"), status.version);
    let (rates, clients) = (&status.rates, &status.clients);
    let all = status.latency.get("all").cloned().unwrap_or_default();
    let _ = writeln!(
        out,
        "requests {}/s   p50 {}  p99 {}   errors {}/s   redirects {}/s   clients {} of {}   in flight {}\n",
        pen.bold(&number(rates.requests)),
        micros(all.p50_us),
        pen.bold(&micros(all.p99_us)),
        number(rates.errors),
        number(rates.redirects),
        clients.connected,
        clients.max,
        clients.in_flight,
    );
    for problem in &status.problems {
        let (code, mark) = if problem.severity.to_string() == "bad" { ("31;1", "!!") } else { ("33", " !") };
        let _ = writeln!(out, "{}", pen.paint(code, &format!("{mark} {}", clean(&problem.text))));
    }
    if !status.problems.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", bar(status, &pen));
    nodes(status, &pen, &mut out);
    lists(status, &pen, &mut out);
    out
}

/// The slots, one letter for so many: that of the shard which owns most of them. A gap or a move shows first.
fn bar(status: &Status, pen: &Pen) -> String {
    let mut out = String::from("slots  ");
    for at in 0..BAR {
        let (first, last) = (at * 16384 / BAR, (at + 1) * 16384 / BAR - 1);
        let overlap = |a: u16, b: u16| (usize::from(b).min(last) + 1).saturating_sub(usize::from(a).max(first));
        let parts = || status.slots.iter().map(|range| (range, overlap(range.first, range.last)));
        if parts().any(|(range, slots)| slots > 0 && range.node.is_none()) {
            out.push_str(&pen.paint("31;1", "."));
        } else if status.migrations.iter().any(|move_| overlap(move_.first, move_.last) > 0) {
            out.push_str(&pen.paint("7", ">"));
        } else {
            let shard = parts().max_by_key(|(_, slots)| *slots).and_then(|(range, _)| range.shard);
            out.push_str(&letter(shard, pen));
        }
    }
    let _ = write!(out, "  {} of 16384 owned", status.cluster.slots_covered);
    for move_ in status.migrations.iter().take(LINES) {
        let _ = write!(out, "\n       {}-{} on the move: {} > {}", move_.first, move_.last, move_.from, move_.to);
    }
    out
}

/// A letter for each shard, in its colour.
fn letter(shard: Option<usize>, pen: &Pen) -> String {
    let Some(shard) = shard else { return " ".to_owned() };
    let letter = char::from(b'A' + (shard % 26) as u8).to_string();
    let code = SHARDS.get(shard % SHARDS.len()).copied().unwrap_or(0);
    pen.paint(&code.to_string(), &letter)
}

fn nodes(status: &Status, pen: &Pen, out: &mut String) {
    let width = status.nodes.iter().map(|node| node.addr.len()).max().unwrap_or(0).max(4);
    let head = format!(
        "  {:<width$} {:<8} {:>6} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8}  last error",
        "node", "role", "slots", "conns", "in flight", "ops/s", "p50", "p99", "errors/s"
    );
    let _ = writeln!(out, "\n{}", pen.bold(&head));
    for node in &status.nodes {
        let _ = writeln!(out, "{} {}", letter(node.shard, pen), row(node, width, pen));
    }
}

fn row(node: &NodeStatus, width: usize, pen: &Pen) -> String {
    let role = if node.online || node.role == "left" { node.role.clone() } else { "offline".to_owned() };
    let error = node.last_error.as_ref().map_or_else(String::new, |error| clean(&error.text));
    let error: String = error.chars().take(60).collect();
    let line = format!(
        "{:<width$} {role:<8} {:>6} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8}  {error}",
        node.addr,
        node.slots,
        node.connections,
        node.in_flight,
        number(node.requests_per_second),
        micros(node.latency.p50_us),
        micros(node.latency.p99_us),
        number(node.errors_per_second),
    );
    match node.health.as_str() {
        "bad" => pen.paint("31;1", &line),
        "warn" => pen.paint("33", &line),
        _ if node.role == "replica" => pen.paint("2", &line),
        _ => line,
    }
}

fn lists(status: &Status, pen: &Pen, out: &mut String) {
    let _ = writeln!(out, "\n{}", pen.bold("commands"));
    for count in status.commands.iter().take(LINES) {
        let _ = writeln!(out, "  {:<20} {:>9}/s  {:>12}", count.name, number(count.per_second), count.total);
    }
    if !status.errors.is_empty() {
        let _ = writeln!(out, "\n{}", pen.bold("error replies"));
    }
    for count in status.errors.iter().take(LINES) {
        let last = count.last.as_ref().map_or_else(String::new, |last| {
            let text =
                if last.command.is_empty() { last.text.clone() } else { format!("{}: {}", last.command, last.text) };
            clean(&text).chars().take(60).collect()
        });
        let _ = writeln!(out, "  {:<20} {:>9}/s  {:>12}  {last}", count.name, number(count.per_second), count.total);
    }
    keys(status, pen, out);
    let _ = writeln!(out, "\n{}", pen.bold("changes of the cluster"));
    for change in status.changes.iter().take(LINES) {
        let ago = uptime(status.now_ms.saturating_sub(change.at_ms) / 1000);
        let _ = writeln!(out, "  {ago:>9} ago  {}", clean(&change.text));
    }
}

/// Hot keys and large values, while somebody looks for them.
fn keys(status: &Status, pen: &Pen, out: &mut String) {
    let hot = &status.hotkeys;
    if hot.on || !hot.keys.is_empty() {
        let over = uptime(hot.seconds as u64);
        let _ = writeln!(out, "\n{}  over the last {over}", pen.bold("hot keys"));
    }
    for key in hot.keys.iter().take(LINES) {
        let name: String = clean(&key.key).chars().take(40).collect();
        let node = key.node.as_deref().unwrap_or("nobody");
        let _ = writeln!(out, "  {name:<40} {:>9}/s  {:>5.1} %  {node}", number(key.per_second), key.percent);
    }
    if !status.bigkeys.is_empty() {
        let _ = writeln!(out, "\n{}", pen.bold("large values"));
    }
    for key in status.bigkeys.iter().take(LINES) {
        let name: String = clean(&key.key).chars().take(40).collect();
        let size = number(key.request_bytes.max(key.reply_bytes) as f64);
        let node = key.node.as_deref().unwrap_or("nobody");
        let _ = writeln!(out, "  {name:<40} {size:>8} bytes  {}  {node}", clean(&key.command));
    }
}

/// Text of others may hold what a terminal obeys.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.1}M", v / 1e6),
        v if v >= 1e4 => format!("{:.1}k", v / 1e3),
        v if v >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

fn micros(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(v) if v < 1e3 => format!("{v:.0}us"),
        Some(v) if v < 1e6 => format!("{:.1}ms", v / 1e3),
        Some(v) => format!("{:.1}s", v / 1e6),
    }
}

fn uptime(seconds: u64) -> String {
    match seconds {
        s if s >= 86_400 => format!("{}d {}h", s / 86_400, s / 3_600 % 24),
        s if s >= 3_600 => format!("{}h {}m", s / 3_600, s / 60 % 60),
        s if s >= 60 => format!("{}m {}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::{Change, Cluster, HotKey, HotKeys, NodeError, Range};

    fn status() -> Status {
        let range = |first, last, node: Option<&str>, shard| Range { first, last, node: node.map(Into::into), shard };
        let error = NodeError { at_ms: 0, text: "\x1b[31mevil".to_owned() };
        Status {
            state: "ready".to_owned(),
            slots: vec![
                range(0, 8191, Some("n:1"), Some(0)),
                range(8192, 8200, None, None),
                range(8201, 16383, Some("n:2"), Some(1)),
            ],
            nodes: vec![NodeStatus {
                addr: "n:1".to_owned(),
                role: "primary".to_owned(),
                last_error: Some(error),
                ..NodeStatus::default()
            }],
            changes: vec![Change { at_ms: 0, kind: "left".to_owned(), text: "n:3 left the cluster".to_owned() }],
            hotkeys: HotKeys {
                on: true,
                seconds: 61.0,
                keys: vec![HotKey {
                    key: "hot\x1b".to_owned(),
                    per_second: 1234.0,
                    percent: 12.5,
                    ..HotKey::default()
                }],
                ..HotKeys::default()
            },
            cluster: Cluster { slots_covered: 16375, ..Cluster::default() },
            ..Status::default()
        }
    }

    #[test]
    fn the_plain_screen_has_no_escapes_and_shows_the_gap() {
        let text = screen(&status(), false);
        assert!(!text.contains('\x1b'), "{text}");
        let bar = format!("slots  {}.{}  16375 of 16384 owned", "A".repeat(32), "B".repeat(31));
        assert!(text.contains(&bar), "{text}");
        assert!(text.contains("n:3 left the cluster") && text.contains("[31mevil"), "{text}");
        assert!(text.contains("hot keys  over the last 1m 1s"), "{text}");
        assert!(text.contains(&format!("  {:<40}      1234/s   12.5 %  nobody", "hot ")), "{text}");
        assert!(screen(&status(), true).contains("\x1b[31;1m.\x1b[0m"));
    }
}
