//! Which node a topic is subscribed at, and how it goes to another: the new one is asked first.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::feed::{Asked, Feed};
use super::handover::Handover;
use super::topic::{Home, Standing, Topic};
use super::{FeedId, Kind, Millis, Subscriptions, TopicId};
use crate::cluster::Hint;
use crate::cluster::topology::{Role, Topology};
use crate::net::Addr;
use crate::replies::Replies;

impl Subscriptions {
    /// Takes over a new map: every topic goes where it belongs by it.
    pub fn adopt(&mut self, map: &Arc<Topology>, replies: &mut Replies) {
        self.map = Arc::clone(map);
        let mut owns = vec![false; map.nodes.len()];
        for &owner in &map.slots {
            if let Some(owns) = owns.get_mut(usize::from(owner)) {
                *owns = true;
            }
        }
        let primaries = map.nodes.iter().zip(owns).filter(|(node, owns)| *owns && node.role == Role::Primary);
        self.primaries = primaries.map(|(node, _)| node.addr.clone()).collect();
        let ids: Vec<TopicId> = self.topics.iter().map(|(id, _)| id as TopicId).collect();
        for id in ids {
            self.place(id, replies);
        }
    }

    /// The owner of `slot`. Channels and patterns of a slot that nobody owns are subscribed at the first primary,
    /// since every node has their messages.
    fn owner(&self, slot: u16, kind: Kind) -> Option<Addr> {
        let owner = self.map.slots.get(usize::from(slot)).and_then(|&node| self.map.nodes.get(usize::from(node)));
        match (owner, kind) {
            (Some(node), _) => Some(node.addr.clone()),
            (None, Kind::Shard) => None,
            (None, _) => self.primaries.first().cloned(),
        }
    }

    /// The connection to the node at `addr`, made if there is none.
    pub(super) fn feed(&mut self, addr: &Addr) -> FeedId {
        if let Some(&feed) = self.by_addr.get(addr) {
            return feed;
        }
        let feed = self.feeds.insert(Feed::new(addr.clone(), self.around.max_message)) as FeedId;
        self.by_addr.insert(addr.clone(), feed);
        feed
    }

    /// Gives a topic the homes that it should have by the map.
    pub(super) fn place(&mut self, id: TopicId, replies: &mut Replies) {
        let Some(topic) = self.topics.get(id as usize) else { return };
        let (spread, owner) = (topic.spread, self.owner(topic.slot, topic.kind));
        let Some(owner) = owner else { return self.hint(Hint::Unowned) };
        let target = self.feed(&owner);
        let mut wanted = vec![target];
        if spread {
            let primaries = self.primaries.clone();
            wanted.extend(primaries.iter().map(|addr| self.feed(addr)));
        }
        self.settle_in(id, target, &wanted, replies);
    }

    /// Subscribes a topic at all of `wanted`, takes its ordinary messages from `target`, and leaves other nodes.
    pub(super) fn settle_in(&mut self, id: TopicId, target: FeedId, wanted: &[FeedId], replies: &mut Replies) {
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        for home in &mut topic.homes {
            home.leaving = !wanted.contains(&home.feed);
        }
        if topic.target != Some(target) {
            topic.target = Some(target);
            topic.handover = None;
        }
        for &feed in wanted {
            self.move_in(id, feed);
        }
        self.advance(id, replies);
    }

    fn move_in(&mut self, id: TopicId, feed: FeedId) {
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        if topic.home(feed).is_some() {
            return;
        }
        topic.homes.push(Home { feed, standing: Standing::Wanted, leaving: false });
        if let Some(feed) = self.feeds.get_mut(feed as usize) {
            feed.users += 1;
        }
        self.ask(id, feed);
    }

    /// Asks the node of `feed`, if it can be asked now; else it is asked as soon as the connection is there.
    pub(super) fn ask(&mut self, id: TopicId, feed: FeedId) {
        let number = self.number();
        let (now, connection) = (self.now, self.feeds.get_mut(feed as usize));
        let (Some(topic), Some(connection)) = (self.topics.get_mut(id as usize), connection) else { return };
        let (kind, name) = (topic.kind, Rc::clone(&topic.name));
        if let Some(home) = topic.home_mut(feed)
            && home.standing == Standing::Wanted
            && connection.is_ready()
        {
            home.standing = Standing::Asked(number);
            connection.ask(&[kind.begin(), &name], Asked::Begin(id, number), now);
        }
        let due = now + self.answer_ms();
        self.wake_by(due);
    }

    /// Asks again in `after` milliseconds.
    pub(super) fn ask_later(&mut self, id: TopicId, feed: FeedId, after: Millis) {
        self.later.insert((self.now + after, id, feed));
        self.wake_by(self.now + after);
    }

    /// Ends what a topic has at a node.
    pub(super) fn move_out(&mut self, id: TopicId, feed: FeedId) {
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        let Some(at) = topic.homes.iter().position(|home| home.feed == feed) else { return };
        let home = topic.homes.swap_remove(at);
        if topic.source == Some(feed) {
            topic.source = None;
        }
        let Some(connection) = self.feeds.get_mut(feed as usize) else { return };
        connection.users = connection.users.saturating_sub(1);
        if connection.is_ready() && home.standing != Standing::Wanted {
            let asked = Asked::End(topic.kind, Rc::clone(&topic.name));
            connection.ask(&[topic.kind.end(), &topic.name], asked, self.now);
        }
    }

    /// Looks at a topic of which something has changed: changes over to its target, leaves homes that are not
    /// needed any more, and tells clients that wait.
    pub(super) fn advance(&mut self, id: TopicId, replies: &mut Replies) {
        self.change_over(id, replies);
        let Some(topic) = self.topics.get(id as usize) else { return };
        let pending = self.is_pending(topic);
        let gone = |home: &&Home| {
            let needed = topic.source == Some(home.feed) || pending;
            home.leaving && !(needed && home.standing == Standing::Confirmed)
        };
        let gone: Vec<FeedId> = topic.homes.iter().filter(gone).map(|home| home.feed).collect();
        let untold = topic.untold;
        for feed in gone {
            self.move_out(id, feed);
        }
        self.recount(id);
        if untold > 0 && self.is_settled(id) {
            self.tell(id, replies);
        }
    }

    /// Whether a node that the topic is to be subscribed at has still to confirm; one that is down is not waited for.
    fn is_pending(&self, topic: &Topic) -> bool {
        let mut homes = topic.homes.iter();
        homes.any(|home| !home.leaving && home.standing != Standing::Confirmed && !self.is_down(home.feed))
    }

    /// Whether all its messages come: from its source and, if each node tells some of its own, from all of them.
    pub(super) fn is_settled(&self, id: TopicId) -> bool {
        let Some(topic) = self.topics.get(id as usize) else { return false };
        topic.stands_at(topic.source) && !(topic.spread && self.is_pending(topic))
    }

    /// Whether a node could not be reached when it was last tried.
    fn is_down(&self, feed: FeedId) -> bool {
        self.feeds.get(feed as usize).is_none_or(|feed| feed.failures > 0)
    }

    /// Whether the nodes of both are in the same shard by the map: after a failover one of them follows the other.
    fn are_of_a_shard(&self, one: Option<FeedId>, other: Option<FeedId>) -> bool {
        let shard = |feed: Option<FeedId>| {
            let addr = &self.feeds.get(feed? as usize)?.addr;
            let (at, node) = (0..).zip(&self.map.nodes).find(|(_, node)| node.addr == *addr)?;
            Some(if let Role::Replica { of } = node.role { of } else { at })
        };
        shard(one).is_some_and(|of| shard(other) == Some(of))
    }

    /// Takes ordinary messages from the target of a topic, as soon as that loses and doubles none.
    fn change_over(&mut self, id: TopicId, replies: &mut Replies) {
        let now = self.now;
        let Some(topic) = self.topics.get(id as usize) else { return };
        // The nodes of a shard tell one another; another shard tells nothing of a slot that has left it.
        let both_tell = topic.kind != Kind::Shard || self.are_of_a_shard(topic.source, topic.target);
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        if topic.source == topic.target {
            if let Some(end) = topic.handover.as_ref().and_then(Handover::tail).filter(|end| *end > now) {
                self.handing.insert(id);
                return self.wake_by(end);
            }
            topic.handover = None;
            self.handing.remove(&id);
            return;
        }
        let old_tells = topic.stands_at(topic.source) && both_tell;
        let new_tells = topic.stands_at(topic.target);
        if topic.stands_at(topic.source) && !new_tells && topic.kind == Kind::Shard {
            return;
        }
        if old_tells {
            let handover = topic.handover.get_or_insert_with(|| Handover::new(now));
            if !new_tells {
                return;
            }
            if let Some(at) = handover.step(now) {
                self.handing.insert(id);
                return self.wake_by(at);
            }
        }
        topic.source = topic.target;
        if let Some(handover) = &mut topic.handover {
            let messages = handover.change(now);
            self.handing.insert(id);
            self.wake_by(now);
            for message in messages {
                self.spread(id, &message, replies);
            }
        }
    }

    /// Closes connections that nobody needs.
    pub(super) fn close_unused(&mut self) {
        let unused = |feed: &Feed| feed.users == 0 && (feed.asked.is_empty() || !feed.is_ready());
        let ids: Vec<usize> = self.feeds.iter().filter(|(_, feed)| unused(feed)).map(|(id, _)| id).collect();
        for id in ids {
            let mut feed = self.feeds.remove(id);
            self.by_addr.remove(&feed.addr);
            for (kind, name) in feed.clear() {
                self.around.registry.workers(kind, &name, &feed.addr, -1);
            }
        }
    }

    /// The names of every kind, to look one up.
    pub(super) fn names_of(&mut self, kind: Kind) -> &mut HashMap<Rc<[u8]>, TopicId> {
        let [channels, patterns, shards] = &mut self.names;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }
}
