//! Every metric there is: its name, type, labels and meaning.
//!
//! The one table from which `/metrics`, `docs/metrics.md` and the tests derive what they know. Names are stable:
//! dashboards and alerts are built on them.

use std::fmt::Write as _;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process or what it counts begins anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
    /// What it means: one line, without a backslash.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $id: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them, in the order in which they are shown.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    CLIENT_CONNECTIONS = Gauge "slotway_client_connections" []
        "Clients that are connected.";
    CLIENT_CONNECTIONS_TOTAL = Counter "slotway_client_connections_total" ["result"]
        "Connections of clients: accepted, or refused because there were `listen.max_clients` already.";
    CLIENT_HANDSHAKES = Counter "slotway_client_tls_handshakes_total" ["result"]
        "Handshakes of TLS with clients: ok; failed (nothing in common, no good certificate, a connection that broke); late (`listen.tls_handshake_timeout`); plain (a client without TLS at a port that wants it); foreign (a client with TLS, or another protocol, at a port of plain RESP).";
    CLIENT_COMMANDS = Counter "slotway_client_commands_total" ["command"]
        "Requests taken from clients, by command; other is what no row of the command table knows.";
    CLIENT_ERRORS = Counter "slotway_client_command_errors_total" ["kind"]
        "Error replies to clients, by the code that they begin with.";
    CLIENT_DURATION = Histogram "slotway_client_command_duration_seconds" ["class"]
        "From the arrival of a request to its reply, redirects and retries included: read, write, split, or local (answered by the proxy itself). Measured with the clock of the worker's turn.";
    CLIENT_RECEIVED = Counter "slotway_client_received_bytes_total" []
        "Bytes read from clients.";
    CLIENT_SENT = Counter "slotway_client_sent_bytes_total" []
        "Bytes written to clients.";
    CLIENT_INFLIGHT = Gauge "slotway_client_inflight" []
        "Requests of clients that have no reply yet; each part of a split request counts.";
    CLIENT_OUTPUT = Gauge "slotway_client_output_buffer_bytes" []
        "Bytes of replies that clients have not taken yet.";
    CLIENT_BLOCKED = Gauge "slotway_client_blocked" []
        "Clients that wait in a blocking command.";
    CLIENT_SUBSCRIBED = Gauge "slotway_client_subscribed" []
        "Clients that are subscribed to a channel or pattern.";
    BACKEND_CONNECTIONS = Gauge "slotway_backend_connections" ["node", "role"]
        "Open connections to a node, those that are lent to single clients included.";
    BACKEND_CONNECTS = Counter "slotway_backend_connects_total" ["node", "result"]
        "Tries to connect to a node: ok, or failed.";
    BACKEND_COMMANDS = Counter "slotway_backend_commands_total" ["node"]
        "Requests that a node ended, by a reply or by being given up.";
    BACKEND_DURATION = Histogram "slotway_backend_command_duration_seconds" ["node"]
        "From the arrival of a request at the proxy to the reply of the node that ended it.";
    BACKEND_INFLIGHT = Gauge "slotway_backend_inflight" ["node"]
        "Requests that wait for a node's reply.";
    BACKEND_QUEUE = Gauge "slotway_backend_queue_bytes" ["node"]
        "Bytes of requests that wait to be sent to a node or answered by it.";
    BACKEND_ERRORS = Counter "slotway_backend_errors_total" ["node", "kind"]
        "What went wrong with a node: connect (tries), lost and protocol (connections), timeout (requests), or the code of an error reply that a client was given.";
    BACKEND_REDIRECTS = Counter "slotway_backend_redirects_total" ["kind"]
        "Redirects followed: moved or ask.";
    BACKEND_RETRIES = Counter "slotway_backend_retries_total" []
        "Requests put off and sent again later, because their node could not run them yet.";
    CLUSTER_SLOTS = Gauge "slotway_cluster_slots_covered" []
        "Slots of 16384 that have an owner.";
    CLUSTER_NODES = Gauge "slotway_cluster_nodes" ["role", "state"]
        "Nodes of the cluster's map: primary or replica, online or offline as the cluster sees them.";
    CLUSTER_AGE = Gauge "slotway_cluster_topology_age_seconds" []
        "Time since a node last confirmed the map of the cluster; without any answer yet, since the start.";
    CLUSTER_REFRESHES = Counter "slotway_cluster_topology_refresh_total" ["trigger", "result"]
        "Times that the map was asked for: by what (interval, moved, unreachable, unowned, stale), and whether a node told it (ok, failed).";
    CLUSTER_CHANGES = Counter "slotway_cluster_topology_changes_total" []
        "Maps that differed from the one before.";
    CLUSTER_CONVERGENCE = Histogram "slotway_cluster_topology_convergence_seconds" []
        "From the first sign that the map is out of date to the map that took its place.";
    OVERHEAD = Histogram "slotway_overhead_duration_seconds" []
        "The proxy's own part of a request's duration: from arrival to the node's socket, and from the node's reply to the client's socket. One request in 64 turns is measured.";
    CERTIFICATE_EXPIRY = Gauge "slotway_tls_certificate_expiry_timestamp_seconds" ["file"]
        "When the certificate in use that was read from this file expires, in seconds since 1970.";
    CERTIFICATE_RELOADS = Counter "slotway_tls_certificate_reloads_total" ["file", "result"]
        "Times that certificates were read anew: ok, or failed, and then those read before stay in use. The file of authorities stands where there is no certificate of slotway's own.";
    BUILD_INFO = Gauge "slotway_build_info" ["version", "commit"]
        "Always 1; what runs is in the labels.";
    CONFIG_RELOADED = Gauge "slotway_config_last_reload_successful" []
        "Whether the configuration that was read last is in use: 1, or 0 when it was bad and the one before it stays.";
    DRAINING = Gauge "slotway_draining" []
        "Whether the proxy takes its leave: 1 from the signal to the end.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Processor time used, in seconds.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" []
        "Memory in use.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Addresses in use.";
    PROCESS_FILES = Gauge "process_open_fds" []
        "Open files.";
    PROCESS_MAX_FILES = Gauge "process_max_fds" []
        "How many files may be open; 0 is no limit.";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "When the process began, in seconds since 1970.";
}

/// The table of `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| name | type | labels | meaning |\n|---|---|---|---|\n");
    for Metric { name, kind, labels, help } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `{name}` | {} | {} | {help} |", kind.word(), labels.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let Metric { name, kind, help, .. } = metric;
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(name.starts_with("slotway_") || name.starts_with("process_"), "{name}");
            assert!(help.ends_with('.') && !help.contains('\\') && !help.contains('|'), "{name}");
            assert_eq!(ALL.iter().filter(|other| other.name == *name).count(), 1, "{name}");
        }
    }
}
