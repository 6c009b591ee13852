//! Puts answers of the proxy itself between those that a node gave inside a transaction.

use crate::resp::encode;

/// What belongs where in the array that EXEC answers.
#[derive(Debug, Default)]
pub struct Splice {
    /// The place in the whole array and the reply, in the order of the places.
    own: Vec<(usize, Vec<u8>)>,
}

impl Splice {
    /// Adds the proxy's own reply to the command at `place`, which is behind all places so far.
    pub fn add(&mut self, place: usize, reply: Vec<u8>) {
        self.own.push((place, reply));
    }

    /// Whether there is nothing to put in.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Appends the array of `theirs`, the replies of the node, and the proxy's own.
    pub fn write(&self, theirs: impl Iterator<Item = impl AsRef<[u8]>>, out: &mut Vec<u8>) {
        let mut own = self.own.iter().peekable();
        let mut body = Vec::new();
        let mut place = 0;
        for reply in theirs {
            while let Some((_, reply)) = own.next_if(|(at, _)| *at == place) {
                body.extend_from_slice(reply);
                place += 1;
            }
            body.extend_from_slice(reply.as_ref());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_stand_in_the_order_of_the_commands() {
        let mut splice = Splice::default();
        for place in [0, 1, 3, 5] {
            splice.add(place, format!(":{place}\r\n").into_bytes());
        }
        let mut out = Vec::new();
        splice.write([&b"+two\r\n"[..], b"+four\r\n"].into_iter(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "*6\r\n:0\r\n:1\r\n+two\r\n:3\r\n+four\r\n:5\r\n");
    }
}
