//! The records of requests under way: what stands in a pipeline's FIFO, and what comes back from it.
//!
//! Plain values without conduct; what follows from a reply is decided in `answers`.

use super::Millis;
use crate::replies::Ticket;

/// The record of a request that is under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// Where the reply goes.
    pub(super) ticket: Ticket,
    /// Length of the frame in the outbox.
    pub(super) len: u32,
    /// The view of the slots that chose the node.
    pub(super) epoch: u32,
    /// When the request arrived, in microseconds of the worker's clock, which may have wrapped: it does so after
    /// 71 minutes, longer than any request with a deadline may take.
    pub(super) born: u32,
    /// The slot of its keys; without keys, one that its node owned when it came.
    pub(super) slot: u16,
    /// Redirects followed, and times that it was sent again after a loss.
    pub(super) hops: u8,
    /// What may be done with it.
    pub(super) traits: Traits,
}

const _: () = assert!(size_of::<Expect>() == 36, "the record of a request in flight has grown");

impl Pending {
    /// For how long the request has been under way.
    pub(super) const fn age(&self, now: Millis) -> Millis {
        let micros = (now as u32).wrapping_mul(1000).wrapping_sub(self.born);
        // It was born behind the beginning of this millisecond.
        if micros > u32::MAX - 1000 { 0 } else { micros.div_ceil(1000) as Millis }
    }
}

/// What may be done with a request, and how its reply is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traits {
    /// It only reads: may be sent again at any time.
    Read,
    /// It may change something.
    Write,
    /// It only reads, and only this node may answer it: see `here`.
    Here,
    /// It only reads, and the next reply is that of the ASKING in front of it.
    ReadAsking,
    /// It may change something, and the next reply is that of the ASKING in front of it.
    WriteAsking,
    /// A whole transaction that only reads: its reply is that of EXEC.
    ReadUnit,
    /// A whole transaction that may change something.
    WriteUnit,
    /// A transaction of a client that watches keys: it goes where they are watched, or nowhere.
    Exec,
    /// WATCH, on a connection that is lent to its client.
    Watch,
    /// It may wait for data, on a connection that is lent to its client, and only reads.
    ReadBlock,
    /// It may wait for data, on a connection that is lent to its client, and takes it away.
    WriteBlock,
    /// It asks, on a connection that is lent to its client, whether the node takes an upload.
    Probe,
    /// It comes from its client in pieces, on that connection, and is not kept.
    Upload,
    /// It must not stand behind what others have under way: it goes over a connection that is lent to its client.
    Aside,
}

impl Traits {
    #[inline]
    pub(super) const fn new(read: bool) -> Self {
        if read { Self::Read } else { Self::Write }
    }

    pub(super) const fn is_read(self) -> bool {
        matches!(
            self,
            Self::Read | Self::ReadAsking | Self::ReadUnit | Self::Watch | Self::ReadBlock | Self::Here | Self::Probe
        )
    }

    /// Whether replies to something else may come before the one that counts.
    #[inline]
    pub(super) const fn has_prelude(self) -> bool {
        !matches!(self, Self::Read | Self::Write | Self::Here | Self::Upload)
    }

    /// Whether all that comes before it is one ASKING.
    pub(super) const fn is_asking(self) -> bool {
        matches!(self, Self::ReadAsking | Self::WriteAsking)
    }

    /// Whether it is a transaction.
    pub(super) const fn is_unit(self) -> bool {
        matches!(self, Self::ReadUnit | Self::WriteUnit | Self::Exec)
    }

    /// Whether it goes over a connection that is lent to its client.
    pub(super) const fn is_bound(self) -> bool {
        matches!(
            self,
            Self::Exec | Self::Watch | Self::ReadBlock | Self::WriteBlock | Self::Probe | Self::Upload | Self::Aside
        )
    }

    /// Whether its client waits for as long as it wants.
    pub(super) const fn blocks(self) -> bool {
        matches!(self, Self::ReadBlock | Self::WriteBlock)
    }

    /// The same without an ASKING in front.
    pub(super) const fn plain(self) -> Self {
        match self {
            Self::ReadAsking => Self::Read,
            Self::WriteAsking => Self::Write,
            other => other,
        }
    }

    /// The same with an ASKING in front; the replies in front of the others' own are counted.
    pub(super) const fn asking(self) -> Self {
        match self {
            Self::Read => Self::ReadAsking,
            Self::Write => Self::WriteAsking,
            other => other,
        }
    }
}

/// What allows the next request in a slot that is being imported. It is a part of that request's frame.
pub(super) const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// What the next reply of a node is for.
#[derive(Debug)]
pub(super) enum Expect {
    /// Give it to this request's client.
    Deliver(Pending),
    /// Its request was answered with a timeout: when it still comes, the connection is closed.
    Late {
        /// Length of the frame in the outbox.
        len: u32,
    },
    /// The proxy's own UNWATCH, which makes a connection fit for the next client.
    Clean {
        /// Length of the frame in the outbox.
        len: u32,
    },
    /// The proxy's own ECHO, by which the connection proves itself.
    Canary {
        /// Length of the frame in the outbox.
        len: u32,
    },
}

impl Expect {
    /// Length of the frame in the outbox.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Deliver(pending) => pending.len as usize,
            Self::Late { len } | Self::Clean { len } | Self::Canary { len } => *len as usize,
        }
    }

    /// The request that waits, unless it was given up.
    pub(super) fn into_pending(self) -> Option<Pending> {
        match self {
            Self::Deliver(pending) => Some(pending),
            Self::Late { .. } | Self::Clean { .. } | Self::Canary { .. } => None,
        }
    }
}

/// A request that was taken back from a pipeline.
pub(super) struct Taken {
    pub(super) pending: Pending,
    /// Its frame, without an ASKING.
    pub(super) frame: Box<[u8]>,
    /// Whether its last byte had left: an incomplete frame cannot have been run.
    pub(super) may_have_run: bool,
}

impl Taken {
    /// A request that was not sent yet.
    pub(super) fn unsent(pending: Pending, frame: &[u8]) -> Self {
        Self { pending, frame: frame.into(), may_have_run: false }
    }
}

/// A frame without the ASKING in front of it.
pub(super) fn plain(frame: &[u8]) -> &[u8] {
    frame.strip_prefix(ASKING).unwrap_or(frame)
}
