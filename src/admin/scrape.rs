//! `/metrics`: every counter there is, in the text format of Prometheus.

use std::sync::atomic::Ordering;

use crate::client::Process;
use crate::cluster::topology::Role;
use crate::command;
use crate::telemetry::names as n;
use crate::telemetry::{CLASSES, CODES, Counter, Distribution, Exposition, FAULTS, Resources, Tally};

/// The commit that was built, when the build said so by `SLOTWAY_COMMIT`.
pub(super) const COMMIT: &str = match option_env!("SLOTWAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The whole text.
pub(super) fn render(process: &Process) -> String {
    let mut out = Exposition::default();
    clients(process, &mut out);
    nodes(process, &mut out);
    cluster(process, &mut out);
    own(process, &mut out);
    out.finish()
}

fn clients(process: &Process, out: &mut Exposition) {
    let total = |field: fn(&Tally) -> &Counter| process.total(field);
    out.single(&n::CLIENT_CONNECTIONS, process.clients());
    out.family(&n::CLIENT_CONNECTIONS_TOTAL);
    out.sample(&n::CLIENT_CONNECTIONS_TOTAL, &["accepted"], process.accepted.load(Ordering::Relaxed));
    out.sample(&n::CLIENT_CONNECTIONS_TOTAL, &["refused"], process.refused.load(Ordering::Relaxed));
    out.family(&n::CLIENT_HANDSHAKES);
    let shaken = &process.handshakes;
    for (result, count) in [
        ("ok", &shaken.opened),
        ("failed", &shaken.failed),
        ("late", &shaken.late),
        ("plain", &shaken.plain),
        ("foreign", &shaken.foreign),
    ] {
        out.sample(&n::CLIENT_HANDSHAKES, &[result], count.load(Ordering::Relaxed));
    }
    out.family(&n::CLIENT_COMMANDS);
    for (name, count) in commands(process).filter(|(_, count)| *count > 0) {
        out.sample(&n::CLIENT_COMMANDS, &[&name], count);
    }
    out.sample(&n::CLIENT_COMMANDS, &["other"], total(|tally| &tally.unknown));
    out.family(&n::CLIENT_ERRORS);
    for (kind, count) in errors(process) {
        out.sample(&n::CLIENT_ERRORS, &[kind], count);
    }
    out.family(&n::CLIENT_DURATION);
    for (class, all) in CLASSES.into_iter().zip(durations(process)) {
        out.histogram(&n::CLIENT_DURATION, &[class], &all);
    }
    out.single(&n::CLIENT_RECEIVED, total(|tally| &tally.received));
    out.single(&n::CLIENT_SENT, total(|tally| &tally.sent));
    out.single(&n::CLIENT_INFLIGHT, total(|tally| &tally.in_flight));
    out.single(&n::CLIENT_OUTPUT, total(|tally| &tally.buffered));
    out.single(&n::CLIENT_BLOCKED, process.blocked.load(Ordering::Relaxed));
    out.single(&n::CLIENT_SUBSCRIBED, total(|tally| &tally.subscribed));
}

/// Every command of the table with the requests of it. A row more is in no series than what clients have used.
pub(super) fn commands(process: &Process) -> impl Iterator<Item = (String, u64)> {
    command::all().flat_map(|spec| std::iter::once(spec).chain(spec.subs)).map(|spec| {
        let count = |tally: &Tally| tally.rows.get(usize::from(spec.index)).map_or(0, Counter::value);
        (spec.full_name(), process.tallies.iter().map(|tally| count(tally)).sum())
    })
}

/// Every code of an error with how often clients got it.
pub(super) fn errors(process: &Process) -> impl Iterator<Item = (&'static str, u64)> {
    let mut sums = CODES.map(|code| (code, 0));
    for tally in &process.tallies {
        for (sum, (_, count)) in sums.iter_mut().zip(tally.errors.each()) {
            sum.1 += count;
        }
    }
    sums.into_iter()
}

/// The durations of each class.
pub(super) fn durations(process: &Process) -> [Distribution; CLASSES.len()] {
    let mut all: [Distribution; CLASSES.len()] = std::array::from_fn(|_| Distribution::default());
    for tally in &process.tallies {
        all.iter_mut().zip(&tally.durations).for_each(|(sum, histogram)| sum.add(histogram));
    }
    all
}

/// What the proxy itself takes of a request's time.
pub(super) fn overhead(process: &Process) -> Distribution {
    let mut all = Distribution::default();
    process.tallies.iter().for_each(|tally| all.add(&tally.overhead));
    all
}

fn nodes(process: &Process, out: &mut Exposition) {
    let (nodes, map) = (process.nodes.totals(), process.map.load_full());
    let role = |addr: &str| {
        let node = map.nodes.iter().find(|node| node.addr.to_string() == addr);
        node.map_or("left", |node| if node.role == Role::Primary { "primary" } else { "replica" })
    };
    out.family(&n::BACKEND_CONNECTIONS);
    for (addr, of) in &nodes {
        out.sample(&n::BACKEND_CONNECTIONS, &[addr, role(addr)], of.connections);
    }
    out.family(&n::BACKEND_CONNECTS);
    for (addr, of) in &nodes {
        out.sample(&n::BACKEND_CONNECTS, &[addr, "ok"], of.connected);
        out.sample(&n::BACKEND_CONNECTS, &[addr, "failed"], of.refused);
    }
    out.family(&n::BACKEND_COMMANDS);
    for (addr, of) in &nodes {
        out.sample(&n::BACKEND_COMMANDS, &[addr], of.durations.count());
    }
    out.family(&n::BACKEND_DURATION);
    for (addr, of) in &nodes {
        out.histogram(&n::BACKEND_DURATION, &[addr], &of.durations);
    }
    out.family(&n::BACKEND_INFLIGHT);
    for (addr, of) in &nodes {
        out.sample(&n::BACKEND_INFLIGHT, &[addr], of.in_flight);
    }
    out.family(&n::BACKEND_QUEUE);
    for (addr, of) in &nodes {
        out.sample(&n::BACKEND_QUEUE, &[addr], of.queued);
    }
    out.family(&n::BACKEND_ERRORS);
    for (addr, of) in &nodes {
        // What never happened is shown for what can go wrong with any node, not for each code of an error.
        for &(kind, count) in of.errors.iter().filter(|(kind, count)| *count > 0 || FAULTS.contains(kind)) {
            out.sample(&n::BACKEND_ERRORS, &[addr, kind], count);
        }
    }
    out.family(&n::BACKEND_REDIRECTS);
    out.sample(&n::BACKEND_REDIRECTS, &["moved"], process.total(|tally| &tally.moved));
    out.sample(&n::BACKEND_REDIRECTS, &["ask"], process.total(|tally| &tally.asked));
    out.single(&n::BACKEND_RETRIES, process.total(|tally| &tally.put_off));
}

fn cluster(process: &Process, out: &mut Exposition) {
    let map = process.map.load_full();
    out.single(&n::CLUSTER_SLOTS, map.covered());
    out.family(&n::CLUSTER_NODES);
    for (role, is_primary) in [("primary", true), ("replica", false)] {
        for (state, online) in [("online", true), ("offline", false)] {
            let of_it = map.nodes.iter().filter(|n| (n.role == Role::Primary) == is_primary && n.online == online);
            out.sample(&n::CLUSTER_NODES, &[role, state], of_it.count());
        }
    }
    out.single(&n::CLUSTER_AGE, map_age_seconds(process));
    out.family(&n::CLUSTER_REFRESHES);
    for (trigger, found, not) in process.refreshes.refreshes() {
        out.sample(&n::CLUSTER_REFRESHES, &[trigger, "ok"], found);
        out.sample(&n::CLUSTER_REFRESHES, &[trigger, "failed"], not);
    }
    out.single(&n::CLUSTER_CHANGES, process.refreshes.changes.value());
    out.family(&n::CLUSTER_CONVERGENCE);
    let mut convergence = Distribution::default();
    convergence.add(&process.refreshes.convergence);
    out.histogram(&n::CLUSTER_CONVERGENCE, &[], &convergence);
}

/// Seconds since a node last confirmed the map, or since the start.
pub(super) fn map_age_seconds(process: &Process) -> f64 {
    let confirmed = std::time::Duration::from_millis(process.refreshes.confirmed_ms.value());
    process.uptime().saturating_sub(confirmed).as_secs_f64()
}

fn certificates(process: &Process, out: &mut Exposition) {
    let in_use = process.certificates.load();
    out.family(&n::CERTIFICATE_EXPIRY);
    for one in in_use.iter() {
        if let (Some(file), Some(validity)) = (one.file(), one.validity()) {
            out.sample(&n::CERTIFICATE_EXPIRY, &[&file.display().to_string()], validity.not_after);
        }
    }
    out.family(&n::CERTIFICATE_RELOADS);
    for one in in_use.iter() {
        let file = one.file().map_or_else(|| "authorities".to_owned(), |file| file.display().to_string());
        let (ok, failed) = one.reloads();
        out.sample(&n::CERTIFICATE_RELOADS, &[&file, "ok"], ok);
        out.sample(&n::CERTIFICATE_RELOADS, &[&file, "failed"], failed);
    }
}

fn own(process: &Process, out: &mut Exposition) {
    out.family(&n::OVERHEAD);
    out.histogram(&n::OVERHEAD, &[], &overhead(process));
    certificates(process, out);
    out.family(&n::BUILD_INFO);
    out.sample(&n::BUILD_INFO, &[env!("CARGO_PKG_VERSION"), COMMIT], 1);
    out.single(&n::CONFIG_RELOADED, u8::from(process.config_is_good.load(Ordering::Relaxed)));
    out.single(&n::DRAINING, u8::from(process.draining.load(Ordering::Relaxed)));
    let resources = Resources::now(process.uptime());
    out.single(&n::PROCESS_CPU, resources.cpu_seconds);
    out.single(&n::PROCESS_RESIDENT, resources.resident_bytes);
    out.single(&n::PROCESS_VIRTUAL, resources.virtual_bytes);
    out.single(&n::PROCESS_FILES, resources.open_files);
    out.single(&n::PROCESS_MAX_FILES, resources.max_files);
    out.single(&n::PROCESS_START, resources.started_seconds);
}
