//! Clients that subscribe: SUBSCRIBE and its kin, and what a subscriber may ask.
//!
//! ```text
//!              SUBSCRIBE                  the nodes confirm
//!   Plain ─────────────► (nothing under way) ─────────────► Subscriber ─── the last UNSUBSCRIBE, RESET ──► Plain
//! ```
//!
//! A SUBSCRIBE is taken when no request of its client is under way, and no later one is taken before it is confirmed:
//! so a confirmation stands where a reply would, and messages only behind it. In RESP2 a subscriber may ask little; in
//! RESP3 all, and messages come between replies.

use super::state::{Flow, Room, Session, refuse, say, wrong_arity};
use crate::command::Spec;
use crate::pubsub::Kind;
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::Request;

/// Looks at a request of a subscriber in RESP2, which may do little else. Gives what became of it, unless it may
/// go its way.
pub(super) fn restrict(client: ClientId, spec: &'static Spec, request: &Request<'_>, room: &mut Room) -> Option<Flow> {
    if !spec.arity_ok(request.argc()) {
        return Some(wrong_arity(client, spec, room));
    }
    match (spec.name, request.argc()) {
        ("ping", 1 | 2) => Some(say(client, room, |out| {
            encode::array(out, 2);
            encode::bulk(out, b"pong");
            encode::bulk(out, request.arg(1).unwrap_or_default());
        })),
        (name, _) if name.ends_with("subscribe") || matches!(name, "ping" | "quit" | "reset") => None,
        _ => {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                 in this context",
                spec.full_name()
            );
            Some(refuse(client, &text, room))
        }
    }
}

/// `[P|S]SUBSCRIBE name …`, `[P|S]UNSUBSCRIBE [name …]`.
#[cold]
pub(super) fn take(
    session: &mut Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    if room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0) {
        return Flow::Quiet;
    }
    let kind = match spec.name.as_bytes().first() {
        Some(b'p') => Kind::Pattern,
        Some(b's') if spec.name.starts_with("ss") || spec.name.starts_with("sun") => Kind::Shard,
        _ => Kind::Channel,
    };
    let names: Vec<&[u8]> = request.args().skip(1).collect();
    let keyspace = session.terms.options.keyspace.as_ref();
    if spec.name.contains("unsub") {
        room.pubsub.unsubscribe(client, keyspace, kind, session.proto, &names, &mut room.replies);
        return Flow::Taken;
    }
    session.ordinary = false;
    if room.pubsub.subscribe(client, keyspace, kind, session.proto, &names, &mut room.replies) {
        Flow::Bound
    } else {
        Flow::Taken
    }
}
