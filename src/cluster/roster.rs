//! Reads CLUSTER NODES: what one node believes of all, and what only it knows of its own slots on the move.
//!
//! The map itself comes from `reading`; this is for those who look at a cluster closely.

/// One node as the node that was asked sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its 40 hexadecimal digits.
    pub id: String,
    /// `host:port`, as clients are told it.
    pub addr: String,
    /// `myself`, `master`, `slave`, `fail?`, `fail`, `handshake`, `noaddr`.
    pub flags: Vec<String>,
    /// For a replica, who its primary is.
    pub primary: Option<String>,
    /// Its configuration epoch.
    pub epoch: u64,
    /// Whether the node that was asked is connected to it.
    pub linked: bool,
    /// What it owns: first and last slot.
    pub slots: Vec<(u16, u16)>,
    /// Slots that it gives away, and the identifier of who gets each. Only in the line of `myself`.
    pub migrating: Vec<(u16, String)>,
    /// Slots that it gets, and the identifier of who gives each away. Only in the line of `myself`.
    pub importing: Vec<(u16, String)>,
}

impl Member {
    /// Whether it has this flag.
    #[must_use]
    pub fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// Reads the whole answer; lines that make no sense are left out.
#[must_use]
pub fn read(text: &str) -> Vec<Member> {
    text.lines().filter_map(member).collect()
}

fn member(line: &str) -> Option<Member> {
    let mut words = line.split_ascii_whitespace();
    let id = words.next()?.to_owned();
    // host:port@bus,hostname
    let addr = words.next()?.split(['@', ',']).next()?.to_owned();
    let flags = words.next()?.split(',').map(str::to_owned).collect();
    let primary = words.next().filter(|id| *id != "-").map(str::to_owned);
    let epoch = words.nth(2)?.parse().ok()?;
    let linked = words.next()? == "connected";
    let mut member = Member { id, addr, flags, primary, epoch, linked, ..Member::default() };
    for word in words {
        if let Some(moving) = word.strip_prefix('[') {
            let moving = moving.trim_end_matches(']');
            let parsed = |(slot, id): (&str, &str)| Some((slot.parse().ok()?, id.to_owned()));
            member.migrating.extend(moving.split_once("->-").and_then(parsed));
            member.importing.extend(moving.split_once("-<-").and_then(parsed));
        } else {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            member.slots.extend(first.parse().ok().zip(last.parse().ok()));
        }
    }
    Some(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_slots_and_moves() {
        let text = "aa 10.0.0.1:7000@17000,host myself,master - 0 0 5 connected 0-99 200 [93->-bb] [300-<-cc]\n\
                    bb 10.0.0.2:7000@17000 slave,fail? aa 1 2 5 disconnected\n\
                    nonsense\n";
        let members = read(text);
        assert_eq!(members.len(), 2);
        let own = &members[0];
        assert_eq!((own.addr.as_str(), own.epoch, own.linked), ("10.0.0.1:7000", 5, true));
        assert_eq!(own.slots, [(0, 99), (200, 200)]);
        assert_eq!(own.migrating, [(93, "bb".to_owned())]);
        assert_eq!(own.importing, [(300, "cc".to_owned())]);
        assert!(members[1].is("fail?") && !members[1].linked);
        assert_eq!(members[1].primary.as_deref(), Some("aa"));
    }
}
