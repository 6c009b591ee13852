//! The rest of a request whose first bytes have been passed on already: what is left of it, piece by piece.
//!
//! A [`Rest`] takes over from the decoder in the middle of a frame and keeps its grammar to the end: what it lets
//! through is canonical, like a frame that was read whole.

use super::{Decoder, Limits, ProtocolError, bulk_header};

/// What is left of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Rest {
    /// Arguments that are not whole.
    left: usize,
    /// Bytes of the first of them that are still to come, with the CRLF behind it; 0 before its header.
    body: usize,
    /// How long the frame is so far.
    frame: usize,
}

impl Decoder {
    /// Gives up the unfinished request that stands at the start of `bytes`: what is left of it, and how many of the
    /// bytes belong to what was read. The next request is read from its beginning.
    pub fn hand_over(&mut self, bytes: &[u8]) -> (Rest, usize) {
        let Self { read, left, bulk, .. } = std::mem::take(self);
        // The line end is looked at when it is there.
        let head = bulk.map_or(read, |len| bytes.len().min(read + len));
        let body = bulk.map_or(0, |len| read + len + 2 - head);
        (Rest { left, body, frame: head }, head)
    }

    /// How long the unfinished request is at least, of which `have` bytes are there.
    #[must_use]
    pub fn length(&self, have: usize) -> usize {
        have + self.missing(have)
    }

    /// The arguments of the unfinished request that are whole, in the frame that begins with `bytes`, and how many
    /// it will have.
    #[must_use]
    pub fn so_far<'a>(&'a self, bytes: &'a [u8]) -> (super::Request<'a>, usize) {
        (super::Request::new(bytes, &self.spans), self.spans.len() + self.left)
    }
}

impl Rest {
    /// Takes what may be passed on of `bytes`: how many there are, and whether they end the request. What is left over
    /// comes again, with more behind it.
    pub fn pass(&mut self, bytes: &[u8], limits: &Limits) -> Result<(usize, bool), ProtocolError> {
        let mut at = 0;
        while self.left > 0 {
            if self.body == 0 {
                let Some((len, next)) = bulk_header(bytes, at, limits)? else { break };
                self.body = len + 2;
                at = next;
                if self.frame + at + len > limits.frame {
                    return Err(ProtocolError::RequestSize);
                }
            }
            let have = bytes.len() - at;
            let body = self.body.saturating_sub(2).min(have);
            at += body;
            self.body -= body;
            if self.body > 2 {
                break;
            }
            match bytes.get(at..at + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::ExpectedCrlf),
                None => break,
            }
            at += 2;
            self.body = 0;
            self.left -= 1;
        }
        self.frame += at;
        Ok((at, self.left == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::{Args, Step};

    const LIMITS: Limits = Limits { args: 10, bulk: 100, frame: 300, unauthenticated: false };
    const FRAME: &[u8] = b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n$3\r\nabc\r\n\r\n.\r\n$2\r\nNX\r\n";

    /// What is passed on when the decoder sees `first` bytes, and the rest comes in pieces of `size`.
    fn passed(frame: &[u8], first: usize, size: usize) -> Result<(Vec<u8>, usize), ProtocolError> {
        let (mut decoder, mut args) = (Decoder::default(), Args::default());
        let start = frame.get(..first).unwrap_or_default();
        assert_eq!(decoder.step(start, &mut args, &LIMITS), Ok(Step::More), "{first}");
        let (mut rest, head) = decoder.hand_over(start);
        assert!(decoder.is_idle());
        let (mut out, mut at, mut end) = (start.get(..head).unwrap_or_default().to_vec(), head, first);
        loop {
            let bytes = frame.get(at..end).unwrap_or_default();
            let (used, done) = rest.pass(bytes, &LIMITS)?;
            out.extend_from_slice(bytes.get(..used).unwrap_or_default());
            at += used;
            if done {
                return Ok((out, at));
            }
            assert!(end < frame.len(), "the end was missed");
            end = frame.len().min(end + size);
        }
    }

    #[test]
    fn a_request_is_the_same_wherever_it_is_cut() {
        let pipelined = [FRAME, b"*1\r\n$4\r\nPING\r\n"].concat();
        for first in 5..FRAME.len() {
            for size in 1..=FRAME.len() {
                assert_eq!(passed(&pipelined, first, size), Ok((FRAME.to_vec(), FRAME.len())), "{first} {size}");
            }
        }
    }

    #[test]
    fn the_grammar_is_kept_to_the_end() {
        let broken = |text: &[u8], with: &[u8]| {
            let at = FRAME.windows(text.len()).position(|part| part == text).expect("a part of the frame");
            [&FRAME[..at], with, &FRAME[at + text.len()..]].concat()
        };
        for (frame, error) in [
            (broken(b".\r\n", b"..\n"), ProtocolError::ExpectedCrlf),
            (broken(b"$2\r\nNX", b"+2\r\nNX"), ProtocolError::ExpectedBulk(b'+')),
            (broken(b"$2\r\nNX", b"$02\r\nNX"), ProtocolError::BulkLength),
            (broken(b"$2\r\nNX", b"$101\r\nNX"), ProtocolError::BulkLength),
        ] {
            for size in 1..8 {
                assert_eq!(passed(&frame, 25, size), Err(error), "{size}");
            }
        }
        let long = [
            b"*9\r\n".as_slice(),
            &b"$90\r\n".iter().chain(&[b'x'; 90]).chain(b"\r\n").copied().collect::<Vec<_>>().repeat(9),
        ]
        .concat();
        assert_eq!(passed(&long, 30, 7), Err(ProtocolError::RequestSize));
    }

    #[test]
    fn the_arguments_so_far_are_known() {
        let (mut decoder, mut args) = (Decoder::default(), Args::default());
        let start = &FRAME[..35];
        assert_eq!(decoder.step(start, &mut args, &LIMITS), Ok(Step::More));
        let (request, argc) = decoder.so_far(start);
        assert_eq!((request.argc(), argc, request.name(), request.arg(1)), (2, 4, &b"SET"[..], Some(&b"k"[..])));
        assert_eq!(decoder.length(start.len()), start.len() + decoder.missing(start.len()));
    }
}
