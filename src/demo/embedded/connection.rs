//! Commands about the connection: who it is, what it speaks, what it asked for.

use super::command::{Answer, Command, Fault, OK, SYNTAX, door, other};
use super::node::{Session, Turn};
use super::number::int;
use super::reply::Reply;
use crate::resp::Proto;

pub(super) const COMMANDS: &[Command] = &[
    other("ping", -1, ping),
    other("echo", 2, |turn| Ok(Reply::bulk(turn.arg(1)))),
    door("auth", -2, auth),
    door("hello", -1, hello),
    door("quit", -1, quit),
    door("reset", 1, reset),
    other("select", 2, select),
    other("client", -2, client),
    other("asking", 1, |turn| {
        turn.session.asking = true;
        Ok(OK)
    }),
    other("readonly", 1, |turn| {
        turn.session.readonly = true;
        Ok(OK)
    }),
    other("readwrite", 1, |turn| {
        turn.session.readonly = false;
        Ok(OK)
    }),
];

fn ping(turn: &mut Turn<'_>) -> Answer {
    match turn.args.len() {
        1 | 2 if turn.is_subscriber() => Ok(Reply::strings([b"pong", turn.arg(1)])),
        1 => Ok(Reply::Simple("PONG")),
        2 => Ok(Reply::bulk(turn.arg(1))),
        _ => Err(Fault::arity("ping")),
    }
}

fn quit(turn: &mut Turn<'_>) -> Answer {
    turn.closing = true;
    Ok(OK)
}

fn reset(turn: &mut Turn<'_>) -> Answer {
    turn.state.subscribers.remove(&turn.session.id);
    *turn.session = Session { id: turn.session.id, ..Session::default() };
    Ok(Reply::Simple("RESET"))
}

fn select(turn: &mut Turn<'_>) -> Answer {
    match int(turn.arg(1)) {
        Some(0) => Ok(OK),
        Some(_) => Err(Fault("ERR SELECT is not allowed in cluster mode".into())),
        None => Err(super::command::NOT_INT),
    }
}

/// Lets the connection in, or says why not.
fn prove(turn: &mut Turn<'_>, user: &[u8], password: &[u8]) -> Result<(), Fault> {
    // Without a password configured the default user gets in with any.
    let admitted = match &turn.state.options.auth {
        Some(auth) => auth.admits(user, password),
        None => user == b"default",
    };
    if !admitted {
        return Err(Fault("WRONGPASS invalid username-password pair or user is disabled.".into()));
    }
    turn.session.authenticated = true;
    Ok(())
}

fn auth(turn: &mut Turn<'_>) -> Answer {
    let (user, password) = match turn.args {
        [_, password] => (&b"default"[..], password),
        [_, user, password] => (user.as_slice(), password),
        _ => return Err(SYNTAX),
    };
    if turn.args.len() == 2 && turn.state.options.auth.is_none() {
        return Err(Fault(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?"
                .into(),
        ));
    }
    prove(turn, user, password)?;
    Ok(OK)
}

fn hello(turn: &mut Turn<'_>) -> Answer {
    let proto = match turn.args.get(1).map(|version| int(version)) {
        None => turn.session.proto,
        Some(Some(2)) => Proto::Resp2,
        Some(Some(3)) => Proto::Resp3,
        Some(Some(_)) => return Err(Fault("NOPROTO unsupported protocol version".into())),
        Some(None) => return Err(Fault("ERR Protocol version is not an integer or out of range".into())),
    };
    let (credentials, name) = hello_options(turn.args)?;
    if let Some((user, password)) = credentials {
        prove(turn, &user, &password)?;
    }
    if turn.state.options.auth.is_some() && !turn.session.authenticated {
        return Err(Fault(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
                .into(),
        ));
    }
    if let Some(name) = name {
        set_name(turn.session, &name)?;
    }
    turn.session.proto = proto;
    Ok(greeting(turn))
}

/// User and password of `AUTH`, and the name of `SETNAME`, where given.
type HelloOptions = (Option<(Vec<u8>, Vec<u8>)>, Option<Vec<u8>>);

fn hello_options(args: &[Vec<u8>]) -> Result<HelloOptions, Fault> {
    let (mut credentials, mut name) = (None, None);
    let mut rest = args.get(2..).unwrap_or_default();
    while let [option, values @ ..] = rest {
        rest = match (option.to_ascii_uppercase().as_slice(), values) {
            (b"AUTH", [user, password, after @ ..]) => {
                credentials = Some((user.clone(), password.clone()));
                after
            }
            (b"SETNAME", [given, after @ ..]) => {
                name = Some(given.clone());
                after
            }
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(Fault::new(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        };
    }
    Ok((credentials, name))
}

fn greeting(turn: &Turn<'_>) -> Reply {
    let role = if turn.state.view(turn.node).is_primary(turn.node) { "master" } else { "replica" };
    let fields = [
        ("server", Reply::bulk("redis")),
        ("version", Reply::bulk(super::server::version(&turn.state.options))),
        ("proto", Reply::Int(if turn.session.proto == Proto::Resp3 { 3 } else { 2 })),
        ("id", Reply::Int(turn.session.id as i64)),
        ("mode", Reply::bulk("cluster")),
        ("role", Reply::bulk(role)),
        ("modules", Reply::Array(Vec::new())),
    ];
    Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn set_name(session: &mut Session, name: &[u8]) -> Result<(), Fault> {
    if name.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Fault("ERR Client names cannot contain spaces, newlines or special characters.".into()));
    }
    session.name = name.to_vec();
    Ok(())
}

fn client(turn: &mut Turn<'_>) -> Answer {
    match turn.arg(1).to_ascii_lowercase().as_slice() {
        b"setname" => {
            turn.exactly(3, "client|setname")?;
            let name = turn.arg(2).to_vec();
            set_name(turn.session, &name)?;
            Ok(OK)
        }
        b"getname" => {
            turn.exactly(2, "client|getname")?;
            let name = &turn.session.name;
            Ok(if name.is_empty() { Reply::Null } else { Reply::bulk(name) })
        }
        // Newer than the version that the nodes name, but clients send it and take offence at an error.
        b"setinfo" => turn.exactly(4, "client|setinfo").map(|()| OK),
        b"id" => turn.exactly(2, "client|id").map(|()| Reply::Int(turn.session.id as i64)),
        b"unblock" => unblock(turn),
        _ => Err(turn.unknown_subcommand()),
    }
}

fn unblock(turn: &Turn<'_>) -> Answer {
    let id = int(turn.arg(2)).ok_or(super::command::NOT_INT)?;
    let with_error = turn.arg(3).eq_ignore_ascii_case(b"error");
    let line = u64::try_from(id).ok().and_then(|id| turn.state.nodes[turn.node].lines.get(&id));
    let Some(line) = line.filter(|line| line.blocked.get()) else { return Ok(Reply::Int(0)) };
    line.unblock.set(Some(with_error));
    line.bell.notify_one();
    Ok(Reply::Int(1))
}
