//! Makes the reply of a transaction out of several: what its node answers to EXEC, the proxy's own replies, and
//! those of the other nodes to commands that concern all of them.

use super::Gather;
use super::errand::{Around, Asks, Errand, Outcome};
use crate::resp::{Proto, encode, reply};

/// What belongs where in the array that EXEC answers. Part 0 is that of the transaction's own node.
#[derive(Debug)]
pub struct Splice {
    proto: Proto,
    /// The place in the whole array and the reply, in the order of the places.
    own: Vec<(usize, Vec<u8>)>,
    /// The place in the whole array of a reply of the node that is one of several, and where they come together.
    wide: Vec<(usize, Gather)>,
    /// For each further part of the step: which of these it belongs to, and its number there.
    parts: Vec<(usize, u32)>,
    /// What the node answered to EXEC.
    exec: Vec<u8>,
}

impl Splice {
    /// One to which nothing is added yet, for a client that speaks `proto`.
    #[must_use]
    pub const fn new(proto: Proto) -> Self {
        Self { proto, own: Vec::new(), wide: Vec::new(), parts: Vec::new(), exec: Vec::new() }
    }

    /// Adds the proxy's own reply to the command at `place`, which is behind all places of its kind so far.
    pub fn add_own(&mut self, place: usize, reply: Vec<u8>) {
        self.own.push((place, reply));
    }

    /// The reply of the node at `place` becomes one of `gather`'s parts, its number 0; `others` more come from
    /// elsewhere.
    pub fn widen(&mut self, place: usize, gather: Gather, others: u32) {
        let which = self.wide.len();
        self.wide.push((place, gather));
        self.parts.extend((1..=others).map(|number| (which, number)));
    }

    /// Whether the node's answer is the whole.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.own.is_empty() && self.wide.is_empty()
    }

    /// How many parts answer.
    #[must_use]
    pub const fn parts(&self) -> u32 {
        1 + self.parts.len() as u32
    }

    /// Appends the array of `theirs`, the replies of the node, and the proxy's own.
    pub fn write(&mut self, theirs: impl Iterator<Item = impl AsRef<[u8]>>, out: &mut Vec<u8>) {
        let mut own = self.own.iter().peekable();
        let mut wide = self.wide.iter_mut().peekable();
        let (mut body, mut place) = (Vec::new(), 0);
        for reply in theirs {
            while let Some((_, reply)) = own.next_if(|(at, _)| *at == place) {
                body.extend_from_slice(reply);
                place += 1;
            }
            match wide.next_if(|(at, _)| *at == place) {
                Some((_, gather)) => {
                    gather.add(0, reply.as_ref());
                    gather.finish(&mut body);
                }
                None => body.extend_from_slice(reply.as_ref()),
            }
            place += 1;
        }
        for (_, reply) in own {
            body.extend_from_slice(reply);
            place += 1;
        }
        encode::array(out, place);
        out.extend_from_slice(&body);
    }
}

impl Errand for Splice {
    fn proto(&self) -> Proto {
        self.proto
    }

    fn ask(&mut self, _: Around<'_>, _: &mut Asks) {
        // All of it is sent by the transaction.
    }

    fn add(&mut self, part: u32, reply: &[u8]) {
        match (part as usize).checked_sub(1) {
            None => self.exec = reply.to_vec(),
            Some(further) => {
                if let Some(&(which, number)) = self.parts.get(further)
                    && let Some((_, gather)) = self.wide.get_mut(which)
                {
                    gather.add(number, reply);
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Outcome {
        let exec = std::mem::take(&mut self.exec);
        match reply::elements(&exec, self.proto) {
            Some(theirs) => self.write(theirs, out),
            // An error, or the null of a transaction that was not run.
            None => out.extend_from_slice(&exec),
        }
        Outcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Merge;

    #[test]
    fn replies_stand_in_the_order_of_the_commands() {
        let mut splice = Splice::new(Proto::Resp2);
        for place in [0, 1, 3, 5] {
            splice.add_own(place, format!(":{place}\r\n").into_bytes());
        }
        let mut out = Vec::new();
        splice.write([&b"+two\r\n"[..], b"+four\r\n"].into_iter(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "*6\r\n:0\r\n:1\r\n+two\r\n:3\r\n+four\r\n:5\r\n");
    }

    #[test]
    fn what_other_nodes_say_is_added_to_what_the_node_says() {
        let mut splice = Splice::new(Proto::Resp2);
        splice.widen(0, Gather::new(Merge::Sum, Proto::Resp2, 3), 2);
        splice.add_own(1, b"+PONG\r\n".to_vec());
        splice.widen(3, Gather::new(Merge::AllOk, Proto::Resp2, 3), 2);
        assert_eq!(splice.parts(), 5);
        for (part, reply) in
            [(3, "+OK\r\n"), (1, ":10\r\n"), (0, "*3\r\n:1\r\n$1\r\nx\r\n+OK\r\n"), (4, "-ERR no\r\n"), (2, ":100\r\n")]
        {
            splice.add(part, reply.as_bytes());
        }
        let mut out = Vec::new();
        assert_eq!(splice.finish(&mut out), Outcome::Done);
        assert_eq!(String::from_utf8(out).unwrap(), "*4\r\n:111\r\n+PONG\r\n$1\r\nx\r\n-ERR no\r\n");
    }

    #[test]
    fn a_transaction_that_was_not_run_is_answered_as_its_node_says() {
        let mut splice = Splice::new(Proto::Resp2);
        splice.add_own(0, b"+PONG\r\n".to_vec());
        splice.add(0, b"*-1\r\n");
        let mut out = Vec::new();
        splice.finish(&mut out);
        assert_eq!(out, b"*-1\r\n");
    }
}
