//! Reads what nodes say of their cluster: CLUSTER SHARDS, CLUSTER SLOTS, CLUSTER NODES, CLUSTER INFO, INFO, ROLE.
//!
//! Values in, values out. Which node is asked, and whether its answer is believed, is decided in `discovery`.

use super::slot::SLOTS;
use super::topology::{Node, NodeIndex, Role, Topology, UNOWNED};
use crate::net::Addr;
use crate::resp::value::Value;

/// Builds a map from `(first slot, last slot)` ranges and nodes, as they are read.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    map: Topology,
}

impl Builder {
    /// The place of a node, which is added if it is new.
    fn node(&mut self, node: Node) -> NodeIndex {
        if let Some(at) = self.nodes.iter().position(|known| known.addr == node.addr) {
            return at as NodeIndex;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeIndex
    }

    fn own(&mut self, first: i64, last: i64, owner: NodeIndex) -> Option<()> {
        let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
        self.map.slots.get_mut(first..=last)?.fill(owner);
        Some(())
    }

    /// The map, with its nodes in the order of their addresses: nodes tell of each other in any order, and two
    /// maps that say the same must be equal.
    fn finish(mut self) -> Topology {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by(|&a, &b| self.nodes.get(a).map(|n| &n.addr).cmp(&self.nodes.get(b).map(|n| &n.addr)));
        let mut place = vec![UNOWNED; order.len()];
        for (new, &old) in order.iter().enumerate() {
            if let Some(place) = place.get_mut(old) {
                *place = new as NodeIndex;
            }
        }
        let moved = |index: NodeIndex| place.get(usize::from(index)).copied().unwrap_or(UNOWNED);
        for owner in &mut self.map.slots {
            *owner = moved(*owner);
        }
        for node in &mut self.nodes {
            if let Role::Replica { of } = &mut node.role {
                *of = moved(*of);
            }
        }
        self.nodes.sort_by(|a, b| a.addr.cmp(&b.addr));
        Topology { nodes: self.nodes, ..self.map }
    }
}

/// CLUSTER SHARDS (servers from 7.0). `asked` stands in for a host that a node does not know of itself; `sealed` says
/// whether nodes are spoken to by TLS.
pub(super) fn shards(reply: &Value, asked: &Addr, sealed: bool) -> Option<Topology> {
    let mut builder = Builder::default();
    for shard in reply.array()? {
        let members = shard.field("nodes")?.array()?;
        let is_primary = |node: &&Value| node.field("role").and_then(Value::text) == Some("master");
        let is_online = |node: &&Value| node.field("health").and_then(Value::text) == Some("online");
        let primary =
            members.iter().find(|node| is_primary(node) && is_online(node)).or_else(|| members.iter().find(is_primary));
        let Some(primary) = primary else { continue };
        let owner = builder.node(shard_node(primary, Role::Primary, asked, sealed)?);
        for range in shard.field("slots")?.array()?.chunks_exact(2) {
            builder.own(range.first()?.int()?, range.get(1)?.int()?, owner)?;
        }
        for member in members.iter().filter(|node| !is_primary(node)) {
            builder.node(shard_node(member, Role::Replica { of: owner }, asked, sealed)?);
        }
    }
    Some(builder.finish())
}

fn shard_node(node: &Value, role: Role, asked: &Addr, sealed: bool) -> Option<Node> {
    // Other than CLUSTER SLOTS, this reply names both ports, whichever it was asked at.
    let [wanted, other] = if sealed { ["tls-port", "port"] } else { ["port", "tls-port"] };
    let port = node.field(wanted).or_else(|| node.field(other))?.int()?;
    // A null endpoint stands for the host that was asked; servers that know no endpoints give the address.
    let host = match node.field("endpoint") {
        Some(endpoint) => endpoint.text(),
        None => node.field("ip").and_then(Value::text),
    };
    Some(Node {
        id: node.field("id").and_then(Value::text).unwrap_or_default().to_owned(),
        addr: addr(host, port, asked)?,
        role,
        online: node.field("health").and_then(Value::text) == Some("online"),
        epoch: 0,
    })
}

/// CLUSTER SLOTS (servers from 3.0; identifiers from 4.0).
pub(super) fn slots(reply: &Value, asked: &Addr) -> Option<Topology> {
    let mut builder = Builder::default();
    for range in reply.array()? {
        let range = range.array()?;
        let owner = builder.node(slots_node(range.get(2)?, Role::Primary, asked)?);
        builder.own(range.first()?.int()?, range.get(1)?.int()?, owner)?;
        for replica in range.get(3..).unwrap_or_default() {
            builder.node(slots_node(replica, Role::Replica { of: owner }, asked)?);
        }
    }
    Some(builder.finish())
}

fn slots_node(node: &Value, role: Role, asked: &Addr) -> Option<Node> {
    let node = node.array()?;
    let id = node.get(2).and_then(Value::text).unwrap_or_default().to_owned();
    let addr = addr(node.first()?.text(), node.get(1)?.int()?, asked)?;
    Some(Node { id, addr, role, online: true, epoch: 0 })
}

fn addr(host: Option<&str>, port: i64, asked: &Addr) -> Option<Addr> {
    let host = host.filter(|host| !matches!(*host, "" | "?")).unwrap_or_else(|| asked.host());
    Some(Addr::tcp(host, u16::try_from(port).ok().filter(|&port| port > 0)?))
}

/// Notes at each primary the epoch that CLUSTER NODES tells of it. `None` when that reply takes a primary of the map
/// for something else: the cluster changed between the two replies.
pub(super) fn with_epochs(mut map: Topology, nodes: &Value) -> Option<Topology> {
    let Some(text) = nodes.text() else { return Some(map) };
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    for node in map.nodes.iter_mut().filter(|node| node.role == Role::Primary) {
        // id, address, flags, primary, ping, pong, epoch
        let Some(line) = lines.iter().find(|line| line.first() == Some(&node.id.as_str())) else { continue };
        if !line.get(2)?.split(',').any(|flag| flag == "master") {
            return None;
        }
        node.epoch = line.get(6)?.parse().ok()?;
    }
    Some(map)
}

/// Whether a reply to ROLE is that of a primary.
pub(super) fn is_primary(role: &Value) -> bool {
    role.array().and_then(<[Value]>::first).and_then(Value::text) == Some("master")
}

/// The value of `name` in a reply of `name:value` lines.
pub(super) fn info_field<'a>(reply: &'a Value, name: &str) -> Option<&'a str> {
    reply.text()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// `7.0.15` as numbers that can be compared.
pub(super) fn version_key(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Whether a map makes sense: every owner is a primary that it names.
pub(super) fn is_sound(map: &Topology) -> bool {
    map.slots.len() == usize::from(SLOTS)
        && map
            .slots
            .iter()
            .filter(|&&owner| owner != UNOWNED)
            .all(|&owner| map.nodes.get(usize::from(owner)).is_some_and(|node| node.role == Role::Primary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Proto;

    fn value(text: &str) -> Value {
        Value::read(text.as_bytes(), Proto::Resp2, 1 << 20).unwrap().unwrap().0
    }

    #[test]
    fn slots_are_read_with_replicas_and_unknown_hosts() {
        let reply = "*2\r\n*4\r\n:0\r\n:9999\r\n*3\r\n$0\r\n\r\n:7000\r\n$1\r\na\r\n*3\r\n$9\r\n127.0.0.2\r\n:7001\r\n$1\r\nb\r\n\
                     *3\r\n:10000\r\n:16383\r\n*3\r\n$1\r\n?\r\n:7002\r\n$1\r\nc\r\n";
        let map = slots(&value(reply), &Addr::tcp("10.1.1.1", 1)).unwrap();
        assert!(is_sound(&map));
        assert_eq!(map.covered(), 16384);
        let addrs: Vec<String> = map.nodes.iter().map(|node| node.addr.to_string()).collect();
        assert_eq!(addrs, ["10.1.1.1:7000", "10.1.1.1:7002", "127.0.0.2:7001"]);
        assert_eq!(map.nodes[2].role, Role::Replica { of: 0 });
        assert_eq!((map.slots[9999], map.slots[10_000]), (0, 1));
    }

    #[test]
    fn shards_prefer_the_primary_that_is_online() {
        let node = |port: u16, role: &str, health: &str| {
            format!(
                "*10\r\n$2\r\nid\r\n$1\r\nx\r\n$4\r\nport\r\n:{port}\r\n$8\r\nendpoint\r\n$1\r\nh\r\n$4\r\nrole\r\n+{role}\r\n$6\r\nhealth\r\n+{health}\r\n"
            )
        };
        let nodes = [node(1, "master", "fail"), node(2, "master", "online"), node(3, "replica", "online")].concat();
        let reply = format!("*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:5\r\n:6\r\n$5\r\nnodes\r\n*3\r\n{nodes}");
        let map = shards(&value(&reply), &Addr::tcp("h", 9), false).unwrap();
        assert_eq!(map.nodes[usize::from(map.slots[5])].addr.port(), 2);
        assert_eq!(map.nodes.len(), 2, "the failed one is neither owner nor replica");
    }

    #[test]
    fn shards_name_the_port_that_is_spoken_to() {
        let node = |ports: &str, count: usize| {
            format!(
                "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:9\r\n$5\r\nnodes\r\n*1\r\n*{}\r\n{ports}$8\r\nendpoint\r\n$1\r\nh\r\n$4\r\nrole\r\n+master\r\n",
                count * 2 + 4
            )
        };
        let (plain, tls) = ("$4\r\nport\r\n:1\r\n", "$8\r\ntls-port\r\n:2\r\n");
        for (ports, count, sealed, expected) in [
            (plain, 1, false, 1),
            (tls, 1, true, 2),
            (&[plain, tls].concat(), 2, false, 1),
            (&[plain, tls].concat(), 2, true, 2),
        ] {
            let map = shards(&value(&node(ports, count)), &Addr::tcp("h", 9), sealed).unwrap();
            assert_eq!(map.nodes[0].addr.port(), expected, "{ports:?} {sealed}");
        }
    }

    #[test]
    fn epochs_are_those_of_primaries_that_both_replies_name() {
        let reply = "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$1\r\nh\r\n:7000\r\n$2\r\naa\r\n";
        let map = || slots(&value(reply), &Addr::tcp("h", 1)).unwrap();
        let told = |text: &str| with_epochs(map(), &value(&format!("${}\r\n{text}\r\n", text.len())));
        let known = told("bb h:2@3 slave aa 0 0 9 connected\naa h:1@2,x myself,master - 0 0 7 connected 0-16383\n");
        assert_eq!(known.unwrap().nodes[0].epoch, 7);
        assert!(told("aa h:1@2 slave cc 0 0 9 connected\n").is_none(), "it was replaced in between");
        assert_eq!(told("cc h:1@2 master - 0 0 9 connected\n").unwrap().nodes[0].epoch, 0);
        assert_eq!(with_epochs(map(), &value("-NOPERM no\r\n")).unwrap().nodes[0].epoch, 0);
        assert!(is_primary(&value("*1\r\n$6\r\nmaster\r\n")) && !is_primary(&value("*1\r\n$5\r\nslave\r\n")));
    }

    #[test]
    fn nonsense_is_no_map() {
        for reply in [
            "+OK\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n$1\r\nh\r\n:1\r\n",
            "*1\r\n*3\r\n:5\r\n:1\r\n*2\r\n$1\r\nh\r\n:70000\r\n",
        ] {
            assert!(slots(&value(reply), &Addr::tcp("h", 1)).is_none(), "{reply:?}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(version_key("7.0.15") > version_key("7.0.9"));
        assert!(version_key("7.2") > version_key("6.2.14"));
    }
}
