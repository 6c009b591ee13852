//! The way of a client's bytes: decode, look up, route, send; or answer, or wait.

use std::fmt::Write as _;

use super::state::{Flow, NO_PRIMARY, Room, Session, Wait, refuse};
use super::{blocking, learning, local, publish, subscriber};
use crate::backend::{Lane, Outgoing};
use crate::command::{self, Flags, Merge, Pin, Spec};
use crate::merge::Gather;
use crate::replies::ClientId;
use crate::resp::encode;
use crate::resp::request::{Args, Limits, ProtocolError, Request, Step};
use crate::route::{self, Refused, Route};
use crate::telemetry::Class;

impl Session {
    /// Takes what the client sent.
    #[inline]
    pub fn receive(&mut self, client: ClientId, fresh: &[u8], args: &mut Args, room: &mut Room) {
        self.active = room.now;
        if self.closing {
            return;
        }
        if self.upload.is_some() && self.wait.is_none() {
            return self.go_on_uploading(client, fresh, room);
        }
        if !self.inbox.is_empty() || self.wait.is_some() {
            self.inbox.extend_from_slice(fresh);
            return self.resume(client, args, room);
        }
        let taken = self.walk(client, fresh, args, room);
        if taken < fresh.len() && !self.closing {
            self.inbox.extend_from_slice(fresh.get(taken..).unwrap_or_default());
        }
    }

    /// Goes on with what is there, if what the session waits for has happened.
    pub fn resume(&mut self, client: ClientId, args: &mut Args, room: &mut Room) {
        if self.must_wait(client, room) {
            return;
        }
        self.unblocked(room);
        self.wait = None;
        if self.upload.is_some() {
            self.go_on_uploading(client, &[], room);
            if self.upload.is_some() || self.wait.is_some() {
                return;
            }
        }
        let inbox = std::mem::take(&mut self.inbox);
        self.taken += self.walk(client, inbox.get(self.taken..).unwrap_or_default(), args, room);
        if self.closing || self.taken == inbox.len() {
            self.taken = 0;
            return;
        }
        self.inbox = inbox;
        if self.taken * 2 > self.inbox.len() {
            self.inbox.drain(..self.taken);
            self.taken = 0;
        }
    }

    fn must_wait(&self, client: ClientId, room: &mut Room) -> bool {
        let Some(queue) = room.replies.queue(client) else { return true };
        match self.wait {
            None => false,
            Some(Wait::Quiet | Wait::Blocked) => queue.in_flight() > 0,
            // Half-way down, so that a session does not wake for every reply.
            Some(Wait::Output) => {
                queue.held() > room.options.max_output_bytes / 2 || queue.in_flight() > room.options.max_in_flight / 2
            }
            Some(Wait::Node(slot)) => room.backend.lane(slot, self.proto).is_none(),
            Some(Wait::Lore) => room.awaits_lore(),
            Some(Wait::Lane) => self.lane_is_shut(client, queue.in_flight(), room),
            Some(Wait::Pause) => room.pause.is_some_and(|pause| room.now < pause.until),
        }
    }

    /// Takes requests from `bytes` as long as it may; gives how many bytes were taken.
    #[inline]
    fn walk(&mut self, client: ClientId, bytes: &[u8], args: &mut Args, room: &mut Room) -> usize {
        self.walk_as::<false>(client, bytes, args, room)
    }

    /// The walk, in two kinds: with a careful look at each request, or as fast as may be.
    fn walk_as<const CAREFUL: bool>(
        &mut self,
        client: ClientId,
        bytes: &[u8],
        args: &mut Args,
        room: &mut Room,
    ) -> usize {
        let mut taken = 0;
        let mut allowance = Allowance::default();
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if allowance.is_spent() {
                allowance = Allowance::of(client, self.is_trusted(room), room);
                if allowance.is_spent() {
                    self.wait = Some(Wait::Output);
                    break;
                }
                if !CAREFUL && self.needs_care(room) {
                    return taken + self.walk_as::<true>(client, rest, args, room);
                }
            }
            let used = match self.decoder.step(rest, args, &allowance.limits) {
                Ok(Step::Request { used, inline }) => {
                    let request = args.request(rest, used, inline);
                    let flow = if CAREFUL {
                        self.take_carefully(client, &request, room)
                    } else {
                        self.take(client, &request, room)
                    };
                    match flow {
                        Flow::Sent => allowance.spend(used),
                        // What the proxy answers itself may be long, and may change what the client may do.
                        Flow::Taken => allowance = Allowance::default(),
                        flow => {
                            self.stop(flow);
                            taken += if flow.is_taken() { used } else { 0 };
                            break;
                        }
                    }
                    used
                }
                Ok(Step::Empty { used }) => used,
                Ok(Step::More) => {
                    if self.decoder.length(rest.len()) > room.backend.stream_above() {
                        taken += self.begin_upload(client, rest, &allowance.limits, room).unwrap_or(0);
                    }
                    break;
                }
                Err(error) => {
                    self.refuse_protocol(client, error, room);
                    break;
                }
            };
            taken += used;
        }
        taken
    }

    /// Notes why the next request cannot be taken now.
    fn stop(&mut self, flow: Flow) {
        match flow {
            Flow::Quiet | Flow::Bound => self.wait = Some(Wait::Quiet),
            Flow::Blocked => self.wait = Some(Wait::Blocked),
            Flow::Node(slot) => self.wait = Some(Wait::Node(slot)),
            Flow::Pause => self.wait = Some(Wait::Pause),
            Flow::Lore => self.wait = Some(Wait::Lore),
            _ => self.close(),
        }
    }

    #[cold]
    fn refuse_protocol(&mut self, client: ClientId, error: ProtocolError, room: &mut Room) {
        tracing::debug!("client {} at {}: protocol error: {error}", self.id, self.peer);
        if error == ProtocolError::NotResp {
            room.process.handshakes.note_foreign(&self.peer);
        } else {
            room.replies.answer(client, |out| encode::error(out, &format!("ERR Protocol error: {error}")));
        }
        self.close();
    }

    /// Takes one request.
    #[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
    #[inline(always)]
    pub(super) fn take(&mut self, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
        let spec = match command::lookup(request.name()).and_then(|spec| spec.resolve(request)) {
            Some(spec) => spec,
            None => match self.learned(client, request, room) {
                Ok(spec) => spec,
                Err(flow) => return flow,
            },
        };
        if !self.ordinary
            && let Some(flow) = self.guard(client, spec, request, room)
        {
            return self.note(spec, flow, room);
        }
        let flow = self.go(client, spec, request, room);
        self.note(spec, flow, room)
    }

    /// Sends a request on its way.
    #[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
    #[inline(always)]
    pub(super) fn go(&mut self, client: ClientId, spec: &'static Spec, request: &Request<'_>, room: &mut Room) -> Flow {
        if !spec.arity_ok(request.argc()) {
            return self.misfit(client, spec, room);
        }
        match route::route(spec, request, &mut room.parts) {
            Ok(Route::Slot(slot)) => self.forward(client, spec, request, slot, room),
            Ok(Route::Any) => self.any(client, spec, request, room),
            Ok(Route::Split(merge)) => self.split(client, spec, request, merge, room),
            Ok(Route::Everywhere(merge)) if spec.flags.has(Flags::ALLOW_BUSY) => {
                blocking::aside(self, client, request, merge, room)
            }
            Ok(Route::Everywhere(merge)) => self.everywhere(client, spec, request, merge, room),
            Ok(Route::Local) => {
                room.tally.took(Class::Local, 0, 1);
                local::answer(self, client, spec, request, room)
            }
            Ok(Route::Subscribe) => subscriber::take(self, client, spec, request, room),
            Ok(Route::Publish(slot)) => publish::publish(self, client, spec, request, slot, room),
            Ok(Route::Pin(pin)) => self.pin(client, spec, request, pin, room),
            Err(refused) => self.refused(client, spec, request, refused, room),
        }
    }

    /// Remembers and counts a request that was taken.
    #[inline]
    fn note(&mut self, spec: &'static Spec, flow: Flow, room: &mut Room) -> Flow {
        if flow.is_taken() {
            self.last_command = Some(spec);
            room.commands += 1;
            room.tally.count(spec.index);
        }
        flow
    }

    #[cold]
    fn pin(&mut self, client: ClientId, spec: &'static Spec, request: &Request<'_>, pin: Pin, room: &mut Room) -> Flow {
        match pin {
            Pin::Transaction => self.begin(client, spec, request, room),
            Pin::Replicas => blocking::wait(self, client, request, room),
            Pin::Blocking | Pin::Subscribe => blocking::block(self, client, spec, request, room),
        }
    }

    /// The lane for a request to `slot`, or why it may not leave now: see [`Backend::may_follow`].
    #[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
    #[inline(always)]
    pub(super) fn lane(&mut self, client: ClientId, slot: u16, room: &mut Room) -> Result<Lane, Flow> {
        if !room.backend.may_follow(slot, self.epoch) {
            self.catch_up(client, room)?;
        }
        room.backend.lane(slot, self.proto).ok_or(Flow::Node(slot))
    }

    /// Takes up the present view of the slots, which only a client without requests under way may.
    #[cold]
    fn catch_up(&mut self, client: ClientId, room: &Room) -> Result<(), Flow> {
        if room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0) {
            return Err(Flow::Quiet);
        }
        self.epoch = room.backend.epoch();
        Ok(())
    }

    /// The default refuses it; the operator may allow it.
    #[cold]
    fn refused(&mut self, client: ClientId, spec: &Spec, request: &Request<'_>, why: Refused, room: &mut Room) -> Flow {
        match room.rights.instead(why, spec, request) {
            Ok(merge) => self.everywhere(client, spec, request, merge, room),
            Err(text) => refuse(client, &text, room),
        }
    }

    #[expect(clippy::inline_always, reason = "every request comes here: left to itself, the compiler makes it a call")]
    #[inline(always)]
    pub(super) fn forward(
        &mut self,
        client: ClientId,
        spec: &Spec,
        request: &Request<'_>,
        slot: u16,
        room: &mut Room,
    ) -> Flow {
        let lane = match self.lane(client, slot, room) {
            Ok(lane) => lane,
            Err(flow) => return flow,
        };
        let frame = request.frame();
        if let Some(ticket) = room.replies.reserve(client, frame.len()) {
            let flags = spec.flags;
            if flags.has(Flags::SKIP_MONITOR) {
                remember_script(spec, request, room);
            }
            let read = flags.has(Flags::READONLY);
            room.backend.send(Outgoing { frame, slot, read, proto: self.proto }, lane, ticket);
        }
        Flow::Sent
    }

    #[cold]
    fn any(&mut self, client: ClientId, spec: &Spec, request: &Request<'_>, room: &mut Room) -> Flow {
        let slot = room.backend.any_slot();
        self.forward(client, spec, request, slot, room)
    }

    /// One sub-request a slot; all of a node's leave in one write.
    fn split(&mut self, client: ClientId, spec: &Spec, request: &Request<'_>, merge: Merge, room: &mut Room) -> Flow {
        if !room.may_split(spec) {
            return refuse(client, &Refused::CrossSlot.to_string(), room);
        }
        let parts = std::mem::take(&mut room.parts);
        let blocked = parts.iter().find_map(|part| self.lane(client, part.slot, room).err());
        if blocked.is_none()
            && let Some(whole) = room.replies.reserve(client, request.frame().len())
        {
            let step = route::step(spec);
            let (gather, count) = (parts.gather(merge, self.proto, step), parts.iter().count() as u32);
            let read = spec.flags.has(Flags::READONLY);
            for (ticket, part) in room.replies.split(whole, gather, count).zip(parts.iter()) {
                room.frame.clear();
                part.write(request, step, &mut room.frame);
                // A part may find its lane full by now: its request was let in as a whole.
                let lane = room.backend.lane(part.slot, self.proto).unwrap_or(Lane::New);
                let request = Outgoing { frame: &room.frame, slot: part.slot, read, proto: self.proto };
                room.backend.send(request, lane, ticket);
            }
        }
        room.parts = parts;
        blocked.unwrap_or(Flow::Taken)
    }

    /// The same request to every primary.
    fn everywhere(
        &mut self,
        client: ClientId,
        spec: &Spec,
        request: &Request<'_>,
        merge: Merge,
        room: &mut Room,
    ) -> Flow {
        let slots = room.backend.primaries().to_vec();
        if slots.is_empty() {
            return refuse(client, NO_PRIMARY, room);
        }
        let gather = Gather::new(merge, self.proto, slots.len() as u32);
        self.scatter(client, spec, request, &slots, gather, room)
    }

    /// The same request to the owner of each of `slots`, whose replies go into `gather`.
    pub(super) fn scatter(
        &mut self,
        client: ClientId,
        spec: &Spec,
        request: &Request<'_>,
        slots: &[u16],
        gather: Gather,
        room: &mut Room,
    ) -> Flow {
        if let Some(flow) = slots.iter().find_map(|&slot| self.lane(client, slot, room).err()) {
            return flow;
        }
        let frame = request.frame();
        room.process.scripts.saw(request);
        if let Some(whole) = room.replies.reserve(client, frame.len()) {
            let read = spec.flags.has(Flags::READONLY);
            for (ticket, &slot) in room.replies.split(whole, gather, slots.len() as u32).zip(slots) {
                let lane = room.backend.lane(slot, self.proto).unwrap_or(Lane::New);
                room.backend.send(Outgoing { frame, slot, read, proto: self.proto }, lane, ticket);
            }
        }
        Flow::Taken
    }

    /// A command that no row knows, worded as Redis words it: clients look for "unknown".
    #[cold]
    pub(super) fn unknown(&mut self, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
        room.tally.unknown.add(1);
        self.abort_transaction();
        let name = request.name();
        if learning::is_http(name) {
            tracing::warn!("client {} at {} speaks HTTP: closed", self.id, self.peer);
            return Flow::Close;
        }
        if !self.is_trusted(room) {
            return refuse(client, "NOAUTH Authentication required.", room);
        }
        let cut = |bytes: &[u8]| until_zero(bytes.get(..128).unwrap_or(bytes)).into_owned();
        if let Some(container) = learning::container(name, room) {
            let word = cut(request.arg(1).unwrap_or_default());
            let text = format!("ERR unknown subcommand '{word}'. Try {} HELP.", container.name.to_uppercase());
            return refuse(client, &text, room);
        }
        // So many bytes of all arguments together, as Redis counts them.
        let mut shown = String::new();
        for arg in request.args().skip(1) {
            let Some(left) = 128_usize.checked_sub(shown.len()).filter(|&left| left > 0) else { break };
            let _ = write!(shown, "'{}' ", until_zero(arg.get(..left).unwrap_or(arg)));
        }
        refuse(client, &format!("ERR unknown command '{}', with args beginning with: {shown}", cut(name)), room)
    }
}

/// Keeps the text of an EVAL, for nodes that are later asked for it by its digest.
#[cold]
fn remember_script(spec: &Spec, request: &Request<'_>, room: &Room) {
    if matches!(spec.name, "eval" | "eval_ro") {
        room.process.scripts.saw_script(request.arg(1).unwrap_or_default());
    }
}

/// How much a client may still put under way before its limits are looked at again.
struct Allowance {
    requests: usize,
    bytes: usize,
    limits: Limits,
}

impl Default for Allowance {
    /// Spent.
    fn default() -> Self {
        Self { requests: 0, bytes: 0, limits: Limits::UNAUTHENTICATED }
    }
}

impl Allowance {
    fn of(client: ClientId, trusted: bool, room: &Room) -> Self {
        let options = &room.options;
        let limits = if trusted {
            let frame = options.max_bulk_bytes.saturating_add(64 << 20);
            Limits { args: options.max_args, bulk: options.max_bulk_bytes, frame, unauthenticated: false }
        } else {
            Limits::UNAUTHENTICATED
        };
        let Some(queue) = room.replies.queue(client) else { return Self::default() };
        Self {
            requests: options.max_in_flight.saturating_sub(queue.in_flight()),
            bytes: options.max_output_bytes.saturating_sub(queue.held()),
            limits,
        }
    }

    #[inline]
    const fn is_spent(&self) -> bool {
        self.requests == 0 || self.bytes == 0
    }

    #[inline]
    const fn spend(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// An argument as servers print it in errors: for them a zero ends it.
fn until_zero(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default())
}
