//! Publish and subscribe: who hears what at which node, and the bus that carries messages from node to node.
//!
//! A message reaches the node that it was published at at once and the others after their lag; shard messages stay
//! in the shard, and a node that loses the slot of a shard channel tells its subscribers so.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use super::command::{Answer, Command, Fault, other};
use super::glob;
use super::node::Turn;
use super::reply::Reply;
use super::slot::slot;
use super::state::State;
use super::{Cluster, NodeId};
use crate::resp::Proto;

pub(super) const COMMANDS: &[Command] = &[
    other("subscribe", -2, |turn| subscribe(turn, CHANNEL)),
    other("psubscribe", -2, |turn| subscribe(turn, PATTERN)),
    other("ssubscribe", -2, ssubscribe),
    other("unsubscribe", -1, |turn| unsubscribe(turn, CHANNEL)),
    other("punsubscribe", -1, |turn| unsubscribe(turn, PATTERN)),
    other("sunsubscribe", -1, |turn| unsubscribe(turn, SHARD)),
    other("publish", 3, publish),
    other("spublish", 3, spublish),
    other("pubsub", -2, pubsub),
];

const CHANNEL: usize = 0;
const PATTERN: usize = 1;
const SHARD: usize = 2;
/// What the words of confirmations begin with, by kind.
const LETTERS: [&str; 3] = ["", "p", "s"];

/// A connection that is subscribed to something.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    node: usize,
    proto: Proto,
    names: [BTreeSet<Vec<u8>>; 3],
}

impl Subscriber {
    /// The count in confirmations.
    fn count(&self, kind: usize) -> usize {
        if kind == SHARD { self.names[SHARD].len() } else { self.names[CHANNEL].len() + self.names[PATTERN].len() }
    }

    /// Whether it is subscribed to anything.
    pub(super) fn is_subscribed(&self) -> bool {
        self.names.iter().any(|names| !names.is_empty())
    }
}

fn confirm(word: &str, kind: usize, name: Option<&Vec<u8>>, count: usize) -> Reply {
    let word = format!("{}{word}", LETTERS[kind]);
    Reply::Push(vec![Reply::bulk(word), Reply::maybe(name), Reply::count(count)])
}

fn subscribe(turn: &mut Turn<'_>, kind: usize) -> Answer {
    let (node, proto, id) = (turn.node, turn.session.proto, turn.session.id);
    let subscriber = turn.state.subscribers.entry(id).or_default();
    (subscriber.node, subscriber.proto) = (node, proto);
    let names = turn.args.iter().skip(1).map(|name| {
        subscriber.names[kind].insert(name.clone());
        confirm("subscribe", kind, Some(name), subscriber.count(kind))
    });
    Ok(Reply::Several(names.collect()))
}

/// Complains unless the node owns the slots of all these shard channels.
fn must_own(turn: &Turn<'_>, names: &[Vec<u8>]) -> Result<(), Fault> {
    let view = turn.state.view(turn.node);
    let place = names.first().map_or(0, |name| slot(name));
    if names.iter().any(|name| slot(name) != place) {
        return Err(Fault("CROSSSLOT Keys in request don't hash to the same slot".into()));
    }
    match view.primary(place) {
        Some(owner) if owner == turn.node => Ok(()),
        Some(owner) => {
            let (host, port) = (turn.state.endpoint(owner), turn.state.nodes[owner].port);
            Err(Fault::new(format!("MOVED {place} {host}:{port}")))
        }
        None => Err(Fault("CLUSTERDOWN Hash slot not served".into())),
    }
}

fn ssubscribe(turn: &mut Turn<'_>) -> Answer {
    must_own(turn, turn.args.get(1..).unwrap_or_default())?;
    subscribe(turn, SHARD)
}

fn unsubscribe(turn: &mut Turn<'_>, kind: usize) -> Answer {
    let subscriber = turn.state.subscribers.entry(turn.session.id).or_default();
    let mut names: Vec<Vec<u8>> = turn.args.get(1..).unwrap_or_default().to_vec();
    if names.is_empty() {
        names = subscriber.names[kind].iter().cloned().collect();
    }
    if names.is_empty() {
        return Ok(confirm("unsubscribe", kind, None, subscriber.count(kind)));
    }
    let told = names.iter().map(|name| {
        subscriber.names[kind].remove(name);
        confirm("unsubscribe", kind, Some(name), subscriber.count(kind))
    });
    Ok(Reply::Several(told.collect()))
}

fn publish(turn: &mut Turn<'_>) -> Answer {
    let (channel, message) = (turn.arg(1).to_vec(), turn.arg(2).to_vec());
    let others: Vec<usize> = (0..turn.state.nodes.len()).collect();
    send(turn.state, turn.node, &others, CHANNEL, &channel, &message)
}

fn spublish(turn: &mut Turn<'_>) -> Answer {
    must_own(turn, turn.args.get(1..2).unwrap_or_default())?;
    let (channel, message) = (turn.arg(1).to_vec(), turn.arg(2).to_vec());
    let view = turn.state.view(turn.node);
    let others = view.shards[view.shard_of(turn.node)].members.clone();
    send(turn.state, turn.node, &others, SHARD, &channel, &message)
}

/// Tells a message at its node, and at those of `others` that hear from it.
fn send(state: &mut State, node: usize, others: &[usize], kind: usize, channel: &[u8], message: &[u8]) -> Answer {
    let count = tell(state, node, kind, channel, message);
    let hears = |other: &usize| *other != node && state.nodes[*other].alive && state.nodes[*other].old_map.is_none();
    let far: Vec<usize> =
        others.iter().copied().filter(|_| state.nodes[node].old_map.is_none()).filter(hears).collect();
    for other in far {
        let lag = state.nodes[other].lag;
        if lag.is_zero() {
            tell(state, other, kind, channel, message);
            continue;
        }
        let (me, channel, message) = (state.me.clone(), channel.to_vec(), message.to_vec());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(lag).await;
            if let Some(state) = me.upgrade() {
                tell(&mut state.borrow_mut(), other, kind, &channel, &message);
            }
        });
    }
    Ok(Reply::count(count))
}

/// Tells the subscribers at one node; how many times it was told.
pub(super) fn tell(state: &mut State, node: usize, kind: usize, channel: &[u8], message: &[u8]) -> usize {
    let mut count = 0;
    let here = state.subscribers.iter().filter(|(_, subscriber)| subscriber.node == node);
    for (id, subscriber) in here {
        let Some(line) = state.nodes[node].lines.get(id) else { continue };
        let mut say = |parts: Vec<Reply>| {
            count += 1;
            Reply::Push(parts).encode(subscriber.proto, &mut line.unasked.borrow_mut());
            line.bell.notify_one();
        };
        if subscriber.names[kind].contains(channel) {
            say(vec![Reply::bulk(format!("{}message", LETTERS[kind])), Reply::bulk(channel), Reply::bulk(message)]);
        }
        let patterns =
            subscriber.names[PATTERN].iter().filter(|pattern| kind == CHANNEL && glob::matches(pattern, channel));
        for pattern in patterns {
            say(vec![Reply::bulk("pmessage"), Reply::bulk(pattern), Reply::bulk(channel), Reply::bulk(message)]);
        }
    }
    count
}

/// Tells that a write command was run on a key, at its node alone.
pub(super) fn notify(state: &mut State, node: usize, event: &[u8], key: &[u8]) {
    tell(state, node, CHANNEL, &[b"__keyspace@0__:", key].concat(), event);
    tell(state, node, CHANNEL, &[b"__keyevent@0__:", event].concat(), key);
}

/// Ends the subscriptions to shard channels of a slot at all nodes that do not own it.
pub(super) fn slot_left(state: &mut State, place: u16) {
    let owner = state.map.owner(place);
    for (id, subscriber) in &mut state.subscribers {
        if Some(state.map.shard_of(subscriber.node)) == owner {
            continue;
        }
        let gone: Vec<Vec<u8>> = subscriber.names[SHARD].iter().filter(|name| slot(name) == place).cloned().collect();
        for name in gone {
            subscriber.names[SHARD].remove(&name);
            if let Some(line) = state.nodes[subscriber.node].lines.get(id) {
                let told = confirm("unsubscribe", SHARD, Some(&name), subscriber.count(SHARD));
                told.encode(subscriber.proto, &mut line.unasked.borrow_mut());
                line.bell.notify_one();
            }
        }
    }
}

fn pubsub(turn: &mut Turn<'_>) -> Answer {
    let here = || turn.state.subscribers.values().filter(|subscriber| subscriber.node == turn.node);
    let channels = |kind: usize| {
        let names: BTreeSet<&Vec<u8>> = here().flat_map(|subscriber| &subscriber.names[kind]).collect();
        let fits = |name: &&Vec<u8>| turn.args.get(2).is_none_or(|pattern| glob::matches(pattern, name));
        Reply::strings(names.into_iter().filter(fits))
    };
    let counts = |kind: usize| {
        let count = |name: &Vec<u8>| here().filter(|subscriber| subscriber.names[kind].contains(name)).count();
        let pairs = turn.args.iter().skip(2).flat_map(|name| [Reply::bulk(name), Reply::count(count(name))]);
        Reply::Array(pairs.collect())
    };
    Ok(match turn.arg(1).to_ascii_lowercase().as_slice() {
        b"channels" => channels(CHANNEL),
        b"shardchannels" => channels(SHARD),
        b"numsub" => counts(CHANNEL),
        b"shardnumsub" => counts(SHARD),
        b"numpat" => {
            Reply::count(here().flat_map(|subscriber| &subscriber.names[PATTERN]).collect::<BTreeSet<_>>().len())
        }
        _ => return Err(turn.unknown_subcommand()),
    })
}

impl Cluster {
    /// Messages that are published at other nodes reach this one so much later.
    pub fn lag(&self, node: NodeId, by: Duration) {
        self.state().nodes[node.0].lag = by;
    }

    /// How many connections of a node are subscribed to a name, of a channel (0), a pattern (1) or a shard channel (2).
    #[must_use]
    pub fn subscribed(&self, node: NodeId, kind: usize, name: &[u8]) -> usize {
        let state = self.state();
        let here = state
            .subscribers
            .iter()
            .filter(|(id, subscriber)| subscriber.node == node.0 && state.nodes[node.0].lines.contains_key(id));
        here.filter(|(_, subscriber)| subscriber.names.get(kind).is_some_and(|names| names.contains(name))).count()
    }

    /// Publishes a message at a node, as a client of that node would.
    pub fn publish(&self, node: NodeId, channel: &str, message: &str) {
        let mut state = self.state();
        let all: Vec<usize> = (0..state.nodes.len()).collect();
        // Nobody asks for the count.
        drop(send(&mut state, node.0, &all, CHANNEL, channel.as_bytes(), message.as_bytes()));
    }

    /// Lets the state find itself again, for what happens later.
    pub(super) fn introduce(self) -> Self {
        self.state().me = Rc::downgrade(&self.0);
        self
    }
}
