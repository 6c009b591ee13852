//! How a client's request is shown to others, by MONITOR and the slow log: secrets hidden, bytes quoted.

use std::io::Write as _;

use crate::command;
use crate::resp::request::Request;

/// What stands for a secret.
const REDACTED: &[u8] = b"(redacted)";

/// The arguments of `request`, the name first, with secrets hidden.
pub(super) fn arguments<'a>(request: &Request<'a>) -> Vec<&'a [u8]> {
    let mut args: Vec<&[u8]> = request.args().collect();
    let spec = command::lookup(request.name()).and_then(|spec| spec.resolve(request));
    match spec.map(|spec| (spec.parent.unwrap_or(""), spec.name)) {
        Some(("", "auth")) => args.iter_mut().skip(1).for_each(|arg| *arg = REDACTED),
        Some(("", "hello")) => hide_behind(&mut args, &[(b"AUTH", 2)]),
        Some(("", "migrate")) => hide_behind(&mut args, &[(b"AUTH", 1), (b"AUTH2", 2)]),
        // The names of parameters are harmless, but which of their values are secrets differs from server to server.
        Some(("config", "set")) => args.iter_mut().skip(3).step_by(2).for_each(|arg| *arg = REDACTED),
        Some(("acl", "setuser" | "dryrun")) => args.iter_mut().skip(2).for_each(|arg| *arg = REDACTED),
        _ => {}
    }
    args
}

/// Hides so many arguments behind each of these words.
fn hide_behind(args: &mut [&[u8]], words: &[(&[u8], usize)]) {
    let mut left = 0;
    for arg in args {
        if left > 0 {
            *arg = REDACTED;
            left -= 1;
        } else if let Some((_, secrets)) = words.iter().find(|(word, _)| arg.eq_ignore_ascii_case(word)) {
            left = *secrets;
        }
    }
}

/// Appends `bytes` in quotes, with what cannot be printed escaped.
pub(super) fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            other => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "\\x{other:02x}");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::resp::request::{Args, Decoder, Limits, Step};

    /// Calls `then` with the request that a line makes.
    pub(crate) fn with_line<T>(line: &str, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let limits = Limits { args: 1000, bulk: 10_000, frame: 100_000, unauthenticated: false };
        let (mut args, line) = (Args::default(), format!("{line}\r\n"));
        let Ok(Step::Request { used, inline }) = Decoder::default().step(line.as_bytes(), &mut args, &limits) else {
            panic!("no request: {line}")
        };
        then(&args.request(line.as_bytes(), used, inline))
    }

    fn shown(line: &str) -> String {
        with_line(line, |request| String::from_utf8(arguments(request).join(&b' ')).expect("text"))
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        assert_eq!(shown("auth me secret"), "auth (redacted) (redacted)");
        assert_eq!(shown("AUTH secret"), "AUTH (redacted)");
        assert_eq!(shown("HELLO 3 AUTH me secret SETNAME x"), "HELLO 3 AUTH (redacted) (redacted) SETNAME x");
        assert_eq!(
            shown("MIGRATE h 1 k 0 1 AUTH2 me secret KEYS a"),
            "MIGRATE h 1 k 0 1 AUTH2 (redacted) (redacted) KEYS a"
        );
        assert_eq!(shown("CONFIG SET requirepass secret"), "CONFIG SET requirepass (redacted)");
        assert_eq!(shown("ACL SETUSER me on >secret"), "ACL SETUSER (redacted) (redacted) (redacted)");
        assert_eq!(shown("SET auth secret"), "SET auth secret");
    }

    #[test]
    fn bytes_are_quoted_as_redis_quotes_them() {
        let mut out = Vec::new();
        quote(b"a \"\\\n\r\t\x07\x08\x00\xff~", &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), r#""a \"\\\n\r\t\a\b\x00\xff~""#);
    }
}
