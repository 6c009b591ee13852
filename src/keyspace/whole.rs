//! Commands about all keys of a database, made into ones about the keys of one application.
//!
//! A node can tell which keys stand in a slot only to a script that asks for all of them, so what one server does in
//! constant time takes time in proportion to the application's keys here.

use super::{DATABASES, Keyspace, Shape, Unfit, Worn};
use crate::command::{self, Spec, keys};
use crate::resp::encode;
use crate::resp::request::Request;

/// How every script begins: the keys of the slot `ARGV[1]`.
const ALL: &str = "local s=ARGV[1] local all=redis.call('CLUSTER','GETKEYSINSLOT',s,\
    redis.call('CLUSTER','COUNTKEYSINSLOT',s)) ";

/// Counts the keys that begin with `ARGV[2]`.
const COUNT: &str = "local n=0 for _,k in ipairs(all) do \
    if string.sub(k,1,#ARGV[2])==ARGV[2] then n=n+1 end end return n";

/// One of the keys that [`COUNT`] counts, another one each time, or null.
const PICK: &str = "local own={} for _,k in ipairs(all) do \
    if string.sub(k,1,#ARGV[2])==ARGV[2] then own[#own+1]=k end end \
    if #own==0 then return false end return own[1+redis.call('TIME')[2]%#own]";

/// Removes the keys whose rest behind `ARGV[2]` is like the pattern `ARGV[3]`.
const REMOVE: &str = "for _,k in ipairs(all) do \
    if string.sub(k,1,#ARGV[2])==ARGV[2] and string.find(string.sub(k,#ARGV[2]+1),ARGV[3]) then \
    redis.call('UNLINK',k) end end return redis.status_reply('OK')";

/// Exchanges the prefixes `ARGV[2]` and `ARGV[3]`, by way of a third one.
const SWAP: &str = "for _,step in ipairs({{2,4},{3,2},{4,3}}) do \
    local from,to=ARGV[step[1]],ARGV[step[2]] local moved={} for i,k in ipairs(all) do \
    if string.sub(k,1,#from)==from then local new=to..string.sub(k,#from+1) \
    redis.call('RENAME',k,new) moved[i]=new end end \
    for i,k in pairs(moved) do all[i]=k end end return redis.status_reply('OK')";

/// Gives a key another name, if nothing has that name.
const MOVE: &str = "if redis.call('EXISTS',KEYS[1])==0 then return 0 end return redis.call('RENAMENX',KEYS[1],KEYS[2])";

const OUT_OF_RANGE: Unfit = Unfit::Wrong("ERR DB index is out of range");
const NO_INTEGER: Unfit = Unfit::Wrong("ERR value is not an integer or out of range");

impl Keyspace {
    /// Dresses the commands that are not about single keys of one database; `None` for all others.
    pub(super) fn dress_whole(
        &self,
        db: u16,
        spec: &'static Spec,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Result<Worn, Unfit>> {
        if spec.parent.is_some() || !spec.arity_ok(request.argc()) {
            return None;
        }
        let prefix = self.prefix(db);
        Some(match spec.name {
            "dbsize" => self.script(COUNT, &[&prefix], Shape::Nowhere, out),
            "randomkey" => self.script(PICK, &[&prefix], Shape::Whole, out),
            "flushdb" => how(request).and_then(|()| self.script(REMOVE, &[&prefix, b"^"], Shape::Nowhere, out)),
            "flushall" => {
                how(request).and_then(|()| self.script(REMOVE, &[self.tag.as_bytes(), b"^%d+:"], Shape::Nowhere, out))
            }
            "swapdb" => self.swap(request, out),
            "move" => self.move_key(db, request, out),
            "copy" => return self.copy(db, spec, request, out),
            "scan" => Ok(Worn { shape: scan(&prefix, request, out), spec, prefix }),
            _ => return None,
        })
    }

    /// `EVAL` of a script about all keys of the slot.
    fn script(&self, text: &str, args: &[&[u8]], shape: Shape, out: &mut Vec<u8>) -> Result<Worn, Unfit> {
        let (slot, text) = (self.slot.to_string(), [ALL, text].concat());
        let mut all: Vec<&[u8]> = vec![b"EVAL", text.as_bytes(), b"1", self.tag.as_bytes(), slot.as_bytes()];
        all.extend(args);
        encode::request(out, &all);
        evaluated(shape, args.first().copied().unwrap_or_default())
    }

    fn swap(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Worn, Unfit> {
        let database = |at: usize, wrong: &'static str| {
            database(request.arg(at).unwrap_or_default())
                .map_err(|why| if why == NO_INTEGER { Unfit::Wrong(wrong) } else { why })
        };
        let first = database(1, "ERR invalid first DB index")?;
        let second = database(2, "ERR invalid second DB index")?;
        let aside = format!("{}swapped:", self.tag);
        let both = [self.prefix(first), self.prefix(second)];
        if first == second {
            return self.script("return redis.status_reply('OK')", &[], Shape::Nowhere, out);
        }
        let [first, second] = both;
        self.script(SWAP, &[&first, &second, aside.as_bytes()], Shape::Nowhere, out)
    }

    fn move_key(&self, db: u16, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Worn, Unfit> {
        let to = database(request.arg(2).unwrap_or_default())?;
        if to == db {
            return Err(Unfit::Wrong("ERR source and destination objects are the same"));
        }
        let key = request.arg(1).unwrap_or_default();
        let [old, new] = [db, to].map(|db| [&self.prefix(db), key].concat());
        encode::request(out, &[b"EVAL", MOVE.as_bytes(), b"2", &old, &new]);
        evaluated(Shape::Nowhere, b"")
    }

    /// `COPY` into another database: without its option `DB`, since that is told by the prefix.
    fn copy(
        &self,
        db: u16,
        spec: &'static Spec,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Result<Worn, Unfit>> {
        let option =
            (3..request.argc()).find(|&at| request.arg(at).is_some_and(|arg| arg.eq_ignore_ascii_case(b"DB")))?;
        let to = match database(request.arg(option + 1)?) {
            Ok(to) => to,
            Err(why) => return Some(Err(why)),
        };
        encode::array(out, request.argc() - 2);
        for (at, arg) in request.args().enumerate().filter(|(at, _)| !(option..=option + 1).contains(at)) {
            match at {
                1 => encode::bulk(out, &[&self.prefix(db), arg].concat()),
                2 => encode::bulk(out, &[&self.prefix(to), arg].concat()),
                _ => encode::bulk(out, arg),
            }
        }
        Some(Ok(Worn { shape: Shape::Nowhere, spec, prefix: self.prefix(db) }))
    }
}

/// The number of a database, as `SELECT` and its kin take it.
pub fn database(text: &[u8]) -> Result<u16, Unfit> {
    let number = keys::integer(text).and_then(|number| i32::try_from(number).ok()).ok_or(NO_INTEGER)?;
    u16::try_from(number).ok().filter(|&db| db < DATABASES).ok_or(OUT_OF_RANGE)
}

/// Looks at how keys are to be removed: it is always done in the background.
fn how(request: &Request<'_>) -> Result<(), Unfit> {
    match (request.arg(1), request.argc()) {
        (None, _) => Ok(()),
        (Some(word), 2) if word.eq_ignore_ascii_case(b"SYNC") || word.eq_ignore_ascii_case(b"ASYNC") => Ok(()),
        _ => Err(Unfit::Wrong("ERR syntax error")),
    }
}

fn evaluated(shape: Shape, prefix: &[u8]) -> Result<Worn, Unfit> {
    let spec = command::lookup(b"eval").ok_or(Unfit::Wrong("ERR there is no EVAL"))?;
    Ok(Worn { shape, spec, prefix: prefix.to_vec() })
}

/// `SCAN` of these keys alone: the prefix goes into `MATCH`, which is added where it is missing.
fn scan(prefix: &[u8], request: &Request<'_>, out: &mut Vec<u8>) -> Shape {
    let is_match = |at: usize| request.arg(at).is_some_and(|arg| arg.eq_ignore_ascii_case(b"MATCH"));
    let pattern = (2..request.argc()).step_by(2).find(|&at| is_match(at)).map(|at| at + 1);
    encode::array(out, request.argc() + if pattern.is_some() { 0 } else { 2 });
    for (at, arg) in request.args().enumerate() {
        if Some(at) == pattern {
            encode::bulk(out, &[prefix, arg].concat());
        } else {
            encode::bulk(out, arg);
        }
    }
    if pattern.is_none() {
        encode::bulk(out, b"MATCH");
        encode::bulk(out, &[prefix, b"*"].concat());
    }
    Shape::Scan
}
