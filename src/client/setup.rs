//! The commands that shape a session: HELLO, AUTH, RESET, CLIENT.

use super::desk::{Filter, List, Question};
use super::state::{Flow, Hears, Introduction, Room, Session, ok, refuse, say, wrong_arity};
use super::{ClusterView, asking, auth, helps, pause, watch};
use crate::command::{Spec, keys};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. \
                           Are you sure your configuration is correct?";

impl Session {
    /// The name of the user that the client is.
    pub(super) fn user_name<'a>(&self, room: &'a Room) -> &'a str {
        self.user.and_then(|at| room.options.users.get(at)).map_or(auth::DEFAULT, |user| &user.name)
    }

    /// Takes a name and a password; an error text if they are not accepted.
    fn log_in(&mut self, name: &[u8], password: &[u8], room: &Room) -> Result<(), &'static str> {
        if room.options.users.is_empty() {
            // Like the user `default` of a Redis without a password, which any password suits.
            return if name == auth::DEFAULT.as_bytes() { Ok(()) } else { Err(WRONG_PASSWORD) };
        }
        self.user = Some(auth::find(&room.options.users, name, password).ok_or(WRONG_PASSWORD)?);
        Ok(())
    }
}

/// `AUTH password`, `AUTH user password`.
pub(super) fn auth(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let result = match (request.arg(1), request.arg(2), request.argc()) {
        (Some(_), None, 2) if !room.options.users.iter().any(|user| user.name == auth::DEFAULT) => Err(NO_PASSWORD),
        (Some(password), None, 2) => session.log_in(auth::DEFAULT.as_bytes(), password, room),
        (Some(name), Some(password), 3) => session.log_in(name, password, room),
        _ => Err("ERR syntax error"),
    };
    match result {
        Ok(()) => ok(client, room),
        Err(text) => refuse(client, text, room),
    }
}

/// The protocol that a HELLO asks for, if it names one.
fn wanted(request: &Request<'_>) -> Result<Option<Proto>, &'static str> {
    match request.arg(1) {
        None => Ok(None),
        Some(b"2") => Ok(Some(Proto::Resp2)),
        Some(b"3") => Ok(Some(Proto::Resp3)),
        Some(other) if is_number(other) => Err("NOPROTO unsupported protocol version"),
        Some(_) => Err("ERR Protocol version is not an integer or out of range"),
    }
}

/// Does what the options of a HELLO say, one after the other: as with Redis, those before a wrong one have had their
/// effect.
fn introduce(session: &mut Session, request: &Request<'_>, room: &Room) -> Result<(), String> {
    let mut at = 2;
    while let Some(word) = request.arg(at) {
        if let (true, Some(name), Some(password)) =
            (word.eq_ignore_ascii_case(b"AUTH"), request.arg(at + 1), request.arg(at + 2))
        {
            session.log_in(name, password, room)?;
            at += 3;
        } else if let (true, Some(name)) = (word.eq_ignore_ascii_case(b"SETNAME"), request.arg(at + 1)) {
            session.introduction.name = valid_name(name)?;
            at += 2;
        } else {
            return Err(format!("ERR Syntax error in HELLO option '{}'", String::from_utf8_lossy(word)));
        }
    }
    Ok(())
}

fn is_number(text: &[u8]) -> bool {
    let is_plain = text.first().is_some_and(|&first| first == b'-' || first.is_ascii_digit());
    is_plain && std::str::from_utf8(text).is_ok_and(|text| text.parse::<i64>().is_ok())
}

/// `HELLO [2|3] [AUTH user password] [SETNAME name]`.
pub(super) fn hello(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let proto = match wanted(request) {
        Ok(proto) => proto.unwrap_or(session.proto),
        Err(text) => return refuse(client, text, room),
    };
    if proto != session.proto && room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0) {
        // The other protocol has connections of its own: what is under way must not be overtaken on them.
        return Flow::Quiet;
    }
    if let Err(text) = introduce(session, request, room) {
        return refuse(client, &text, room);
    }
    if !session.is_trusted(room) {
        let text = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                    <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
                    RESP protocol version at the same time";
        return refuse(client, text, room);
    }
    session.proto = proto;
    room.pubsub.set_proto(client, proto);
    greet(session, client, room)
}

fn greet(session: &Session, client: ClientId, room: &mut Room) -> Flow {
    let version = room.process.map.load().facts.version.clone();
    let (proto, id) = (session.proto, session.id);
    let mode = if room.options.cluster == ClusterView::Single { "cluster" } else { "standalone" };
    say(client, room, |out| {
        encode::map(out, 7, proto);
        for (key, value) in [("server", "redis"), ("version", version.as_str())] {
            encode::bulk(out, key.as_bytes());
            encode::bulk(out, value.as_bytes());
        }
        encode::bulk(out, b"proto");
        encode::integer(out, if proto == Proto::Resp3 { 3 } else { 2 });
        encode::bulk(out, b"id");
        encode::integer(out, id as i64);
        for (key, value) in [("mode", mode), ("role", "master")] {
            encode::bulk(out, key.as_bytes());
            encode::bulk(out, value.as_bytes());
        }
        encode::bulk(out, b"modules");
        encode::array(out, 0);
    })
}

/// Back to how a connection begins: RESP2, no name, not authenticated.
pub(super) fn reset(session: &mut Session, client: ClientId, room: &mut Room) -> Flow {
    if session.proto != Proto::Resp2 && room.replies.queue(client).is_some_and(|queue| queue.in_flight() > 0) {
        return Flow::Quiet;
    }
    room.pubsub.forget(client, &mut room.replies);
    session.proto = Proto::Resp2;
    session.user = None;
    session.ordinary = false;
    session.unpin(client, room);
    session.db = 0;
    session.introduction = Introduction::default();
    session.hears = Hears::All;
    session.read_from(room.options.read_from);
    room.replies.unmute(client);
    watch::leave(session, room);
    say(client, room, |out| encode::simple(out, "RESET"))
}

/// `CLIENT …`.
pub(super) fn client(
    session: &mut Session,
    client: ClientId,
    spec: &'static Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let argument = request.arg(2).unwrap_or_default();
    let is_switch = argument.eq_ignore_ascii_case(b"ON") || argument.eq_ignore_ascii_case(b"OFF");
    match spec.name {
        "id" => say(client, room, |out| encode::integer(out, session.id as i64)),
        "getname" => {
            let (name, proto) = (session.introduction.name.as_bytes(), session.proto);
            say(client, room, |out| if name.is_empty() { encode::null(out, proto) } else { encode::bulk(out, name) })
        }
        "setname" => match valid_name(argument) {
            Ok(name) => {
                session.introduction.name = name;
                ok(client, room)
            }
            Err(text) => refuse(client, text, room),
        },
        "setinfo" => set_info(session, client, argument, request.arg(3).unwrap_or_default(), room),
        "info" => {
            session.last_command = Some(spec);
            let line = session.describe(client, room);
            let proto = session.proto;
            say(client, room, |out| encode::text(out, &line, proto))
        }
        "list" => match List::read(request) {
            Ok(list) => asking::ask(session, client, Question::List(list), room),
            Err(text) => refuse(client, &text, room),
        },
        "kill" => kill(session, client, request, room),
        "pause" => pause::pause(session, client, request, room),
        "unpause" => asking::ask(session, client, Question::Unpause, room),
        "unblock" => unblock(session, client, request, room),
        "reply" => reply(session, client, argument, room),
        "no-evict" | "no-touch" if is_switch => ok(client, room),
        "getredir" => say(client, room, |out| encode::integer(out, -1)),
        "tracking" => tracking(client, argument, room),
        "trackinginfo" => tracking_info(session.proto, client, room),
        "caching" => {
            let text = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
                        OPTOUT mode enabled";
            refuse(client, text, room)
        }
        "help" => say(client, room, |out| helps::write("CLIENT", helps::CLIENT, out)),
        "client" => wrong_arity(client, spec, room),
        _ => refuse(client, "ERR syntax error", room),
    }
}

/// `CLIENT KILL addr`, or with options.
fn kill(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let question = match request.arg(2) {
        Some(addr) if request.argc() == 3 => Ok(Question::KillOne(Filter::old(addr))),
        _ => Filter::read(session, request, room).map(Question::Kill),
    };
    match question {
        Ok(question) => asking::ask(session, client, question, room),
        Err(text) => refuse(client, &text, room),
    }
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`.
fn unblock(session: &mut Session, client: ClientId, request: &Request<'_>, room: &mut Room) -> Flow {
    let is = |name: &str| request.arg(3).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let error = match request.argc() {
        3 => false,
        4 if is("TIMEOUT") => false,
        4 if is("ERROR") => true,
        4 => return refuse(client, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR", room),
        _ => {
            let name = String::from_utf8_lossy(request.arg(1).unwrap_or_default()).into_owned();
            let text = format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP.");
            return refuse(client, &text, room);
        }
    };
    match keys::integer(request.arg(2).unwrap_or_default()) {
        Some(id) => asking::ask(session, client, Question::Unblock { id: id as u64, error }, room),
        None => refuse(client, "ERR value is not an integer or out of range", room),
    }
}

/// `CLIENT REPLY ON|OFF|SKIP`; only ON is answered.
fn reply(session: &mut Session, client: ClientId, how: &[u8], room: &mut Room) -> Flow {
    match how {
        on if on.eq_ignore_ascii_case(b"ON") => {
            session.hears = Hears::All;
            room.replies.unmute(client);
            return ok(client, room);
        }
        off if off.eq_ignore_ascii_case(b"OFF") => session.hears = Hears::Nothing,
        skip if skip.eq_ignore_ascii_case(b"SKIP") => {
            if session.hears != Hears::Nothing {
                session.hears = Hears::NotNext;
            }
        }
        _ => return refuse(client, "ERR syntax error", room),
    }
    Flow::Taken
}

fn tracking(client: ClientId, switch: &[u8], room: &mut Room) -> Flow {
    match switch {
        off if off.eq_ignore_ascii_case(b"OFF") => ok(client, room),
        on if on.eq_ignore_ascii_case(b"ON") => {
            let text = "ERR CLIENT TRACKING is not available through slotway: it shares its connections to the nodes \
                        between clients, and invalidations would reach the wrong ones";
            refuse(client, text, room)
        }
        _ => refuse(client, "ERR syntax error", room),
    }
}

/// That the client is not tracked.
fn tracking_info(proto: Proto, client: ClientId, room: &mut Room) -> Flow {
    say(client, room, |out| {
        encode::map(out, 3, proto);
        encode::bulk(out, b"flags");
        encode::set(out, 1, proto);
        encode::bulk(out, b"off");
        encode::bulk(out, b"redirect");
        encode::integer(out, -1);
        encode::bulk(out, b"prefixes");
        encode::array(out, 0);
    })
}

fn set_info(session: &mut Session, client: ClientId, attribute: &[u8], value: &[u8], room: &mut Room) -> Flow {
    let field = match attribute {
        name if name.eq_ignore_ascii_case(b"LIB-NAME") => &mut session.introduction.library,
        name if name.eq_ignore_ascii_case(b"LIB-VER") => &mut session.introduction.library_version,
        other => {
            let text = format!("ERR Unrecognized option '{}'", String::from_utf8_lossy(other));
            return refuse(client, &text, room);
        }
    };
    if let Some(value) = printable(value) {
        *field = value;
        ok(client, room)
    } else {
        let name = String::from_utf8_lossy(attribute).to_lowercase();
        let text = format!("ERR {name} cannot contain spaces, newlines or special characters.");
        refuse(client, &text, room)
    }
}

/// A client's name: no spaces and nothing that cannot be printed.
fn valid_name(name: &[u8]) -> Result<String, &'static str> {
    printable(name).ok_or("ERR Client names cannot contain spaces, newlines or special characters.")
}

fn printable(text: &[u8]) -> Option<String> {
    let fits = text.iter().all(|byte| (b'!'..=b'~').contains(byte));
    fits.then(|| String::from_utf8_lossy(text).into_owned())
}
