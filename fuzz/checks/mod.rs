//! What must hold for any bytes at all, one function for each way into the proxy.
//!
//! The fuzz targets feed them what the fuzzer finds; `tests/corpus.rs` feeds them the seeds, so that neither can rot.

pub(crate) mod session;

use slotway::config::{Sources, load};
use slotway::net::announced::{self, Step as Header};
use slotway::resp::Proto;
use slotway::resp::reply::{self, Scanner};
use slotway::resp::request::{Args, Decoder, Limits, ProtocolError, Step};
use slotway::resp::value::Value;

/// Requests with their arguments, and how the reading ended.
type Decoded = (Vec<Vec<Vec<u8>>>, Result<(), ProtocolError>);

/// Reads requests from `bytes`, of which first only `cut` are there.
fn decode(bytes: &[u8], cut: usize, limits: &Limits) -> Decoded {
    let (mut decoder, mut args, mut at, mut out) = (Decoder::default(), Args::default(), 0, Vec::new());
    for have in [cut, bytes.len()] {
        while at <= have {
            match decoder.step(&bytes[at..have], &mut args, limits) {
                Ok(Step::Request { used, inline }) => {
                    let request = args.request(&bytes[at..have], used, inline);
                    assert!(request.argc() > 0 && request.argc() <= limits.args);
                    check_frame(request.frame(), &request.args().collect::<Vec<_>>());
                    out.push(request.args().map(<[u8]>::to_vec).collect());
                    at += used;
                }
                Ok(Step::Empty { used }) => at += used,
                Ok(Step::More) => break,
                Err(error) => return (out, Err(error)),
            }
        }
    }
    (out, Ok(()))
}

/// A frame is what a client library would send for these arguments.
fn check_frame(frame: &[u8], args: &[&[u8]]) {
    let mut plain = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        plain.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        plain.extend_from_slice(arg);
        plain.extend_from_slice(b"\r\n");
    }
    assert!(frame == plain, "not canonical: {}", frame.escape_ascii());
}

/// Requests are the same in one piece and in two; frames are canonical.
pub(crate) fn request(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let open = Limits { args: 1000, bulk: 100_000, frame: 1_000_000, unauthenticated: false };
    for limits in [open, Limits::UNAUTHENTICATED] {
        let whole = decode(bytes, 0, &limits);
        assert_eq!(whole, decode(bytes, usize::from(first) % (bytes.len() + 1), &limits));
    }
}

/// A line is one request at most, and its canonical form reads as the same.
pub(crate) fn inline(bytes: &[u8]) {
    let line: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != b'\n').chain(*b"\r\n").collect();
    if line.first() == Some(&b'*') {
        return;
    }
    let limits = Limits { args: 100_000, bulk: 100_000, frame: 1_000_000, unauthenticated: false };
    let (requests, end) = decode(&line, line.len() / 2, &limits);
    assert!(requests.len() <= 1);
    if let ([args], Ok(())) = (requests.as_slice(), end) {
        let mut frame = Vec::new();
        slotway::resp::encode::request(&mut frame, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(decode(&frame, 0, &limits), (requests, Ok(())));
    }
}

fn proto(first: u8) -> Proto {
    if first.is_multiple_of(2) { Proto::Resp2 } else { Proto::Resp3 }
}

/// A reply ends at the same place however it comes, and its elements are within it.
pub(crate) fn reply(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (proto, max) = (proto(first), 1 << 16);
    let whole = Scanner::new(proto, max).end(bytes);
    let mut scanner = Scanner::new(proto, max);
    let pieces = (0..bytes.len().min(2000)).find_map(|cut| match scanner.end(&bytes[..cut]) {
        Ok(None) => None,
        other => Some(other),
    });
    let pieces = pieces.unwrap_or_else(|| scanner.end(bytes));
    match whole {
        Ok(end) => assert_eq!(pieces, Ok(end)),
        // Which mistake is found first may depend on how much is there.
        Err(_) => assert!(pieces.is_err()),
    }
    if let Ok(Some(end)) = whole {
        assert!(end <= bytes.len() && end <= max);
        let elements = reply::elements(&bytes[..end], proto);
        assert!(elements.is_none_or(|elements| elements.map(<[u8]>::len).sum::<usize>() < end));
    }
}

/// A value takes what the scanner says that it takes.
pub(crate) fn value(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (proto, max) = (proto(first), 1 << 16);
    let end = Scanner::new(proto, max).end(bytes);
    match Value::read(bytes, proto, max) {
        Ok(Some((_, used))) => assert_eq!(end, Ok(Some(used))),
        Ok(None) => assert_eq!(end, Ok(None)),
        // A number that is too large for an integer ends where it ends, and is none nevertheless.
        Err(_) => assert_ne!(end, Ok(None)),
    }
}

/// The header of a balancer is the same however it comes, and not a byte behind it is asked for.
pub(crate) fn announced(bytes: &[u8]) {
    let whole = announced::read(bytes).ok();
    for cut in 0..bytes.len().min(5000) {
        match announced::read(&bytes[..cut]) {
            Ok(Header::More(missing)) => {
                assert!(missing > 0);
                if let Some(Header::Header(end, _)) = &whole {
                    assert!(cut + missing <= *end);
                }
            }
            Ok(header) => return assert_eq!(Some(header), whole),
            // What is wrong with a beginning is not made good by what follows.
            Err(_) => return assert_eq!(whole, None),
        }
    }
}

/// A file is a configuration, or has mistakes that can be told.
pub(crate) fn config(bytes: &[u8]) {
    let path = std::env::temp_dir().join(format!("slotway-check-{}.toml", std::process::id()));
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let sources = Sources { file: Some(path.clone()), seeds_needed: true, ..Sources::default() };
    match load(&sources) {
        Ok(loaded) => assert!(!loaded.effective().is_empty()),
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
    // The next input overwrites it, and the last one is in the way of nobody.
    let _ = std::fs::remove_file(path);
}
