//! Requests on a connection that only their client uses: those that may wait for data, and WATCH.

use super::state::{Flow, Room, Session, refuse};
use crate::command::Spec;
use crate::replies::ClientId;
use crate::resp::request::Request;

/// `WATCH key …`.
pub(super) fn watch(
    _session: &mut Session,
    client: ClientId,
    _spec: &'static Spec,
    _request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    refuse(client, "ERR 'watch' is not supported by this version of slotway yet", room)
}

/// The keys that `client` watches are forgotten.
pub(super) fn unwatch(_client: ClientId, _room: &mut Room) {}

/// EXEC of a client that watches keys, with nothing under way.
pub(super) fn exec(_session: &mut Session, _client: ClientId, _room: &mut Room) -> Flow {
    Flow::Taken
}

/// A command that may wait.
pub(super) fn block(
    _session: &mut Session,
    client: ClientId,
    spec: &'static Spec,
    _request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    refuse(client, &format!("ERR '{}' is not supported by this version of slotway yet", spec.full_name()), room)
}
