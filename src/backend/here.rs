//! Requests that are meant for one node and no other: what another one would answer means something else.
//!
//! A redirect is their reply, and so is the loss of their connection: nothing is followed, nothing is sent again.

use super::record::{Pending, Traits};
use super::view::{NOBODY, NodeId};
use super::{Backend, Outgoing};
use crate::replies::{Replies, Ticket};
use crate::resp::{Proto, encode};

impl Backend {
    /// The number of each primary of the map, those without slots too.
    #[must_use]
    pub fn leaders(&self) -> &[NodeId] {
        &self.leaders
    }

    /// Sends a read to `node`, or to the owner of its slot.
    pub fn send_here(&mut self, request: Outgoing<'_>, node: Option<NodeId>, ticket: Ticket, replies: &mut Replies) {
        let node = node.unwrap_or_else(|| self.view.owner(request.slot));
        if node == NOBODY || !self.nodes.contains(usize::from(node)) {
            self.hint(crate::cluster::Hint::Unowned);
            return replies.fail(ticket, "PROXYUNSENT not executed: nobody owns the slot");
        }
        let pending = Pending {
            ticket,
            len: request.frame.len() as u32,
            epoch: self.view.epoch(),
            born: self.now_us,
            slot: request.slot,
            hops: 0,
            traits: Traits::Here,
        };
        self.wake_by(self.now + self.timeout());
        let pipe = self.pipe(node, request.proto);
        self.push(pipe, request.frame, pending);
    }

    /// Tells `node` to unblock the connection that it knows by `name`.
    pub(super) fn unblock_at(
        &mut self,
        node: NodeId,
        name: i64,
        with_error: bool,
        (slot, proto): (u16, Proto),
        ticket: Ticket,
    ) {
        let mut frame = Vec::new();
        let how: &[u8] = if with_error { b"ERROR" } else { b"TIMEOUT" };
        encode::request(&mut frame, &[b"CLIENT", b"UNBLOCK", name.to_string().as_bytes(), how]);
        let request = Outgoing { frame: &frame, slot, read: false, proto };
        let pending = self.pending(Traits::Write, &request, ticket);
        let pipe = self.pipe(node, proto);
        self.wake_by(self.now + self.timeout());
        self.push(pipe, &frame, pending);
    }
}
