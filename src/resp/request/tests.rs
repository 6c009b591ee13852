//! The decoder beside a naive twin, which reads the whole input again and again, at every split point.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { args: 1000, bulk: 1 << 20, frame: 1 << 22, unauthenticated: false };

type Words = Vec<Vec<u8>>;

/// What is read from a stream of requests: those that are whole, each with its frame, and how it ends.
#[derive(Debug, PartialEq)]
struct Read {
    requests: Vec<(Vec<u8>, Words)>,
    end: Result<(), ProtocolError>,
}

/// Feeds `bytes` so that they arrive in pieces which end at `cuts`.
fn decoded(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Read {
    let (mut decoder, mut args, mut at, mut requests) = (Decoder::default(), Args::default(), 0, Vec::new());
    for &have in cuts.iter().chain([&bytes.len()]) {
        loop {
            let rest = &bytes[at..have.max(at)];
            match decoder.step(rest, &mut args, limits) {
                Ok(Step::Request { used, inline }) => {
                    let request = args.request(rest, used, inline);
                    requests.push((request.frame().to_vec(), request.args().map(<[u8]>::to_vec).collect()));
                    at += used;
                    assert!(decoder.is_idle());
                }
                Ok(Step::Empty { used }) => at += used,
                Ok(Step::More) => break,
                Err(error) => return Read { requests, end: Err(error) },
            }
        }
    }
    Read { requests, end: Ok(()) }
}

/// The twin: what the first line of `bytes` is, without its CRLF, and what is behind it.
fn naive_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

/// A number as clients write them: digits, no sign, no zero in front, at most ten.
fn naive_number(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    let number: usize = text.parse().ok()?;
    (number.to_string() == text && text.len() <= 10).then_some(number)
}

/// Whether more bytes could still make `text` the beginning of a number's line.
fn could_be_number(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\r").filter(|digits| !digits.is_empty()).unwrap_or(text);
    text.is_empty() || naive_number(text).is_some()
}

enum Twin<'a> {
    Request(Words, &'a [u8]),
    Nothing(&'a [u8]),
    More,
}

fn naive<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Twin<'a>, ProtocolError> {
    match bytes.first() {
        None => Ok(Twin::More),
        Some(b'*') => naive_multibulk(bytes, limits),
        Some(0..=8 | 11 | 12 | 14..=31) => Err(ProtocolError::NotResp),
        Some(_) => naive_inline(bytes, limits),
    }
}

fn naive_multibulk<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Twin<'a>, ProtocolError> {
    let Some((line, mut rest)) = naive_line(&bytes[1..]) else {
        let digits = bytes[1..].strip_prefix(b"-").unwrap_or(&bytes[1..]);
        let is_zero = bytes.get(1) == Some(&b'-') && digits.first() == Some(&b'0');
        let maybe = could_be_number(digits) && !is_zero;
        return if maybe { Ok(Twin::More) } else { Err(ProtocolError::MultibulkLength) };
    };
    if line.strip_prefix(b"-").and_then(naive_number).is_some_and(|number| number > 0) {
        return Ok(Twin::Nothing(rest));
    }
    let count = naive_number(line).ok_or(ProtocolError::MultibulkLength)?;
    if count > limits.args {
        let before = limits.unauthenticated;
        return Err(if before { ProtocolError::UnauthenticatedMultibulk } else { ProtocolError::MultibulkLength });
    }
    if count == 0 {
        return Ok(Twin::Nothing(rest));
    }
    let mut words = Vec::new();
    for _ in 0..count {
        match rest.first() {
            None => return Ok(Twin::More),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let Some((line, body)) = naive_line(&rest[1..]) else {
            return if could_be_number(&rest[1..]) { Ok(Twin::More) } else { Err(ProtocolError::BulkLength) };
        };
        let len = naive_number(line).ok_or(ProtocolError::BulkLength)?;
        if len > limits.bulk {
            let before = limits.unauthenticated;
            return Err(if before { ProtocolError::UnauthenticatedBulk } else { ProtocolError::BulkLength });
        }
        if bytes.len() - body.len() + len > limits.frame {
            return Err(ProtocolError::RequestSize);
        }
        if body.len() < len + 2 {
            return Ok(Twin::More);
        }
        if &body[len..len + 2] != b"\r\n" {
            return Err(ProtocolError::ExpectedCrlf);
        }
        words.push(body[..len].to_vec());
        rest = &body[len + 2..];
    }
    Ok(Twin::Request(words, rest))
}

fn naive_inline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Twin<'a>, ProtocolError> {
    let most = limits.frame.min(64 << 10);
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n' || byte == 0).filter(|&end| bytes[end] != 0) else {
        return if bytes.len() > most { Err(ProtocolError::InlineSize) } else { Ok(Twin::More) };
    };
    if end > most {
        return Err(ProtocolError::InlineSize);
    }
    let mut line = &bytes[..end];
    line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = Vec::new();
    loop {
        line = line.trim_ascii_start();
        // `isspace` counts the vertical tab, Rust does not.
        if let [11, rest @ ..] = line {
            line = rest;
            continue;
        }
        if line.is_empty() {
            break;
        }
        let (word, rest) = naive_word(line).ok_or(ProtocolError::Quotes)?;
        words.push(word);
        line = rest;
    }
    if words.len() > limits.args {
        return Err(ProtocolError::UnauthenticatedMultibulk);
    }
    let rest = &bytes[end + 1..];
    Ok(if words.is_empty() { Twin::Nothing(rest) } else { Twin::Request(words, rest) })
}

/// One word, recursively, byte by byte.
fn naive_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    fn ends(rest: &[u8]) -> bool {
        rest.first().is_none_or(|&byte| byte == b' ' || (9..=13).contains(&byte))
    }
    fn double(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let hex = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
        let (byte, rest) = match text {
            [b'"', rest @ ..] => return ends(rest).then_some((Vec::new(), rest)),
            [b'\\', b'x', a, b, rest @ ..] if hex(*a).is_some() && hex(*b).is_some() => {
                (hex(*a).unwrap() << 4 | hex(*b).unwrap(), rest)
            }
            [b'\\', b'n', rest @ ..] => (b'\n', rest),
            [b'\\', b'r', rest @ ..] => (b'\r', rest),
            [b'\\', b't', rest @ ..] => (b'\t', rest),
            [b'\\', b'b', rest @ ..] => (8, rest),
            [b'\\', b'a', rest @ ..] => (7, rest),
            [b'\\'] | [] => return None,
            [b'\\', other, rest @ ..] | [other, rest @ ..] => (*other, rest),
        };
        let (word, rest) = double(rest)?;
        Some(([&[byte][..], &word].concat(), rest))
    }
    fn single(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let (byte, rest) = match text {
            [b'\'', rest @ ..] => return ends(rest).then_some((Vec::new(), rest)),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [] => return None,
            [other, rest @ ..] => (*other, rest),
        };
        let (word, rest) = single(rest)?;
        Some(([&[byte][..], &word].concat(), rest))
    }
    match text {
        rest if ends(rest) => Some((Vec::new(), rest)),
        [b'"', rest @ ..] => double(rest),
        [b'\'', rest @ ..] => single(rest),
        [byte, rest @ ..] => {
            let (word, rest) = naive_word(rest)?;
            Some(([&[*byte][..], &word].concat(), rest))
        }
        [] => Some((Vec::new(), text)),
    }
}

fn naive_frame(words: &Words) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes().chain(word.iter().copied()).chain(*b"\r\n"));
    }
    out
}

/// All of `bytes` by the twin.
fn by_twin(mut bytes: &[u8], limits: &Limits) -> Read {
    let mut requests = Vec::new();
    loop {
        match naive(bytes, limits) {
            Ok(Twin::Request(words, rest)) => {
                requests.push((naive_frame(&words), words));
                bytes = rest;
            }
            Ok(Twin::Nothing(rest)) => bytes = rest,
            Ok(Twin::More) => return Read { requests, end: Ok(()) },
            Err(error) => return Read { requests, end: Err(error) },
        }
    }
}

/// The twin, the decoder in one go, byte by byte, and cut once at every place: all read the same.
fn all_agree(bytes: &[u8], limits: &Limits) -> Read {
    let twin = by_twin(bytes, limits);
    let text = bytes.escape_ascii();
    assert_eq!(decoded(bytes, &[], limits), twin, "in one go: {text}");
    for cut in 0..bytes.len() {
        assert_eq!(decoded(bytes, &[cut], limits), twin, "cut at {cut}: {text}");
    }
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(decoded(bytes, &every, limits), twin, "byte by byte: {text}");
    twin
}

fn words(bytes: &[u8]) -> Vec<String> {
    let read = all_agree(bytes, &LIMITS);
    assert_eq!(read.end, Ok(()));
    read.requests.iter().map(|(_, words)| words.concat().escape_ascii().to_string()).collect()
}

fn refused(bytes: &[u8], limits: &Limits) -> String {
    all_agree(bytes, limits).end.expect_err("it is no request").to_string()
}

#[test]
fn multibulk_and_inline_mix() {
    let mixed = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\n*0\r\n*-1\r\nset  k \"a\\x41\\n\" 'b\\'c'\r\nPING\n";
    assert_eq!(words(mixed), ["GETk", r"setkaA\nb\'c", "PING"]);
}

#[test]
fn empty_requests_are_nothing() {
    assert_eq!(words(b"\r\n\n  \t\r\n*0\r\n*-5\r\n*1\r\n$0\r\n\r\n"), [""]);
}

#[test]
fn quotes_are_read_as_redis_reads_them() {
    assert_eq!(words(b"a\"b c\" d\r\n"), ["ab cd"]);
    assert_eq!(
        words(br#"SET k "\x00\xfF\q\"" '\n\'"'"#.iter().chain(b"\r\n").copied().collect::<Vec<_>>().as_slice()),
        [r#"SETk\x00\xffq\"\\n\'\""#]
    );
    for open in ["SET k \"a", "SET k 'a", "SET k \"a\"b", "SET k 'a'b", "SET k \"a\\\"", "SET k \"\\"] {
        assert_eq!(refused(format!("{open}\r\n").as_bytes(), &LIMITS), "unbalanced quotes in request");
    }
}

#[test]
fn errors_are_worded_as_redis_words_them() {
    for (bytes, text) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1001\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$1048577\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$1\r\nabc\r\n", "expected CRLF after a bulk string"),
        (b"\x16\x03\x01", "not a RESP request"),
    ] {
        assert_eq!(refused(bytes, &LIMITS), text, "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_hold_before_authentication_and_after() {
    let before = Limits::UNAUTHENTICATED;
    assert_eq!(refused(b"*11\r\n", &before), "unauthenticated multibulk length");
    assert_eq!(refused(b"*1\r\n$16385\r\n", &before), "unauthenticated bulk length");
    let argument = [&b"$16384\r\n"[..], &[b'x'; 16384], b"\r\n"].concat();
    let large = [b"*10\r\n".to_vec(), argument.repeat(4)].concat();
    let whole = decoded(&large, &[], &before);
    assert_eq!(whole.end, Err(ProtocolError::RequestSize), "four arguments of 16 KiB are too much together");
    assert_eq!(decoded(&[b"*3\r\n".to_vec(), argument.repeat(3)].concat(), &[], &before).requests.len(), 1);
    let small = Limits { args: 3, bulk: 1000, frame: 1500, unauthenticated: false };
    let bulk = |len: usize| [format!("${len}\r\n").as_bytes(), &vec![b'x'; len], b"\r\n"].concat();
    assert_eq!(all_agree(&[&b"*1\r\n"[..], &bulk(1000)].concat(), &small).requests.len(), 1);
    assert_eq!(refused(&[&b"*1\r\n"[..], &bulk(1001)].concat(), &small), "invalid bulk length");
    assert_eq!(refused(&[&b"*2\r\n"[..], &bulk(800), &bulk(800)].concat(), &small), "too big request");
    assert_eq!(refused(b"*4\r\n", &small), "invalid multibulk length");
    assert_eq!(refused(&[b'x'; 1501], &small), "too big inline request");
}

#[test]
fn a_line_without_an_end_is_refused_at_64_kib() {
    let line = vec![b'a'; (64 << 10) + 1];
    assert_eq!(decoded(&line[1..], &[], &LIMITS).end, Ok(()));
    assert_eq!(decoded(&line, &[], &LIMITS).end, Err(ProtocolError::InlineSize));
    assert_eq!(decoded(&line, &[1000, 40_000], &LIMITS).end, Err(ProtocolError::InlineSize));
    assert_eq!(decoded(&[&line[1..], b"\n"].concat(), &[65_000], &LIMITS).requests.len(), 1);
}

#[test]
fn what_is_missing_is_known_for_large_arguments() {
    let (mut decoder, mut args) = (Decoder::default(), Args::default());
    let start = b"*2\r\n$3\r\nSET\r\n$1000\r\nabc";
    assert_eq!(decoder.step(start, &mut args, &LIMITS), Ok(Step::More));
    assert_eq!(decoder.missing(start.len()), 1000 + 2 - 3);
    assert!(!decoder.is_idle());
}

/// Words of all kinds of bytes, short ones mostly.
fn any_words() -> impl Strategy<Value = Words> {
    let word = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(b"$*\r\n0123-".to_vec()), 0..8),
        Just(vec![b'v'; 130]),
    ];
    prop::collection::vec(word, 1..5)
}

/// Lines of what matters in inline requests.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"ab \"'\\xn0\t\x0b{}\r\0".to_vec());
    prop::collection::vec(byte, 0..16).prop_map(|line| [&line[..], b"\n"].concat())
}

/// A stream of requests.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => any_words().prop_map(|words| naive_frame(&words)),
        1 => any_line(),
        1 => prop::sample::select(vec![b"*0\r\n".to_vec(), b"*-1\r\n".to_vec(), b"\r\n".to_vec()]),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// Changes a few bytes to ones that matter, drops some, doubles some.
fn corrupted(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    for &(at, what, byte) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        let matters = b"*$\r\n0159-+:x"[usize::from(byte) % 12];
        match what % 4 {
            0 => bytes[at] = matters,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, matters),
            _ => bytes[at] = byte,
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_streams_are_read_whatever_the_pieces(parts in prop::collection::vec(any_words(), 1..4)) {
        let bytes: Vec<u8> = parts.iter().flat_map(naive_frame).collect();
        let read = all_agree(&bytes, &LIMITS);
        prop_assert_eq!(read.end, Ok(()));
        prop_assert_eq!(read.requests.into_iter().map(|(_, words)| words).collect::<Vec<_>>(), parts);
    }

    #[test]
    fn corrupted_streams_are_read_as_the_twin_reads_them(
        bytes in any_stream(),
        changes in prop::collection::vec(any::<(usize, u8, u8)>(), 0..4),
    ) {
        let bytes = corrupted(bytes, &changes);
        all_agree(&bytes, &LIMITS);
        // Below 100 bytes an argument is never refused; nobody can ask for such a limit.
        all_agree(&bytes, &Limits { args: 2, bulk: 100, frame: 12_000, unauthenticated: true });
    }
}
