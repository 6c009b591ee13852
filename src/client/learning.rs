//! Requests whose name the table does not know: by what was learned from the nodes, or after asking them.
//!
//! Ordinary requests never come here. A client whose command nobody knows waits while the nodes are asked, once for
//! all who wait and for a short time; then it is taken again, and known or refused.

use super::state::{Flow, Room, Session};
use crate::cluster::lore::PATIENCE;
use crate::command::{self, Spec};
use crate::replies::ClientId;
use crate::resp::request::Request;

/// The row that decides about `request`: one of the table, or one that was learned.
pub(super) fn known(request: &Request<'_>, room: &Room) -> Option<&'static Spec> {
    container(request.name(), room)?.resolve(request)
}

/// The row of a command by its name alone.
pub(super) fn container(name: &[u8], room: &Room) -> Option<&'static Spec> {
    command::lookup(name).or_else(|| room.process.lore.learned().find(name).map(|row| row.spec))
}

impl Session {
    /// The row of a request that the table does not know, or what becomes of the request.
    #[cold]
    #[inline(never)]
    pub(super) fn learned(
        &mut self,
        client: ClientId,
        request: &Request<'_>,
        room: &mut Room,
    ) -> Result<&'static Spec, Flow> {
        let name = request.name();
        if !self.is_trusted(room) || is_http(name) || command::lookup(name).is_some() {
            return Err(self.unknown(client, request, room));
        }
        if let Some(spec) = known(request, room) {
            return Ok(spec);
        }
        if room.process.lore.ask() {
            room.lore_until = Some(room.now + PATIENCE.as_millis() as u64);
            return Err(Flow::Lore);
        }
        Err(self.unknown(client, request, room))
    }
}

impl Room {
    /// Whether nodes are about to tell what they know; if so, the worker comes back to those who wait for it.
    pub(super) fn awaits_lore(&mut self) -> bool {
        let awaited = self.process.lore.is_awaited();
        if awaited {
            self.lore_until = Some(self.now + PATIENCE.as_millis() as u64);
        }
        awaited
    }
}

/// Whether a name is what somebody who speaks HTTP begins a line with.
pub(super) fn is_http(name: &[u8]) -> bool {
    [&b"post"[..], b"host:"].iter().any(|http| name.eq_ignore_ascii_case(http))
}

/// Keeps the text of an EVAL, for nodes that are later asked for it by its digest.
#[cold]
pub(super) fn remember_script(spec: &Spec, request: &Request<'_>, room: &Room) {
    if matches!(spec.name, "eval" | "eval_ro") {
        room.process.scripts.saw_script(request.arg(1).unwrap_or_default());
    }
}
