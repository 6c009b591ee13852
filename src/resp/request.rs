//! What clients send: one request at a time, as a frame and the spans of its arguments.
//!
//! The [`Decoder`] reads multibulk and inline requests in one pass that goes on where it stopped when more
//! bytes come. Its grammar is stricter than that of Redis, which does not look at the two bytes behind a bulk:
//! where two parsers disagree, requests get smuggled. A multibulk frame that passes is canonical, so its bytes
//! go to a node as they are; an inline one is written anew. What a request means is left to `command`.

mod error;
mod rest;

use super::{encode, inline};
pub use error::ProtocolError;
pub use rest::Rest;

/// Where an argument stands, relative to the start of its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// One whole request: its canonical multibulk frame and where its arguments stand in it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    frame: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// Puts a frame and its spans together; every span must lie inside the frame.
    #[must_use]
    pub const fn new(frame: &'a [u8], spans: &'a [Span]) -> Self {
        Self { frame, spans }
    }

    /// The bytes to send to a node.
    #[must_use]
    pub const fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// How many arguments there are, the command's name included; never 0.
    #[must_use]
    pub const fn argc(&self) -> usize {
        self.spans.len()
    }

    /// Argument `at` (0 is the command's name), or `None` behind the last.
    #[inline]
    #[must_use]
    pub fn arg(&self, at: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(at)?;
        let start = span.start as usize;
        self.frame.get(start..start + span.len as usize)
    }

    /// Argument `at` as it stands in the frame, from the `$` of its length to the end of its line.
    #[must_use]
    pub fn framed(&self, at: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(at)?;
        let start = match at.checked_sub(1).and_then(|before| self.spans.get(before)) {
            Some(before) => (before.start + before.len) as usize + 2,
            None => memchr::memchr(b'$', self.frame)?,
        };
        self.frame.get(start..(span.start + span.len) as usize + 2)
    }

    /// The command's name as the client wrote it.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.arg(0).unwrap_or_default()
    }

    /// The request that begins at argument `at`, as COMMAND GETKEYS holds one; its frame is still the whole.
    #[must_use]
    pub fn skip(&self, at: usize) -> Option<Self> {
        let spans = self.spans.get(at..).filter(|spans| !spans.is_empty())?;
        Some(Self { frame: self.frame, spans })
    }

    /// The arguments in order, the name first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let frame = self.frame;
        self.spans.iter().map(move |span| {
            let start = span.start as usize;
            frame.get(start..start + span.len as usize).unwrap_or_default()
        })
    }
}

/// The parts of the request at hand, used anew for each request of a worker.
#[derive(Debug, Default)]
pub struct Args {
    spans: Vec<Span>,
    /// The canonical frame of an inline request.
    inline: Vec<u8>,
}

impl Args {
    /// The request that the last [`Step::Request`] spoke of; `bytes` is what the decoder was given.
    #[inline]
    #[must_use]
    pub fn request<'a>(&'a self, bytes: &'a [u8], used: usize, inline: bool) -> Request<'a> {
        let frame = if inline { &self.inline } else { bytes.get(..used).unwrap_or_default() };
        Request::new(frame, &self.spans)
    }
}

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most arguments of a request.
    pub args: usize,
    /// The largest argument, in bytes.
    pub bulk: usize,
    /// The largest request, in bytes.
    pub frame: usize,
    /// Whether these are the limits before authentication (Redis words the errors differently).
    pub unauthenticated: bool,
}

impl Limits {
    /// Before authentication: enough for `AUTH` and `HELLO`, too little to hurt.
    pub const UNAUTHENTICATED: Self = Self { args: 10, bulk: 16 << 10, frame: 64 << 10, unauthenticated: true };
}

/// What one call of [`Decoder::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request, in the first `used` bytes; [`Args::request`] gives it.
    Request {
        /// How many bytes it took.
        used: usize,
        /// Whether it was an inline request.
        inline: bool,
    },
    /// Nothing that is answered (an empty line, `*0`), in the first `used` bytes.
    Empty {
        /// How many bytes it took.
        used: usize,
    },
    /// The request is not whole yet.
    More,
}

/// The longest inline request, as in Redis.
const MAX_INLINE: usize = 64 << 10;
/// No length needs more digits.
const MAX_DIGITS: usize = 10;

/// Where the reading of one client's request stands. Empty between requests.
///
/// ```text
///            '*'                 argument whole
///   start ────────► bulk header ◄──────────────┐
///     │                 └──────► bulk body ────┘──► request when none is left
///     └─ other ─► inline line ─► request
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// How many bytes of the unfinished frame were read.
    read: usize,
    /// Arguments that are still to come; 0 at the start of a frame.
    left: usize,
    /// The length of the bulk whose header was read and whose body is not whole.
    bulk: Option<usize>,
    /// The arguments so far of an unfinished frame.
    spans: Vec<Span>,
}

impl Decoder {
    /// Reads the request at the start of `bytes`. After [`Step::More`] the next call gets the same bytes and
    /// more behind them; after the others, what stands behind `used`.
    #[inline]
    pub fn step(&mut self, bytes: &[u8], args: &mut Args, limits: &Limits) -> Result<Step, ProtocolError> {
        if self.read == 0 {
            if let Some(used) = quick(bytes, args, limits) {
                return Ok(Step::Request { used, inline: false });
            }
            args.spans.clear();
            match bytes.first() {
                None => return Ok(Step::More),
                Some(b'*') => {
                    if let Some(step) = self.header(bytes, limits)? {
                        return Ok(step);
                    }
                }
                Some(_) => return self.inline(bytes, args, limits),
            }
        } else {
            if self.left == 0 {
                return self.inline(bytes, args, limits);
            }
            std::mem::swap(&mut self.spans, &mut args.spans);
        }
        self.bulks(bytes, args, limits)
    }

    /// Whether the bytes so far end between two requests.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.read == 0
    }

    /// How many bytes the unfinished request still needs at least; 0 when that is not known.
    #[must_use]
    pub fn missing(&self, have: usize) -> usize {
        self.bulk.map_or(0, |len| (self.read + len + 2).saturating_sub(have))
    }

    /// `*n`: sets `left`, or gives what to return at once.
    fn header(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Step>, ProtocolError> {
        let (count, next) = match length(bytes, 1) {
            Number::Is(count, next) => (count, next),
            Number::More => return Ok(Some(Step::More)),
            Number::Bad => return negative(bytes).map(Some),
        };
        if count == 0 {
            return Ok(Some(Step::Empty { used: next }));
        }
        if count > limits.args {
            return Err(if limits.unauthenticated {
                ProtocolError::UnauthenticatedMultibulk
            } else {
                ProtocolError::MultibulkLength
            });
        }
        self.left = count;
        self.read = next;
        Ok(None)
    }

    /// The arguments, from where the last call stopped.
    fn bulks(&mut self, bytes: &[u8], args: &mut Args, limits: &Limits) -> Result<Step, ProtocolError> {
        let mut at = self.read;
        let mut left = self.left;
        let mut open = self.bulk.take();
        while left > 0 {
            let len = match open.take() {
                Some(len) => len,
                None => match bulk_header(bytes, at, limits)? {
                    Some((len, next)) => {
                        at = next;
                        len
                    }
                    None => return Ok(self.pause(at, left, None, args)),
                },
            };
            if at + len > limits.frame {
                return Err(ProtocolError::RequestSize);
            }
            let end = at + len;
            match bytes.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::ExpectedCrlf),
                None => return Ok(self.pause(at, left, Some(len), args)),
            }
            args.spans.push(Span { start: at as u32, len: len as u32 });
            at = end + 2;
            left -= 1;
        }
        self.read = 0;
        self.left = 0;
        Ok(Step::Request { used: at, inline: false })
    }

    /// Keeps what was read until more bytes come.
    #[cold]
    fn pause(&mut self, read: usize, left: usize, bulk: Option<usize>, args: &mut Args) -> Step {
        self.read = read;
        self.left = left;
        self.bulk = bulk;
        std::mem::swap(&mut self.spans, &mut args.spans);
        args.spans.clear();
        Step::More
    }

    /// One line, split into arguments as Redis splits it.
    #[cold]
    fn inline(&mut self, bytes: &[u8], args: &mut Args, limits: &Limits) -> Result<Step, ProtocolError> {
        if bytes.first().is_some_and(|&b| b < b' ' && !matches!(b, b'\r' | b'\n' | b'\t')) {
            return Err(ProtocolError::NotResp);
        }
        let max = MAX_INLINE.min(limits.frame);
        let fresh = bytes.get(self.read..).unwrap_or_default();
        let end = memchr::memchr2(b'\n', 0, fresh).map_or(bytes.len(), |n| n + self.read);
        // Servers look for the end of the line as in a C string: behind a NUL they never find it.
        if bytes.get(end) != Some(&b'\n') {
            self.read = end;
            return if bytes.len() > max { Err(ProtocolError::InlineSize) } else { Ok(Step::More) };
        }
        self.read = 0;
        if end > max {
            return Err(ProtocolError::InlineSize);
        }
        let line = bytes.get(..end).unwrap_or_default();
        let words = inline::split(line.strip_suffix(b"\r").unwrap_or(line)).ok_or(ProtocolError::Quotes)?;
        if words.is_empty() {
            return Ok(Step::Empty { used: end + 1 });
        }
        if words.len() > limits.args {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        args.inline.clear();
        args.spans.clear();
        encode::array(&mut args.inline, words.len());
        for word in &words {
            encode::bulk(&mut args.inline, word);
            let start = args.inline.len() - word.len() - 2;
            args.spans.push(Span { start: start as u32, len: word.len() as u32 });
        }
        Ok(Step::Request { used: end + 1, inline: true })
    }
}

/// A whole multibulk request without anything unusual, the one that comes nearly always: where it ends. `None`
/// leaves it to the careful reading, which finds out what is unusual.
#[inline]
fn quick(bytes: &[u8], args: &mut Args, limits: &Limits) -> Option<usize> {
    let (count, header) = small(bytes, b'*')?;
    if count == 0 || count > limits.args {
        return None;
    }
    if args.spans.len() != count {
        args.spans.resize(count, Span::default());
    }
    let mut at = header;
    for span in &mut args.spans {
        let rest = bytes.get(at..)?;
        let (len, header) = small(rest, b'$')?;
        let (_, end) = rest.get(header..)?.split_at_checked(len)?;
        if *end.first_chunk()? != *b"\r\n" {
            return None;
        }
        *span = Span { start: (at + header) as u32, len: len as u32 };
        at += header + len + 2;
    }
    Some(at)
}

/// `kind` and a number of one or two digits with its CRLF: the number, and how many bytes all of it takes.
#[inline]
fn small(bytes: &[u8], kind: u8) -> Option<(usize, usize)> {
    let &[first, tens, ones, cr, lf] = bytes.first_chunk()?;
    if first != kind {
        return None;
    }
    let value = usize::from(tens.wrapping_sub(b'0'));
    if [ones, cr] == *b"\r\n" {
        return (value < 10).then_some((value, 4));
    }
    let second = usize::from(ones.wrapping_sub(b'0'));
    let is_canonical = value.wrapping_sub(1) < 9 && second < 10 && [cr, lf] == *b"\r\n";
    is_canonical.then_some((value * 10 + second, 5))
}

/// A decimal number that ends with CRLF.
enum Number {
    /// Its value and where the next byte stands.
    Is(usize, usize),
    More,
    Bad,
}

/// Reads a canonical decimal number (no sign, no leading zero) at `at`.
fn length(bytes: &[u8], at: usize) -> Number {
    let mut value = 0usize;
    let mut next = at;
    loop {
        let Some(&byte) = bytes.get(next) else {
            return if next - at > MAX_DIGITS { Number::Bad } else { Number::More };
        };
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if next - at == MAX_DIGITS || (next > at && value == 0) {
            return Number::Bad;
        }
        value = value * 10 + digit as usize;
        next += 1;
    }
    match (bytes.get(next), bytes.get(next + 1)) {
        (Some(b'\r'), Some(b'\n')) if next > at => Number::Is(value, next + 2),
        (Some(b'\r'), None) if next > at => Number::More,
        _ => Number::Bad,
    }
}

/// `*-n`, which Redis reads as nothing.
#[cold]
fn negative(bytes: &[u8]) -> Result<Step, ProtocolError> {
    match (bytes.get(1), length(bytes, 2)) {
        (Some(b'-'), Number::Is(value, next)) if value > 0 => Ok(Step::Empty { used: next }),
        (Some(b'-'), Number::More) if bytes.get(2) != Some(&b'0') => Ok(Step::More),
        _ => Err(ProtocolError::MultibulkLength),
    }
}

/// `$n` at `at`: the length and where the body stands.
fn bulk_header(bytes: &[u8], at: usize, limits: &Limits) -> Result<Option<(usize, usize)>, ProtocolError> {
    match bytes.get(at) {
        Some(b'$') => {}
        Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        None => return Ok(None),
    }
    match length(bytes, at + 1) {
        Number::Is(len, next) if len <= limits.bulk => Ok(Some((len, next))),
        Number::Is(..) if limits.unauthenticated => Err(ProtocolError::UnauthenticatedBulk),
        Number::More => Ok(None),
        Number::Is(..) | Number::Bad => Err(ProtocolError::BulkLength),
    }
}

#[cfg(test)]
mod tests;
