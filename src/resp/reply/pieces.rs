//! Replies that are passed on while they come: how far each piece may go, and where the reply ends.
//!
//! The same grammar and limits as for a reply that is read whole; but a bulk need not be there to its end, so that
//! nothing has to be kept but an unfinished line.

use super::{Item, Length, ReplyError, Scanner, length};
use crate::resp::Proto;

impl Scanner {
    /// Takes what may be passed on of `bytes`: how many there are, and whether they end the reply. The first call gets
    /// the reply from its start, as the last call of `end` did; what is left over comes again, with more behind it.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<(usize, bool), ReplyError> {
        let mut at = std::mem::take(&mut self.read);
        if self.open.is_empty() {
            self.open.push(1);
        }
        while !self.open.is_empty() {
            if self.body > 0 {
                let Some(next) = self.rest_of_bulk(bytes, at)? else {
                    at += self.part_of_bulk(bytes.len() - at);
                    break;
                };
                at = next;
                self.count(&Item::scalar(next))?;
                continue;
            }
            match bytes.get(at) {
                Some(&kind) if self.is_bulk(kind) => match length(bytes, at + 1)? {
                    Length::Is(len, next) => {
                        if self.gone + next + len > self.max {
                            return Err(ReplyError::Size);
                        }
                        self.body = len + 2;
                        at = next;
                        continue;
                    }
                    Length::Null(_) => {}
                    Length::More => break,
                },
                Some(b'>') if self.gone + at > 0 => return Err(ReplyError::NestedPush),
                _ => {}
            }
            let Some(item) = self.item(bytes, at)? else { break };
            at = item.end;
            self.count(&item)?;
        }
        self.gone += at;
        if self.gone > self.max {
            return Err(ReplyError::Size);
        }
        let is_done = self.open.is_empty();
        if is_done {
            self.gone = 0;
        }
        Ok((at, is_done))
    }

    /// Whether `kind` begins a length and so many bytes.
    fn is_bulk(&self, kind: u8) -> bool {
        kind == b'$' || (self.proto == Proto::Resp3 && matches!(kind, b'!' | b'='))
    }

    /// Behind the bulk whose body goes on at `at`, if all of it is there.
    fn rest_of_bulk(&mut self, bytes: &[u8], at: usize) -> Result<Option<usize>, ReplyError> {
        let end = at + self.body - 2;
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => {
                self.body = 0;
                Ok(Some(end + 2))
            }
            Some(_) => Err(ReplyError::LineEnd),
            None => Ok(None),
        }
    }

    /// How much of the body may go of which `have` bytes are there: all but its line end.
    const fn part_of_bulk(&mut self, have: usize) -> usize {
        let most = self.body - 2;
        let part = if have < most { have } else { most };
        self.body -= part;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: [&[u8]; 6] = [
        b"$10\r\n+OK\r\n$3\r\n.\r\n",
        b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n$0\r\n\r\n",
        b"%1\r\n+key\r\n~2\r\n=7\r\ntxt:a\r\n\r\n#t\r\n",
        b"|1\r\n+a\r\n:1\r\n*1\r\n_\r\n",
        b"+a line\r\n",
        b"*0\r\n",
    ];

    /// What is passed on when the scanner sees `first` bytes, and the rest comes in pieces of `size`.
    fn passed(reply: &[u8], first: usize, size: usize) -> Result<(Vec<u8>, usize), ReplyError> {
        let mut scanner = Scanner::new(Proto::Resp3, 1000);
        let (mut out, mut at, mut end) = (Vec::new(), 0, first);
        assert_eq!(scanner.end(&reply[..first])?, None, "{first}");
        loop {
            let (used, done) = scanner.pass(&reply[at..end])?;
            out.extend_from_slice(&reply[at..at + used]);
            at += used;
            if done {
                return Ok((out, at));
            }
            assert!(end < reply.len(), "the end was missed");
            end = reply.len().min(end + size);
        }
    }

    #[test]
    fn a_reply_is_the_same_wherever_it_is_cut() {
        for reply in REPLIES {
            let more = [reply, b"+OK\r\n"].concat();
            for first in 0..reply.len() {
                for size in 1..=reply.len() {
                    assert_eq!(passed(&more, first, size), Ok((reply.to_vec(), reply.len())), "{first} {size}");
                }
            }
        }
    }

    #[test]
    fn the_scanner_reads_on_as_before() {
        let mut scanner = Scanner::new(Proto::Resp3, 1000);
        for reply in REPLIES {
            let (start, rest) = reply.split_at(2);
            assert_eq!(scanner.end(start), Ok(None));
            let (used, _) = scanner.pass(start).expect("a reply");
            assert_eq!(scanner.pass(&[&start[used..], rest].concat()), Ok((rest.len() + 2 - used, true)));
            assert_eq!(scanner.end(reply), Ok(Some(reply.len())));
        }
    }

    #[test]
    fn the_grammar_is_kept_to_the_end() {
        for (reply, error) in [
            (&b"$3\r\nabcd\r\n"[..], ReplyError::LineEnd),
            (b"*2\r\n$1\r\na\r\n>1\r\n+x\r\n", ReplyError::NestedPush),
            (b"*2\r\n$1\r\na\r\n$999\r\n", ReplyError::Size),
            (b"*2\r\n$1\r\na\r\n?\r\n", ReplyError::Type(b'?')),
        ] {
            for size in 1..4 {
                assert_eq!(passed(reply, 3, size), Err(error), "{}", reply.escape_ascii());
            }
        }
        let long =
            [b"*9\r\n".to_vec(), [b"$200\r\n".to_vec(), vec![b'x'; 200], b"\r\n".to_vec()].concat().repeat(9)].concat();
        assert_eq!(passed(&long, 30, 50), Err(ReplyError::Size));
    }
}
