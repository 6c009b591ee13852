//! What a client has begun that outlasts one request: a transaction, keys that it watches.
//!
//! Data alone, in one box, so that the many clients without any of it stay small; `transaction` and `blocking`
//! make it move.
//!
//! ```text
//!              MULTI                  a queueing error
//!   Pipelined ───────► Open ─────────────────────────────► Aborted
//!      ▲  ▲            │ EXEC: one unit on the pipeline       │ EXEC: EXECABORT
//!      │  └────────────┴──────────────────────────────────────┘
//!      │ WATCH, BLPOP …
//!      ▼                      nothing under way          answered
//!   Settling (replies come) ────────────────► Pinned ───────────► Pipelined
//!                                 (one request on a lent connection; what follows waits)
//! ```
//!
//! After WATCH the client is pipelined again: its connection is kept for EXEC, other requests go the common way.

use super::dealt::Dealt;
use crate::backend::MULTI;
use crate::command::{Merge, Spec};
use crate::keyspace::Shape;

/// What outlasts one request.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// Between MULTI and EXEC.
    pub(super) transaction: Option<Transaction>,
    /// The slot of the keys that are watched.
    pub(super) watching: Option<u16>,
}

/// The commands of a transaction so far.
#[derive(Debug)]
pub(super) struct Transaction {
    /// MULTI and what goes to the node, as canonical frames.
    pub(super) frames: Vec<u8>,
    /// How many commands are queued.
    pub(super) count: usize,
    /// Those that the proxy answers itself.
    pub(super) own: Vec<Own>,
    /// Those that concern all nodes: they are among the frames too.
    pub(super) wide: Vec<Wide>,
    /// For keys in a keyspace: where each reply names some, and of which database; as long as `count`.
    pub(super) shapes: Vec<(Shape, u16)>,
    /// The database that the last SELECT in it chose.
    pub(super) db: Option<u16>,
    /// Its commands by slot, if it may go over several; then nothing of them is in `frames`.
    pub(super) dealt: Option<Box<Dealt>>,
    /// The slot of all keys so far.
    pub(super) slot: Option<u16>,
    /// Whether it only reads.
    pub(super) read: bool,
    /// Whether a command was refused: EXEC will be, too.
    pub(super) aborted: bool,
    watched: bool,
    /// Bytes held in `own` and `wide`.
    held: usize,
}

/// A command inside a transaction that the proxy answers itself.
#[derive(Debug)]
pub(super) struct Own {
    /// Its place among the commands.
    pub(super) place: usize,
    pub(super) spec: &'static Spec,
    pub(super) frame: Box<[u8]>,
}

/// A command inside a transaction that concerns all nodes.
#[derive(Debug)]
pub(super) struct Wide {
    /// Its place among the commands.
    pub(super) place: usize,
    pub(super) merge: Merge,
    /// Whether it only reads.
    pub(super) read: bool,
    pub(super) frame: Box<[u8]>,
}

impl Transaction {
    /// Begins one; keys that are watched bind it to their slot.
    pub(super) fn new(watching: Option<u16>) -> Self {
        let frames = MULTI.to_vec();
        Self {
            frames,
            count: 0,
            own: Vec::new(),
            wide: Vec::new(),
            shapes: Vec::new(),
            dealt: None,
            db: None,
            slot: watching,
            read: true,
            aborted: false,
            watched: watching.is_some(),
            held: 0,
        }
    }

    /// Whether keys are watched: it may turn out that nothing of it is to run.
    pub(super) const fn is_watched(&self) -> bool {
        self.watched
    }

    /// Bytes held.
    pub(super) const fn len(&self) -> usize {
        self.frames.len() + self.held
    }

    /// How many of the commands go to the node.
    pub(super) const fn sent(&self) -> usize {
        self.count - self.own.len()
    }

    /// Binds it to `slot`; false if it is bound to another one.
    pub(super) fn bind(&mut self, slot: u16) -> bool {
        *self.slot.get_or_insert(slot) == slot
    }

    /// Queues a command for the node.
    pub(super) fn queue(&mut self, frame: &[u8], read: bool) {
        self.frames.extend_from_slice(frame);
        self.read &= read;
        self.count += 1;
    }

    /// Queues a command for the node and all others.
    pub(super) fn queue_wide(&mut self, frame: &[u8], read: bool, merge: Merge) {
        self.wide.push(Wide { place: self.count, merge, read, frame: frame.into() });
        self.held += frame.len() + size_of::<Wide>();
        self.queue(frame, read);
    }

    /// A command was dealt, which takes `bytes`.
    pub(super) const fn dealt_one(&mut self, bytes: usize, read: bool) {
        self.held += bytes;
        self.read &= read;
        self.count += 1;
    }

    /// Queues a command that the proxy answers.
    pub(super) fn queue_own(&mut self, spec: &'static Spec, frame: &[u8]) {
        self.own.push(Own { place: self.count, spec, frame: frame.into() });
        self.held += frame.len() + size_of::<Own>();
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup;

    #[test]
    fn a_transaction_keeps_to_the_slot_of_its_first_key() {
        let mut transaction = Transaction::new(None);
        assert!(transaction.bind(5) && transaction.bind(5) && !transaction.bind(6));
        assert!(!Transaction::new(Some(7)).bind(5));
    }

    #[test]
    fn it_reads_only_as_long_as_all_of_it_does_and_counts_what_it_holds() {
        let mut transaction = Transaction::new(None);
        transaction.queue(b"get", true);
        assert!(transaction.read);
        transaction.queue_own(lookup(b"ping").unwrap(), b"ping");
        transaction.queue(b"set", false);
        assert!(!transaction.read);
        assert_eq!((transaction.count, transaction.sent(), transaction.own[0].place), (3, 2, 1));
        assert_eq!(transaction.len(), MULTI.len() + 6 + 4 + size_of::<Own>());
    }
}
