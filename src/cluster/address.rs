//! Addresses as the operator sees them: what is another way to a node, and where redirects may lead.
//!
//! Nodes behind a translation of addresses announce themselves by addresses of the inside; the proxy goes to those
//! of the outside. A node is believed about its cluster, but it cannot send the proxy anywhere: a redirect leads to
//! a node of the map, or to what the operator allows here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::net::Addr;

/// One pair of `[cluster] address_map`: the way to go, and what nodes say in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Where the proxy connects to.
    pub outside: Addr,
    /// What the nodes announce.
    pub inside: Addr,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.outside, self.inside)
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (outside, inside) = text.split_once('=').ok_or_else(|| format!("'{text}' is no pair of addresses"))?;
        let read = |part: &str| part.trim().parse::<Addr>().map_err(|error| error.to_string());
        Ok(Self { outside: read(outside)?, inside: read(inside)? })
    }
}

/// One entry of `[cluster] redirect_allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This host name, compared without regard to case.
    Name(Box<str>),
    /// Every address whose first so many bits are these.
    Net(IpAddr, u8),
}

impl Allowed {
    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case(host),
            Self::Net(net, bits) => host.parse().is_ok_and(|ip| common_bits(*net, ip) >= u32::from(*bits)),
        }
    }
}

/// How many leading bits two addresses share; none if they are of different families.
fn common_bits(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        // No prefix is so short that it covers another family.
        _ => 0,
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Net(ip, bits) => write!(f, "{ip}/{bits}"),
        }
    }
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, bits) = text.split_once('/').map_or((text, None), |(host, bits)| (host, Some(bits)));
        let ip: Option<IpAddr> = host.parse().ok();
        let most = if ip.is_some_and(|ip| ip.is_ipv6()) { 128 } else { 32 };
        match (ip, bits) {
            (Some(ip), None) => Ok(Self::Net(ip, most)),
            (Some(ip), Some(bits)) => match bits.parse() {
                Ok(bits) if (1..=most).contains(&bits) => Ok(Self::Net(ip, bits)),
                _ => Err(format!("'{text}' is no network: the prefix is not a number from 1 to {most}")),
            },
            (None, Some(_)) => Err(format!("'{text}' is no network: '{host}' is not an IP address")),
            (None, None) if is_name(host) => Ok(Self::Name(host.into())),
            (None, None) => Err(format!("'{text}' is neither a host name nor a network")),
        }
    }
}

/// Whether a text can be a host name: letters, digits, dashes, dots.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// What the operator says of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// `[cluster] address_map`: where to find what nodes announce.
    pub map: Vec<Pair>,
    /// `[cluster] redirect_allow`: hosts outside the map of the cluster to which a redirect may lead.
    pub allowed: Vec<Allowed>,
}

impl Addresses {
    /// Where the proxy finds what nodes call `inside`.
    #[must_use]
    pub fn outside(&self, inside: Addr) -> Addr {
        self.map.iter().find(|pair| pair.inside == inside).map_or(inside, |pair| pair.outside.clone())
    }

    /// Whether a redirect may lead to a host that is no node of the map.
    #[must_use]
    pub fn allows(&self, addr: &Addr) -> bool {
        self.allowed.iter().any(|allowed| allowed.covers(addr.host()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_cover_their_addresses_and_no_others() {
        for (allowed, host, covered) in [
            ("10.1.0.0/16", "10.1.255.3", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("fd00::/8", "10.0.0.1", false),
            ("Redis-1.Local", "redis-1.local", true),
            ("redis", "redis-1", false),
        ] {
            let addresses = Addresses { allowed: vec![allowed.parse().unwrap()], ..Addresses::default() };
            assert_eq!(addresses.allows(&Addr::tcp(host, 1)), covered, "{allowed} {host}");
        }
        for bad in ["10.0.0.0/33", "10.0.0.0/0", "fd00::/129", "host/8", "", "a b", "10.0.0.0/x"] {
            assert!(bad.parse::<Allowed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_lead_from_the_inside_to_the_outside() {
        let pair: Pair = "203.0.113.1:7000=[fd00::1]:6379".parse().unwrap();
        assert_eq!(pair.to_string(), "203.0.113.1:7000 = [fd00::1]:6379");
        let addresses = Addresses { map: vec![pair], ..Addresses::default() };
        assert_eq!(addresses.outside(Addr::tcp("fd00::1", 6379)), Addr::tcp("203.0.113.1", 7000));
        assert_eq!(addresses.outside(Addr::tcp("fd00::1", 6380)), Addr::tcp("fd00::1", 6380));
        for bad in ["10.0.0.1:1", "10.0.0.1=10.0.0.2:1", "a:1=b:1=c:1"] {
            assert!(bad.parse::<Pair>().is_err(), "{bad}");
        }
    }
}
