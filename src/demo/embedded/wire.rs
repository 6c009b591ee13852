//! One connection of a node: bytes in, commands run, bytes out, with the faults that were ordered.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::Cluster;
use super::data::waiting;
use super::faults::{self, Act};
use super::multi;
use super::node::{Session, execute};
use super::observer::Seen;
use super::reply::Reply;
use super::request::Requests;
use super::state::{Line, Node, State};
use crate::net::Stream;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// What one request puts on the wire.
#[derive(Default)]
struct Step {
    bytes: Vec<u8>,
    hold: Duration,
    close: bool,
    /// The request, if its client is to wait.
    blocked: Option<Vec<Vec<u8>>>,
}

/// When the waiting of a request ends, if it ends.
fn deadline(args: &[Vec<u8>]) -> Option<Instant> {
    let ms = waiting::wait_ms(args.last()).ok().filter(|&ms| ms > 0)?;
    Some(Instant::now() + Duration::from_millis(ms))
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn serve(cluster: Cluster, node: usize, stream: Stream) {
    let Some((id, line)) = join(&cluster, node) else { return };
    let session = Session { id, ..Session::default() };
    let mut wire =
        Wire { cluster: cluster.clone(), node, line, session, stream, requests: Requests::default(), blocked: None };
    wire.run().await;
    let mut state = cluster.state();
    state.nodes[node].lines.remove(&id);
    state.subscribers.remove(&id);
}

/// Makes the connection known to the node, if the node still lives.
fn join(cluster: &Cluster, node: usize) -> Option<(u64, Rc<Line>)> {
    let mut state = cluster.state();
    let id = state.next_connection;
    state.next_connection += 1;
    if !state.nodes[node].alive {
        return None;
    }
    state.observer.counts_mut(node).connections += 1;
    let line = Rc::new(Line::default());
    state.nodes[node].lines.insert(id, Rc::clone(&line));
    Some((id, line))
}

struct Wire {
    cluster: Cluster,
    node: usize,
    line: Rc<Line>,
    session: Session,
    stream: Stream,
    requests: Requests,
    blocked: Option<Blocked>,
}

/// A request whose client waits.
struct Blocked {
    args: Vec<Vec<u8>>,
    until: Option<Instant>,
    /// Whether ASKING came in front of it.
    asked: bool,
}

impl Wire {
    async fn run(&mut self) {
        let mut chunk = vec![0; CHUNK];
        while !self.line.cut.get() {
            let paused = self.cluster.state().nodes[self.node].paused;
            let unasked = if paused { Vec::new() } else { self.line.unasked.take() };
            if !unasked.is_empty() && !self.send(&unasked).await {
                return;
            }
            if !paused && self.blocked.is_some() && !self.look_again().await {
                return;
            }
            let until = self.blocked.as_ref().and_then(|blocked| blocked.until);
            let read = tokio::select! {
                biased;
                () = self.line.bell.notified() => continue,
                () = sleep_until(until), if !paused => continue,
                read = self.stream.read(&mut chunk), if !paused => read,
            };
            let Ok(count @ 1..) = read else { return };
            self.requests.feed(chunk.get(..count).unwrap_or_default());
            if !self.answer().await {
                return;
            }
        }
    }

    /// Runs every whole request that has come and sends the replies in one go; false to hang up.
    async fn answer(&mut self) -> bool {
        let mut out = Vec::new();
        let mut close = false;
        while !close && !self.line.cut.get() && self.blocked.is_none() {
            let Some(step) = self.next() else { break };
            close = step.close;
            if !step.hold.is_zero() {
                // What was ready before stays ahead of what is held.
                if !self.send(&std::mem::take(&mut out)).await || !self.wait(step.hold).await {
                    return false;
                }
            }
            // Messages from before this request, and those that it sent to itself.
            out.extend(self.line.unasked.take());
            out.extend_from_slice(&step.bytes);
        }
        let delay = self.cluster.state().nodes[self.node].delay;
        if !self.wait(delay).await || !self.send(&out).await {
            return false;
        }
        if close {
            // The peer may be gone already, and that is as good.
            let _ = self.stream.shutdown().await;
        }
        !close
    }

    /// Runs the next whole request.
    fn next(&mut self) -> Option<Step> {
        let mut state = self.cluster.state();
        match self.requests.next() {
            Ok(None) => None,
            Ok(Some(args)) => {
                let asked = self.session.asking;
                let step = step(&mut state, self.node, &mut self.session, args);
                self.blocked = step.blocked.map(|args| Blocked { until: deadline(&args), args, asked });
                self.line.blocked.set(self.blocked.is_some());
                // Somebody else may wait for what this one wrote.
                state.nodes.iter().for_each(Node::wake_blocked);
                Some(Step { blocked: None, ..step })
            }
            Err(what) => {
                state.observer.violation(self.node, self.session.id, &what);
                let bytes = format!("-ERR Protocol error: {what}\r\n").into_bytes();
                Some(Step { bytes, close: true, ..Step::default() })
            }
        }
    }

    /// Whether there is something now for a client that waits; false to hang up.
    async fn look_again(&mut self) -> bool {
        let Some(Blocked { args, until, asked }) = self.blocked.take() else { return true };
        self.session.asking = asked;
        let Some((reply, close)) = self.outcome(&args, until) else {
            self.blocked = Some(Blocked { args, until, asked });
            return true;
        };
        self.line.blocked.set(false);
        self.line.unblock.set(None);
        let mut bytes = Vec::new();
        reply.encode(self.session.proto, &mut bytes);
        note(&mut self.cluster.state(), self.node, self.session.id, args, true, &bytes);
        // What was sent meanwhile is answered next.
        self.send(&bytes).await && !close && self.answer().await
    }

    /// What a client that waits is told, if it is time to tell it anything, and whether to hang up.
    fn outcome(&mut self, args: &[Vec<u8>], until: Option<Instant>) -> Option<(Reply, bool)> {
        let mut state = self.cluster.state();
        if let Some(with_error) = self.line.unblock.get() {
            let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK".to_owned();
            return Some((if with_error { Reply::Error(text) } else { Reply::NullArray }, false));
        }
        if !state.view(self.node).is_primary(self.node) {
            let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
            return Some((Reply::Error(text.to_owned()), true));
        }
        let reply = execute(&mut state, self.node, &mut self.session, args).reply;
        let is_over = until.is_some_and(|until| Instant::now() >= until);
        (reply != Reply::NullArray || is_over).then_some((reply, false))
    }

    /// Lets time pass, and longer while the node is paused; false if the connection was cut meanwhile.
    async fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            let paused = self.cluster.state().nodes[self.node].paused;
            if self.line.cut.get() {
                return false;
            }
            if !paused && Instant::now() >= end {
                return true;
            }
            tokio::select! {
                biased;
                () = self.line.bell.notified() => {}
                () = tokio::time::sleep_until(end), if !paused => {}
            }
        }
    }

    /// Sends bytes unless the connection is cut first.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        while sent < bytes.len() && !self.line.cut.get() {
            tokio::select! {
                biased;
                () = self.line.bell.notified() => {}
                wrote = self.stream.write(bytes.get(sent..).unwrap_or_default()) => match wrote {
                    Ok(count @ 1..) => sent += count,
                    _ => return false,
                },
            }
        }
        if !self.line.unasked.borrow().is_empty() {
            // Its bell was heard here; the main loop is to hear it too.
            self.line.bell.notify_one();
        }
        sent == bytes.len() && self.stream.flush().await.is_ok()
    }
}

/// Runs one request with whatever fault waits for it.
fn step(state: &mut State, node: usize, session: &mut Session, args: Vec<Vec<u8>>) -> Step {
    let act = args.first().and_then(|name| faults::take(&mut state.nodes[node].scripts, name));
    let mut step = Step::default();
    let (mut bytes, ran) = match &act {
        Some(Act::Refuse(lie)) => {
            multi::refused(session, &args);
            (lie.clone(), false)
        }
        Some(Act::CutUnrun) => (Vec::new(), false),
        _ => {
            let outcome = execute(state, node, session, &args);
            let may_wait = outcome.ran && session.multi.is_none() && args.first().is_some_and(|n| waiting::may_wait(n));
            if may_wait && outcome.reply == Reply::NullArray {
                return Step { blocked: Some(args), ..Step::default() };
            }
            let mut bytes = Vec::new();
            outcome.reply.encode(session.proto, &mut bytes);
            count_redirect(state, node, &outcome.reply);
            step.close = outcome.closing;
            (bytes, outcome.ran)
        }
    };
    note(state, node, session.id, args, ran, &bytes);
    match act {
        Some(Act::Replace(lie)) => bytes = lie,
        Some(Act::Before(extra)) => bytes.splice(0..0, extra).for_each(drop),
        Some(Act::After(extra)) => bytes.extend(extra),
        Some(Act::Cut(after)) => {
            bytes.truncate(after);
            step.close = true;
        }
        Some(Act::CutUnrun) => step.close = true,
        Some(Act::Hold(later)) => step.hold = later,
        Some(Act::Refuse(_)) | None => {}
    }
    step.bytes = bytes;
    step
}

fn count_redirect(state: &mut State, node: usize, reply: &Reply) {
    let redirect = matches!(reply, Reply::Error(text) if text.starts_with("MOVED ") || text.starts_with("ASK "));
    state.observer.counts_mut(node).redirects += u64::from(redirect);
}

fn note(state: &mut State, node: usize, connection: u64, args: Vec<Vec<u8>>, ran: bool, bytes: &[u8]) {
    state.observer.counts_mut(node).commands += 1;
    if state.observer.is_keeping() {
        let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let reply = String::from_utf8_lossy(line).into_owned();
        let at_ms = state.now_ms();
        state.observer.push(Seen { at_ms, node: super::NodeId(node), connection, args, ran, reply });
    }
}
