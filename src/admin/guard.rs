//! Who may ask: by the name that the port was called, and by the token.
//!
//! A page from anywhere can make a browser send requests to this port under a name of its own that it lets point
//! here; such a request carries that name. Addresses and `localhost` cannot be made to point anywhere, so they pass.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use subtle::ConstantTimeEq as _;

use super::Options;

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// It called the port by a name that is not its own.
    Host,
    /// It does not know the token.
    Token,
}

/// Whether a request with these headers may have what it asks for.
pub(super) fn check(options: &Options, headers: &HeaderMap) -> Result<(), Denied> {
    let knows = options.token.as_ref().map(|token| bears(headers, &token.0));
    match knows {
        Some(false) => Err(Denied::Token),
        // Who knows the token is no stranger's page.
        Some(true) => Ok(()),
        None if is_own_name(options, headers) => Ok(()),
        None => Err(Denied::Host),
    }
}

fn is_own_name(options: &Options, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.');
    name.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || options.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a browser sends this for a page that is not from here. Any page can make it send a POST to an address.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text(ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    origin.is_some_and(|origin| text(HOST) != Some(origin))
        || site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// `Authorization: Bearer TOKEN`, or the token as the password of `Basic`, which browsers ask for.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let Some((scheme, rest)) = value.split_once(' ') else { return false };
    let given = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().as_bytes().to_vec()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = from_base64(rest.trim()).unwrap_or_default();
        let colon = pair.iter().position(|&byte| byte == b':').map_or(pair.len(), |at| at + 1);
        pair.get(colon..).unwrap_or_default().to_vec()
    } else {
        return false;
    };
    given.ct_eq(token.as_bytes()).into()
}

/// RFC 4648, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::admin::Token;

    fn headers(host: &str, authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (AUTHORIZATION, authorization)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        headers
    }

    #[test]
    fn only_names_that_nobody_can_point_here_pass() {
        let options = Options { hosts: vec!["slotway.example".to_owned()], ..Options::default() };
        let good = ["127.0.0.1:9379", "[::1]:9379", "localhost", "LOCALHOST:1", "10.0.0.7", "slotway.example:9379"];
        for host in good {
            assert_eq!(check(&options, &headers(host, "")), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:9379", "", "127.0.0.1.evil.example", "[::1].evil:1x"] {
            let denied = check(&options, &headers(host, ""));
            assert!(denied == Err(Denied::Host) || host.starts_with('['), "{host}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_is_known_by_what_browsers_say() {
        let said = |pairs: &[(&'static str, &str)]| {
            let mut headers = headers("127.0.0.1:9379", "");
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            is_from_elsewhere(&headers)
        };
        assert!(!said(&[]) && !said(&[("origin", "http://127.0.0.1:9379"), ("sec-fetch-site", "same-origin")]));
        for pairs in [
            [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")],
            [("origin", "null"), ("accept", "*/*")],
            [("origin", "http://127.0.0.1:8080"), ("accept", "*/*")],
            [("sec-fetch-site", "same-site"), ("accept", "*/*")],
        ] {
            assert!(said(&pairs), "{pairs:?}");
        }
    }

    #[test]
    fn a_token_is_taken_from_either_scheme() {
        let options = Options { token: Some(Token("s3cret".to_owned())), ..Options::default() };
        let try_it = |value: &str| check(&options, &headers("127.0.0.1", value));
        assert_eq!(try_it("Bearer s3cret"), Ok(()));
        // any:s3cret
        assert_eq!(try_it("basic YW55OnMzY3JldA=="), Ok(()));
        for wrong in ["", "Bearer", "Bearer s3cre", "Bearer s3cretX", "Basic YW55OnM=", "Basic !", "Digest s3cret"] {
            assert_eq!(try_it(wrong), Err(Denied::Token), "{wrong}");
        }
        assert_eq!(from_base64("AAEC/w").unwrap(), [0, 1, 2, 255]);
    }
}
