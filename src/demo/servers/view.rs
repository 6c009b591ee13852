//! What one node says of its cluster: `CLUSTER NODES`, parsed.

/// One line of `CLUSTER NODES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The node's id, 40 hexadecimal digits.
    pub id: String,
    /// Its port for clients.
    pub port: u16,
    /// Whether this is the node that was asked.
    pub myself: bool,
    /// Whether it is a primary.
    pub primary: bool,
    /// Whether it is known well: no handshake, no failure suspected or agreed on.
    pub healthy: bool,
    /// The id of its primary, if it is a replica.
    pub primary_id: Option<String>,
    /// The ranges of slots that it owns, both ends included.
    pub slots: Vec<(u16, u16)>,
}

impl Seen {
    /// Whether it owns `slot`.
    #[must_use]
    pub fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|&(first, last)| (first..=last).contains(&slot))
    }
}

/// Parses the text of `CLUSTER NODES`; lines that are not understood are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Seen> {
    text.lines().filter_map(line).collect()
}

/// `id ip:port@bus[,name] flags primary ping pong epoch link [slot | first-last | [slot-><-id]] …`
fn line(line: &str) -> Option<Seen> {
    let mut words = line.split(' ');
    let id = words.next()?.to_owned();
    let addr = words.next()?;
    let flags: Vec<_> = words.next()?.split(',').collect();
    let primary_id = words.next().filter(|id| *id != "-").map(str::to_owned);
    let has = |flag| flags.contains(&flag);
    Some(Seen {
        id,
        port: addr.split(['@', ',']).next()?.rsplit(':').next()?.parse().ok()?,
        myself: has("myself"),
        primary: has("master"),
        healthy: !["handshake", "noaddr", "fail", "fail?"].into_iter().any(has),
        primary_id,
        slots: words.skip(4).filter_map(range).collect(),
    })
}

fn range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_role_health_and_slots() {
        let text = "aa 127.0.0.1:7000@17000,host myself,master - 0 1 2 connected 0-5460 9000 [93->-bb]\n\
                    bb 127.0.0.1:7001@17001 slave,fail? aa 0 1 2 connected\n\
                    cc 127.0.0.1:7002 handshake - 0 0 0 disconnected\n\
                    nonsense";
        let seen = parse(text);
        assert_eq!(seen.len(), 3);
        assert!(seen[0].myself && seen[0].primary && seen[0].healthy);
        assert_eq!(seen[0].slots, [(0, 5460), (9000, 9000)]);
        assert!(seen[0].owns(5460) && seen[0].owns(9000) && !seen[0].owns(93 + 9000));
        assert_eq!((seen[1].primary_id.as_deref(), seen[1].healthy, seen[1].port), (Some("aa"), false, 7001));
        assert_eq!((seen[2].healthy, seen[2].port), (false, 7002));
    }
}
