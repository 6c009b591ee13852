//! Names that the clients of a keyspace know otherwise than nodes do. A topic has the name that nodes know; each client
//! remembers by which names it asked for it, and gets a message by those that it fits.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Kind, Subscriptions, TopicId, pattern};
use crate::keyspace::Keyspace;
use crate::replies::{ClientId, Replies};
use crate::resp::encode;

/// How nodes know what clients of a keyspace, or of none, ask for as `name`.
pub(super) fn name_at_nodes(keyspace: Option<&Keyspace>, kind: Kind, name: &[u8]) -> Vec<u8> {
    keyspace.map_or_else(|| name.to_vec(), |keyspace| keyspace.channel(name, kind == Kind::Pattern))
}

impl Subscriptions {
    /// Remembers the name by which `client` asked for a topic.
    pub(super) fn remember(&mut self, client: ClientId, id: TopicId, name: &[u8]) {
        if let Some(member) = self.members.get_mut(&client).filter(|member| member.keyspace.is_some()) {
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
}

/// A channel, and what is said on it.
type Known = (Vec<u8>, Vec<u8>);

/// A message on its way to clients of keyspaces.
pub(super) struct Heard<'a> {
    is_pattern: bool,
    frame: &'a [u8],
    /// How the clients of one keyspace know its channel and what it says, if it is for them. Others are rare.
    latest: Option<(Keyspace, Option<Known>)>,
}

impl<'a> Heard<'a> {
    /// For the clients of a topic of this kind.
    pub(super) fn new(kind: Kind, frame: &'a [u8]) -> Self {
        Self { is_pattern: kind == Kind::Pattern, frame, latest: None }
    }

    /// Gives it to a client, as often as names that it `asked` for fit; the bytes that wait for it then.
    pub(super) fn tell(
        &mut self,
        client: ClientId,
        keyspace: &Keyspace,
        mark: u8,
        asked: Option<&BTreeSet<Rc<[u8]>>>,
        replies: &mut Replies,
    ) -> usize {
        let mut parts = Parts(self.frame.get(4..).unwrap_or_default());
        let word = parts.next();
        let is_pattern = self.is_pattern && parts.next().is_some();
        let (Some(word), Some(channel), Some(message)) = (word, parts.next(), parts.next()) else { return 0 };
        if self.latest.as_ref().is_none_or(|(latest, _)| latest != keyspace) {
            self.latest = Some((keyspace.clone(), keyspace.heard(channel, message)));
        }
        let Some((_, Some((channel, message)))) = &self.latest else { return 0 };
        let mut waiting = 0;
        for asked in asked.into_iter().flatten() {
            let fits = if is_pattern { pattern::matches(asked, channel) } else { **asked == **channel };
            if !fits {
                continue;
            }
            waiting = replies.push(client, |out| {
                out.push(mark);
                out.extend_from_slice(if is_pattern { b"4\r\n" } else { b"3\r\n" });
                encode::bulk(out, word);
                if is_pattern {
                    encode::bulk(out, asked);
                }
                encode::bulk(out, channel);
                encode::bulk(out, message);
            });
        }
        waiting
    }
}

/// The bulk strings of a frame, from behind its header.
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(b"$")?;
        let line = memchr::memchr(b'\r', rest)?;
        let len: usize = std::str::from_utf8(rest.get(..line)?).ok()?.parse().ok()?;
        let (part, rest) = rest.get(line + 2..)?.split_at_checked(len)?;
        self.0 = rest.get(2..)?;
        Some(part)
    }
}
