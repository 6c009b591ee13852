//! What kind of cluster to make.

/// The shape and the habits of an embedded cluster.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a server, each by itself")]
pub struct Options {
    /// How many primaries; the slots are spread evenly over them. At least 1.
    pub primaries: usize,
    /// How many replicas each primary has.
    pub replicas: usize,
    /// Decides node ids and every random choice of the nodes.
    pub seed: u64,
    /// The IP address that the nodes say they have.
    pub host: String,
    /// The port of the first node; the others follow. Serving over TCP may give them other ports.
    pub base_port: u16,
    /// The nodes' wall clock at the start, in milliseconds since 1970.
    pub unix_ms: u64,
    /// False makes the nodes answer `CLUSTER SHARDS` and `CLUSTER SLOTS` as servers before 7.0 do.
    pub cluster_shards_supported: bool,
    /// What a connection must prove before it may do anything; nothing when absent.
    pub auth: Option<Auth>,
    /// How the nodes call one another in redirects and maps.
    pub endpoint: Endpoint,
    /// Whether nodes tell subscribers of writes to their keys (`notify-keyspace-events`), by the command's name.
    pub keyspace_events: bool,
    /// Whether every slot must be served for any to be (`cluster-require-full-coverage`).
    pub full_coverage: bool,
    /// Whether each slot has a table of its own, whose number is in the cursor of `SCAN`, as in servers since 7.4.
    pub slot_tables: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicas: 1,
            seed: 1,
            host: "127.0.0.1".to_owned(),
            base_port: 7000,
            unix_ms: 1_700_000_000_000,
            cluster_shards_supported: true,
            auth: None,
            endpoint: Endpoint::Ip,
            keyspace_events: false,
            full_coverage: true,
            slot_tables: false,
        }
    }
}

/// The one user that may use the nodes.
#[derive(Clone, Debug)]
pub struct Auth {
    /// An ACL user; the `default` user when absent (`requirepass`).
    pub user: Option<String>,
    /// The password.
    pub password: String,
}

impl Auth {
    /// Whether this user name and password are the right ones.
    pub(super) fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        user == self.user.as_deref().unwrap_or("default").as_bytes() && password == self.password.as_bytes()
    }
}

/// What a node gives as the host of another (`cluster-preferred-endpoint-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Its IP address.
    Ip,
    /// Its host name, `node-<index>.embedded`.
    Hostname,
    /// A host name that was never set: `?`.
    Question,
    /// Nothing: the host that answered is meant.
    Empty,
}
