//! Channels as the clients of a keyspace know them, and as nodes do: keyspace events are told of the keys' names in the
//! cluster, and other channels are the whole cluster's unless they are asked to be the application's own.

use super::{Keyspace, Shape, Unfit, Worn};
use crate::command::Spec;
use crate::resp::encode;
use crate::resp::request::Request;

const KEY: &[u8] = b"__keyspace@";
const EVENT: &[u8] = b"__keyevent@";
/// Between the database and the rest of an event's channel.
const BEHIND: &[u8] = b"__:";

impl Keyspace {
    /// The same keyspace, whose channels are its own, or the whole cluster's.
    #[must_use]
    pub fn with_own_channels(self, own_channels: bool) -> Self {
        Self { own_channels, ..self }
    }

    /// What stands in front of each channel that is the application's own.
    fn channel_prefix(&self) -> Vec<u8> {
        format!("{}:", self.tag).into_bytes()
    }

    /// How nodes know what clients subscribe to as `name`; a pattern may become one that lets more through.
    #[must_use]
    pub fn channel(&self, name: &[u8], is_pattern: bool) -> Vec<u8> {
        let plain = name.iter().position(|byte| is_pattern && b"*?[\\".contains(byte)).unwrap_or(name.len());
        let literal = name.get(..plain).unwrap_or_default();
        for head in [KEY, EVENT] {
            let parts = name.strip_prefix(head).filter(|_| literal.starts_with(head)).map(|rest| (rest, split(rest)));
            match parts {
                Some((_, Some((db, key)))) if head == KEY => {
                    return [KEY, b"0__:", self.tag.as_bytes(), db, b":", key].concat();
                }
                Some((_, Some((_, event)))) => return [EVENT, b"0__:", event].concat(),
                Some(_) if is_pattern => return [head, b"*"].concat(),
                _ => {}
            }
        }
        if plain < name.len() && plain > 0 && [KEY, EVENT].iter().any(|head| head.starts_with(literal)) {
            return b"__key*".to_vec();
        }
        if self.own_channels { [&self.channel_prefix(), name].concat() } else { name.to_vec() }
    }

    /// How clients know a message: its channel and what it says. `None` if it is not for them.
    #[must_use]
    pub fn heard(&self, channel: &[u8], message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let own = |name: &[u8]| {
            let rest = name.strip_prefix(self.tag.as_bytes())?;
            let at = memchr::memchr(b':', rest)?;
            Some((rest.get(..at)?.to_vec(), rest.get(at + 1..)?.to_vec()))
        };
        if let Some(rest) = channel.strip_prefix(KEY) {
            let (db, key) = own(split(rest)?.1)?;
            return Some(([KEY, &db, BEHIND, &key].concat(), message.to_vec()));
        }
        if let Some(rest) = channel.strip_prefix(EVENT) {
            let (db, key) = own(message)?;
            return Some(([EVENT, &db, BEHIND, split(rest)?.1].concat(), key));
        }
        let shown = if self.own_channels { channel.strip_prefix(&*self.channel_prefix())? } else { channel };
        Some((shown.to_vec(), message.to_vec()))
    }

    /// Dresses PUBLISH and PUBSUB where channels are the application's own; `None` for everything else.
    pub(super) fn dress_channels(
        &self,
        spec: &'static Spec,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Result<Worn, Unfit>> {
        if !self.own_channels || !spec.arity_ok(request.argc()) {
            return None;
        }
        let prefix = self.channel_prefix();
        let (names, shape) = match (spec.parent, spec.name) {
            (None, "publish" | "spublish") => (1..2, Shape::Nowhere),
            (Some("pubsub"), "numsub" | "shardnumsub") => (2..request.argc(), Shape::Pairs),
            (Some("pubsub"), "channels" | "shardchannels") => (2..3, Shape::Elements),
            _ => return None,
        };
        // Without a pattern all channels are meant.
        let lacks = names.end > request.argc();
        encode::array(out, request.argc() + usize::from(lacks));
        for (at, arg) in request.args().enumerate() {
            if names.contains(&at) {
                encode::bulk(out, &[&prefix, arg].concat());
            } else {
                encode::bulk(out, arg);
            }
        }
        if lacks {
            encode::bulk(out, &[&prefix, &b"*"[..]].concat());
        }
        Some(Ok(Worn { shape, spec, prefix }))
    }
}

/// The database of an event's channel, and what stands behind it.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memmem::find(rest, BEHIND)?;
    Some((rest.get(..at)?, rest.get(at + BEHIND.len()..)?))
}
