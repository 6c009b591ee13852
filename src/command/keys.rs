//! Where the keys of a request stand, found in one pass over its arguments and without allocation.
//!
//! What is found agrees with what a node finds when it checks the slots of a command, so that the proxy and the node
//! never disagree about where a request belongs. Hashing a key to its slot is left to others.

use super::told::{Begin, Find};
use super::{Keys, Spec, Wording};
use crate::resp::request::Request;

/// Why the keys of a request cannot be told: the client's mistake, worded as the server words it, without the `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The count is no number, or one beyond 64 bits.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// The same, said by `FCALL`.
    #[error("ERR Bad number of keys provided")]
    BadNumber,
    /// The count is below 0.
    #[error("ERR Number of keys can't be negative")]
    Negative,
    /// The count is below 1 or no number.
    #[error("ERR numkeys should be greater than 0")]
    NotPositive,
    /// The count is below 1.
    #[error("ERR at least 1 input key is needed for '{0}' command")]
    NoKey(&'static str),
    /// The count is larger than the number of arguments behind it.
    #[error("ERR Number of keys can't be greater than number of args")]
    TooMany,
    /// The arguments do not follow the command's grammar.
    #[error("ERR syntax error")]
    Syntax,
    /// As many identifiers as streams are needed.
    #[error("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")]
    Unbalanced,
    /// A key lacks its value, or the argument that tells how many keys there are is missing.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
}

/// Calls `found` with the position of each key of `request`, which is one of `spec`; the name stands at 0.
///
/// The order is the caller's, a key that is named twice comes twice, and what lies behind the last argument is never
/// reported, even if the request has fewer arguments than the command takes. After an error, what was found before
/// it means nothing.
#[inline]
pub fn each_key(spec: &Spec, request: &Request<'_>, mut found: impl FnMut(usize)) -> Result<(), KeysError> {
    for rule in spec.keys {
        let places = match *rule {
            Keys::Range { first, last, step } => range(spec, request, first, last, step)?,
            Keys::Counted { at, wording } => counted(spec, request, usize::from(at), wording)?,
            Keys::Streams => streams(request)?,
            Keys::Told { begin, find } => as_told(request, begin, find)?,
            Keys::After { words, from, options } => after(request, words, usize::from(from), options),
        };
        places.for_each(&mut found);
    }
    Ok(())
}

/// The position of the first key, or `None` when there is no key.
#[inline]
pub fn first_key(spec: &Spec, request: &Request<'_>) -> Result<Option<usize>, KeysError> {
    let mut first = None;
    each_key(spec, request, |at| {
        first.get_or_insert(at);
    })?;
    Ok(first)
}

/// Whether the options of a request in the manner of `XREAD` hold `BLOCK`.
pub(super) fn block_option(request: &Request<'_>) -> bool {
    stream_options(request).block
}

/// Positions that stand at equal distances.
type Places = std::iter::StepBy<std::ops::Range<usize>>;

fn places(from: usize, end: usize) -> Places {
    (from..end).step_by(1)
}

fn range(spec: &Spec, request: &Request<'_>, first: u8, last: i8, step: u8) -> Result<Places, KeysError> {
    let (argc, first, step) = (request.argc(), usize::from(first), usize::from(step).max(1));
    let behind = if last < 0 {
        (argc + 1).saturating_sub(usize::from(last.unsigned_abs()))
    } else {
        argc.min(usize::from(last.unsigned_abs()) + 1)
    };
    if !behind.saturating_sub(first).is_multiple_of(step) {
        return Err(KeysError::Arity(spec.name));
    }
    Ok((first..behind).step_by(step))
}

fn counted(spec: &Spec, request: &Request<'_>, at: usize, wording: Wording) -> Result<Places, KeysError> {
    let text = request.arg(at).ok_or(KeysError::Arity(spec.name))?;
    let (no_number, least, too_small, too_many) = match wording {
        Wording::Script => (KeysError::NotInteger, 0, KeysError::Negative, KeysError::TooMany),
        Wording::Function => (KeysError::BadNumber, 0, KeysError::Negative, KeysError::TooMany),
        Wording::SortedSets => (KeysError::NotInteger, 1, KeysError::NoKey(spec.name), KeysError::Syntax),
        Wording::Sets => (KeysError::NotPositive, 1, KeysError::NotPositive, KeysError::TooMany),
        Wording::Pop => (KeysError::NotPositive, 1, KeysError::NotPositive, KeysError::Syntax),
    };
    let count = integer(text).ok_or(no_number)?;
    if count < least {
        return Err(too_small);
    }
    let left = request.argc() - at - 1;
    let count = usize::try_from(count).ok().filter(|count| *count <= left).ok_or(too_many)?;
    Ok(places(at + 1, at + 1 + count))
}

/// A whole number as the server reads it: no sign but `-`, no zero in front, no space, at most 64 bits.
#[must_use]
pub fn integer(text: &[u8]) -> Option<i64> {
    match text {
        b"0" => Some(0),
        [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..] => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Keys where a server says that they are.
#[cold]
fn as_told(request: &Request<'_>, begin: Begin, find: Find) -> Result<Places, KeysError> {
    let none = || Ok(places(0, 0));
    let argc = request.argc() as i64;
    let first = match begin {
        Begin::Index(first) => Some(first),
        Begin::Keyword(word, from) => behind_word(request, word, from),
        Begin::Unknown => None,
    };
    let Some(first) = first.filter(|&first| first > 0 && first < argc) else { return none() };
    let (first, last, step) = match find {
        Find::Range(last, step, _) if last >= 0 => (first, first + last, step),
        Find::Range(last, step, limit) if limit <= 1 => (first, argc + last, step),
        Find::Range(last, step, limit) => (first, first + (argc - first) / limit + last, step),
        Find::Count(at, key, step) => {
            let text = usize::try_from(first + at).ok().and_then(|at| request.arg(at)).ok_or(KeysError::Syntax)?;
            let count = integer(text).filter(|&count| count >= 0 && count < argc).ok_or(KeysError::Syntax)?;
            (first + key, first + key + (count - 1) * step, step)
        }
        Find::Unknown => return none(),
    };
    let (Ok(first), Ok(behind)) = (usize::try_from(first), usize::try_from(last + 1)) else { return none() };
    Ok((first..behind.min(request.argc())).step_by(usize::try_from(step).unwrap_or(1).max(1)))
}

/// The argument behind `word`, which is searched from an argument on, or from the end when that is negative.
fn behind_word(request: &Request<'_>, word: &str, from: i64) -> Option<i64> {
    let argc = request.argc() as i64;
    let is_it = |at: &i64| {
        let argument = usize::try_from(*at).ok().and_then(|at| request.arg(at));
        argument.is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
    };
    let found = if from > 0 { (from..argc).find(is_it) } else { (1..=argc + from).rev().find(is_it) };
    found.map(|at| at + 1)
}

fn streams(request: &Request<'_>) -> Result<Places, KeysError> {
    let first = stream_options(request).first_stream.ok_or(KeysError::Syntax)?;
    let rest = request.argc() - first;
    if !rest.is_multiple_of(2) {
        return Err(KeysError::Unbalanced);
    }
    Ok(places(first, first + rest / 2))
}

/// What stands before the streams of `XREAD` and `XREADGROUP`.
struct StreamOptions {
    block: bool,
    /// `None` when `STREAMS` is missing or nothing follows it.
    first_stream: Option<usize>,
}

/// Steps over the options with their arguments, so that a group or a consumer may have the name of an option. A word
/// that is not known may be an option of a newer server.
fn stream_options(request: &Request<'_>) -> StreamOptions {
    let mut block = false;
    let mut at = 1;
    while let Some(word) = request.arg(at) {
        if word.eq_ignore_ascii_case(b"STREAMS") {
            return StreamOptions { block, first_stream: Some(at + 1).filter(|first| *first < request.argc()) };
        }
        let is_block = word.eq_ignore_ascii_case(b"BLOCK");
        block |= is_block;
        at += match word {
            _ if is_block || word.eq_ignore_ascii_case(b"COUNT") => 2,
            _ if word.eq_ignore_ascii_case(b"GROUP") => 3,
            _ => 1,
        };
    }
    StreamOptions { block, first_stream: None }
}

fn after(request: &Request<'_>, words: &[&str], from: usize, options: &[(&str, usize)]) -> Places {
    let mut at = from;
    let mut key = None;
    while let Some(word) = request.arg(at) {
        let named = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if words.iter().any(|name| named(name)) {
            key = Some(at + 1).filter(|key| *key < request.argc()).or(key);
            at += 2;
        } else {
            at += 1 + options.iter().find(|(name, _)| named(name)).map_or(0, |(_, arguments)| *arguments);
        }
    }
    key.map_or_else(|| places(0, 0), |key| places(key, key + 1))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::command::lookup;
    use crate::resp::request::Span;

    /// The words one after the other; the canonical frame around them does not matter here.
    pub(crate) fn frame<T: AsRef<[u8]>>(words: &[T]) -> (Vec<u8>, Vec<Span>) {
        let mut frame = Vec::new();
        let spans = words
            .iter()
            .map(|word| {
                let start = frame.len() as u32;
                frame.extend_from_slice(word.as_ref());
                Span { start, len: word.as_ref().len() as u32 }
            })
            .collect();
        (frame, spans)
    }

    fn keys_of(line: &str) -> Result<Vec<usize>, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let (frame, spans) = frame(&words);
        let request = Request::new(&frame, &spans);
        let spec = lookup(request.name()).and_then(|spec| spec.resolve(&request)).expect("a known command");
        let mut places = Vec::new();
        each_key(spec, &request, |at| places.push(at)).map_err(|error| error.to_string())?;
        assert_eq!(first_key(spec, &request), Ok(places.first().copied()));
        Ok(places)
    }

    fn error_of(line: &str) -> String {
        keys_of(line).expect_err(line)
    }

    #[test]
    fn ranges_reach_to_a_place_or_to_one_counted_from_the_end() {
        assert_eq!(keys_of("get k"), Ok(vec![1]));
        assert_eq!(keys_of("copy a b db 1"), Ok(vec![1, 2]));
        assert_eq!(keys_of("mget a b a"), Ok(vec![1, 2, 3]));
        assert_eq!(keys_of("mset a 1 b 2"), Ok(vec![1, 3]));
        assert_eq!(keys_of("blpop a b 0"), Ok(vec![1, 2]));
        assert_eq!(keys_of("bitop and d a b"), Ok(vec![2, 3, 4]));
        assert_eq!(keys_of("object encoding k"), Ok(vec![2]));
    }

    #[test]
    fn a_request_that_is_too_short_has_no_keys_behind_its_end() {
        for line in ["get", "copy", "mget", "mset", "blpop", "blpop 0", "bitop and", "object encoding", "sort"] {
            assert_eq!(keys_of(line), Ok(vec![]), "{line}");
        }
        assert_eq!(keys_of("copy a"), Ok(vec![1]));
        assert_eq!(error_of("eval x"), "ERR wrong number of arguments for 'eval' command");
    }

    #[test]
    fn a_key_without_its_value_is_an_error() {
        assert_eq!(error_of("MSET a 1 b"), "ERR wrong number of arguments for 'mset' command");
        assert_eq!(error_of("msetnx a"), "ERR wrong number of arguments for 'msetnx' command");
    }

    #[test]
    fn counted_keys_end_where_the_count_says() {
        assert_eq!(keys_of("eval x 0 a"), Ok(vec![]));
        assert_eq!(keys_of("eval x 2 a b c"), Ok(vec![3, 4]));
        assert_eq!(keys_of("zunionstore d 2 a b weights 1 2"), Ok(vec![1, 3, 4]));
        assert_eq!(keys_of("bzmpop 0 1 k min"), Ok(vec![3]));
    }

    #[test]
    fn a_number_is_read_as_strictly_as_the_server_reads_it() {
        for (text, value) in
            [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(integer(text.as_bytes()), Some(value));
        }
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "1x", "9223372036854775808", "\u{661}"] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn streams_are_the_first_half_of_what_follows_the_word() {
        assert_eq!(keys_of("xread streams a b 0 0"), Ok(vec![2, 3]));
        assert_eq!(keys_of("xread count streams streams a 0"), Ok(vec![4]));
        assert_eq!(keys_of("xreadgroup count 1 group streams streams noack STREAMS a >"), Ok(vec![8]));
        assert_eq!(keys_of("xreadgroup group g c claim 10 streams a >"), Ok(vec![7]));
        assert_eq!(error_of("xread count 1 streams"), "ERR syntax error");
        assert_eq!(error_of("xread count 1 block 0"), "ERR syntax error");
        assert!(error_of("xread streams a b 0").starts_with("ERR Unbalanced XREAD list of streams"));
    }

    #[test]
    fn the_last_store_wins_and_arguments_of_options_are_no_words() {
        assert_eq!(keys_of("sort k"), Ok(vec![1]));
        assert_eq!(keys_of("sort k by store get store limit store store asc STORE d"), Ok(vec![1, 11]));
        assert_eq!(keys_of("sort k store a store b"), Ok(vec![1, 5]));
        assert_eq!(keys_of("sort k store a store"), Ok(vec![1, 3]));
        assert_eq!(keys_of("georadius store 0 0 1 m STORE a STOREDIST b"), Ok(vec![1, 9]));
        assert_eq!(keys_of("georadiusbymember k store 1 m storedist d"), Ok(vec![1, 6]));
        assert_eq!(keys_of("georadius_ro k 0 0 1 m store d"), Ok(vec![1]));
    }
}
