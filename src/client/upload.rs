//! A request that is too large to be kept whole: it goes to its node while it comes from its client.
//!
//! Only commands whose sole key is the first argument may, from clients in the ordinary state. What is refused or lost
//! in the middle is answered at once; the rest of the frame is read all the same, for the next request stands behind it.
//!
//! ```text
//!   Quiet ── all before it is answered ──► Opening ── its node is found ──► Open ── last piece ──► (its reply is awaited)
//!                                             └── refused ──► Lost ◄── lost ──┘
//! ```

use super::state::{Room, Session, Wait};
use super::uploading::{Phase, Uploading};
use crate::backend::{Outgoing, Upload};
use crate::command::{self, Flags, Plan, Spec};
use crate::replies::{ClientId, WINDOW};
use crate::resp::request::Limits;
use crate::resp::{Proto, encode};

/// Whether a command may go in pieces: its node is known from its first argument alone, and it never waits for data.
const fn may_stream(spec: &Spec) -> bool {
    matches!(spec.plan, Plan::ByKey) && spec.has_sole_key() && spec.subs.is_empty() && !spec.flags.has(Flags::BLOCKING)
}

impl Session {
    /// Whether a request of this client is on its way in pieces.
    #[must_use]
    pub const fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }

    /// The request at the start of `bytes` is not whole. If it is going to be large, begins to pass it on: gives how
    /// many of the bytes were taken.
    #[cold]
    pub(super) fn begin_upload(
        &mut self,
        client: ClientId,
        bytes: &[u8],
        limits: &Limits,
        room: &mut Room,
    ) -> Option<usize> {
        if !self.may_upload(client, room) {
            return None;
        }
        let (request, argc) = self.decoder.so_far(bytes);
        let spec = command::lookup(request.name()).filter(|spec| may_stream(spec) && spec.arity_ok(argc))?;
        let key: Box<[u8]> = request.arg(1)?.into();
        let (rest, head) = self.decoder.hand_over(bytes);
        let slot = crate::cluster::slot::slot(&key);
        let head_bytes = bytes.get(..head).unwrap_or_default().to_vec();
        self.upload =
            Some(Box::new(Uploading { rest, phase: Phase::Quiet, head: head_bytes, slot, key, limits: *limits }));
        self.wait = Some(Wait::Lane);
        self.note_large(spec, room);
        Some(head)
    }

    /// Whether requests of this client go to their nodes as they are.
    fn may_upload(&mut self, client: ClientId, room: &Room) -> bool {
        let is_ordinary = self.ordinary
            || (self.is_trusted(room)
                && room.options.keyspace.is_none()
                && self.transaction().is_none()
                && (self.proto == Proto::Resp3 || !room.pubsub.has(client)));
        is_ordinary && !self.needs_care(room)
    }

    fn note_large(&mut self, spec: &'static Spec, room: &mut Room) {
        self.last_command = Some(spec);
        room.commands += 1;
        room.tally.count(spec.index);
    }

    /// Whether an upload cannot go on yet; `in_flight` requests of the client are under way.
    pub(super) fn lane_is_shut(&self, client: ClientId, in_flight: usize, room: &Room) -> bool {
        let Some(upload) = &self.upload else { return false };
        let state = || room.replies.client_key(client).map_or(Upload::Gone, |key| room.backend.upload(key));
        match upload.phase {
            Phase::Quiet => in_flight > 0,
            // When it is answered already, its node was not found.
            Phase::Opening => in_flight > 0 && state() == Upload::Opening,
            Phase::Open => matches!(state(), Upload::Open(waiting) if waiting > WINDOW / 2),
            Phase::Lost => false,
        }
    }

    /// Goes on with an upload: what was kept of it, and `fresh` behind that.
    #[cold]
    pub(super) fn go_on_uploading(&mut self, client: ClientId, fresh: &[u8], room: &mut Room) {
        let Some(mut upload) = self.upload.take() else { return };
        let Some(key) = room.replies.client_key(client) else { return };
        match upload.phase {
            Phase::Quiet => {
                self.inbox.extend_from_slice(fresh);
                self.look_for_lane(client, &mut upload, room);
                self.upload = Some(upload);
                return;
            }
            Phase::Opening | Phase::Open => {
                let is_open = matches!(room.backend.upload(key), Upload::Open(_));
                upload.phase = if is_open { Phase::Open } else { Phase::Lost };
            }
            Phase::Lost => {}
        }
        let head = std::mem::take(&mut upload.head);
        if upload.phase == Phase::Open && !head.is_empty() {
            room.backend.feed(key, &head, false, &mut room.replies);
        }
        let mut kept = std::mem::take(&mut self.inbox);
        let bytes = if self.taken == kept.len() {
            fresh
        } else {
            kept.extend_from_slice(fresh);
            kept.get(self.taken..).unwrap_or_default()
        };
        self.taken = 0;
        let (used, is_done) = match upload.rest.pass(bytes, &upload.limits) {
            Ok(passed) => passed,
            Err(error) => {
                let text = format!("ERR Protocol error: {error}");
                tracing::debug!("client {} at {}: protocol error: {error}", self.id, self.peer);
                room.backend.break_upload(key, &text, &mut room.replies);
                return self.close();
            }
        };
        let (piece, left) = bytes.split_at_checked(used).unwrap_or((bytes, b""));
        if upload.phase == Phase::Open {
            room.backend.feed(key, piece, is_done, &mut room.replies);
        }
        self.inbox = left.to_vec();
        if is_done {
            // What comes next is read when this one is answered.
            self.wait = Some(Wait::Quiet);
            return;
        }
        if matches!(room.backend.upload(key), Upload::Open(waiting) if waiting >= WINDOW) {
            self.wait = Some(Wait::Lane);
        }
        self.upload = Some(upload);
    }

    /// All before the request is answered: looks for the node that takes it.
    fn look_for_lane(&mut self, client: ClientId, upload: &mut Uploading, room: &mut Room) {
        self.epoch = room.backend.epoch();
        upload.phase = Phase::Opening;
        self.wait = Some(Wait::Lane);
        if let Some(ticket) = room.replies.reserve(client, upload.head.len()) {
            room.frame.clear();
            encode::request(&mut room.frame, &[b"EXISTS", &upload.key]);
            let question = Outgoing { frame: &room.frame, slot: upload.slot, read: true, proto: self.proto };
            room.backend.open_upload(question, ticket);
        }
    }
}
