//! Clients whose keys all live in one slot: their requests are dressed before anything else looks at them, and the
//! replies that name keys are undressed before they are theirs.
//!
//! What dressing means is told by `crate::keyspace`; that a client is in one database of it, by `SELECT`, is told here.

use super::state::{Flow, Room, Session, refuse};
use crate::command::Spec;
use crate::keyspace::{self, Keyspace, Shape, Unfit};
use crate::merge::errand::{Around, Asks, Errand, Outcome};
use crate::replies::ClientId;
use crate::resp::Proto;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};

impl Session {
    /// Takes a request of a client whose keys live in `keyspace`.
    pub(super) fn dressed(
        &mut self,
        client: ClientId,
        spec: &'static Spec,
        request: &Request<'_>,
        keyspace: &Keyspace,
        room: &mut Room,
    ) -> Flow {
        // Asked of all nodes, it would overtake what is redirected.
        let is_under_way = room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0);
        if spec.name == "keys" && is_under_way && self.transaction().is_none() {
            return Flow::Quiet;
        }
        let present = self.db;
        // What stands behind a SELECT inside a transaction is meant for that database.
        let db = self.transaction().and_then(|open| open.db).unwrap_or(present);
        let mut frame = Vec::with_capacity(request.frame().len() + 64);
        let worn = match keyspace.dress(db, spec, request, &mut frame) {
            Ok(worn) if spec.arity_ok(request.argc()) => worn,
            // The common way tells what is wrong.
            Ok(_) | Err(Unfit::Keys(_)) => return self.on_its_way(client, spec, request, room),
            Err(Unfit::Wrong(text)) => {
                self.abort_transaction();
                return refuse(client, text, room);
            }
        };
        let limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };
        let mut args = Args::default();
        let Ok(Step::Request { used, inline }) = Decoder::default().step(&frame, &mut args, &limits) else {
            return refuse(client, "ERR the request cannot be put into its keyspace", room);
        };
        let dressed = args.request(&frame, used, inline);
        if let Some(wear) = self.wear(spec, worn.shape, &worn.prefix, keyspace) {
            room.replies.wrap(Box::new(Undressing { proto: self.proto, wear, reply: Vec::new() }));
        }
        let queued = self.transaction().map(|open| open.count);
        let flow = self.on_its_way(client, worn.spec, &dressed, room);
        room.replies.unwrap();
        if let (Some(queued), Some(open)) = (queued, self.transaction())
            && open.count > queued
        {
            open.shapes.push((worn.shape, db));
            if (spec.parent, spec.name) == (None, "select") {
                open.db = request.arg(1).and_then(|text| keyspace::database(text).ok()).or(open.db);
            }
        }
        flow
    }

    fn on_its_way(&mut self, client: ClientId, spec: &'static Spec, request: &Request<'_>, room: &mut Room) -> Flow {
        match self.state_guard(client, spec, request, room) {
            Some(flow) => flow,
            None => self.go(client, spec, request, room),
        }
    }

    /// What is to be taken from the reply to a request, if anything can be.
    fn wear(&mut self, spec: &Spec, shape: Shape, prefix: &[u8], keyspace: &Keyspace) -> Option<Wear> {
        if let (Some(open), None, "exec") = (self.transaction(), spec.parent, spec.name) {
            let each = open.shapes.iter().map(|&(shape, db)| (shape, keyspace.prefix(db)));
            return Some(Wear::Each(each.collect()));
        }
        // The errors of streams name keys, and so do those of scripts about them.
        let errors_name_keys = spec.parent.is_some() || spec.name.starts_with('x');
        (shape != Shape::Nowhere || errors_name_keys).then(|| Wear::Whole(shape, prefix.to_vec()))
    }
}

/// What a reply wears.
#[derive(Debug)]
enum Wear {
    /// One prefix, where the shape says.
    Whole(Shape, Vec<u8>),
    /// It is that of a transaction: the same for each element.
    Each(Vec<(Shape, Vec<u8>)>),
}

/// Takes the prefix from the key names in one reply.
#[derive(Debug)]
struct Undressing {
    proto: Proto,
    wear: Wear,
    reply: Vec<u8>,
}

impl Errand for Undressing {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, _: Around<'_>, _: &mut Asks) {
        // The request is sent by its session.
    }

    fn add(&mut self, _: u32, reply: &[u8]) {
        match &self.wear {
            Wear::Whole(shape, prefix) => keyspace::undress(*shape, prefix, reply, &mut self.reply),
            Wear::Each(wear) => keyspace::undress_each(wear, reply, &mut self.reply),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        out.extend_from_slice(&self.reply);
        Outcome::Done
    }
}
