//! What nodes send: messages go to their clients, confirmations and refusals to their topics.

use std::fmt::Display;
use std::rc::Rc;
use std::task::Poll;

use super::feed::{Asked, State};
use super::own::{Heard, Parts};
use super::topic::Standing;
use super::{FeedId, Kind, Millis, Subscriptions, TopicId, pattern};
use crate::cluster::Hint;
use crate::net::{Addr, Token};
use crate::replies::Replies;
use crate::resp::Proto;

/// How often one connection is read in one turn before others get theirs.
const READS_A_TURN: usize = 4;
/// When to ask again a node that cannot say yes now, in milliseconds.
const SOON_MS: Millis = 50;
/// When to ask again a node that says no.
const REFUSED_MS: Millis = 1000;
/// So many nodes in a row may name another one before it takes a pause.
const MAX_HOPS: u8 = 3;

/// What a node sent was not what a subscriber gets.
struct Unexpected;

impl Subscriptions {
    /// The connection with this token became readable or writable.
    pub fn read(&mut self, token: Token, scratch: &mut [u8], replies: &mut Replies) {
        let id = token ^ self.around.token;
        for _ in 0..READS_A_TURN {
            let Some(feed) = self.feeds.get_mut(id as usize) else { return };
            let State::Ready(link) = &mut feed.state else { return };
            let received = match link.read(scratch) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.lose(id, &"the node closed the connection", replies),
                Poll::Ready(Ok(bytes)) => scratch.get(..bytes).unwrap_or_default(),
                Poll::Ready(Err(error)) => return self.lose(id, &error, replies),
            };
            feed.heard_at = self.now;
            if !self.received(id, received, replies) {
                return;
            }
        }
        self.around.ready.push(token);
    }

    /// Takes what a node sent; false if the connection is lost by it.
    fn received(&mut self, id: FeedId, fresh: &[u8], replies: &mut Replies) -> bool {
        let Some(feed) = self.feeds.get_mut(id as usize) else { return false };
        let mut bytes = std::mem::take(&mut feed.inbox);
        bytes.extend_from_slice(fresh);
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(feed) = self.feeds.get_mut(id as usize).filter(|feed| feed.is_ready()) else { return false };
            let frame = match feed.scanner.end(rest) {
                Ok(Some(end)) if !rest.is_empty() => rest.get(..end).unwrap_or_default(),
                Ok(_) => break,
                Err(error) => {
                    self.lose(id, &error, replies);
                    return false;
                }
            };
            at += frame.len();
            if self.frame(id, frame, replies).is_err() {
                self.lose(id, &"the node sent something that no subscriber asked for", replies);
                return false;
            }
        }
        if let Some(feed) = self.feeds.get_mut(id as usize) {
            bytes.drain(..at);
            feed.inbox = bytes;
        }
        true
    }

    fn frame(&mut self, id: FeedId, frame: &[u8], replies: &mut Replies) -> Result<(), Unexpected> {
        match frame.first() {
            Some(b'-') => return self.refused(id, frame, replies),
            Some(b'+') => return self.answered(id, |asked| matches!(asked, Asked::Ping)),
            _ => {}
        }
        let mut parts = Parts(frame.get(4..).unwrap_or_default());
        let (word, name) = (parts.next().ok_or(Unexpected)?, parts.next().ok_or(Unexpected)?);
        match word {
            b"message" => self.message(id, Kind::Channel, name, name, frame, replies),
            b"smessage" => self.message(id, Kind::Shard, name, name, frame, replies),
            b"pmessage" => {
                let channel = parts.next().ok_or(Unexpected)?;
                self.message(id, Kind::Pattern, name, channel, frame, replies);
            }
            b"pong" => self.answered(id, |asked| matches!(asked, Asked::Ping))?,
            _ => {
                let kind = |of: fn(Kind) -> &'static [u8]| Kind::ALL.into_iter().find(|&kind| of(kind) == word);
                match (kind(Kind::begin), kind(Kind::end)) {
                    (Some(kind), _) => self.begun(id, kind, name, replies)?,
                    (_, Some(kind)) => self.ended(id, kind, name, replies)?,
                    _ => return Err(Unexpected),
                }
            }
        }
        Ok(())
    }

    /// Takes the oldest question, which must be as `wanted`.
    fn answered(&mut self, id: FeedId, wanted: impl FnOnce(&Asked) -> bool) -> Result<(), Unexpected> {
        let feed = self.feeds.get_mut(id as usize).ok_or(Unexpected)?;
        feed.asked.pop_front().filter(wanted).ok_or(Unexpected)?;
        feed.answered_at = self.now;
        Ok(())
    }

    /// A message: to the clients of its topic, if this node is the one to tell it.
    fn message(&mut self, from: FeedId, kind: Kind, name: &[u8], channel: &[u8], frame: &[u8], replies: &mut Replies) {
        let Some(&id) = self.names_of(kind).get(name) else { return };
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        let is_source = topic.source == Some(from);
        if topic.spread && pattern::is_keyspace(channel) {
            if topic.stands_at(Some(from)) {
                self.spread(id, frame, replies);
            }
            return;
        }
        let is_target = topic.target == Some(from);
        if let Some(handover) = &mut topic.handover {
            match handover.tail() {
                Some(_) if is_source && !handover.is_new(frame) => return,
                None if is_source => handover.remember(frame),
                None if is_target => handover.keep(frame),
                _ => {}
            }
        }
        if is_source {
            self.spread(id, frame, replies);
        }
    }

    /// Gives a message to every client of a topic, framed as each of them speaks.
    pub(super) fn spread(&mut self, id: TopicId, frame: &[u8], replies: &mut Replies) {
        let Some(topic) = self.topics.get(id as usize) else { return };
        let body = frame.get(1..).unwrap_or_default();
        let mut heard = Heard::new(topic.kind, frame);
        for seat in topic.seats.iter().filter(|seat| seat.told) {
            let Some(member) = self.members.get_mut(&seat.client) else { continue };
            let mark = if member.proto == Proto::Resp3 { b'>' } else { b'*' };
            let waiting = match &member.keyspace {
                None => replies.push(seat.client, |out| {
                    out.push(mark);
                    out.extend_from_slice(body);
                }),
                Some(keyspace) => heard.tell(seat.client, keyspace, mark, member.asked.get(&id), replies),
            };
            if waiting > self.around.max_output && !member.slow {
                member.slow = true;
                self.slow.push(seat.client);
            }
        }
    }

    /// A node has confirmed a subscription.
    fn begun(&mut self, id: FeedId, kind: Kind, name: &[u8], replies: &mut Replies) -> Result<(), Unexpected> {
        let feed = self.feeds.get_mut(id as usize).ok_or(Unexpected)?;
        let Some(Asked::Begin(topic_id, number)) = feed.asked.pop_front() else { return Err(Unexpected) };
        feed.answered_at = self.now;
        if feed.held.insert((kind, name.into())) {
            self.around.registry.workers(kind, name, &feed.addr, 1);
        }
        if let Some(topic) = self.topics.get_mut(topic_id as usize)
            && let Some(home) = topic.home_mut(id).filter(|home| home.standing == Standing::Asked(number))
        {
            home.standing = Standing::Confirmed;
            topic.hops = 0;
            self.advance(topic_id, replies);
        }
        Ok(())
    }

    /// A node has ended a subscription: because it was asked, or because the slot of a shard channel left it.
    fn ended(&mut self, id: FeedId, kind: Kind, name: &[u8], replies: &mut Replies) -> Result<(), Unexpected> {
        let feed = self.feeds.get_mut(id as usize).ok_or(Unexpected)?;
        if feed.held.remove(&(kind, Rc::from(name))) {
            self.around.registry.workers(kind, name, &feed.addr, -1);
        }
        let is_ours = |asked: &Asked| matches!(asked, Asked::End(of, what) if *of == kind && **what == *name);
        if feed.asked.front().is_some_and(is_ours) {
            return self.answered(id, |_| true);
        }
        if kind != Kind::Shard {
            return Err(Unexpected);
        }
        self.hint(Hint::Moved);
        let Some(&topic_id) = self.names_of(kind).get(name) else { return Ok(()) };
        if let Some(home) = self.topics.get_mut(topic_id as usize).and_then(|topic| topic.home_mut(id)) {
            if home.standing == Standing::Confirmed {
                home.standing = Standing::Wanted;
            }
            // The node itself knows best who owns the slot now, and names it when it is asked again.
            self.ask(topic_id, id);
            self.advance(topic_id, replies);
        }
        Ok(())
    }

    /// A node answered a question with an error.
    fn refused(&mut self, id: FeedId, frame: &[u8], replies: &mut Replies) -> Result<(), Unexpected> {
        let text = String::from_utf8_lossy(frame.get(1..).unwrap_or_default()).trim_end().to_owned();
        let feed = self.feeds.get_mut(id as usize).ok_or(Unexpected)?;
        feed.answered_at = self.now;
        let Some(Asked::Begin(topic_id, number)) = feed.asked.pop_front() else { return Err(Unexpected) };
        let (from, topic) = (feed.addr.clone(), self.topics.get_mut(topic_id as usize));
        let home = topic.and_then(|topic| topic.home_mut(id));
        let Some(home) = home.filter(|home| home.standing == Standing::Asked(number)) else { return Ok(()) };
        home.standing = Standing::Wanted;
        match text.split(' ').next().unwrap_or_default() {
            "NOAUTH" => return Err(Unexpected),
            "MOVED" => self.moved(topic_id, id, &from, &text, replies),
            "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "TRYAGAIN" => {
                self.hint(Hint::Unowned);
                self.ask_later(topic_id, id, SOON_MS);
            }
            _ => {
                tracing::warn!("{from} refused a subscription: {text}");
                self.ask_later(topic_id, id, REFUSED_MS);
                self.refuse(topic_id, &text, replies);
            }
        }
        Ok(())
    }

    /// The slot of a shard channel is at another node: there now, and where the next map says later.
    fn moved(&mut self, id: TopicId, feed: FeedId, from: &Addr, text: &str, replies: &mut Replies) {
        self.hint(Hint::Moved);
        let named = text.split(' ').nth(2).and_then(|addr| addr.rsplit_once(':'));
        let target = named.and_then(|(host, port)| {
            let host = if host.is_empty() || host == "?" { from.host() } else { host };
            Some(Addr::tcp(host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
        });
        let is_leaving = |home: &super::topic::Home| home.feed == feed && home.leaving;
        let Some(topic) = self.topics.get_mut(id as usize) else { return };
        if topic.homes.iter().any(is_leaving) {
            return self.advance(id, replies);
        }
        topic.hops = topic.hops.saturating_add(1);
        let may_go = topic.hops <= MAX_HOPS;
        // A node must not be able to send the proxy anywhere: discovery decides who belongs to the cluster.
        if let Some(addr) = target.filter(|addr| may_go && self.map.nodes.iter().any(|node| node.addr == *addr)) {
            let target = self.feed(&addr);
            return self.settle_in(id, target, &[target], replies);
        }
        if let Some(topic) = self.topics.get_mut(id as usize) {
            topic.hops = 0;
        }
        self.ask_later(id, feed, SOON_MS);
    }

    /// The connection is gone: everything on it is asked for again, here or where it belongs by the next map.
    pub(super) fn lose(&mut self, id: FeedId, why: &dyn Display, replies: &mut Replies) {
        let Some(feed) = self.feeds.get_mut(id as usize) else { return };
        if feed.failures == 0 {
            tracing::warn!("subscriptions at {}: {why}", feed.addr);
        }
        let wait = if feed.is_ready() { 0 } else { super::tend::backoff(feed.failures, &mut self.jitter) };
        feed.failures = feed.failures.saturating_add(1);
        feed.state = State::Down { retry_at: self.now + wait };
        let addr = feed.addr.clone();
        for (kind, name) in feed.clear() {
            self.around.registry.workers(kind, &name, &addr, -1);
        }
        self.wake_by(self.now + wait);
        self.hint(Hint::Unreachable(addr));
        for topic in self.homes_at(id) {
            if let Some(home) = self.topics.get_mut(topic as usize).and_then(|topic| topic.home_mut(id)) {
                home.standing = Standing::Wanted;
            }
            self.advance(topic, replies);
        }
    }

    /// The topics that have a home at the node of `feed`.
    pub(super) fn homes_at(&self, feed: FeedId) -> Vec<TopicId> {
        let there = self.topics.iter().filter(|(_, topic)| topic.home(feed).is_some());
        there.map(|(id, _)| id as TopicId).collect()
    }
}
