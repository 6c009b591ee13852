//! What happens by itself: dialling, writing, deadlines, signs of life.

use std::rc::Rc;
use std::sync::Arc;

use super::feed::{Asked, Dialed, State};
use super::{FeedId, Millis, NEVER, Subscriptions, TopicId};
use crate::cluster::dial::Conversation;
use crate::net::Link;
use crate::replies::Replies;
use crate::resp::Proto;

/// The first wait before a connection that failed is tried again, in milliseconds; doubled each time.
const BACKOFF_MS: Millis = 20;
/// The longest wait between two tries: a node that comes back has its subscriptions within a second.
const BACKOFF_MAX_MS: Millis = 400;
/// A node that is silent for so long is asked whether it is there.
const PING_MS: Millis = 5000;

impl Subscriptions {
    /// Does what is due, and writes what is to be written. To be called in every turn in which there is anything.
    pub fn tend(&mut self, replies: &mut Replies) {
        if self.now >= self.wake_at {
            self.wake_at = NEVER;
            self.tick(replies);
        }
        for id in 0..self.feeds.capacity() as FeedId {
            let Some(feed) = self.feeds.get_mut(id as usize) else { continue };
            match feed.state {
                State::Down { retry_at } if feed.users > 0 && retry_at <= self.now => self.dial(id),
                State::Down { retry_at } if feed.users > 0 => self.wake_by(retry_at),
                State::Ready(_) => {
                    if let Err(error) = feed.write() {
                        self.lose(id, &error, replies);
                    }
                }
                _ => {}
            }
        }
        self.close_unused();
    }

    fn tick(&mut self, replies: &mut Replies) {
        for id in std::mem::take(&mut self.handing) {
            self.advance(id, replies);
        }
        while let Some(&(at, topic, feed)) = self.later.first() {
            if at > self.now {
                self.wake_by(at);
                break;
            }
            self.later.pop_first();
            self.ask(topic, feed);
        }
        self.expire(replies);
        for id in 0..self.feeds.capacity() as FeedId {
            self.watch(id, replies);
        }
    }

    /// Gives up a connection whose node does not answer; asks one that is silent whether it is there.
    fn watch(&mut self, id: FeedId, replies: &mut Replies) {
        let (now, limit) = (self.now, self.answer_ms());
        let Some(feed) = self.feeds.get_mut(id as usize).filter(|feed| feed.is_ready()) else { return };
        if !feed.asked.is_empty() && now >= feed.answered_at + limit {
            return self.lose(id, &"the node did not answer in time", replies);
        }
        if feed.asked.is_empty() && now >= feed.heard_at + PING_MS {
            feed.ask(&[b"PING"], Asked::Ping, now);
        }
        let next = if feed.asked.is_empty() { feed.heard_at + PING_MS } else { feed.answered_at + limit };
        self.wake_by(next);
    }

    fn dial(&mut self, id: FeedId) {
        let number = self.number();
        let Some(feed) = self.feeds.get_mut(id as usize) else { return };
        feed.state = State::Connecting(number);
        let (addr, net, limit) = (feed.addr.clone(), Arc::clone(&self.around.net), self.around.connect_timeout);
        let credentials = self.around.credentials.clone();
        let (dialed, ready, token) = (Rc::clone(&self.dialed), Arc::clone(&self.around.ready), self.around.dialed);
        tokio::task::spawn_local(async move {
            let result = Conversation::open(&*net, &addr, credentials.as_ref(), Proto::Resp2, limit).await;
            let result = result.and_then(Conversation::into_stream);
            dialed.borrow_mut().push(Dialed { feed: id, number, result });
            ready.push(token);
        });
    }

    /// Takes in the connections that dialling tasks have brought.
    pub fn take_dialed(&mut self, replies: &mut Replies) {
        let dialed = std::mem::take(&mut *self.dialed.borrow_mut());
        for Dialed { feed: id, number, result } in dialed {
            let Some(feed) = self.feeds.get_mut(id as usize) else { continue };
            if !matches!(feed.state, State::Connecting(attempt) if attempt == number) {
                continue;
            }
            match result {
                Ok(stream) => {
                    let token = self.around.token | id;
                    feed.state = State::Ready(Link::new(stream, self.around.ready.waker(token)));
                    feed.failures = 0;
                    feed.heard_at = self.now;
                    // Read once, so that the link's waker is known to the runtime.
                    self.around.ready.push(token);
                    let topics: Vec<TopicId> = self.homes_at(id);
                    for topic in topics {
                        self.ask(topic, id);
                    }
                    self.wake_by(self.now + PING_MS);
                }
                Err(error) => self.lose(id, &error, replies),
            }
        }
    }
}

/// How long to wait after `failures` failed tries: doubled each time, and shortened by up to a half at random so
/// that workers and proxies do not come back all at once.
pub(super) fn backoff(failures: u32, jitter: &mut u32) -> Millis {
    *jitter ^= *jitter << 13;
    *jitter ^= *jitter >> 17;
    *jitter ^= *jitter << 5;
    let full = (BACKOFF_MS << failures.min(6)).min(BACKOFF_MAX_MS);
    full - Millis::from(*jitter) % (full / 2 + 1)
}
