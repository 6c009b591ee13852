//! One seed: `host:port`, or a URL such as `redis://user:password@host:port`.
//!
//! Errors never repeat the text of a seed that may hold a password.

use super::mistake::Wrong;
use crate::net::Addr;

/// The port of a URL that names none.
const REDIS_PORT: u16 = 6379;

const HINT: &str = "write \"host:port\" or \"redis://user:password@host:port\"";

/// A node to ask first, and who the proxy is to it when the seed says so.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Seed {
    pub(super) addr: Addr,
    /// Whether TLS is to be spoken, if the seed says so.
    pub(super) tls: Option<bool>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

/// Reads a seed.
pub(super) fn parse(text: &str) -> Result<Seed, Wrong> {
    match text.split_once("://") {
        Some(("redis" | "valkey", rest)) => parse_url(rest, false),
        Some(("rediss" | "valkeys", rest)) => parse_url(rest, true),
        Some((scheme, _)) => Err(Wrong::new(format!("{scheme}:// is not a scheme of Redis"), HINT)),
        None if text.contains('@') => Err(Wrong::new("a seed with a user or password needs redis:// before it", HINT)),
        None => Ok(Seed { addr: address(text)?, tls: None, username: None, password: None }),
    }
}

/// What follows `redis://` or `rediss://`.
fn parse_url(rest: &str, tls: bool) -> Result<Seed, Wrong> {
    // The last `@` ends the password: people leave `@`, `/` and `?` in it unescaped.
    let (user_info, endpoint) = rest.rsplit_once('@').map_or((None, rest), |(info, end)| (Some(info), end));
    let endpoint = endpoint.split_once('?').map_or(endpoint, |(before, _query)| before);
    let (endpoint, database) = endpoint.split_once('/').unwrap_or((endpoint, ""));
    if !matches!(database, "" | "0") {
        return Err(Wrong::new("a cluster has only database 0", "leave the path out"));
    }
    let has_port = endpoint.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let addr = if has_port { address(endpoint)? } else { address(&format!("{endpoint}:{REDIS_PORT}"))? };
    let (username, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
        None => (None, None),
        Some((user, password)) => (decode(user)?, decode(password)?),
    };
    if username.is_some() && password.is_none() {
        return Err(Wrong::new("a user without a password", "write redis://user:password@host:port"));
    }
    Ok(Seed { addr, tls: Some(tls), username, password })
}

/// Reads a plain address; the error is cut in what is wrong and what to write.
pub(super) fn address(text: &str) -> Result<Addr, Wrong> {
    text.parse().map_err(|error: crate::net::addr::AddrError| {
        let error = error.to_string();
        let (what, instead) = error.rsplit_once("; ").unwrap_or((&error, HINT));
        Wrong::new(what, instead)
    })
}

/// Undoes percent-encoding; an empty text is no text.
fn decode(text: &str) -> Result<Option<String>, Wrong> {
    let bad = || Wrong::new("the user or password is not percent-encoded right", "write % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (hex, tail) = tail.split_at_checked(2).ok_or_else(bad)?;
            let digit = |c: u8| char::from(c).to_digit(16).ok_or_else(bad);
            let &[high, low] = hex else { return Err(bad()) };
            bytes.push((digit(high)? * 16 + digit(low)?) as u8);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(host: &str, port: u16, username: Option<&str>, password: Option<&str>) -> Seed {
        Seed {
            addr: Addr::tcp(host, port),
            tls: Some(false),
            username: username.map(ToOwned::to_owned),
            password: password.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn seeds_and_urls_are_read() {
        for (text, expected) in [
            ("10.0.0.1:7000", Seed { tls: None, ..seed("10.0.0.1", 7000, None, None) }),
            ("rediss://h:7000", Seed { tls: Some(true), ..seed("h", 7000, None, None) }),
            ("valkeys://:pw@h", Seed { tls: Some(true), ..seed("h", 6379, None, Some("pw")) }),
            ("redis://h:7000", seed("h", 7000, None, None)),
            ("redis://h", seed("h", 6379, None, None)),
            ("redis://h/0", seed("h", 6379, None, None)),
            ("valkey://[::1]", seed("::1", 6379, None, None)),
            ("redis://[::1]:7000/", seed("::1", 7000, None, None)),
            ("redis://:pw@h:1", seed("h", 1, None, Some("pw"))),
            ("redis://me:p%40w%25@h:1?x=y", seed("h", 1, Some("me"), Some("p@w%"))),
            ("redis://me:p@w:x/?@h:1", seed("h", 1, Some("me"), Some("p@w:x/?"))),
        ] {
            assert!(parse(text).is_ok_and(|seed| seed == expected), "{text}");
        }
    }

    #[test]
    fn bad_seeds_say_why_and_never_show_a_password() {
        for (text, part) in [
            ("host", "no port"),
            ("redisss://:hunter2@h:1", "scheme"),
            ("http://h:1", "scheme"),
            ("me:hunter2@h:1", "redis://"),
            ("redis://me:hunter2@h:1/3", "database 0"),
            ("redis://me:hunter2%2@h:1", "%25"),
            ("redis://hunter2@h:1", "without a password"),
            ("redis://me:hunter2@:1", "host is empty"),
            ("redis://me:hunter2@h:99999", "0 to 65535"),
        ] {
            let wrong = parse(text).err().unwrap_or_else(|| panic!("{text}"));
            let shown = format!("{}; {}", wrong.what, wrong.instead);
            assert!(shown.contains(part), "{text}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
