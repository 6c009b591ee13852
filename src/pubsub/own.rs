//! Names that the clients of a keyspace know otherwise than nodes do. A topic has the name that nodes know; each client
//! remembers by which names it asked for it, and gets a message by those that it fits.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::incoming::Parts;
use super::{Kind, Subscriptions, TopicId, pattern};
use crate::replies::{ClientId, Replies};
use crate::resp::{Proto, encode};

impl Subscriptions {
    /// How nodes know what clients ask for as `name`.
    pub(super) fn name_at_nodes(&self, kind: Kind, name: &[u8]) -> Vec<u8> {
        match &self.around.keyspace {
            Some(keyspace) => keyspace.channel(name, kind == Kind::Pattern),
            None => name.to_vec(),
        }
    }

    /// Remembers the name by which `client` asked for a topic.
    pub(super) fn remember(&mut self, client: ClientId, id: TopicId, name: &[u8]) {
        if self.around.keyspace.is_some()
            && let Some(member) = self.members.get_mut(&client)
        {
            member.asked.entry(id).or_default().insert(name.into());
        }
    }

    /// Forgets it; whether that was the last one.
    pub(super) fn is_last(&mut self, client: ClientId, id: TopicId, name: &[u8]) -> bool {
        let asked = self.members.get_mut(&client).and_then(|member| member.asked.get_mut(&id));
        asked.is_none_or(|names| {
            names.remove(name);
            names.is_empty()
        })
    }

    /// The names by which `client` knows a topic.
    pub(super) fn names_for(&self, client: ClientId, id: TopicId) -> Vec<Rc<[u8]>> {
        let asked = self.members.get(&client).and_then(|member| member.asked.get(&id));
        match asked {
            Some(names) => names.iter().map(Rc::clone).collect(),
            None => self.topics.get(id as usize).map(|topic| Rc::clone(&topic.name)).into_iter().collect(),
        }
    }

    /// Gives a message to the clients of a topic that it is for; false where there is no keyspace.
    pub(super) fn spread_own(&mut self, id: TopicId, frame: &[u8], replies: &mut Replies) -> bool {
        let Some(keyspace) = &self.around.keyspace else { return false };
        let Some(topic) = self.topics.get(id as usize) else { return true };
        let mut parts = Parts(frame.get(4..).unwrap_or_default());
        let word = parts.next();
        let is_pattern = topic.kind == Kind::Pattern && parts.next().is_some();
        let (Some(word), Some(channel), Some(message)) = (word, parts.next(), parts.next()) else { return true };
        let Some((channel, message)) = keyspace.heard(channel, message) else { return true };
        for seat in topic.seats.iter().filter(|seat| seat.told) {
            let Some(member) = self.members.get_mut(&seat.client) else { continue };
            let none = BTreeSet::new();
            for asked in member.asked.get(&id).unwrap_or(&none) {
                let fits = if is_pattern { pattern::matches(asked, &channel) } else { **asked == *channel };
                if !fits {
                    continue;
                }
                let waiting = replies.push(seat.client, |out| {
                    out.push(if member.proto == Proto::Resp3 { b'>' } else { b'*' });
                    out.extend_from_slice(if is_pattern { b"4\r\n" } else { b"3\r\n" });
                    encode::bulk(out, word);
                    if is_pattern {
                        encode::bulk(out, asked);
                    }
                    encode::bulk(out, &channel);
                    encode::bulk(out, &message);
                });
                if waiting > self.around.max_output && !member.slow {
                    member.slow = true;
                    self.slow.push(seat.client);
                }
            }
        }
        true
    }
}
