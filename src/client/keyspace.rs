//! Clients whose keys all live in one slot: their requests are dressed before anything else looks at them, and the
//! replies that name keys are undressed before they are theirs.
//!
//! What dressing means is told by `crate::keyspace`; that a client is in one database of it, by `SELECT`, is told here.

use super::state::{Flow, Room, Session, ok, refuse};
use crate::command::Spec;
use crate::keyspace::{self, Keyspace, Shape};
use crate::merge::errand::{Around, Asks, Errand, Outcome};
use crate::replies::ClientId;
use crate::resp::Proto;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};

/// How many databases `SELECT` offers, as a server does by default.
const DATABASES: u16 = 16;

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
        if (spec.parent, spec.name) == (None, "select") && spec.arity_ok(request.argc()) && self.pinned.is_none() {
            return self.choose(client, request, room);
        }
        let mut frame = Vec::with_capacity(request.frame().len() + 64);
        let shape = match keyspace.dress(self.db, spec, request, &mut frame) {
            Ok(shape) if spec.arity_ok(request.argc()) => shape,
            // The common way tells what is wrong.
            _ => return self.state_guard(client, spec, request, room).unwrap_or_else(|| self.go(client, spec, request, room)),
        };
        let limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };
        let mut args = Args::default();
        let Ok(Step::Request { used, inline }) = Decoder::default().step(&frame, &mut args, &limits) else {
            return refuse(client, "ERR the request cannot be put into its keyspace", room);
        };
        let (dressed, runs) = (args.request(&frame, used, inline), keyspace::becomes(spec));
        let prefix = keyspace.prefix(self.db);
        let shapes = match self.transaction() {
            Some(open) if spec.name == "exec" => Some(open.shapes.clone()),
            _ => None,
        };
        // The errors of streams name keys, too.
        let names_keys = shape != Shape::Nowhere || shapes.is_some() || spec.name.starts_with('x') || spec.parent.is_some();
        if names_keys {
            let proto = self.proto;
            room.replies.wrap(Box::new(Undressing { proto, prefix, shape, shapes, reply: Vec::new() }));
        }
        let queued = self.transaction().map(|open| open.count);
        let flow =
            self.state_guard(client, runs, &dressed, room).unwrap_or_else(|| self.go(client, runs, &dressed, room));
        room.replies.unwrap();
        if let (Some(queued), Some(open)) = (queued, self.transaction())
            && open.count > queued
        {
            open.shapes.push(shape);
        }
        flow
    }

    /// `SELECT n`: each database has a prefix of its own.
    fn choose(&mut self, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
        let number = request.arg(1).and_then(|text| std::str::from_utf8(text).ok()).map(str::parse::<i64>);
        match number {
            Some(Ok(number)) => match u16::try_from(number).ok().filter(|&db| db < DATABASES) {
                Some(db) => {
                    self.db = db;
                    ok(client, room)
                }
                None => refuse(client, "ERR DB index is out of range", room),
            },
            _ => refuse(client, "ERR value is not an integer or out of range", room),
        }
    }
}

/// Takes the prefix from the key names in one reply.
#[derive(Debug)]
struct Undressing {
    proto: Proto,
    prefix: Vec<u8>,
    shape: Shape,
    /// Of the elements, for EXEC.
    shapes: Option<Vec<Shape>>,
    reply: Vec<u8>,
}

impl Errand for Undressing {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, _: Around<'_>, _: &mut Asks) {}

    fn add(&mut self, _: u32, reply: &[u8]) {
        match &self.shapes {
            Some(shapes) => keyspace::undress_each(shapes, &self.prefix, reply, &mut self.reply),
            None => keyspace::undress(self.shape, &self.prefix, reply, &mut self.reply),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        out.extend_from_slice(&self.reply);
        Outcome::Done
    }
}
