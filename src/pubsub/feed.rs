//! One connection to one node, for subscriptions alone: what was asked on it, and what it holds.
//!
//! It speaks RESP2, in which messages and confirmations look as in RESP3 but for their first byte. A node confirms
//! in the order in which it is asked, so that an error, which names nothing, is known by its place.
//!
//! ```text
//!            a topic                  handshake done             no topic left, all answered
//!   Down ───────────────► Connecting ───────────► Ready ─────────────────────────────► gone
//!    ▲  (not before retry_at)  │ failed            │ broken, silent
//!    └─────────────────────────┴───────────────────┘
//! ```

use std::collections::{HashSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::{FeedId, Kind, Millis, TopicId};
use crate::cluster::dial::ConnectError;
use crate::net::{Addr, Link, Stream};
use crate::resp::reply::Scanner;
use crate::resp::{Proto, encode};

/// What a dialling task brings back.
pub(super) struct Dialed {
    pub(super) feed: FeedId,
    /// The number of the attempt.
    pub(super) number: u64,
    pub(super) result: Result<Stream, ConnectError>,
}

/// Where a connection stands in its life.
pub(super) enum State {
    /// No connection; none is tried before `retry_at`.
    Down { retry_at: Millis },
    /// A task dials and shakes hands: the attempt of this number.
    Connecting(u64),
    /// In use.
    Ready(Link),
}

/// What a node was asked and has not answered.
pub(super) enum Asked {
    /// To begin a subscription; the number tells this question from others for the same topic.
    Begin(TopicId, u64),
    /// To end one.
    End(Kind, Rc<[u8]>),
    /// Whether it is there.
    Ping,
}

/// The connection to one node.
pub(super) struct Feed {
    pub(super) addr: Addr,
    pub(super) state: State,
    /// Connections that failed in a row.
    pub(super) failures: u32,
    /// Topics that have a home here.
    pub(super) users: usize,
    pub(super) asked: VecDeque<Asked>,
    /// When the node last gave an answer, or was asked after it had given all.
    pub(super) answered_at: Millis,
    /// When it last sent anything.
    pub(super) heard_at: Millis,
    /// What the node has confirmed.
    pub(super) held: HashSet<(Kind, Rc<[u8]>)>,
    pub(super) inbox: Vec<u8>,
    pub(super) scanner: Scanner,
    outbox: Vec<u8>,
    sent: usize,
}

impl Feed {
    pub(super) fn new(addr: Addr, max_message: usize) -> Self {
        Self {
            addr,
            state: State::Down { retry_at: 0 },
            failures: 0,
            users: 0,
            asked: VecDeque::new(),
            answered_at: 0,
            heard_at: 0,
            held: HashSet::new(),
            inbox: Vec::new(),
            scanner: Scanner::new(Proto::Resp2, max_message),
            outbox: Vec::new(),
            sent: 0,
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Asks the node; the connection must be ready.
    pub(super) fn ask(&mut self, words: &[&[u8]], asked: Asked, now: Millis) {
        if self.asked.is_empty() {
            self.answered_at = now;
        }
        encode::request(&mut self.outbox, words);
        self.asked.push_back(asked);
    }

    /// Writes what is there to write.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let State::Ready(link) = &mut self.state else { return Ok(()) };
        while self.sent < self.outbox.len() {
            match link.write(self.outbox.get(self.sent..).unwrap_or_default()) {
                Poll::Ready(Ok(bytes)) => self.sent += bytes,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        self.outbox = Vec::new();
        self.sent = 0;
        Ok(())
    }

    /// Forgets what was under way on a connection that is gone; gives what the node held.
    pub(super) fn clear(&mut self) -> HashSet<(Kind, Rc<[u8]>)> {
        self.asked.clear();
        self.inbox = Vec::new();
        self.outbox = Vec::new();
        self.sent = 0;
        self.scanner.reset();
        std::mem::take(&mut self.held)
    }
}
