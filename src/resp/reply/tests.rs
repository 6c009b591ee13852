//! The scanner beside a naive twin that reads the whole input recursively, at every split point, and beside the
//! parser of another project.

use proptest::prelude::*;

use super::*;
use crate::resp::value::Value;

/// Large enough for all that is generated here.
const MAX: usize = 1 << 20;

/// What the twin says: where the reply ends, or nothing while it is not whole.
type Twin = Result<Option<usize>, ReplyError>;

/// The first line of `bytes` without its CRLF, and where the next begins.
fn naive_line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

/// A line of text: no CR and no LF inside.
fn naive_text(bytes: &[u8]) -> Twin {
    let clean = |text: &[u8]| !text.contains(&b'\r') && !text.contains(&b'\n');
    match naive_line(bytes) {
        Some((text, end)) if clean(text) => Ok(Some(end)),
        None if clean(bytes.strip_suffix(b"\r").unwrap_or(bytes)) => Ok(None),
        _ => Err(ReplyError::LineEnd),
    }
}

enum Size {
    Of(usize, usize),
    Null(usize),
    More,
}

fn naive_size(bytes: &[u8]) -> Result<Size, ReplyError> {
    let number = |text: &[u8]| -> Option<usize> {
        let digits = !text.is_empty() && text.len() <= 10 && text.iter().all(u8::is_ascii_digit);
        digits.then(|| std::str::from_utf8(text).unwrap().parse().unwrap())
    };
    if bytes.first() == Some(&b'?') {
        return Err(ReplyError::Streamed);
    }
    match naive_line(bytes) {
        Some((b"-1", end)) => Ok(Size::Null(end)),
        Some((text, end)) => Ok(Size::Of(number(text).ok_or(ReplyError::Number)?, end)),
        None => {
            let text = bytes.strip_suffix(b"\r").filter(|text| !text.is_empty()).unwrap_or(bytes);
            let maybe = text.is_empty() || matches!(text, b"-" | b"-1") || number(text).is_some();
            let null_like = !(text == b"-" && bytes.ends_with(b"\r"));
            if maybe && null_like { Ok(Size::More) } else { Err(ReplyError::Number) }
        }
    }
}

/// One value at the start of `bytes`, `depth` aggregates deep, recursively.
fn naive(bytes: &[u8], proto: Proto, depth: usize, first: bool) -> Twin {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    let body = &bytes[1..];
    let behind = |end: Option<usize>| end.map(|end| end + 1);
    if !b"+-:$*".contains(&kind) && (proto == Proto::Resp2 || !b"_#,(!=~%|>;.".contains(&kind)) {
        return Err(ReplyError::Type(kind));
    }
    match kind {
        b';' | b'.' => Err(ReplyError::Streamed),
        b'>' if !first => Err(ReplyError::NestedPush),
        b'+' | b'-' | b',' | b'(' => naive_text(body).map(behind),
        b':' => {
            let Some(end) = naive_text(body)? else { return Ok(None) };
            let text = &body[..end - 2];
            let digits = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
            let good = (1..=20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            if good { Ok(Some(end + 1)) } else { Err(ReplyError::Number) }
        }
        b'_' | b'#' => {
            let texts: &[&[u8]] = if kind == b'_' { &[b"\r\n"] } else { &[b"t\r\n", b"f\r\n"] };
            match texts.iter().find(|text| text.starts_with(&body[..body.len().min(text.len())])) {
                Some(text) => Ok((body.len() >= text.len()).then_some(text.len() + 1)),
                None => Err(ReplyError::LineEnd),
            }
        }
        b'$' | b'!' | b'=' => match naive_size(body)? {
            Size::More => Ok(None),
            Size::Null(end) if kind == b'$' => Ok(Some(end + 1)),
            Size::Null(_) => Err(ReplyError::Number),
            Size::Of(len, _) if len > MAX => Err(ReplyError::Size),
            Size::Of(len, at) => match body.get(at + len..at + len + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some(1 + at + len + 2)),
                Some(_) => Err(ReplyError::LineEnd),
            },
        },
        _ => naive_aggregate(bytes, proto, depth),
    }
}

fn naive_aggregate(bytes: &[u8], proto: Proto, depth: usize) -> Twin {
    let kind = bytes[0];
    let each = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
    let (count, mut at) = match naive_size(&bytes[1..])? {
        Size::More => return Ok(None),
        Size::Null(end) if kind == b'*' => return Ok(Some(end + 1)),
        Size::Null(_) => return Err(ReplyError::Number),
        Size::Of(count, end) => (count * each, end + 1),
    };
    if count * 3 > MAX {
        return Err(ReplyError::Size);
    }
    if count > 0 && depth == MAX_DEPTH {
        return Err(ReplyError::Depth);
    }
    for _ in 0..count {
        match naive(&bytes[at..], proto, depth + 1, false)? {
            Some(end) => at += end,
            None => return Ok(None),
        }
    }
    if kind != b'|' {
        return Ok(Some(at));
    }
    // An attribute precedes its value, and is a part of it here.
    Ok(naive(&bytes[at..], proto, depth, false)?.map(|end| at + end))
}

/// Feeds growing prefixes of `bytes`, each ending at one of `cuts`, and last all of it.
fn scanned(bytes: &[u8], cuts: impl IntoIterator<Item = usize>, proto: Proto, max: usize) -> Twin {
    let mut scanner = Scanner::new(proto, max);
    for cut in cuts {
        match scanner.end(&bytes[..cut]) {
            Ok(None) => {}
            other => return other,
        }
    }
    scanner.end(bytes)
}

/// The twin and the scanner agree, however the bytes come.
fn all_agree(bytes: &[u8], proto: Proto) -> Twin {
    let twin = naive(bytes, proto, 0, true);
    let text = bytes.escape_ascii();
    assert_eq!(scanned(bytes, [], proto, MAX), twin, "in one go: {text}");
    for cut in 0..bytes.len() {
        assert_eq!(scanned(bytes, [cut], proto, MAX), twin, "cut at {cut}: {text}");
    }
    assert_eq!(scanned(bytes, 0..bytes.len(), proto, MAX), twin, "byte by byte: {text}");
    if let Ok(Some(end)) = twin {
        assert_eq!(scanned(bytes, [], proto, end), twin, "a limit of its own length: {text}");
        assert_eq!(scanned(bytes, [], proto, end - 1), Err(ReplyError::Size), "{text}");
        assert!(scanned(bytes, 0..bytes.len(), proto, end - 1).is_err(), "{text}");
        let value = Value::read(bytes, proto, MAX);
        assert!(matches!(value, Ok(Some((_, used))) if used == end) || value == Err(ReplyError::Number), "{text}");
    }
    twin
}

#[test]
fn every_type_ends_where_it_ends() {
    for reply in [
        "+OK\r\n",
        "+\r\n",
        "-ERR x\r\n",
        ":0\r\n",
        ":-12\r\n",
        ":+5\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "$3\r\n\r\n\r\r\n",
        "$100\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
    ] {
        let whole = if reply == "$100\r\n" { format!("{reply}{}\r\n", "x".repeat(100)) } else { reply.to_owned() };
        for proto in [Proto::Resp2, Proto::Resp3] {
            let more = format!("{whole}+next\r\n");
            assert_eq!(all_agree(more.as_bytes(), proto), Ok(Some(whole.len())), "{reply:?}");
        }
    }
    for reply in [
        "_\r\n",
        "#t\r\n",
        "#f\r\n",
        ",1.5\r\n",
        ",inf\r\n",
        ",nan\r\n",
        "(3492890328409238509324850943850943825024385\r\n",
        "!5\r\nERR x\r\n",
        "=7\r\ntxt:abc\r\n",
        "~2\r\n:1\r\n:2\r\n",
        "%1\r\n+k\r\n*1\r\n_\r\n",
        ">2\r\n+pubsub\r\n+x\r\n",
        "%0\r\n",
        "~0\r\n",
        ">0\r\n",
    ] {
        assert_eq!(all_agree(reply.as_bytes(), Proto::Resp3), Ok(Some(reply.len())), "{reply:?}");
        assert_eq!(all_agree(reply.as_bytes(), Proto::Resp2), Err(ReplyError::Type(reply.as_bytes()[0])));
    }
}

#[test]
fn an_attribute_belongs_to_the_value_behind_it() {
    for reply in [
        "|1\r\n+k\r\n:1\r\n+OK\r\n",
        "|0\r\n+OK\r\n",
        "|1\r\n+a\r\n:1\r\n|1\r\n+b\r\n:2\r\n+OK\r\n",
        "*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n",
        "*1\r\n|1\r\n+ttl\r\n:3\r\n*1\r\n:1\r\n",
        "%1\r\n+k\r\n|1\r\n+a\r\n*0\r\n+v\r\n",
        "|1\r\n|1\r\n+x\r\n+y\r\n+k\r\n+v\r\n+OK\r\n",
    ] {
        assert_eq!(all_agree(reply.as_bytes(), Proto::Resp3), Ok(Some(reply.len())), "{reply:?}");
        let short = reply.trim_end_matches("\r\n").rsplit_once("\r\n").unwrap().0.len() + 2;
        assert_eq!(all_agree(&reply.as_bytes()[..short], Proto::Resp3), Ok(None), "{reply:?}");
    }
}

#[test]
fn what_no_server_sends_is_refused() {
    for (reply, error) in [
        ("?", ReplyError::Type(b'?')),
        ("\r\n", ReplyError::Type(b'\r')),
        ("$-2\r\n", ReplyError::Number),
        ("*-2\r\n", ReplyError::Number),
        ("%-1\r\n", ReplyError::Number),
        ("=-1\r\n", ReplyError::Number),
        ("$\r\n", ReplyError::Number),
        ("$9223372036854775808\r\n", ReplyError::Number),
        ("$9999999999\r\n", ReplyError::Size),
        ("*9999999999\r\n", ReplyError::Size),
        ("$1a\r\n", ReplyError::Number),
        ("$1\rx", ReplyError::Number),
        ("$1\r\nab\r\n", ReplyError::LineEnd),
        ("+a\nb\r\n", ReplyError::LineEnd),
        ("+a\rb\r\n", ReplyError::LineEnd),
        (":\r\n", ReplyError::Number),
        (":1.5\r\n", ReplyError::Number),
        (":--1\r\n", ReplyError::Number),
        (":123456789012345678901\r\n", ReplyError::Number),
        ("_x\r\n", ReplyError::LineEnd),
        ("#x\r\n", ReplyError::LineEnd),
        ("$?\r\n", ReplyError::Streamed),
        ("*?\r\n", ReplyError::Streamed),
        (";4\r\n", ReplyError::Streamed),
        (".\r\n", ReplyError::Streamed),
        ("*1\r\n>1\r\n+x\r\n", ReplyError::NestedPush),
        ("|1\r\n+k\r\n+v\r\n>1\r\n+x\r\n", ReplyError::NestedPush),
    ] {
        assert_eq!(all_agree(reply.as_bytes(), Proto::Resp3), Err(error), "{reply:?}");
    }
}

#[test]
fn depth_is_limited_and_costs_no_stack() {
    let nested = |depth: usize| format!("{}:1\r\n", "*1\r\n".repeat(depth));
    assert_eq!(scanned(nested(MAX_DEPTH).as_bytes(), [], Proto::Resp2, MAX), Ok(Some(4 * MAX_DEPTH + 4)));
    all_agree(nested(64).as_bytes(), Proto::Resp2).unwrap();
    for depth in [MAX_DEPTH + 1, 1_000_000] {
        assert_eq!(scanned(nested(depth).as_bytes(), [], Proto::Resp2, 1 << 30), Err(ReplyError::Depth));
    }
}

#[test]
fn a_scanner_goes_on_after_reset_and_after_each_reply() {
    let mut scanner = Scanner::new(Proto::Resp2, MAX);
    assert_eq!(scanner.end(b"*2\r\n:1\r\n"), Ok(None));
    scanner.reset();
    for reply in ["+a\r\n", "*2\r\n:1\r\n:2\r\n", "$3\r\nabc\r\n", ":1\r\n"] {
        assert_eq!(scanner.end(reply.as_bytes()), Ok(Some(reply.len())));
    }
}

#[test]
fn elements_are_those_of_the_outermost_array() {
    let reply = b"*4\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n$-1\r\n|1\r\n+k\r\n+v\r\n_\r\n";
    let found: Vec<&[u8]> = elements(reply, Proto::Resp3).unwrap().collect();
    assert_eq!(found, [&b"$1\r\na\r\n"[..], b"*2\r\n:1\r\n:2\r\n", b"$-1\r\n", b"|1\r\n+k\r\n+v\r\n_\r\n"]);
    for no_array in ["+OK\r\n", "*-1\r\n", "%1\r\n+a\r\n+b\r\n", "$2\r\n*1\r\n", ""] {
        assert!(elements(no_array.as_bytes(), Proto::Resp3).is_none(), "{no_array:?}");
    }
}

#[test]
fn integers_are_read_whole() {
    assert_eq!(integer(b":-42\r\n"), Some(-42));
    for no_integer in ["+1\r\n", ":1", ":x\r\n", ":99999999999999999999\r\n"] {
        assert_eq!(integer(no_integer.as_bytes()), None);
    }
}

/// A reply of any shape.
fn any_reply() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::collection::vec(prop::sample::select(b"abc 01:-".to_vec()), 0..6);
    let sized =
        |mark: char, body: Vec<u8>| [format!("{mark}{}\r\n", body.len()).into_bytes(), body, b"\r\n".to_vec()].concat();
    let leaf = prop_oneof![
        (prop::sample::select(b"+-,(".to_vec()), text).prop_map(|(mark, text)| [&[mark], &text[..], b"\r\n"].concat()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(move |body| sized('$', body)),
        prop::collection::vec(any::<u8>(), 120..140).prop_map(move |body| sized('$', body)),
        prop::collection::vec(any::<u8>(), 4..9).prop_map(move |body| sized('=', body)),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(move |body| sized('!', body)),
        prop::sample::select(vec!["$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", "#f\r\n"]).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        (prop::sample::select(b"*~%|".to_vec()), prop::collection::vec(inner, 0..4)).prop_map(|(mark, parts)| {
            let pairs = matches!(mark, b'%' | b'|');
            let used = if pairs { parts.len() / 2 * 2 } else { parts.len() };
            let count = if pairs { used / 2 } else { used };
            let mut out = [format!("{}{count}\r\n", char::from(mark)).into_bytes(), parts[..used].concat()].concat();
            if mark == b'|' {
                out.extend_from_slice(b"+value\r\n");
            }
            out
        })
    })
}

/// Changes, drops and doubles a few bytes.
fn corrupted(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    for &(at, what, byte) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        let matters = b"*$\r\n019-+:%|>~?_#"[usize::from(byte) % 17];
        match what % 4 {
            0 => bytes[at] = matters,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, matters),
            _ => bytes[at] = byte,
        }
    }
    bytes
}

/// Whether another project's parser ends the reply where the scanner does. `None` where it knows less: it has
/// opinions on numbers, text and attributes that servers do not share.
fn other_opinion(bytes: &[u8]) -> Option<usize> {
    let all = bytes::Bytes::copy_from_slice(bytes);
    let (_, rest) = resp_rs::resp3::parse_frame(all).ok()?;
    Some(bytes.len() - rest.len())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_replies_end_where_they_end(reply in any_reply(), behind in any_reply()) {
        let both = [&reply[..], &behind].concat();
        prop_assert_eq!(all_agree(&both, Proto::Resp3), Ok(Some(reply.len())));
        all_agree(&both, Proto::Resp2).ok();
    }

    #[test]
    fn corrupted_replies_are_read_as_the_twin_reads_them(
        reply in any_reply(),
        changes in prop::collection::vec(any::<(usize, u8, u8)>(), 1..4),
    ) {
        let bytes = corrupted(reply, &changes);
        all_agree(&bytes, Proto::Resp3).ok();
        all_agree(&bytes, Proto::Resp2).ok();
    }

    #[test]
    fn another_parser_ends_replies_at_the_same_place(reply in any_reply()) {
        // It takes an attribute for a value of its own.
        if !reply.contains(&b'|')
            && let Some(end) = other_opinion(&reply)
        {
            prop_assert_eq!(scanned(&reply, [], Proto::Resp3, MAX), Ok(Some(end)));
        }
    }

    #[test]
    fn elements_put_together_are_the_array(parts in prop::collection::vec(any_reply(), 0..5)) {
        let array = [format!("*{}\r\n", parts.len()).into_bytes(), parts.concat()].concat();
        let found: Vec<Vec<u8>> = elements(&array, Proto::Resp3).unwrap().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(found, parts);
    }
}
