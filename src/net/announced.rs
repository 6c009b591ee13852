//! The PROXY protocol, versions 1 and 2: a header in front of everything else, by which a balancer tells whose
//! connection it passes on.
//!
//! [`read`] looks at what has come and says what is missing at least, so that [`take`] reads the header and not a byte
//! more: what follows is somebody else's, be it a request or the beginning of TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How a header of version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How a header of version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, its line end included.
const LONGEST_LINE: usize = 107;
/// The shortest one: `PROXY UNKNOWN`.
const SHORTEST_LINE: usize = 15;
/// What stands in front of the addresses in version 2.
const FIXED: usize = 16;
/// How many bytes of addresses and extensions are taken; real ones need some hundred.
const MOST: usize = 4096;

/// Whose connection it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of a client at this address.
    Client(String),
    /// The balancer's own (a health check), or it cannot tell: the address is that of the connection.
    Own,
}

/// What a beginning of a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A header, and its length.
    Header(usize, Whose),
    /// The beginning of one that is at least so many bytes longer.
    More(usize),
}

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It does not begin with a header.
    #[error("it does not begin with a header of the PROXY protocol")]
    NoHeader,
    /// What it begins with is like a header, and is none.
    #[error("its header of the PROXY protocol is wrong: {0}")]
    Malformed(&'static str),
    /// It ended before anything came, as that of a probe does.
    #[error("it ended before its header")]
    Ended,
    /// It broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
}

/// Reads a header from the beginning of a connection.
pub fn read(bytes: &[u8]) -> Result<Step, Refused> {
    let Some(&first) = bytes.first() else { return Ok(Step::More(SHORTEST_LINE)) };
    let begins = if first == b'P' { WORD } else { &SIGNATURE };
    let here = bytes.len().min(begins.len());
    if bytes.get(..here) != begins.get(..here) {
        return Err(Refused::NoHeader);
    }
    if first == b'P' { line(bytes) } else { binary(bytes) }
}

/// Version 1: a line of words.
fn line(bytes: &[u8]) -> Result<Step, Refused> {
    let wrong = Refused::Malformed;
    let Some(end) = memchr::memchr(b'\n', bytes.get(..LONGEST_LINE.min(bytes.len())).unwrap_or_default()) else {
        let missing = SHORTEST_LINE.saturating_sub(bytes.len()).max(1);
        return if bytes.len() < LONGEST_LINE { Ok(Step::More(missing)) } else { Err(wrong("the line is too long")) };
    };
    let line =
        bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(wrong("the line does not end in CRLF"))?;
    let rest = line.strip_prefix(WORD).and_then(|rest| std::str::from_utf8(rest).ok()).ok_or(wrong("it is no text"))?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(Step::Header(end + 1, Whose::Own));
    }
    let mut words = rest.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (family, source, target, source_port, target_port) = (word(), word(), word(), word(), word());
    if words.next().is_some() {
        return Err(wrong("there are too many words"));
    }
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    if !matches!(family, "TCP4" | "TCP6") {
        return Err(wrong("it is neither TCP4 nor TCP6 nor UNKNOWN"));
    }
    let (Some(source), Some(_)) = (address(source), address(target)) else {
        return Err(wrong("an address is none of its family"));
    };
    let (Some(port), Some(_)) = (port(source_port), port(target_port)) else {
        return Err(wrong("a port is none"));
    };
    Ok(Step::Header(end + 1, Whose::Client(SocketAddr::new(source, port).to_string())))
}

/// A port in decimal digits, without any in front that mean nothing.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// Version 2: fixed fields, addresses, extensions. The latter say nothing that matters here.
fn binary(bytes: &[u8]) -> Result<Step, Refused> {
    let wrong = Refused::Malformed;
    let Some((&[.., how, family, high, low], rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Step::More(FIXED - bytes.len()));
    };
    let is_own = match how {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Err(wrong("its command is unknown")),
        _ => return Err(wrong("its version is unknown")),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST {
        return Err(wrong("it is too long"));
    }
    let Some(body) = rest.get(..length) else { return Ok(Step::More(length - rest.len())) };
    let whose = if is_own { Some(Whose::Own) } else { source(family, body)? };
    whose.map(|whose| Step::Header(FIXED + length, whose)).ok_or(wrong("there is less than its addresses need"))
}

/// The address from which a client comes; `None` if it is cut off.
fn source(family: u8, body: &[u8]) -> Result<Option<Whose>, Refused> {
    let port = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let at = |ip: IpAddr, port: u16| Whose::Client(SocketAddr::new(ip, port).to_string());
    Ok(match family {
        0x00 => Some(Whose::Own),
        0x11 if body.len() < 12 => None,
        0x11 => body.first_chunk::<4>().zip(port(8)).map(|(ip, port)| at(Ipv4Addr::from(*ip).into(), port)),
        0x21 if body.len() < 36 => None,
        0x21 => body.first_chunk::<16>().zip(port(32)).map(|(ip, port)| at(Ipv6Addr::from(*ip).into(), port)),
        0x31 if body.len() < 216 => None,
        0x31 => body.first_chunk::<108>().map(|path| Whose::Client(socket(path))),
        0x12 | 0x22 | 0x32 => return Err(Refused::Malformed("a stream is no datagram")),
        _ => return Err(Refused::Malformed("its family is unknown")),
    })
}

/// A Unix socket as clients are listed by it.
fn socket(path: &[u8; 108]) -> String {
    let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_plain = !path.is_empty() && path.iter().all(u8::is_ascii_graphic);
    let path = std::str::from_utf8(path).ok().filter(|_| is_plain);
    format!("{}:0", path.unwrap_or("unix"))
}

/// Reads the header with which a connection has to begin, and nothing behind it. The caller sets the time limit.
pub async fn take(stream: &mut (impl AsyncRead + Unpin)) -> Result<Whose, Refused> {
    let mut header = Vec::new();
    loop {
        match read(&header)? {
            Step::Header(_, whose) => return Ok(whose),
            Step::More(missing) => {
                let have = header.len();
                header.resize(have + missing, 0);
                let fresh = header.get_mut(have..).unwrap_or_default();
                let count = stream.read(fresh).await?;
                header.truncate(have + count);
                match (have, count) {
                    (0, 0) => return Err(Refused::Ended),
                    (_, 0) => return Err(Refused::Malformed("it is cut off")),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn binary(how: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[how, family], &length, body].concat()
    }

    fn client(addr: &str) -> Whose {
        Whose::Client(addr.to_owned())
    }

    fn good() -> Vec<(Vec<u8>, Whose)> {
        let four = [10, 0, 0, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x18, 0xeb];
        let mut six = [0; 36];
        (six[0], six[15], six[32], six[33]) = (0xfd, 9, 0xff, 0xff);
        let mut unix = [0; 216];
        unix[..9].copy_from_slice(b"/run/a.so");
        let with_extensions = [&four[..], &[0x04, 0, 3, 1, 2, 3, 0x20, 0, 0]].concat();
        vec![
            (b"PROXY TCP4 10.0.0.7 10.0.0.1 8080 6379\r\n".to_vec(), client("10.0.0.7:8080")),
            (b"PROXY TCP6 fd00::9 ::1 65535 0\r\n".to_vec(), client("[fd00::9]:65535")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Whose::Own),
            (b"PROXY UNKNOWN what ever 1 2\r\n".to_vec(), Whose::Own),
            (binary(0x21, 0x11, &four), client("10.0.0.7:8080")),
            (binary(0x21, 0x11, &with_extensions), client("10.0.0.7:8080")),
            (binary(0x21, 0x21, &six), client("[fd00::9]:65535")),
            (binary(0x21, 0x31, &unix), client("/run/a.so:0")),
            (binary(0x21, 0x31, &[0; 216]), client("unix:0")),
            (binary(0x21, 0x00, b""), Whose::Own),
            (binary(0x20, 0x00, b""), Whose::Own),
            (binary(0x20, 0x11, &four), Whose::Own),
            (binary(0x20, 0x7f, b"what ever"), Whose::Own),
        ]
    }

    #[test]
    fn headers_are_read_wherever_they_are_cut() {
        for (header, whose) in good() {
            let bytes = [&header[..], b"*1\r\n$4\r\nPING\r\n"].concat();
            assert_eq!(read(&bytes).unwrap(), Step::Header(header.len(), whose), "{}", header.escape_ascii());
            for cut in 0..header.len() {
                let step = read(&bytes[..cut]).unwrap_or_else(|why| panic!("{} {cut}: {why}", header.escape_ascii()));
                // Not a byte is asked for that is none of the header.
                assert!(matches!(step, Step::More(1..)), "{cut}: {step:?}");
                let Step::More(missing) = step else { continue };
                assert!(cut + missing <= header.len(), "{} {cut}: {missing}", header.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_shows() {
        for bytes in [
            &b"*1\r\n$4\r\nPING\r\n"[..],
            b"PING\r\n",
            b"PROXz",
            b"\r\n\r\n\0\r\nQUIX",
            b"\r\nPING",
            b"proxy TCP4",
            b"\x16\x03\x01",
        ] {
            assert!(matches!(read(bytes), Err(Refused::NoHeader)), "{}", bytes.escape_ascii());
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_LINE));
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 8080\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 8080 6379 1\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 8080 6379 \r\n",
            "PROXY TCP4  10.0.0.7 10.0.0.1 8080 6379\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 08080 6379\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 +8080 6379\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 65536 6379\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 8080 \r\n",
            "PROXY TCP4 10.0.0.007 10.0.0.1 8080 6379\r\n",
            "PROXY TCP4 ::1 ::1 8080 6379\r\n",
            "PROXY TCP6 10.0.0.7 10.0.0.1 8080 6379\r\n",
            "PROXY TCP6 [::1] ::1 8080 6379\r\n",
            "PROXY UDP4 10.0.0.7 10.0.0.1 8080 6379\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY TCP4 10.0.0.7 10.0.0.1 8080 6379\n",
            &long,
        ] {
            assert!(matches!(read(line.as_bytes()), Err(Refused::Malformed(_))), "{line:?}");
        }
        for header in [
            binary(0x11, 0x11, &[0; 12]),
            binary(0x31, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x21, &[0; 35]),
            binary(0x21, 0x31, &[0; 215]),
            binary(0x21, 0x12, &[0; 12]),
            binary(0x21, 0x01, b""),
            binary(0x21, 0x41, &[0; 255]),
            binary(0x21, 0x11, &[0; MOST + 1]),
        ] {
            assert!(matches!(read(&header), Err(Refused::Malformed(_))), "{}", header[..16].escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_follows_a_header_is_left_where_it_is() {
        for (header, whose) in good() {
            let bytes = [&header[..], b"rest"].concat();
            let mut stream = &bytes[..];
            assert_eq!(take(&mut stream).await.unwrap(), whose);
            assert_eq!(stream, b"rest", "{}", header.escape_ascii());
            for cut in 1..header.len() {
                let mut stream = &header[..cut];
                assert!(matches!(take(&mut stream).await, Err(Refused::Malformed(_))), "{cut}");
            }
        }
        assert!(matches!(take(&mut &b""[..]).await, Err(Refused::Ended)));
    }
}
