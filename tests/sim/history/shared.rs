//! What all clients have learnt of the keys and channels that they share, and the check of it in the end.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::is_told;
use super::ops::{End, SHARED, integer, parts};
use crate::client::Client;
use crate::world::World;

/// What was handed in somewhere.
#[derive(Default)]
pub(super) struct Given {
    /// What was acknowledged.
    pub(super) sure: BTreeSet<String>,
    /// What may have arrived.
    pub(super) maybe: BTreeSet<String>,
}

impl Given {
    /// An id was handed in, and this came of it.
    pub(super) fn note(&mut self, id: String, end: &End) {
        match end {
            End::Reply(reply) => {
                integer(reply);
                self.sure.insert(id);
            }
            End::Unknown => drop(self.maybe.insert(id)),
            End::NotRun | End::Missing => {}
        }
    }

    fn holds(&self, id: &String) -> bool {
        self.sure.contains(id) || self.maybe.contains(id)
    }
}

/// What all clients have learnt.
pub(super) struct Shared {
    began: Instant,
    /// Whether to print what is heard.
    tells: bool,
    /// Each value that an increment was answered with, and how many increments have an unknown fate.
    counted: BTreeMap<u64, BTreeSet<u64>>,
    maybe_counted: BTreeMap<u64, u64>,
    pub(super) lists: BTreeMap<u64, Given>,
    /// The longest that was read of each list.
    read: BTreeMap<u64, Vec<String>>,
    pub(super) pools: BTreeMap<u64, Given>,
    taken: BTreeMap<u64, BTreeSet<String>>,
    /// How many may have taken something that nobody has seen.
    maybe_taken: BTreeMap<u64, usize>,
    /// Everything that was ever to be published, by channel.
    pub(super) published: BTreeMap<String, BTreeSet<String>>,
    /// What was seen, for people: replies by their kind.
    pub(super) seen: BTreeMap<String, u64>,
    /// A number that comes out the same only if the same was heard at the same times.
    pub(super) trace: u64,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            tells: is_told(),
            counted: BTreeMap::new(),
            maybe_counted: BTreeMap::new(),
            lists: BTreeMap::new(),
            read: BTreeMap::new(),
            pools: BTreeMap::new(),
            taken: BTreeMap::new(),
            maybe_taken: BTreeMap::new(),
            published: BTreeMap::new(),
            seen: BTreeMap::new(),
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Something was heard by a client.
    pub(super) fn hear(&mut self, client: u64, reply: &[u8]) {
        let at = self.began.elapsed().as_micros() as u64;
        if self.tells {
            println!("{at:>9} µs, client {client}: {}", reply.escape_ascii());
        }
        self.trace = mixed(self.trace, &client.to_be_bytes());
        self.trace = mixed(self.trace, &at.to_be_bytes());
        self.trace = mixed(self.trace, reply);
        let first = reply.first().copied().unwrap_or(b'?');
        let kind = match first {
            b'-' => {
                let text = String::from_utf8_lossy(reply).replace("Transaction discarded because of: ", "");
                text.split(' ').take(if text.starts_with("-EXECABORT") { 2 } else { 1 }).collect::<Vec<_>>().join(" ")
            }
            _ => "replies".to_owned(),
        };
        *self.seen.entry(kind).or_default() += 1;
    }

    pub(super) fn counted(&mut self, counter: u64, end: &End) {
        match end {
            End::Reply(reply) => {
                let fresh = self.counted.entry(counter).or_default().insert(integer(reply));
                assert!(fresh, "two increments of counter{counter} gave {}", integer(reply));
            }
            End::Unknown => *self.maybe_counted.entry(counter).or_default() += 1,
            End::NotRun | End::Missing => {}
        }
    }

    /// How long the longest reading of a list was so far.
    pub(super) fn read_so_far(&self, list: u64) -> usize {
        self.read.get(&list).map_or(0, Vec::len)
    }

    /// A list was read by a request that was sent when `least` of it had been read by others.
    pub(super) fn listed(&mut self, list: u64, found: Vec<String>, least: usize) {
        let longest = self.read.entry(list).or_default();
        let fits = found.starts_with(longest) || longest.starts_with(&found);
        assert!(fits, "list{list} was {longest:?}, and then {found:?}");
        assert!(found.len() >= least, "list{list} went back behind what was read: {found:?} is less than {least}");
        let once: BTreeSet<&String> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "list{list} holds something twice: {found:?}");
        if found.len() > longest.len() {
            *longest = found;
        }
    }

    pub(super) fn took(&mut self, pool: u64, end: &End) {
        match end {
            End::Reply(reply) => match parts(reply).as_slice() {
                [None] => {}
                [Some(key), Some(id)] if *key == format!("pool{pool}") => {
                    let fresh = self.taken.entry(pool).or_default().insert(id.clone());
                    assert!(fresh, "{id} was taken twice out of {key}");
                }
                other => panic!("{other:?} was taken out of pool{pool}"),
            },
            End::Unknown => *self.maybe_taken.entry(pool).or_default() += 1,
            End::NotRun | End::Missing => {}
        }
    }

    /// Every acknowledged increment, element and message is where it should be, once; nothing else is there.
    pub(super) async fn check(&self, world: &World) {
        let mut client = world.client().await;
        for n in 0..SHARED {
            self.check_counter(n, &mut client).await;
            self.check_list(n, &mut client).await;
            self.check_pool(n, &mut client).await;
        }
    }

    async fn check_counter(&self, n: u64, client: &mut Client) {
        let value = read(client, &[b"GET", format!("counter{n}").as_bytes()]).await;
        let value: u64 = parts(&value)[0].as_ref().map_or(0, |text| text.parse().expect("a number"));
        let acknowledged = self.counted.get(&n).map_or(0, BTreeSet::len) as u64;
        let most = acknowledged + self.maybe_counted.get(&n).copied().unwrap_or(0);
        assert!((acknowledged..=most).contains(&value), "counter{n} is {value}, not {acknowledged}..={most}");
    }

    async fn check_list(&self, n: u64, client: &mut Client) {
        let found = elements(client, &format!("list{n}")).await;
        let none = Given::default();
        let given = self.lists.get(&n).unwrap_or(&none);
        let once: BTreeSet<&String> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "list{n} holds something twice: {found:?}");
        assert!(given.sure.iter().all(|id| once.contains(id)), "list{n} lost something of {:?}: {found:?}", given.sure);
        assert!(found.iter().all(|id| given.holds(id)), "list{n} holds what was refused");
        let longest = self.read.get(&n).map_or(&[][..], Vec::as_slice);
        assert!(found.starts_with(longest), "list{n} was {longest:?}, and is {found:?}");
    }

    async fn check_pool(&self, n: u64, client: &mut Client) {
        let (no_given, nothing) = (Given::default(), BTreeSet::new());
        let given = self.pools.get(&n).unwrap_or(&no_given);
        let taken = self.taken.get(&n).unwrap_or(&nothing);
        let left: BTreeSet<String> = elements(client, &format!("pool{n}")).await.into_iter().collect();
        assert!(left.iter().chain(taken).all(|id| given.holds(id)), "pool{n} holds what was refused");
        let twice: Vec<&String> = left.intersection(taken).collect();
        assert!(twice.is_empty(), "{twice:?} was taken out of pool{n} and is still there");
        let missing: Vec<&String> =
            given.sure.iter().filter(|id| !left.contains(*id) && !taken.contains(*id)).collect();
        let most = self.maybe_taken.get(&n).copied().unwrap_or(0);
        assert!(missing.len() <= most, "pool{n} lost {missing:?}, and {most} may have taken something");
    }
}

async fn elements(client: &mut Client, list: &str) -> Vec<String> {
    parts(&read(client, &[b"LRANGE", list.as_bytes(), b"0", b"-1"]).await).into_iter().flatten().collect()
}

/// Reads until no misfortune that still waits at a node stands in the way.
async fn read(client: &mut Client, args: &[&[u8]]) -> Vec<u8> {
    for _ in 0..100 {
        let reply = client.call(args).await.expect("a reply");
        if !reply.starts_with(b"-") {
            return reply;
        }
    }
    panic!("nothing but errors");
}

/// FNV-1a.
fn mixed(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
