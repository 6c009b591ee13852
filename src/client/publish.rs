//! PUBLISH, SPUBLISH and PUBSUB: what nodes count, made into what one server with all the clients would count.
//!
//! For a node each worker is one subscriber, however many clients hear it. The registry of the process knows both
//! numbers, and what they differ by goes into the merge of the replies.

use super::state::{Flow, NO_PRIMARY, Room, Session, refuse};
use crate::command::{Merge, Spec};
use crate::keyspace::Keyspace;
use crate::merge::Gather;
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;

/// `PUBLISH channel message`, `SPUBLISH channel message`: to the owner of the channel's slot, where its subscriptions
/// are.
#[cold]
pub(super) fn publish(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    slot: u16,
    room: &mut Room,
) -> Flow {
    let channel = request.arg(1).unwrap_or_default();
    let is_shard = spec.name == "spublish";
    let slot = room.options.keyspace.as_ref().filter(|_| !is_shard).map_or(slot, Keyspace::slot);
    let Some(owner) = room.backend.owner(slot) else {
        // Every node spreads what is no shard's.
        let slot = if is_shard { slot } else { room.backend.any_slot() };
        return session.forward(client, spec, request, slot, room);
    };
    let more = room.pubsub.registry().receivers(channel, is_shard, owner);
    if more == 0 {
        return session.forward(client, spec, request, slot, room);
    }
    let gather = Gather::new(Merge::Receivers, session.proto, 1).with_number(more);
    session.scatter(client, spec, request, &[slot], gather, room)
}

/// `PUBSUB CHANNELS|NUMSUB|NUMPAT|SHARDCHANNELS|SHARDNUMSUB`: over all primaries.
#[cold]
pub(super) fn pubsub(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let is_shard = spec.name.starts_with("shard");
    let slots = room.backend.primaries().to_vec();
    let gather = |merge| Gather::new(merge, session.proto, slots.len() as u32);
    let registry = room.pubsub.registry();
    let gather = match spec.name {
        "channels" | "shardchannels" if request.argc() > 3 => {
            let word = String::from_utf8_lossy(request.arg(1).unwrap_or_default()).into_owned();
            let text = format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP.");
            return refuse(client, &text, room);
        }
        "channels" | "shardchannels" => {
            let mut elements = Vec::new();
            let ours = registry.channels(request.arg(2).unwrap_or(b"*"), is_shard);
            for name in &ours {
                encode::bulk(&mut elements, name);
            }
            gather(Merge::Union).with_elements(elements, ours.len())
        }
        "numsub" | "shardnumsub" => {
            let mut pairs = Vec::new();
            for name in request.args().skip(2) {
                encode::bulk(&mut pairs, name);
                encode::integer(&mut pairs, registry.subscribers(name, is_shard));
            }
            gather(Merge::Pairs).with_elements(pairs, (request.argc() - 2) * 2)
        }
        _ => gather(Merge::Receivers).with_number(registry.patterns()),
    };
    if slots.is_empty() {
        return refuse(client, NO_PRIMARY, room);
    }
    session.scatter(client, spec, request, &slots, gather, room)
}
