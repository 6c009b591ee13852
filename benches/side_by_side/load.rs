//! The load: one thread, many connections, each a closed loop of batches. The same code for every target.
//!
//! ```text
//! batch begins ─► P requests in one write ─► replies, each checked ─► all P there: latency noted, next batch begins
//! ```
//!
//! A client has one link to a proxy, or one link to each node when it asks the cluster directly (then it sends each
//! request to the slot's owner, as a cluster-aware client does). CPU time is taken by the caller around `run`. A load
//! with a pace is `open`'s.

mod open;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Result;
use crate::plan::Workload;
use crate::wire::{Ask, Keyspace, Owed, Sequence, Verdict};

/// Longest time without any reply before a measurement is given up.
const STALL: Duration = Duration::from_secs(30);

/// Size of the read buffer that all links share.
const SCRATCH: usize = 256 * 1024;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// One address, or one per node.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For each slot the index of its node's address; empty with a single address.
    pub(crate) owners: Vec<u8>,
}

impl Destination {
    fn link_for(&self, slot: usize) -> usize {
        self.owners.get(slot).map_or(0, |owner| usize::from(*owner))
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Replies received.
    pub(crate) replies: u64,
    /// Error replies among them.
    pub(crate) errors: u64,
    /// Replies of the wrong type, count or content among them.
    pub(crate) wrong: u64,
    /// The first error or wrong reply (its beginning).
    pub(crate) complaint: Option<String>,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
    /// Nanoseconds of every batch, sorted.
    pub(crate) batches: Vec<u64>,
}

impl Outcome {
    /// The batch latency that this share of the batches does not exceed, in microseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.batches.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        self.batches.get(index).map_or(0.0, |nanos| *nanos as f64 / 1e3)
    }

    fn note(&mut self, verdict: Verdict, reply: &[u8]) {
        self.replies += 1;
        match verdict {
            Verdict::Right => return,
            Verdict::Error => self.errors += 1,
            Verdict::Wrong => self.wrong += 1,
        }
        if self.complaint.is_none() {
            let start = reply.get(..reply.len().min(120)).unwrap_or_default();
            self.complaint = Some(String::from_utf8_lossy(start).trim_end().to_owned());
        }
    }
}

#[derive(Debug)]
struct Link {
    stream: TcpStream,
    out: Vec<u8>,
    written: usize,
    /// The unfinished beginning of a reply.
    rest: Vec<u8>,
    owed: VecDeque<Owed>,
}

#[derive(Debug)]
struct Client {
    missing: usize,
    began: Instant,
}

/// Open connections to one target.
#[derive(Debug)]
pub(crate) struct Fleet<'a> {
    poll: Poll,
    links: Vec<Link>,
    clients: Vec<Client>,
    destination: &'a Destination,
    space: &'a Keyspace,
    scratch: Vec<u8>,
}

impl<'a> Fleet<'a> {
    /// Connects so many clients.
    pub(crate) fn connect(destination: &'a Destination, space: &'a Keyspace, clients: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let mut links = Vec::new();
        for _ in 0..clients {
            for address in &destination.addresses {
                let stream = std::net::TcpStream::connect_timeout(address, Duration::from_secs(10))?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                poll.registry().register(&mut stream, Token(links.len()), Interest::READABLE | Interest::WRITABLE)?;
                links.push(Link { stream, out: Vec::new(), written: 0, rest: Vec::new(), owed: VecDeque::new() });
            }
        }
        let clients = (0..clients).map(|_| Client { missing: 0, began: Instant::now() }).collect();
        Ok(Self { poll, links, clients, destination, space, scratch: vec![0; SCRATCH] })
    }

    /// Sends the workload's requests and waits for the last reply.
    pub(crate) fn run(&mut self, load: &Workload, seed: u64) -> Result<Outcome> {
        if let Some(pace) = load.pace {
            return self.run_at(pace, load, seed);
        }
        let mut sequence = Sequence::new(load.work, seed);
        let mut left = load.requests;
        let mut outcome = Outcome::default();
        let start = Instant::now();
        for client in 0..self.clients.len() {
            self.begin_batch(client, load.depth, &mut left, &mut sequence, start)?;
        }
        let mut events = Events::with_capacity(1024);
        while outcome.replies < load.requests {
            let before = outcome.replies;
            self.wait(&mut events)?;
            for event in &events {
                let Token(link) = event.token();
                if event.is_writable() {
                    self.flush(link)?;
                }
                if event.is_readable() && self.receive(link, event.is_read_closed(), &mut outcome)? {
                    let now = Instant::now();
                    let client = link / self.fan();
                    outcome.batches.push(self.clients.get(client).map_or(0, |client| nanos(now - client.began)));
                    self.begin_batch(client, load.depth, &mut left, &mut sequence, now)?;
                }
            }
            if events.is_empty() && outcome.replies == before {
                return Err(format!("no reply for {STALL:?}, {before} of {} are there", load.requests).into());
            }
        }
        outcome.elapsed = start.elapsed();
        outcome.batches.sort_unstable();
        Ok(outcome)
    }

    fn fan(&self) -> usize {
        self.destination.addresses.len()
    }

    fn wait(&mut self, events: &mut Events) -> Result<()> {
        loop {
            match self.poll.poll(events, Some(STALL)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return Ok(other?),
            }
        }
    }

    fn begin_batch(
        &mut self,
        client: usize,
        depth: usize,
        left: &mut u64,
        sequence: &mut Sequence,
        now: Instant,
    ) -> Result<()> {
        let size = (depth as u64).min(*left);
        *left -= size;
        let first = client * self.fan();
        for _ in 0..size {
            self.enqueue(first, sequence.draw(self.space))?;
        }
        let state = self.clients.get_mut(client).ok_or("no such client")?;
        state.missing = size as usize;
        state.began = now;
        for link in first..first + self.fan() {
            self.flush(link)?;
        }
        Ok(())
    }

    /// Appends a request to its link, which it gives, of those from `first` on.
    fn enqueue(&mut self, first: usize, ask: Ask) -> Result<usize> {
        let node = match ask {
            Ask::Get(key) | Ask::Set(key) => self.destination.link_for(self.space.slot(key)),
            Ask::Mget(..) | Ask::Mset(..) | Ask::Del(..) => 0,
        };
        let link = self.links.get_mut(first + node).ok_or("no such link")?;
        let owed = match ask {
            Ask::Get(key) => {
                self.space.encode_get(&mut link.out, key);
                Owed::Value(key)
            }
            Ask::Set(key) => {
                self.space.encode_set(&mut link.out, key);
                Owed::Done
            }
            Ask::Mget(count, seed) => {
                self.space.encode_mget(&mut link.out, count, seed);
                Owed::Many(count, seed)
            }
            Ask::Mset(count, seed) => {
                self.space.encode_mset(&mut link.out, count, seed);
                Owed::Done
            }
            Ask::Del(count, seed) => {
                self.space.encode_del(&mut link.out, count, seed);
                Owed::None
            }
        };
        link.owed.push_back(owed);
        Ok(first + node)
    }

    fn flush(&mut self, link: usize) -> Result<()> {
        let link = self.links.get_mut(link).ok_or("no such link")?;
        while link.written < link.out.len() {
            match link.stream.write(link.out.get(link.written..).unwrap_or_default()) {
                Ok(count) => link.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        link.out.clear();
        link.written = 0;
        Ok(())
    }

    /// Reads what is there. True when this was the last reply of the client's batch.
    fn receive(&mut self, index: usize, closed: bool, outcome: &mut Outcome) -> Result<bool> {
        let replies = self.read(index, closed, outcome)?;
        let client = self.clients.get_mut(index / self.destination.addresses.len()).ok_or("no such client")?;
        let waited = client.missing > 0;
        client.missing = client.missing.checked_sub(replies).ok_or("more replies than requests")?;
        Ok(waited && client.missing == 0)
    }

    /// Reads what is there and checks it: how many replies that were.
    fn read(&mut self, index: usize, closed: bool, outcome: &mut Outcome) -> Result<usize> {
        let link = self.links.get_mut(index).ok_or("no such link")?;
        let mut replies = 0;
        loop {
            let count = match link.stream.read(&mut self.scratch) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let bytes = self.scratch.get(..count).unwrap_or_default();
            replies += if link.rest.is_empty() {
                let used = link.take(bytes, self.space, outcome)?;
                link.rest.extend_from_slice(bytes.get(used.1..).unwrap_or_default());
                used.0
            } else {
                link.rest.extend_from_slice(bytes);
                let rest = std::mem::take(&mut link.rest);
                let used = link.take(&rest, self.space, outcome)?;
                link.rest = rest;
                link.rest.drain(..used.1);
                used.0
            };
            // A short read means that nothing more is there, unless the end of the stream is.
            if count < SCRATCH && !closed {
                break;
            }
        }
        Ok(replies)
    }
}

impl Link {
    /// Checks all whole replies in `bytes`: their number, and the bytes that they take.
    fn take(&mut self, bytes: &[u8], space: &Keyspace, outcome: &mut Outcome) -> Result<(usize, usize)> {
        let (mut replies, mut used) = (0, 0);
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let owed = *self.owed.front().ok_or("a reply that nobody asked for")?;
            let Some((length, verdict)) = space.check(rest, owed) else { break };
            outcome.note(verdict, rest);
            self.owed.pop_front();
            replies += 1;
            used += length;
        }
        Ok((replies, used))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
