//! From when until when a certificate is valid, read out of its DER.
//!
//! Only as much of X.509 as leads to those two dates (RFC 5280, 4.1); whether a certificate is to be trusted is
//! decided by rustls.

/// From when until when, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: u64,
    /// Its last second.
    pub not_after: u64,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, which may be absent.
const VERSION: u8 = 0xa0;

/// When a certificate is valid; `None` if it cannot be read.
#[must_use]
pub fn validity(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if let Some((_, behind)) = expect(VERSION, rest) {
        rest = behind;
    }
    // Serial number, algorithm of the signature, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = expect(tag, rest)?.1;
    }
    let (dates, _) = expect(SEQUENCE, rest)?;
    let (not_before, rest) = date(dates)?;
    let (not_after, _) = date(rest)?;
    Some(Validity { not_before, not_after })
}

/// The content of the value that stands first, if it is of this kind, and what follows it.
fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        len = digits.iter().fold(0, |len, &digit| len << 8 | usize::from(digit));
        rest = behind;
    }
    if found == tag { rest.split_at_checked(len) } else { None }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, and what follows it.
fn date(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (text, rest, century) = if let Some((text, rest)) = expect(UTC_TIME, bytes) {
        (text, rest, None)
    } else {
        let (text, rest) = expect(GENERALIZED_TIME, bytes)?;
        (text.get(2..)?, rest, Some(pair(text.get(..2)?)?))
    };
    if text.len() != 13 || text.last() != Some(&b'Z') {
        return None;
    }
    let mut pairs = text.chunks_exact(2).map(pair);
    let mut next = || pairs.next().flatten();
    let (year, month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let century = century.unwrap_or(if year < 50 { 20 } else { 19 });
    let days = days(century * 100 + year, month, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second, rest))
}

/// Two digits.
fn pair(text: &[u8]) -> Option<u64> {
    let &[tens, ones] = text else { return None };
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
}

/// Days since 1970; years before that count as 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: u64 = lengths.iter().take(month as usize - 1).sum();
    Some(years + months + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_date_are_read() {
        let read = |tag: u8, text: &str| {
            date(&[&[tag, text.len() as u8], text.as_bytes(), b"rest"].concat()).map(|(at, rest)| (at, rest.to_vec()))
        };
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "261201034632Z", Some(1_796_096_792)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, "21000301000000Z", Some(4_107_542_400)),
            (UTC_TIME, "261301034632Z", None),
            (UTC_TIME, "2612010346Z", None),
            (UTC_TIME, "26120103463xZ", None),
        ] {
            assert_eq!(read(tag, text), expected.map(|at| (at, b"rest".to_vec())), "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        for der in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x02\x30\x7f", b"text"] {
            assert_eq!(validity(der), None, "{der:?}");
        }
    }

    #[test]
    fn the_dates_of_a_certificate_are_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let expected = Validity { not_before: 1_709_164_800, not_after: 2_556_144_000 };
        assert_eq!(validity(certificate.der()), Some(expected));
    }
}
