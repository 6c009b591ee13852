//! One page of a walk: which step follows which, and when the page is full.
//!
//! ```text
//!               the slot rests                       full, or no slot left
//!   Slots ──────────────────────► Check ──► (next) ─────────────────────────► the reply
//!    │ ▲ │ many keys                ▲
//!    │ │ └────────► Weigh ► Table ──┤
//!    │ └── Await ◄── asked in vain  │
//!    └───── Await ─► Both, twice ───┘
//!      on the move
//! ```

use super::cursor::{Cursor, MAX_WIDTH};
use super::filter::{self, Filter};
use super::slots::{self, ALL, Key, Says};
use super::table::{self, WHOLE};
use crate::cluster::slot::{SLOTS, slot};
use crate::merge::errand::{Answers, Around, Asks, Errand, Outcome, To};
use crate::resp::request::Request;
use crate::resp::{Proto, encode, reply};

/// So many slots are looked at for one page, however empty they are.
const MAX_SLOTS: usize = 2048;
/// So many steps a page may take before it ends, full or not.
const MAX_STEPS: u32 = 48;
/// A single slot with more keys is weighed before it is asked for as a whole.
const MANY: usize = 2000;
/// As many keys are asked about in one `EXISTS`.
const EXISTS: usize = 500;

/// What the step under way asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Some slots' keys, each between two probes; at most `limit` of one slot.
    Slots { first: u16, count: u16, limit: usize },
    /// Whoever has the slot to answer again.
    Await { slot: u16, moves: bool },
    /// All primaries for the keys of a slot on the move, for the first or the second time.
    Both { slot: u16, second: bool },
    /// How many keys a slot and its node have.
    Weigh { slot: u16 },
    /// A stretch of a node's table.
    Table(table::Step),
    /// Whether keys are still there: those of one slot together, or each of them by itself for its type.
    Check { each: bool },
}

/// What follows a step.
#[derive(Debug)]
enum Then {
    Go(Step),
    /// The last slot is done.
    End,
}

/// One page of SCAN.
#[derive(Debug)]
pub struct Page {
    proto: Proto,
    filter: Filter,
    /// The one slot to walk over.
    only: Option<u16>,
    step: Step,
    /// What follows a check.
    then: Then,
    answers: Answers,
    /// Keys that may have expired, or be of another type than is wanted.
    unchecked: Vec<Key>,
    found: Vec<Key>,
    /// Keys looked at, whether they fit or not.
    seen: usize,
    slots: usize,
    steps: u32,
    /// 2 to this power is how many slots to ask for next.
    width: u8,
}

/// Begins the page that `request`, a SCAN, asks for; an error text if it asks wrongly. With `only`, the walk is over
/// that slot alone.
pub fn begin(request: &Request<'_>, proto: Proto, only: Option<u16>) -> Result<Page, &'static str> {
    let (cursor, filter) = filter::read(request)?;
    let mut page = Page {
        proto,
        filter,
        only,
        step: Step::Check { each: false },
        then: Then::End,
        answers: Answers::default(),
        unchecked: Vec::new(),
        found: Vec::new(),
        seen: 0,
        slots: 0,
        steps: 0,
        width: 0,
    };
    page.step = match cursor {
        Cursor::Table(spot) if only.is_some_and(|only| only != spot.slot) => return Err("ERR invalid cursor"),
        Cursor::Table(spot) => Step::Table(table::Step::at(spot, &page.filter)),
        Cursor::Slots { next, width } => {
            page.width = width;
            page.slots_from(only.unwrap_or(next))
        }
    };
    Ok(page)
}

impl Page {
    /// The step that asks for the slots from `first` on.
    fn slots_from(&self, first: u16) -> Step {
        let width = if self.only.is_some() { 0 } else { self.width };
        let count = (1_u16 << width.min(MAX_WIDTH)).min(SLOTS.saturating_sub(first)).max(1);
        let wanted = self.filter.count;
        let limit = if count == 1 { MANY.max(2 * wanted) } else { (4 * wanted / usize::from(count)).max(16) };
        Step::Slots { first, count, limit }
    }

    /// What follows when all slots before `next` are done.
    fn after(&self, next: u16) -> Then {
        if next >= SLOTS || self.only.is_some() { Then::End } else { Then::Go(self.slots_from(next)) }
    }

    /// Reads the answers to the step; an error reply if the client is to get one.
    fn read(&mut self) -> Result<Then, Vec<u8>> {
        match self.step {
            Step::Slots { first, count, limit } => self.read_slots(first, count, limit),
            Step::Await { slot, moves } => match self.answers.part(0) {
                error @ [b'-' | b'!', ..] => Err(error.to_vec()),
                _ if moves => Ok(Then::Go(Step::Both { slot, second: false })),
                _ => Ok(Then::Go(self.slots_from(slot))),
            },
            Step::Both { slot, second } => self.read_both(slot, second),
            Step::Weigh { slot } => match table::weighed(slot, &self.answers, self.proto, &self.filter) {
                Ok(Some(step)) => Ok(Then::Go(Step::Table(step))),
                Ok(None) => Ok(Then::Go(Step::Slots { first: slot, count: 1, limit: WHOLE })),
                Err(says) => Self::instead(slot, says),
            },
            Step::Table(step) => match step.read(&self.answers, self.proto) {
                Ok((keys, next)) => {
                    self.seen += step.count;
                    self.found.extend(keys);
                    Ok(next.map_or_else(|| self.after(step.spot.slot + 1), |next| Then::Go(Step::Table(next))))
                }
                Err(says) => Self::instead(step.spot.slot, says),
            },
            Step::Check { each } => self.read_check(each),
        }
    }

    fn read_slots(&mut self, first: u16, count: u16, limit: usize) -> Result<Then, Vec<u8>> {
        let mut listed = 0;
        for at in 0..count {
            let (of, part) = (first + at, usize::from(at) * 3);
            let says = Says::of(self.answers.part(part)).and(Says::of(self.answers.part(part + 2)));
            let keys = match (says, slots::keys(self.answers.part(part + 1), self.proto)) {
                (Says::Rests, Ok(keys)) => keys,
                (Says::Rests, Err(says)) | (says, _) => {
                    self.width = self.width.saturating_sub(1);
                    return Self::instead(of, says);
                }
            };
            if keys.len() > limit {
                return Ok(Then::Go(self.narrower(of, at, count, limit)));
            }
            listed += keys.len();
            self.seen += keys.len();
            self.slots += 1;
            self.unchecked.extend(keys.into_iter().filter(|key| self.filter.takes(key)));
        }
        self.width = self.wider(usize::from(count), listed);
        Ok(self.after(first + count))
    }

    /// The step for a slot with more keys than the limit, the one at place `at` of those asked for.
    fn narrower(&mut self, of: u16, at: u16, count: u16, limit: usize) -> Step {
        if count > 1 {
            self.width = if at == 0 { 0 } else { self.width.saturating_sub(2) };
            return self.slots_from(of);
        }
        debug_assert!(limit <= 2 * WHOLE, "a limit is a size that a page may have");
        Step::Weigh { slot: of }
    }

    /// How many slots to ask for next, when so many had so many keys.
    fn wider(&self, slots: usize, keys: usize) -> u8 {
        let most = (self.width + 2).min(MAX_WIDTH);
        let missing = match self.filter.count.saturating_sub(self.seen) {
            0 => self.filter.count,
            missing => missing,
        };
        let wanted = (missing * slots).checked_div(keys).unwrap_or(usize::MAX);
        (wanted.max(1).ilog2() as u8).min(most)
    }

    fn read_both(&mut self, of: u16, second: bool) -> Result<Then, Vec<u8>> {
        let read: Result<Vec<_>, Says> = self.answers.iter().map(|reply| slots::keys(reply, self.proto)).collect();
        let found = match read {
            Ok(found) => found,
            Err(says) => return Self::instead(of, says),
        };
        self.unchecked.extend(found.into_iter().flatten().filter(|key| self.filter.takes(key)));
        if !second {
            return Ok(Then::Go(Step::Both { slot: of, second: true }));
        }
        self.unchecked.sort_unstable();
        self.unchecked.dedup();
        self.seen += self.unchecked.len();
        self.slots += 1;
        Ok(self.after(of + 1))
    }

    /// What follows when a slot could not be read.
    fn instead(of: u16, says: Says) -> Result<Then, Vec<u8>> {
        match says {
            Says::Refuses(error) => Err(error),
            Says::Moves => Ok(Then::Go(Step::Await { slot: of, moves: true })),
            Says::Rests | Says::Elsewhere => Ok(Then::Go(Step::Await { slot: of, moves: false })),
        }
    }

    /// The keys that are looked at, slot by slot; the slices are what one `EXISTS` asks about.
    fn groups(&self) -> impl Iterator<Item = &[Key]> {
        self.unchecked.chunk_by(|a, b| slot(a) == slot(b)).flat_map(|group| group.chunks(EXISTS))
    }

    fn read_check(&mut self, each: bool) -> Result<Then, Vec<u8>> {
        let mut doubtful = Vec::new();
        let mut sure = Vec::new();
        if each {
            for (key, reply) in self.unchecked.iter().zip(self.answers.iter()) {
                match reply {
                    [b'-' | b'!', ..] => return Err(reply.to_vec()),
                    _ if self.wants(reply) => sure.push(key.clone()),
                    _ => {}
                }
            }
        } else {
            for (group, answer) in self.groups().zip(self.answers.iter()) {
                let all_there = reply::integer(answer) == Some(group.len() as i64);
                if all_there { &mut sure } else { &mut doubtful }.extend_from_slice(group);
            }
        }
        self.found.append(&mut sure);
        self.unchecked = doubtful;
        let then = std::mem::replace(&mut self.then, Then::End);
        if self.unchecked.is_empty() {
            return Ok(then);
        }
        self.then = then;
        Ok(Then::Go(Step::Check { each: true }))
    }

    /// Whether the answer to `TYPE` is one that is wanted.
    fn wants(&self, reply: &[u8]) -> bool {
        let kind = reply.strip_prefix(b"+").and_then(|rest| rest.strip_suffix(b"\r\n")).unwrap_or_default();
        let fits = self.filter.kind.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind));
        fits && kind != b"none"
    }

    /// The cursor that ends the page before `step`, if it may end here.
    fn stop_before(&self, step: &Step) -> Option<Cursor> {
        let is_full = self.seen >= self.filter.count || self.slots >= MAX_SLOTS;
        let is_long = self.steps >= MAX_STEPS;
        let begin = |slot| Cursor::Slots { next: slot, width: 0 };
        match *step {
            Step::Slots { first, .. } if is_full || is_long => {
                Some(Cursor::Slots { next: first, width: self.width.max(1) })
            }
            Step::Table(step) if step.sayable && (is_full || is_long) => Some(Cursor::Table(step.spot)),
            Step::Await { slot, .. } | Step::Both { slot, second: false } | Step::Weigh { slot }
                if is_full || is_long =>
            {
                Some(begin(slot))
            }
            _ => None,
        }
    }

    fn write(&self, cursor: Option<Cursor>, out: &mut Vec<u8>) {
        encode::array(out, 2);
        let number = cursor.map_or(0, Cursor::number);
        encode::bulk(out, number.to_string().as_bytes());
        encode::array(out, self.found.len());
        for key in &self.found {
            encode::bulk(out, key);
        }
    }
}

impl Errand for Page {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, around: Around<'_>, asks: &mut Asks) {
        match self.step {
            Step::Slots { first, count, limit } => {
                for of in first..first + count {
                    let to = To::Owner(of);
                    slots::probe(of, to, asks);
                    slots::list(of, limit + 1, to, asks);
                    slots::probe(of, to, asks);
                }
            }
            Step::Await { slot, .. } => slots::probe(slot, To::Slot(slot), asks),
            Step::Both { slot, .. } => {
                around.nodes.iter().for_each(|&node| slots::list(slot, ALL, To::Node(node), asks));
            }
            Step::Weigh { slot } => table::weigh(slot, asks),
            Step::Table(step) => step.ask(&self.filter, asks),
            Step::Check { each: true } => {
                self.unchecked.iter().for_each(|key| asks.add(To::Slot(slot(key)), &[b"TYPE", key]));
            }
            Step::Check { each: false } => {
                for group in self.groups() {
                    let to = To::Owner(group.first().map_or(0, |key| slot(key)));
                    let words: Vec<&[u8]> =
                        std::iter::once(b"EXISTS".as_slice()).chain(group.iter().map(|k| &**k)).collect();
                    asks.add(to, &words);
                }
            }
        }
    }

    fn add(&mut self, part: u32, reply: &[u8]) {
        self.answers.put(part, reply);
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        self.steps += 1;
        let read = self.read();
        self.answers.clear();
        let mut then = match read {
            Ok(then) => then,
            Err(error) => {
                out.extend_from_slice(&error);
                return Outcome::Done;
            }
        };
        let is_check = matches!(then, Then::Go(Step::Check { .. } | Step::Both { .. }));
        if !self.unchecked.is_empty() && !is_check {
            self.then = then;
            then = Then::Go(Step::Check { each: self.filter.kind.is_some() });
        }
        match then {
            Then::End => self.write(None, out),
            Then::Go(step) => {
                let Some(cursor) = self.stop_before(&step) else {
                    self.step = step;
                    return Outcome::Again;
                };
                self.write(Some(cursor), out);
            }
        }
        Outcome::Done
    }
}
