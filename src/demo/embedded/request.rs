//! Requests as the nodes read them: only the canonical framing, anything else is a violation.
//!
//! A real server is lenient (inline commands, leading zeros, any byte after `\r`), and where two parsers are
//! lenient in different ways requests get smuggled. The proxy promises canonical framing to nodes, so this
//! reader takes no other and says what was wrong. It shares no code with the proxy's parser: it is a second
//! opinion.

/// The most arguments that one request may have.
const MAX_ARGS: usize = 1024 * 1024;
/// The longest argument, in bytes.
const MAX_ARG: usize = 512 * 1024 * 1024;
/// The longest header line: a mark, the digits of a length, `\r\n`.
const MAX_HEADER: usize = 16;

/// Collects bytes and gives out whole requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    bytes: Vec<u8>,
    /// How much of `bytes` was taken already.
    at: usize,
    /// The arguments of the unfinished request that are whole.
    args: Vec<Vec<u8>>,
    /// How many arguments the unfinished request still lacks.
    missing: usize,
}

impl Requests {
    /// Adds bytes that came.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole request, `None` if more bytes are needed, or what is not canonical.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>, String> {
        if self.missing == 0 {
            let Some(count) = self.header(b'*', MAX_ARGS)? else { return Ok(None) };
            if count == 0 {
                return Err("a request without arguments".to_owned());
            }
            self.missing = count;
        }
        while self.missing > 0 {
            let Some(arg) = self.argument()? else { return Ok(None) };
            self.args.push(arg);
            self.missing -= 1;
        }
        Ok(Some(std::mem::take(&mut self.args)))
    }

    /// Takes one `$<length>\r\n<bytes>\r\n`, all of it or nothing.
    fn argument(&mut self) -> Result<Option<Vec<u8>>, String> {
        let start = self.at;
        let Some(len) = self.header(b'$', MAX_ARG)? else { return Ok(None) };
        let Some(bytes) = self.bytes.get(self.at..self.at + len + 2) else {
            // Nothing is reserved for bytes that were only announced.
            self.at = start;
            return Ok(None);
        };
        let (arg, end) = bytes.split_at(len);
        if end != b"\r\n" {
            return Err(format!("an argument that ends in '{}' and not in \\r\\n", end.escape_ascii()));
        }
        let arg = arg.to_vec();
        self.at += len + 2;
        Ok(Some(arg))
    }

    /// Takes a line of `mark` and a length of at most `most`.
    fn header(&mut self, mark: u8, most: usize) -> Result<Option<usize>, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let seen = &rest[..rest.len().min(MAX_HEADER)];
        if seen.first().is_some_and(|&b| b != mark) {
            return Err(format!("'{}' where '{}' was due", seen.escape_ascii(), mark.escape_ascii()));
        }
        let Some(end) = seen.iter().position(|&b| b == b'\n') else {
            return if seen.len() == MAX_HEADER { Err(odd(seen)) } else { Ok(None) };
        };
        let line = &seen[..=end];
        let len = canonical(line).filter(|&n| n <= most).ok_or_else(|| odd(line))?;
        self.at += line.len();
        Ok(Some(len))
    }
}

/// The number of a header line, if it is written the one way that a client library would.
fn canonical(line: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(line.get(1..)?.strip_suffix(b"\r\n")?).ok()?;
    let number: usize = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn odd(line: &[u8]) -> String {
    format!("a header '{}' that is not canonical or beyond the limits", line.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<Vec<Vec<u8>>>, String> {
        let mut requests = Requests::default();
        let mut found = Vec::new();
        for piece in pieces {
            requests.feed(piece);
            while let Some(args) = requests.next()? {
                found.push(args);
            }
        }
        Ok(found)
    }

    #[test]
    fn requests_come_whole_however_they_are_cut() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n";
        let whole = all(&[bytes]).unwrap();
        assert_eq!(whole.len(), 3);
        for cut in 0..=bytes.len() {
            assert_eq!(all(&[&bytes[..cut], &bytes[cut..]]).unwrap(), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(all(&single).unwrap(), whole);
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let odd: [&[u8]; 11] = [
            b"PING\r\n",
            b"\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*+1\r\n$4\r\nPING\r\n",
            b"*01\r\n$4\r\nPING\r\n",
            b"*1\n$4\r\nPING\r\n",
            b"*1\r\n$04\r\nPING\r\n",
            b"*1\r\n$4\r\nPINGxx",
            b"*1\r\n:4\r\n",
            b"*11111111111111111111",
        ];
        for bytes in odd {
            assert!(all(&[bytes]).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
