//! The clients' side: who is subscribed to what, who waits for a confirmation, who is told.
//!
//! A client is told that it is subscribed when the nodes have confirmed all that its command names, and gets
//! messages from then on, so that none is missed behind the confirmation.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::topic::{Seat, Topic};
use super::{Kind, Millis, Subscriptions, TopicId};
use crate::cluster::slot::slot;
use crate::keyspace::Keyspace;
use crate::replies::{ClientId, Replies, Ticket};
use crate::resp::{Proto, encode};

/// A SUBSCRIBE that is not confirmed.
struct Waiting {
    ticket: Ticket,
    since: Millis,
    /// What the nodes have not confirmed.
    left: BTreeSet<TopicId>,
    /// What the client was not subscribed to before.
    fresh: Vec<TopicId>,
    /// What it will be told.
    told: Vec<u8>,
}

/// A client with subscriptions.
pub(super) struct Member {
    pub(super) proto: Proto,
    /// Whether its messages pile up.
    pub(super) slow: bool,
    /// What it is subscribed to, by kind.
    topics: [BTreeSet<TopicId>; 3],
    /// By which names, if those are not the topics' own.
    pub(super) asked: BTreeMap<TopicId, BTreeSet<Rc<[u8]>>>,
    waiting: Option<Box<Waiting>>,
}

impl Member {
    fn new(proto: Proto) -> Self {
        Self { proto, slow: false, topics: Default::default(), asked: BTreeMap::new(), waiting: None }
    }

    fn topics(&mut self, kind: Kind) -> &mut BTreeSet<TopicId> {
        let [channels, patterns, shards] = &mut self.topics;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }

    fn is_empty(&self) -> bool {
        self.topics.iter().all(BTreeSet::is_empty)
    }

    /// The count in confirmations: of channels and patterns together, or of shard channels.
    fn count(&self, kind: Kind) -> i64 {
        let [channels, patterns, shards] = &self.topics;
        let count = |topics: &BTreeSet<TopicId>| match self.asked.len() {
            0 => topics.len(),
            _ => topics.iter().map(|id| self.asked.get(id).map_or(1, BTreeSet::len)).sum(),
        };
        let count = if kind == Kind::Shard { count(shards) } else { count(channels) + count(patterns) };
        count as i64
    }
}

/// Appends a confirmation.
fn confirm(out: &mut Vec<u8>, proto: Proto, word: &[u8], name: Option<&[u8]>, count: i64) {
    out.extend_from_slice(if proto == Proto::Resp3 { b">3\r\n" } else { b"*3\r\n" });
    encode::bulk(out, word);
    match name {
        Some(name) => encode::bulk(out, name),
        None => encode::null(out, proto),
    }
    encode::integer(out, count);
}

impl Subscriptions {
    /// Subscribes `client`, which has no request under way, to `names`. It is told at once if the nodes have
    /// confirmed all of them before, else later, and this request counts as under way until then: true.
    pub fn subscribe(
        &mut self,
        client: ClientId,
        kind: Kind,
        proto: Proto,
        names: &[&[u8]],
        replies: &mut Replies,
    ) -> bool {
        let (mut told, mut fresh, mut left) = (Vec::new(), Vec::new(), BTreeSet::new());
        for &name in names {
            let id = self.topic(kind, &self.name_at_nodes(kind, name));
            let member = self.members.entry(client).or_insert_with(|| Member::new(proto));
            let is_new = member.topics(kind).insert(id);
            self.remember(client, id, name);
            confirm(&mut told, proto, kind.begin(), Some(name), self.count(client, kind));
            if is_new {
                fresh.push(id);
                if let Some(topic) = self.topics.get_mut(id as usize) {
                    topic.seats.push(Seat { client, told: false });
                    topic.untold += 1;
                }
                if !self.is_settled(id) {
                    left.insert(id);
                }
            }
        }
        if left.is_empty() {
            self.admit(client, &fresh, &told, replies);
            return false;
        }
        let Some(ticket) = replies.reserve(client, told.len()) else { return false };
        let waiting = Waiting { ticket, since: self.now, left: left.clone(), fresh, told };
        if let Some(member) = self.members.get_mut(&client) {
            member.waiting = Some(Box::new(waiting));
        }
        self.waiters.insert(client);
        self.wake_by(self.now + self.answer_ms());
        for id in left {
            if self.topics.get(id as usize).is_some_and(|topic| topic.homes.is_empty()) {
                self.place(id, replies);
            }
        }
        self.waiters.contains(&client)
    }

    /// The topic of this name, made if there is none.
    fn topic(&mut self, kind: Kind, name: &[u8]) -> TopicId {
        if let Some(&id) = self.names_of(kind).get(name) {
            return id;
        }
        // One application's messages take one way, so that they come in the order in which they were published.
        let keyspace = self.around.keyspace.as_ref().filter(|_| kind != Kind::Shard);
        let topic = Topic::new(kind, name, keyspace.map_or_else(|| slot(name), Keyspace::slot));
        let name = Rc::clone(&topic.name);
        let id = self.topics.insert(topic) as TopicId;
        self.names_of(kind).insert(name, id);
        id
    }

    /// The nodes have confirmed a topic: tells the clients that lacked nothing else.
    pub(super) fn tell(&mut self, id: TopicId, replies: &mut Replies) {
        let Some(topic) = self.topics.get(id as usize) else { return };
        let untold: Vec<ClientId> = topic.seats.iter().filter(|seat| !seat.told).map(|seat| seat.client).collect();
        for client in untold {
            let Some(member) = self.members.get_mut(&client) else { continue };
            let Some(waiting) = &mut member.waiting else { continue };
            waiting.left.remove(&id);
            if waiting.left.is_empty()
                && let Some(waiting) = member.waiting.take()
            {
                self.waiters.remove(&client);
                self.admit(client, &waiting.fresh, &waiting.told, replies);
                replies.deliver(waiting.ticket, b"");
            }
        }
    }

    /// Tells a client that it is subscribed. From now on it gets messages.
    fn admit(&mut self, client: ClientId, fresh: &[TopicId], told: &[u8], replies: &mut Replies) {
        for &id in fresh {
            let Some(topic) = self.topics.get_mut(id as usize) else { continue };
            if let Some(seat) = topic.seats.iter_mut().rfind(|seat| seat.client == client) {
                seat.told = true;
                topic.untold -= 1;
            }
            self.recount(id);
        }
        replies.push(client, |out| out.extend_from_slice(told));
    }

    /// Tells the registry how many clients hear a topic, and whether they are served.
    pub(super) fn recount(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        let told = (topic.seats.len() - topic.untold) as i64;
        let now = (told, if topic.stands_at(topic.source) { told } else { 0 });
        let before = std::mem::replace(&mut topic.counted, now);
        if now != before {
            self.around.registry.clients(topic.kind, &topic.name, now.0 - before.0, now.1 - before.1);
        }
    }

    /// Ends subscriptions of `client`, which has no request under way, and tells it so: those to `names`, or all of
    /// the kind without any.
    pub fn unsubscribe(&mut self, client: ClientId, kind: Kind, proto: Proto, names: &[&[u8]], replies: &mut Replies) {
        let mut out = Vec::new();
        if names.is_empty() {
            let all = self.members.get_mut(&client).map(|member| member.topics(kind).clone()).unwrap_or_default();
            if all.is_empty() {
                confirm(&mut out, proto, kind.end(), None, self.count(client, kind));
            }
            for id in all {
                let names = self.names_for(client, id);
                self.leave(client, kind, id);
                for name in names {
                    confirm(&mut out, proto, kind.end(), Some(&name), self.count(client, kind));
                }
            }
        }
        for &name in names {
            let at_nodes = self.name_at_nodes(kind, name);
            if let Some(&id) = self.names_of(kind).get(&*at_nodes)
                && self.is_last(client, id, name)
            {
                self.leave(client, kind, id);
            }
            confirm(&mut out, proto, kind.end(), Some(name), self.count(client, kind));
        }
        if self.members.get(&client).is_some_and(Member::is_empty) {
            self.members.remove(&client);
        }
        replies.push(client, |to| to.extend_from_slice(&out));
    }

    fn count(&self, client: ClientId, kind: Kind) -> i64 {
        self.members.get(&client).map_or(0, |member| member.count(kind))
    }

    /// Takes a client's seat away, and with the last one the topic.
    fn leave(&mut self, client: ClientId, kind: Kind, id: TopicId) {
        let was_in = self.members.get_mut(&client).is_some_and(|member| {
            member.asked.remove(&id);
            member.topics(kind).remove(&id)
        });
        let Some(topic) = self.topics.get_mut(id as usize).filter(|_| was_in) else { return };
        if let Some(at) = topic.seats.iter().position(|seat| seat.client == client) {
            topic.untold -= usize::from(!topic.seats.swap_remove(at).told);
        }
        self.recount(id);
        let Some(topic) = self.topics.get(id as usize).filter(|topic| topic.seats.is_empty()) else { return };
        let homes: Vec<_> = topic.homes.iter().map(|home| home.feed).collect();
        for feed in homes {
            self.move_out(id, feed);
        }
        let topic = self.topics.remove(id as usize);
        self.names_of(kind).remove(&topic.name);
        self.handing.remove(&id);
    }

    /// How many channels, patterns and shard channels `client` is subscribed to.
    #[must_use]
    pub fn counts(&self, client: ClientId) -> [usize; 3] {
        self.members.get(&client).map_or([0; 3], |member| member.topics.each_ref().map(BTreeSet::len))
    }

    /// Whether `client` is subscribed to anything.
    #[must_use]
    pub fn has(&self, client: ClientId) -> bool {
        self.members.contains_key(&client)
    }

    /// `client` speaks another protocol from now on.
    pub fn set_proto(&mut self, client: ClientId, proto: Proto) {
        if let Some(member) = self.members.get_mut(&client) {
            member.proto = proto;
        }
    }

    /// Ends all subscriptions of `client` without a word.
    pub fn forget(&mut self, client: ClientId, replies: &mut Replies) {
        let Some(member) = self.members.get_mut(&client) else { return };
        if let Some(waiting) = member.waiting.take() {
            self.waiters.remove(&client);
            replies.deliver(waiting.ticket, b"");
        }
        for kind in Kind::ALL {
            let ids = self.members.get_mut(&client).map(|member| member.topics(kind).clone()).unwrap_or_default();
            for id in ids {
                self.leave(client, kind, id);
            }
        }
        self.members.remove(&client);
    }

    /// A node said no, and nothing will change that: the clients that wait for the topic are told.
    pub(super) fn refuse(&mut self, id: TopicId, text: &str, replies: &mut Replies) {
        let Some(topic) = self.topics.get(id as usize) else { return };
        let untold: Vec<ClientId> = topic.seats.iter().filter(|seat| !seat.told).map(|seat| seat.client).collect();
        for client in untold {
            self.give_up(client, text, replies);
        }
    }

    /// Undoes a SUBSCRIBE that is not confirmed, and says why.
    fn give_up(&mut self, client: ClientId, text: &str, replies: &mut Replies) {
        let Some(waiting) = self.members.get_mut(&client).and_then(|member| member.waiting.take()) else { return };
        self.waiters.remove(&client);
        for id in waiting.fresh {
            if let Some(kind) = self.topics.get(id as usize).map(|topic| topic.kind) {
                self.leave(client, kind, id);
            }
        }
        if self.members.get(&client).is_some_and(Member::is_empty) {
            self.members.remove(&client);
        }
        replies.fail(waiting.ticket, text);
    }

    /// Gives up SUBSCRIBEs that no node has confirmed in time.
    pub(super) fn expire(&mut self, replies: &mut Replies) {
        let (now, limit) = (self.now, self.answer_ms());
        let clients: Vec<ClientId> = self.waiters.iter().copied().collect();
        for client in clients {
            let waiting = self.members.get(&client).and_then(|member| member.waiting.as_ref());
            let Some(since) = waiting.map(|waiting| waiting.since) else { continue };
            if now >= since + limit {
                let text = format!("PROXYUNSENT not subscribed: no node confirmed it for {limit} ms");
                self.give_up(client, &text, replies);
            } else {
                self.wake_by(since + limit);
            }
        }
    }
}
