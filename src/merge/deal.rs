//! Makes the reply of a transaction out of those of several, one a slot, in the order in which its client gave the
//! commands.
//!
//! Each unit answers for itself: where one could not be run, its commands have the reason in their places, and the
//! others have their replies.

use super::Gather;
use super::errand::{Around, Asks, Errand, Outcome};
use crate::resp::{Proto, encode, reply};

const NO_REPLY: &[u8] = b"-ERR a node answered a part of the transaction in an unexpected form\r\n";

/// Where the reply to one command comes from.
#[derive(Debug)]
enum Place {
    /// It is the proxy's own.
    Own(Vec<u8>),
    /// The next one of this unit.
    Next(u32),
    /// The next ones of these units, and perhaps others, folded into one.
    Folded(Box<Gather>, Vec<u32>),
}

/// The replies of the units so far, and what becomes of them. The first parts of the step are the units.
#[derive(Debug)]
pub struct Deal {
    proto: Proto,
    places: Vec<Place>,
    units: Vec<Vec<u8>>,
    /// For each further part: the place that it belongs to, and its number there.
    further: Vec<(usize, u32)>,
}

impl Deal {
    /// A transaction without commands so far, for a client that speaks `proto`.
    #[must_use]
    pub const fn new(proto: Proto) -> Self {
        Self { proto, places: Vec::new(), units: Vec::new(), further: Vec::new() }
    }

    /// The next command is answered by the proxy itself.
    pub fn own(&mut self, reply: Vec<u8>) {
        self.places.push(Place::Own(reply));
    }

    /// The next command is in this unit.
    pub fn next(&mut self, unit: u32) {
        self.places.push(Place::Next(unit));
    }

    /// The next command is in these units, and at `others` nodes outside of them: its parts in this order.
    pub fn folded(&mut self, gather: Gather, units: Vec<u32>, others: u32) {
        let (place, first) = (self.places.len(), units.len() as u32);
        self.further.extend((first..first + others).map(|number| (place, number)));
        self.places.push(Place::Folded(Box::new(gather), units));
    }

    /// There are so many units; gives how many parts answer in all.
    pub fn close(&mut self, units: usize) -> u32 {
        self.units = vec![Vec::new(); units];
        (units + self.further.len()) as u32
    }
}

impl Errand for Deal {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, _: Around<'_>, _: &mut Asks) {
        // All of it is sent by the transaction.
    }

    fn add(&mut self, part: u32, reply: &[u8]) {
        let part = part as usize;
        if let Some(unit) = self.units.get_mut(part) {
            *unit = reply.to_vec();
        } else if let Some(&(place, number)) = self.further.get(part - self.units.len())
            && let Some(Place::Folded(gather, _)) = self.places.get_mut(place)
        {
            gather.add(number, reply);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        let mut ran: Vec<_> = self.units.iter().map(|unit| reply::elements(unit, self.proto)).collect();
        if let Some(first) = self.units.first().filter(|_| ran.iter().all(Option::is_none)) {
            out.extend_from_slice(first);
            return Outcome::Done;
        }
        let errors: Vec<&[u8]> =
            self.units.iter().map(|unit| if unit.starts_with(b"-") { unit.as_slice() } else { NO_REPLY }).collect();
        let mut next = |unit: u32| {
            let element = ran.get_mut(unit as usize).and_then(Option::as_mut).and_then(Iterator::next);
            element.unwrap_or_else(|| errors.get(unit as usize).copied().unwrap_or(NO_REPLY))
        };
        encode::array(out, self.places.len());
        for place in &mut self.places {
            match place {
                Place::Own(reply) => out.extend_from_slice(reply),
                Place::Next(unit) => out.extend_from_slice(next(*unit)),
                Place::Folded(gather, units) => {
                    for (number, unit) in (0..).zip(units.iter()) {
                        gather.add(number, next(*unit));
                    }
                    gather.finish(out);
                }
            }
        }
        Outcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Merge;

    fn dealt(replies: [&str; 4]) -> String {
        let mut deal = Deal::new(Proto::Resp2);
        deal.next(1);
        deal.own(b"+PONG\r\n".to_vec());
        deal.folded(Gather::new(Merge::Sum, Proto::Resp2, 2), vec![0, 1], 0);
        deal.next(0);
        deal.folded(Gather::new(Merge::AllOk, Proto::Resp2, 3), vec![0], 2);
        assert_eq!(deal.close(2), 4);
        for part in [3, 1, 0, 2] {
            deal.add(part, replies[part as usize].as_bytes());
        }
        let mut out = Vec::new();
        assert_eq!(deal.finish(&mut out), Outcome::Done);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_stand_in_the_order_of_the_commands() {
        let replies = dealt(["*3\r\n:1\r\n$1\r\nx\r\n+OK\r\n", "*2\r\n*0\r\n:2\r\n", "+OK\r\n", "+OK\r\n"]);
        assert_eq!(replies, "*5\r\n*0\r\n+PONG\r\n:3\r\n$1\r\nx\r\n+OK\r\n");
    }

    #[test]
    fn the_commands_of_a_unit_that_was_not_run_say_why() {
        let replies = dealt(["*3\r\n:1\r\n$1\r\nx\r\n+OK\r\n", "-PROXYUNSENT no\r\n", "+OK\r\n", "-ERR other\r\n"]);
        let expected = "*5\r\n-PROXYUNSENT no\r\n+PONG\r\n-PROXYUNSENT no\r\n$1\r\nx\r\n-ERR other\r\n";
        assert_eq!(replies, expected);
    }

    #[test]
    fn when_none_was_run_the_whole_says_why() {
        assert_eq!(dealt(["-EXECABORT a\r\n", "-EXECABORT b\r\n", "+OK\r\n", "+OK\r\n"]), "-EXECABORT a\r\n");
    }
}
