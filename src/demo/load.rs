//! The built-in load: connections that write values which say to which key they belong, and check every reply.
//!
//! Each connection has keys of its own, so it knows what they must hold. Two things make that knowledge void: an
//! error, after which a write may or may not have been executed, and an election, because a killed primary takes
//! the writes with it that its replica had not got yet. Even then a value must belong to its key and must have
//! been written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::elections::Elections;
use super::embedded::Random;
use super::keys::{KEYS, Key, SAME_TAG, Wrong};
use super::servers::wire::Wire;
use super::tally::Tally;
use crate::resp::value::Value;

/// How many connections there are.
pub(super) const CONNECTIONS: usize = 32;
/// How long a reply may take; the proxy answers long before.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(50);

/// A running load; dropping it ends it.
#[derive(Debug)]
pub(super) struct Load {
    /// What it has seen.
    pub(super) tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts all connections to the proxy at `addr`.
    pub(super) fn start(addr: SocketAddr, elections: &Arc<Elections>) -> std::io::Result<Self> {
        let mut load = Self { tally: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        for number in 0..CONNECTIONS {
            let mut client = Client {
                addr,
                wire: None,
                random: Random::new(number as u64 + 1),
                keys: (0..KEYS).map(|n| Key::new(number, n)).collect(),
                elections: Arc::clone(elections),
                tally: Arc::clone(&load.tally),
            };
            let stop = Arc::clone(&load.stop);
            let thread = std::thread::Builder::new().name(format!("load-{number}")).spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.step();
                }
            })?;
            load.threads.push(thread);
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // That it panicked has been told by then.
            let _ = thread.join();
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Set,
    Incr,
    Mget,
    Mset,
    Del,
}

/// A request, with its keys by their places.
#[derive(Debug)]
struct Request {
    verb: Verb,
    keys: Vec<usize>,
}

/// One connection with its keys.
struct Client {
    addr: SocketAddr,
    wire: Option<Wire>,
    random: Random,
    keys: Vec<Key>,
    elections: Arc<Elections>,
    tally: Arc<Tally>,
}

impl Client {
    /// Makes one request and judges its reply.
    fn step(&mut self) {
        let request = self.request();
        let words = self.words(&request);
        let (stamp, sent) = (self.elections.stamp(), Instant::now());
        let reply = self.ask(&words);
        let answered = Instant::now();
        let now = self.elections.stamp();
        // What was acknowledged without an election in between must be there still.
        let calm = (stamp == now && now.is_multiple_of(2)).then_some(now);
        let failure = match reply {
            Ok(Value::Error(text)) => text,
            Ok(reply) => {
                let wrong = self.judge(&request, &reply, now, calm).err();
                return self.tally.replied(wrong.map(|Wrong(why)| format!("{}: {why}", words.join(" "))));
            }
            Err(why) => {
                self.wire = None;
                std::thread::sleep(PAUSE);
                why
            }
        };
        if !matches!(request.verb, Verb::Get | Verb::Mget) {
            // It may have been executed or not.
            for &at in &request.keys {
                self.key(at).forget();
            }
        }
        let excused = self.elections.touched(sent, answered);
        self.tally.failed(&failure, excused, &format!("{} (after {:.1?})", words.join(" "), answered - sent));
    }

    fn ask(&mut self, words: &[String]) -> Result<Value, String> {
        if self.wire.is_none() {
            self.wire = Some(Wire::open(self.addr, None, PATIENCE).map_err(|error| error.to_string())?);
        }
        let Some(wire) = &mut self.wire else { return Err("no connection".to_owned()) };
        wire.ask(words).map_err(|error| error.to_string())
    }

    /// A mixture of reads and writes, of one key and of several.
    fn request(&mut self) -> Request {
        let (verb, most) = match self.random.below(100) {
            0..40 => (Verb::Get, 1),
            40..65 => (Verb::Set, 1),
            65..80 => (Verb::Incr, 1),
            80..90 => (Verb::Mget, 8),
            90..95 => (Verb::Mset, 4),
            _ => (Verb::Del, 2),
        };
        let first = self.random.below(KEYS as u64) as usize;
        // Neighbours lie in different slots; others share a hash tag.
        let step = if self.random.one_in(2) { 1 } else { SAME_TAG };
        let keys = (0..=self.random.below(most) as usize).map(|n| (first + n * step) % KEYS).collect();
        Request { verb, keys }
    }

    fn words(&mut self, request: &Request) -> Vec<String> {
        let verb = match request.verb {
            Verb::Get => "GET",
            Verb::Set => "SET",
            Verb::Incr => "INCR",
            Verb::Mget => "MGET",
            Verb::Mset => "MSET",
            Verb::Del => "DEL",
        };
        let mut words = vec![verb.to_owned()];
        for &at in &request.keys {
            let key = self.key(at);
            match request.verb {
                Verb::Incr => words.push(key.counter_name()),
                Verb::Set | Verb::Mset => words.extend([key.name.clone(), key.next_value()]),
                Verb::Get | Verb::Mget | Verb::Del => words.push(key.name.clone()),
            }
        }
        words
    }

    fn judge(&mut self, request: &Request, reply: &Value, now: u64, calm: Option<u64>) -> Result<(), Wrong> {
        let keys = &request.keys;
        match (request.verb, reply) {
            (Verb::Get, reply) => self.read(keys, std::slice::from_ref(reply), now, calm),
            (Verb::Mget, Value::Array(replies)) if replies.len() == keys.len() => self.read(keys, replies, now, calm),
            (Verb::Set | Verb::Mset, Value::Text(ok)) if ok == b"OK" => {
                for &at in keys {
                    self.key(at).wrote(calm);
                }
                Ok(())
            }
            (Verb::Incr, &Value::Int(count)) => keys.iter().try_for_each(|&at| self.key(at).counted(count, now, calm)),
            (Verb::Del, &Value::Int(count)) => self.deleted(keys, count, now, calm),
            _ => Err(Wrong(format!("{reply:?}"))),
        }
    }

    fn read(&mut self, keys: &[usize], replies: &[Value], now: u64, calm: Option<u64>) -> Result<(), Wrong> {
        keys.iter().zip(replies).try_for_each(|(&at, reply)| self.key(at).read(reply, now, calm))
    }

    /// The keys are gone now; as many were there as the reply says, if that is known.
    fn deleted(&mut self, keys: &[usize], count: i64, now: u64, calm: Option<u64>) -> Result<(), Wrong> {
        let mut there = Some(0);
        for &at in keys {
            let key = self.key(at);
            there = there.zip(key.is_there(now)).map(|(sum, is_there)| sum + i64::from(is_there));
            key.deleted(calm);
        }
        match there {
            Some(expected) if expected != count => {
                Err(Wrong(format!("{count}, though {expected} of these keys were there")))
            }
            _ => Ok(()),
        }
    }

    fn key(&mut self, at: usize) -> &mut Key {
        // Places are drawn below the number of keys.
        &mut self.keys[at]
    }
}
