//! A transaction whose commands are dealt to the slots of their keys: what it holds until EXEC.
//!
//! Data alone; `per_slot` fills it and sends it.

use std::collections::HashMap;

use crate::backend::MULTI;
use crate::command::Merge;
use crate::merge::Gather;

/// A transaction whose commands are dealt to their slots.
#[derive(Debug, Default)]
pub(super) struct Dealt {
    pub(super) units: Vec<Unit>,
    /// The unit of each slot.
    of: HashMap<u16, u32>,
    /// What goes where, by the place among the commands; the proxy's own commands are not here.
    pub(super) places: Vec<(usize, Cards)>,
}

/// One slot's transaction.
#[derive(Debug)]
pub(super) struct Unit {
    /// `None` as long as no command of it has a key.
    pub(super) slot: Option<u16>,
    pub(super) frames: Vec<u8>,
    pub(super) read: bool,
}

/// Place one command is run.
#[derive(Debug)]
pub(super) enum Cards {
    One(u32),
    /// In parts, which are folded.
    Split(Box<Gather>, Vec<u32>),
    /// In the first unit and on all other primaries.
    Wide {
        merge: Merge,
        read: bool,
        frame: Box<[u8]>,
    },
}

impl Dealt {
    /// The unit of `slot`; without one, the first, and the first one with a key gives it its slot.
    fn unit(&mut self, slot: Option<u16>) -> u32 {
        if let Some(&unit) = slot.and_then(|slot| self.of.get(&slot)) {
            return unit;
        }
        let open = match (slot, self.units.first_mut()) {
            (None, Some(_)) => return 0,
            (Some(_), Some(first)) if first.slot.is_none() => {
                first.slot = slot;
                0
            }
            _ => {
                self.units.push(Unit { slot, frames: MULTI.to_vec(), read: true });
                self.units.len() as u32 - 1
            }
        };
        self.of.extend(slot.map(|slot| (slot, open)));
        open
    }

    /// Puts a command into the unit of `slot`; gives which one that is.
    pub(super) fn put(&mut self, slot: Option<u16>, read: bool, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let at = self.unit(slot);
        if let Some(unit) = self.units.get_mut(at as usize) {
            write(&mut unit.frames);
            unit.read &= read;
        }
        at
    }
}
