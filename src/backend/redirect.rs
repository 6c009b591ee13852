//! Reads the error replies of nodes that are meant for the proxy and not for the client.
//!
//! Only the text is read here; what follows from it is decided in `backend`. See
//! <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding>.

use crate::cluster::Hint;
use crate::net::Addr;

/// What an error reply asks of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is the client's.
    Pass,
    /// The slot belongs to another node.
    Moved(Target),
    /// The slot is on its way to another node, and so is this key.
    Ask(Target),
    /// Not executed, and may be later: TRYAGAIN, CLUSTERDOWN, LOADING. What it says of the map.
    Later(Hint),
    /// Not executed, because the node is no longer the primary that the map says it is.
    Stale,
    /// Not executed, because the node does not know the script or the function.
    Missing,
    /// The node does not accept the proxy itself.
    Unauthenticated,
}

/// Where MOVED or ASK points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) slot: u16,
    /// `None` stands for the host that answered.
    pub(super) host: Option<Box<str>>,
    pub(super) port: u16,
}

impl Target {
    /// The address, when `answering` is the node that named the target.
    pub(super) fn addr(&self, answering: &Addr) -> Addr {
        Addr::tcp(self.host.as_deref().unwrap_or_else(|| answering.host()), self.port)
    }
}

/// Reads a whole error reply (`-…\r\n`).
pub(super) fn read(reply: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(reply) else { return Verdict::Pass };
    let text = text.trim_start_matches('-').trim_end();
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    match code {
        "MOVED" => target(rest).map_or(Verdict::Pass, Verdict::Moved),
        "ASK" => target(rest).map_or(Verdict::Pass, Verdict::Ask),
        "TRYAGAIN" => Verdict::Later(Hint::Moved),
        "CLUSTERDOWN" | "LOADING" => Verdict::Later(Hint::Unowned),
        "READONLY" | "MASTERDOWN" => Verdict::Stale,
        "NOAUTH" | "WRONGPASS" => Verdict::Unauthenticated,
        "NOSCRIPT" => Verdict::Missing,
        "ERR" if rest == "Function not found" => Verdict::Missing,
        _ => Verdict::Pass,
    }
}

/// Reads a whole error reply to a command that may have waited: one that a node sent away because it is a primary
/// no longer can be sent again.
pub(super) fn read_blocked(reply: &[u8]) -> Verdict {
    // The others say that somebody asked for it, or that the stream is gone.
    if reply.starts_with(b"-UNBLOCKED force unblock") { Verdict::Stale } else { read(reply) }
}

/// `slot host:port`; the host may be empty or `?`, an IPv6 address has no brackets.
fn target(text: &str) -> Option<Target> {
    let (slot, endpoint) = text.split_once(' ')?;
    let (host, port) = endpoint.rsplit_once(':')?;
    let slot = slot.parse().ok().filter(|&slot| slot < crate::cluster::slot::SLOTS)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = (!matches!(host, "" | "?")).then(|| host.into());
    Some(Target { slot, host, port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(slot: u16, host: Option<&str>, port: u16) -> Verdict {
        Verdict::Moved(Target { slot, host: host.map(Into::into), port })
    }

    #[test]
    fn redirects_are_read_as_nodes_write_them() {
        assert_eq!(read(b"-MOVED 3999 127.0.0.1:6381\r\n"), moved(3999, Some("127.0.0.1"), 6381));
        assert_eq!(read(b"-MOVED 1 ::1:7000\r\n"), moved(1, Some("::1"), 7000));
        assert_eq!(read(b"-MOVED 1 :7000\r\n"), moved(1, None, 7000));
        assert_eq!(read(b"-MOVED 1 ?:7000\r\n"), moved(1, None, 7000));
        assert!(matches!(read(b"-ASK 7 redis-1.redis:6379\r\n"), Verdict::Ask(_)));
        assert_eq!(read(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"), Verdict::Later(Hint::Moved));
        assert_eq!(read(b"-NOAUTH Authentication required.\r\n"), Verdict::Unauthenticated);
    }

    #[test]
    fn what_is_no_redirect_is_the_clients() {
        for text in ["-MOVED", "-MOVED 99999 h:1", "-MOVED x h:1", "-ASK 1 h", "-MOVEDX 1 h:1", "-ERR MOVED 1 h:1"] {
            assert_eq!(read(format!("{text}\r\n").as_bytes()), Verdict::Pass, "{text}");
        }
    }

    #[test]
    fn only_who_was_sent_away_waits_again() {
        let demoted = "force unblock from blocking operation, instance state changed (master -> replica?)";
        assert_eq!(read_blocked(format!("-UNBLOCKED {demoted}\r\n").as_bytes()), Verdict::Stale);
        for told in ["the stream key no longer exists", "client unblocked via CLIENT UNBLOCK"] {
            assert_eq!(read_blocked(format!("-UNBLOCKED {told}\r\n").as_bytes()), Verdict::Pass, "{told}");
        }
    }
}
