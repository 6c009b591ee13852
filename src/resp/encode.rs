//! Writes RESP: what the proxy says to clients itself, and the sub-requests that it makes for nodes.

use super::Proto;

/// Appends a decimal number.
pub fn decimal(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `<kind><n>\r\n`.
fn header(out: &mut Vec<u8>, kind: u8, n: usize) {
    out.push(kind);
    decimal(out, n);
    out.extend_from_slice(b"\r\n");
}

/// Appends the header of an array of `n` elements.
pub fn array(out: &mut Vec<u8>, n: usize) {
    header(out, b'*', n);
}

/// Appends the header of a map of `n` pairs; in RESP2 an array of `2n`.
pub fn map(out: &mut Vec<u8>, n: usize, proto: Proto) {
    match proto {
        Proto::Resp2 => header(out, b'*', 2 * n),
        Proto::Resp3 => header(out, b'%', n),
    }
}

/// Appends the header of a set of `n` members; in RESP2 an array.
pub fn set(out: &mut Vec<u8>, n: usize, proto: Proto) {
    header(out, if proto == Proto::Resp3 { b'~' } else { b'*' }, n);
}

/// Appends a bulk string.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a text: a verbatim string in RESP3, as `INFO` answers.
pub fn text(out: &mut Vec<u8>, text: &str, proto: Proto) {
    match proto {
        Proto::Resp2 => bulk(out, text.as_bytes()),
        Proto::Resp3 => {
            header(out, b'=', text.len() + 4);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a simple string; `text` must hold no line break.
pub fn simple(out: &mut Vec<u8>, text: &str) {
    line(out, b'+', text.as_bytes());
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.push(b':');
    decimal(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends "nothing": the null bulk of RESP2, the null of RESP3.
pub fn null(out: &mut Vec<u8>, proto: Proto) {
    out.extend_from_slice(match proto {
        Proto::Resp2 => b"$-1\r\n",
        Proto::Resp3 => b"_\r\n",
    });
}

/// Appends an error; line breaks, which would end it early, become spaces.
pub fn error(out: &mut Vec<u8>, text: &str) {
    line(out, b'-', text.as_bytes());
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend(text.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
    out.extend_from_slice(b"\r\n");
}

/// Appends a request of bulk strings, as a client would send it.
pub fn request(out: &mut Vec<u8>, args: &[&[u8]]) {
    array(out, args.len());
    for arg in args {
        bulk(out, arg);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_spans_two_lines() {
        let mut out = Vec::new();
        error(&mut out, "ERR a\r\n+OK");
        assert_eq!(out, b"-ERR a  +OK\r\n");
    }

    #[test]
    fn shapes_follow_the_protocol() {
        let mut out = Vec::new();
        map(&mut out, 2, Proto::Resp2);
        map(&mut out, 2, Proto::Resp3);
        null(&mut out, Proto::Resp2);
        null(&mut out, Proto::Resp3);
        text(&mut out, "ab", Proto::Resp2);
        text(&mut out, "ab", Proto::Resp3);
        integer(&mut out, -5);
        request(&mut out, &[b"GET", b""]);
        assert_eq!(out, b"*4\r\n%2\r\n$-1\r\n_\r\n$2\r\nab\r\n=6\r\ntxt:ab\r\n:-5\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
    }
}
