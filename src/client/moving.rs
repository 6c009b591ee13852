//! Clients that want to be told when they have to move: `CLIENT MAINT_NOTIFICATIONS`, and the push that tells them.
//!
//! Offered when `shutdown.advertise` says where they are to go, to clients that speak RESP3. One that is told connects
//! there, lets what is under way end here, and closes this connection itself, so that none of its requests fails.
//!
//! ```text
//!   >4 MOVING <number> <seconds until this connection is closed> <host:port, or null for those who want none>
//! ```

use std::time::Duration;

use super::process::wall_clock;
use super::state::{Flow, Room, Session, ok, refuse};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

/// What a client wants to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Notice {
    /// Nothing.
    #[default]
    None,
    /// Where to go.
    Endpoint,
    /// That it must go; it knows where to.
    Bare,
    /// It was told.
    Given,
}

/// Kinds of endpoints that clients ask for. Only one is known, whatever they call it.
const KINDS: [&str; 4] = ["internal-ip", "internal-fqdn", "external-ip", "external-fqdn"];

impl Session {
    /// Whether it was told to move.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.notice == Notice::Given
    }

    /// Whether nothing of it has begun that a farewell would cut off: no half request, no transaction.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let is_pinned =
            self.pinned.as_ref().is_some_and(|pinned| pinned.transaction.is_some() || pinned.watching.is_some());
        self.inbox.is_empty() && !is_pinned
    }
}

/// `CLIENT MAINT_NOTIFICATIONS ON|OFF [moving-endpoint-type kind]`.
pub(super) fn notifications(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    if room.options.advertise.is_none() {
        let word = String::from_utf8_lossy(request.arg(1).unwrap_or_default()).into_owned();
        return refuse(client, &format!("ERR unknown subcommand '{word}'. Try CLIENT HELP."), room);
    }
    let wanted = match request.arg(2) {
        Some(off) if off.eq_ignore_ascii_case(b"OFF") && request.argc() == 3 => Ok(Notice::None),
        Some(on) if on.eq_ignore_ascii_case(b"ON") => kind(request),
        _ => Err("ERR syntax error"),
    };
    match wanted {
        Ok(notice) if session.proto == Proto::Resp3 || notice == Notice::None => {
            session.notice = notice;
            ok(client, room)
        }
        Ok(_) => refuse(client, "ERR notifications are pushed, which takes RESP3: send HELLO 3 first", room),
        Err(text) => refuse(client, text, room),
    }
}

fn kind(request: &Request<'_>) -> Result<Notice, &'static str> {
    let mut notice = Notice::Endpoint;
    let mut at = 3;
    while let Some(option) = request.arg(at) {
        let value = request.arg(at + 1).ok_or("ERR syntax error")?;
        let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        match option {
            option if !option.eq_ignore_ascii_case(b"moving-endpoint-type") => return Err("ERR syntax error"),
            _ if is("none") => notice = Notice::Bare,
            _ if KINDS.into_iter().any(is) => notice = Notice::Endpoint,
            _ => {
                return Err(
                    "ERR the endpoint type is none of internal-ip, internal-fqdn, external-ip, external-fqdn, none",
                );
            }
        }
        at += 2;
    }
    Ok(notice)
}

/// Tells a client that wants to be told that it is closed in `time`.
pub fn tell(session: &mut Session, client: ClientId, time: Duration, room: &mut Room) {
    let Some(to) = room.options.advertise.as_ref().map(ToString::to_string) else { return };
    let to = match session.notice {
        Notice::Endpoint => Some(to),
        Notice::Bare => None,
        Notice::None | Notice::Given => return,
    };
    session.notice = Notice::Given;
    if session.proto == Proto::Resp2 {
        return;
    }
    // Clients take two notices with one number for the same.
    let number = wall_clock().as_secs();
    room.replies.push(client, |out| {
        out.extend_from_slice(b">4\r\n");
        encode::bulk(out, b"MOVING");
        encode::integer(out, number as i64);
        encode::integer(out, time.as_secs().max(1) as i64);
        match to {
            Some(to) => encode::bulk(out, to.as_bytes()),
            None => encode::null(out, Proto::Resp3),
        }
    });
}
