//! One node: can it be reached where the cluster says, what does it run, what may the proxy do there, how fast is it.

use std::time::Duration;

use tokio::time::Instant;

use super::reach::{Entry, advice, ask, open};
use super::{Findings, Options};
use crate::cluster::dial::Conversation;
use crate::cluster::roster::{self, Member};
use crate::cluster::slot::slot;
use crate::command::{self, Plan};
use crate::net::{Addr, Net};
use crate::resp::value::Value;
use crate::telemetry::wall_clock;

/// How many PINGs the latency is taken from.
const PINGS: usize = 20;
/// A median above this is a long way.
const FAR: Duration = Duration::from_millis(5);
/// A certificate that ends in fewer days is to be renewed.
const EXPIRES_SOON: u64 = 14;
/// The oldest server that everything works with.
const WANTED: [u32; 2] = [6, 2];

/// What one node said.
pub(super) struct View {
    pub(super) addr: Addr,
    pub(super) id: String,
    pub(super) version: String,
    pub(super) policy: String,
    pub(super) state: String,
    /// What it believes of all nodes.
    pub(super) members: Vec<Member>,
}

/// Looks at one node of the cluster; `None` if it cannot be asked.
pub(super) async fn examine(
    net: &dyn Net,
    options: &Options,
    entry: &Entry,
    member: &Member,
    findings: &mut Findings<'_>,
) -> Option<View> {
    let shown = if member.addr.starts_with(':') { &member.id } else { &member.addr };
    if member.is("noaddr") || member.is("handshake") {
        let advice = format!("if it is gone for good: CLUSTER FORGET {} at every other node", member.id);
        findings.warn(format!("{shown} is listed but nobody knows where it is"), advice);
        return None;
    }
    let addr = entry.addr(member)?;
    let mut node = match open(net, options, &addr).await {
        Ok(node) => node,
        Err(error) => {
            unreachable(entry, member, &addr, &error.to_string(), &advice(&error, options), findings);
            return None;
        }
    };
    let info = text(ask(&mut node, options, &["INFO"]).await);
    let field = |name: &str| line(&info, name);
    let (median, worst) = latency(&mut node, options).await?;
    let view = View {
        version: field("redis_version"),
        policy: field("maxmemory_policy"),
        state: line(&text(ask(&mut node, options, &["CLUSTER", "INFO"]).await), "cluster_state"),
        members: roster::read(&text(ask(&mut node, options, &["CLUSTER", "NODES"]).await)),
        id: member.id.clone(),
        addr,
    };
    let role = if field("role") == "slave" { "replica" } else { "primary" };
    let slots: usize = member.slots.iter().map(|(first, last)| usize::from(last - first) + 1).sum();
    let owns = if slots > 0 { format!(" of {slots} slots") } else { String::new() };
    findings.good(format!(
        "{} answers: {} {}, {role}{owns}, latency {} (worst of {PINGS}: {})",
        view.addr,
        if field("valkey_version").is_empty() { "redis" } else { "valkey" },
        if field("valkey_version").is_empty() { view.version.clone() } else { field("valkey_version") },
        millis(median),
        millis(worst),
    ));
    if median > FAR {
        let advice = "run slotway nearer to the nodes; every request waits for this way there and back";
        findings.warn(format!("{} is far away: a PING takes {}", view.addr, millis(median)), advice);
    }
    if field("loading") == "1" {
        findings.warn(format!("{} loads its data", view.addr), "wait until it is done: it refuses requests meanwhile");
    }
    old(&view, findings);
    certificate(&node, &view.addr, findings);
    rights(&mut node, options, &view, role == "primary" && slots > 0, findings).await;
    commands(&mut node, options, &view.addr, findings).await;
    Some(view)
}

/// A node that cannot be reached where the others say that it is: down, or behind an address translation.
fn unreachable(e: &Entry, member: &Member, addr: &Addr, error: &str, advice: &str, findings: &mut Findings<'_>) {
    let what = format!("{addr}, which the cluster announces, cannot be used: {error}");
    if member.is("fail") || member.is("fail?") {
        let owns = !member.slots.is_empty();
        let advice = "the other nodes cannot reach it either: start it again, or let a replica take over";
        return if owns { findings.bad(what, advice) } else { findings.warn(what, advice) };
    }
    if member.is("myself") || addr.host() != e.seed.host() && member.linked {
        let seed = &e.seed;
        let advice = format!(
            "{seed} can be reached and this cannot: the nodes announce an address of another network (a container, a NAT). \
             Set cluster-announce-ip and cluster-announce-port on the nodes, or run slotway where they run"
        );
        return findings.bad(what, advice);
    }
    findings.bad(what, advice);
}

/// Median and worst of some PINGs.
async fn latency(node: &mut Conversation, options: &Options) -> Option<(Duration, Duration)> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begun = Instant::now();
        ask(node, options, &["PING"]).await.ok()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Some((*times.get(PINGS / 2)?, *times.last()?))
}

fn old(view: &View, findings: &mut Findings<'_>) {
    let mut numbers = view.version.split('.').map(|part| part.parse().unwrap_or(0));
    let version: [u32; 2] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    if view.version.is_empty() {
        findings.warn(format!("{} does not tell its version", view.addr), "allow INFO to the proxy's user: +info");
    } else if version < WANTED {
        let what = format!("{} runs {}, which is old", view.addr, view.version);
        findings.warn(what, "clients that expect newer commands get errors; 6.2 and later are tested");
    }
}

/// Whether the certificate that the node shows will do for a while.
fn certificate(node: &Conversation, addr: &Addr, findings: &mut Findings<'_>) {
    let Some(validity) = node.validity() else { return };
    let left = validity.not_after.saturating_sub(wall_clock().as_secs());
    let days = left / (24 * 3600);
    if left == 0 {
        findings.warn(format!("the certificate of {addr} has expired"), "renew it: nobody who checks it connects");
    } else if days < EXPIRES_SOON {
        findings.warn(format!("the certificate of {addr} expires in {days} days"), "renew it before");
    } else {
        findings.good(format!("{addr} speaks TLS; its certificate is good for {days} days"));
    }
}

/// Whether the proxy's user may do what clients will want.
async fn rights(node: &mut Conversation, options: &Options, view: &View, owner: bool, findings: &mut Findings<'_>) {
    // A key of no meaning that the node owns: a missing one is looked for and not made.
    let own = view.members.iter().find(|member| member.id == view.id);
    let owned = |key: &String| {
        let slot = slot(key.as_bytes());
        own.is_some_and(|own| own.slots.iter().any(|&(first, last)| (first..=last).contains(&slot)))
    };
    let key = (0..100_000).map(|n| format!("slotway:doctor:{n}")).find(owned).unwrap_or_default();
    let mut tries: Vec<(&str, Vec<&str>)> = vec![
        ("the map", vec!["CLUSTER", "SLOTS"]),
        ("the map", vec!["CLUSTER", "INFO"]),
        ("slots on the move", vec!["ASKING"]),
        ("figures", vec!["INFO", "server"]),
        ("scripts", vec!["EVAL", "return 1", "0"]),
        ("transactions", vec!["MULTI"]),
        ("transactions", vec!["DISCARD"]),
        ("messages", vec!["PUBSUB", "NUMPAT"]),
    ];
    if owner && !key.is_empty() {
        tries.push(("reads", vec!["GET", &key]));
        tries.push(("writes", vec!["PERSIST", &key]));
    }
    let mut denied = Vec::new();
    for (what, words) in tries {
        let answer = ask(node, options, &words).await;
        if let Ok(Value::Error(error)) = answer
            && error.starts_with("NOPERM")
        {
            denied.push(format!("{} ({what})", words.join(" ").to_lowercase()));
        }
    }
    if !denied.is_empty() {
        let what = format!("{}: the proxy's user may not run {}", view.addr, denied.join(", "));
        findings.bad(what, "give it the rights that its clients need: ACL SETUSER NAME +@all ~* &*, on every node");
    }
}

/// Commands that the proxy would send here and that the node does not know: renamed, or of a newer server.
async fn commands(node: &mut Conversation, options: &Options, addr: &Addr, findings: &mut Findings<'_>) {
    let Ok(answer) = ask(node, options, &["COMMAND"]).await else { return };
    let Some(rows) = answer.array() else { return };
    let names: Vec<&str> = rows.iter().filter_map(|row| row.array()?.first()?.text()).collect();
    let sent = |spec: &&command::Spec| !matches!(spec.plan, Plan::Local | Plan::Refuse(_));
    let lacking: Vec<String> = command::all()
        .filter(sent)
        .filter(|spec| !names.iter().any(|name| name.eq_ignore_ascii_case(spec.name)))
        .map(|spec| spec.name.to_uppercase())
        .collect();
    if !names.is_empty() && !lacking.is_empty() {
        let what = format!("{addr} lacks {} commands: {}", lacking.len(), lacking.join(" "));
        findings
            .note(what, "clients that use them get the node's error; look for rename-command if they should be there");
    }
}

/// The text of an answer; of an error, nothing.
fn text(answer: Result<Value, impl Sized>) -> String {
    answer.ok().and_then(|value| value.text().map(str::to_owned)).unwrap_or_default()
}

/// The value of `name:` among lines.
fn line(text: &str, name: &str) -> String {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_default().trim().to_owned()
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
