//! What clients may ask about commands: COMMAND and its subcommands, and names for CONFIG GET.
//!
//! All of it comes from the table and from what `command::told` says beyond it.

use super::state::{Flow, Room, Session, refuse, say};
use super::{glob, helps, learning};
use crate::command::learned::{Learned, Row};
use crate::command::told::{self, Begin, Find, KeySpec};
use crate::command::{self, Flags, Keys, Spec, keys};
use crate::replies::ClientId;
use crate::resp::request::Request;
use crate::resp::{Proto, encode};

/// `COMMAND …`, from the table.
pub(super) fn commands(
    session: &Session,
    client: ClientId,
    spec: &Spec,
    request: &Request<'_>,
    room: &mut Room,
) -> Flow {
    let (proto, learned) = (session.proto, room.process.lore.learned());
    match spec.name {
        "command" => say(client, room, |out| rows(&learned, proto, out)),
        "count" => say(client, room, |out| encode::integer(out, (command::COUNT + learned.rows().count()) as i64)),
        "info" if request.argc() == 2 => say(client, room, |out| rows(&learned, proto, out)),
        "info" => say(client, room, |out| {
            encode::array(out, request.argc() - 2);
            for name in request.args().skip(2) {
                match (named(name), named_row(&learned, name)) {
                    (Some(spec), _) => row(spec, proto, out),
                    (None, Some(learned)) => learned_row(learned, proto, out),
                    (None, None) => encode::null(out, proto),
                }
            }
        }),
        "list" => list(client, request, &learned, room),
        "docs" => say(client, room, |out| docs(request, &learned, proto, out)),
        "getkeys" => get_keys(client, request, None, room),
        "getkeysandflags" => get_keys(client, request, Some(proto), room),
        _ => say(client, room, |out| helps::write("COMMAND", helps::COMMAND, out)),
    }
}

/// `get`, `client|id`.
fn named(name: &[u8]) -> Option<&'static Spec> {
    match memchr::memchr(b'|', name) {
        None => command::lookup(name),
        Some(bar) => command::lookup(name.get(..bar)?)?.sub(name.get(bar + 1..)?),
    }
}

/// The same of a command that was learned.
fn named_row<'a>(learned: &'a Learned, name: &[u8]) -> Option<&'a Row> {
    match memchr::memchr(b'|', name) {
        None => learned.find(name),
        Some(bar) => {
            let container = learned.find(name.get(..bar)?)?;
            container.subs.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
        }
    }
}

fn rows(learned: &Learned, proto: Proto, out: &mut Vec<u8>) {
    encode::array(out, command::COUNT + learned.rows().count());
    command::all().for_each(|spec| row(spec, proto, out));
    learned.rows().for_each(|row| learned_row(row, proto, out));
}

/// One row as COMMAND gives it since Redis 7.0.
fn row(spec: &Spec, proto: Proto, out: &mut Vec<u8>) {
    let told = told::told(spec);
    let (first, last, step) = spec.legacy_keys();
    let flags: Vec<&str> = spec.flags.names().collect();
    let categories: Vec<String> = told::categories(spec).iter().map(|name| format!("@{name}")).collect();
    let categories: Vec<&str> = categories.iter().map(String::as_str).collect();
    head(&spec.full_name(), spec.arity, &flags, [first, last, step], &categories, proto, out);
    tail(&told.tips, &told.keys, spec.subs.len(), proto, out);
    spec.subs.iter().for_each(|sub| row(sub, proto, out));
}

/// The same of a command that was learned.
fn learned_row(row: &Row, proto: Proto, out: &mut Vec<u8>) {
    head(row.name, row.spec.arity, &row.flags, row.legacy, &row.categories, proto, out);
    tail(&row.tips, &row.keys, row.subs.len(), proto, out);
    row.subs.iter().for_each(|sub| learned_row(sub, proto, out));
}

/// The first seven fields of a row, which has ten.
fn head(name: &str, arity: i8, flags: &[&str], keys: [i64; 3], categories: &[&str], proto: Proto, out: &mut Vec<u8>) {
    encode::array(out, 10);
    encode::bulk(out, name.as_bytes());
    encode::integer(out, i64::from(arity));
    names(flags, proto, out);
    for number in keys {
        encode::integer(out, number);
    }
    names(categories, proto, out);
}

/// The last three; the subcommands themselves follow.
fn tail(tips: &[&str], keys: &[KeySpec], subs: usize, proto: Proto, out: &mut Vec<u8>) {
    encode::set(out, tips.len(), proto);
    for tip in tips {
        encode::bulk(out, tip.as_bytes());
    }
    encode::set(out, keys.len(), proto);
    for keys in keys {
        key_spec(keys, proto, out);
    }
    // A set only where there is nothing, as servers have it.
    if subs == 0 {
        encode::set(out, 0, proto);
    } else {
        encode::array(out, subs);
    }
}

/// A set of simple strings.
fn names(names: &[&str], proto: Proto, out: &mut Vec<u8>) {
    encode::set(out, names.len(), proto);
    for name in names {
        encode::simple(out, name);
    }
}

fn key_spec(spec: &KeySpec, proto: Proto, out: &mut Vec<u8>) {
    let text = |out: &mut Vec<u8>, text: &str| encode::bulk(out, text.as_bytes());
    encode::map(out, 3, proto);
    text(out, "flags");
    names(&spec.flags, proto, out);
    text(out, "begin_search");
    let keyword = if let Begin::Keyword(word, _) = spec.begin { Some(word) } else { None };
    let begin: (&str, &[(&str, i64)]) = match &spec.begin {
        Begin::Index(index) => ("index", &[("index", *index)]),
        Begin::Keyword(_, from) => ("keyword", &[("startfrom", *from)]),
        Begin::Unknown => ("unknown", &[]),
    };
    let find: (&str, &[(&str, i64)]) = match &spec.find {
        Find::Range(last, step, limit) => ("range", &[("lastkey", *last), ("keystep", *step), ("limit", *limit)]),
        Find::Count(at, first, step) => ("keynum", &[("keynumidx", *at), ("firstkey", *first), ("keystep", *step)]),
        Find::Unknown => ("unknown", &[]),
    };
    search(begin, keyword, proto, out);
    text(out, "find_keys");
    search(find, None, proto, out);
}

/// One half of a key specification: its type and its numbers, with a word in front of them or without.
fn search((kind, numbers): (&str, &[(&str, i64)]), keyword: Option<&str>, proto: Proto, out: &mut Vec<u8>) {
    encode::map(out, 2, proto);
    encode::bulk(out, b"type");
    encode::bulk(out, kind.as_bytes());
    encode::bulk(out, b"spec");
    encode::map(out, numbers.len() + usize::from(keyword.is_some()), proto);
    if let Some(word) = keyword {
        encode::bulk(out, b"keyword");
        encode::bulk(out, word.as_bytes());
    }
    for (name, number) in numbers {
        encode::bulk(out, name.as_bytes());
        encode::integer(out, *number);
    }
}

/// Commands and subcommands.
fn everything() -> impl Iterator<Item = &'static Spec> {
    command::all().flat_map(|spec| std::iter::once(spec).chain(spec.subs))
}

/// `COMMAND LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern]`.
fn list(client: ClientId, request: &Request<'_>, learned: &Learned, room: &mut Room) -> Flow {
    let is = |at: usize, name: &str| request.arg(at).is_some_and(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
    let wanted = request.arg(4).unwrap_or_default();
    let more = || learned.rows().flat_map(|row| std::iter::once(row).chain(&row.subs));
    let names: Vec<String> = match request.argc() {
        2 => everything().map(Spec::full_name).chain(more().map(|row| row.name.to_owned())).collect(),
        5 if is(2, "FILTERBY") && is(3, "MODULE") => Vec::new(),
        5 if is(2, "FILTERBY") && is(3, "ACLCAT") => {
            let belongs =
                |spec: &&Spec| told::categories(spec).iter().any(|name| name.as_bytes().eq_ignore_ascii_case(wanted));
            let names_it = |name: &&str| name.trim_start_matches('@').as_bytes().eq_ignore_ascii_case(wanted);
            let more = more().filter(|row| row.categories.iter().any(names_it));
            everything().filter(belongs).map(Spec::full_name).chain(more.map(|row| row.name.to_owned())).collect()
        }
        5 if is(2, "FILTERBY") && is(3, "PATTERN") => {
            let names = everything().map(Spec::full_name).chain(more().map(|row| row.name.to_owned()));
            names.filter(|name| glob::matches(wanted, name.as_bytes())).collect()
        }
        _ => return refuse(client, "ERR syntax error", room),
    };
    say(client, room, |out| {
        encode::array(out, names.len());
        for name in &names {
            encode::bulk(out, name.as_bytes());
        }
    })
}

/// What there is to tell of commands without their manual: what each does, its group, since when it is there.
fn docs(request: &Request<'_>, learned: &Learned, proto: Proto, out: &mut Vec<u8>) {
    let asked: Vec<&Spec> = match request.argc() {
        2 => command::all().collect(),
        _ => request.args().skip(2).filter_map(named).collect(),
    };
    let more: Vec<&Row> = match request.argc() {
        2 => learned.rows().collect(),
        _ => request.args().skip(2).filter_map(|name| named_row(learned, name)).collect(),
    };
    encode::map(out, asked.len() + more.len(), proto);
    for spec in asked {
        doc(spec, proto, out);
    }
    // Nothing else was learned of them.
    for row in more {
        encode::bulk(out, row.name.as_bytes());
        encode::map(out, 1, proto);
        encode::bulk(out, b"group");
        encode::bulk(out, b"module");
    }
}

fn doc(spec: &Spec, proto: Proto, out: &mut Vec<u8>) {
    let told = told::told(spec);
    let of = spec.parent.map(str::to_uppercase);
    let summary = of.map_or_else(|| told.summary.to_owned(), |of| format!("A subcommand of {of}: see {of} HELP."));
    // redis-cli does not bear commands without one.
    let group = if told.group.is_empty() { "server" } else { told.group };
    let facts = [("summary", summary.as_str()), ("since", told.since), ("group", group)];
    let facts: Vec<_> = facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect();
    encode::bulk(out, spec.full_name().as_bytes());
    encode::map(out, facts.len() + usize::from(!spec.subs.is_empty()), proto);
    for (name, fact) in facts {
        encode::bulk(out, name.as_bytes());
        encode::bulk(out, fact.as_bytes());
    }
    if !spec.subs.is_empty() {
        encode::bulk(out, b"subcommands");
        encode::map(out, spec.subs.len(), proto);
        spec.subs.iter().for_each(|sub| doc(sub, proto, out));
    }
}

/// `COMMAND GETKEYS command …`; `flags` are told too, in the shape of a protocol, if it is given.
fn get_keys(client: ClientId, request: &Request<'_>, flags: Option<Proto>, room: &mut Room) -> Flow {
    let Some(inner) = request.skip(2) else { return refuse(client, "ERR Invalid command specified", room) };
    let Some(spec) = learning::known(&inner, room) else {
        return refuse(client, "ERR Invalid command specified", room);
    };
    if spec.keys.is_empty() {
        return refuse(client, "ERR The command has no key arguments", room);
    }
    if !spec.arity_ok(inner.argc()) {
        return refuse(client, "ERR Invalid number of arguments specified for command", room);
    }
    let mut found = Vec::new();
    let told = keys::each_key(spec, &inner, |at| found.push(at));
    if let (Err(_), [Keys::Range { first, step, .. }]) = (told, spec.keys) {
        // A key whose value is missing is a key nevertheless.
        found = (usize::from(*first)..inner.argc()).step_by(usize::from(*step)).collect();
        return spell(client, spec, &inner, &found, flags, room);
    }
    let may_be_none = spec.flags.has(Flags::NO_MANDATORY_KEYS);
    match told {
        Err(_) if may_be_none => say(client, room, |out| encode::array(out, 0)),
        Ok(()) if may_be_none && found.is_empty() => say(client, room, |out| encode::array(out, 0)),
        Err(_) => refuse(client, "ERR Invalid arguments specified for command", room),
        Ok(()) if found.is_empty() => refuse(client, "ERR The command has no key arguments", room),
        Ok(()) => spell(client, spec, &inner, &found, flags, room),
    }
}

/// The keys at these places, with their flags where they are asked for.
fn spell(
    client: ClientId,
    spec: &Spec,
    inner: &Request<'_>,
    found: &[usize],
    flags: Option<Proto>,
    room: &mut Room,
) -> Flow {
    let learned = room.process.lore.learned();
    let learned = learned.rows().flat_map(|row| std::iter::once(row).chain(&row.subs));
    let row = learned.into_iter().find(|row| std::ptr::eq(row.spec, spec));
    let keys = row.map_or(&told::told(spec).keys, |row| &row.keys);
    say(client, room, |out| {
        encode::array(out, found.len());
        for &at in found {
            if let Some(proto) = flags {
                encode::array(out, 2);
                encode::bulk(out, inner.arg(at).unwrap_or_default());
                names(key_flags(spec, keys, inner, at), proto, out);
            } else {
                encode::bulk(out, inner.arg(at).unwrap_or_default());
            }
        }
    })
}

/// What happens to the key at this argument. Where no rule tells where keys are, it is the last one's (SORT's STORE).
fn key_flags(spec: &Spec, keys: &'static [KeySpec], request: &Request<'_>, at: usize) -> &'static [&'static str] {
    let says = |words: &[&str]| {
        let mut options = request.args().skip(2);
        options.any(|arg| words.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes())))
    };
    match spec.name {
        // What these do depends on their options.
        "set" if !says(&["GET"]) => return &["OW", "update"],
        "bitfield" if !says(&["SET", "INCRBY"]) => return &["RO", "access"],
        "set" | "bitfield" => return &["RW", "access", "update"],
        _ => {}
    }
    let rule = keys.iter().find(|rule| rule.covers(request, at)).or(keys.last());
    rule.map_or(&[], |rule| &rule.flags)
}
