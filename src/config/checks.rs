//! Checks over several keys: values that are each right and together wrong, and what deserves a warning.

use super::draft::Draft;
use super::keys;
use super::mistake::{Origin, Wrong};
use crate::net::Addr;

/// Notes the mistakes of a finished draft and returns its warnings.
pub(super) fn check(draft: &mut Draft, seeds_needed: bool) -> Vec<String> {
    if seeds_needed && !draft.origins.contains_key("cluster.seeds") {
        let instead = "write seeds = [\"10.0.0.1:7000\"] in [cluster], or use --seeds or SLOTWAY_SEEDS";
        draft.note(Wrong::new("no node of the cluster is known", instead), &Origin::Default, "cluster.seeds");
    } else if seeds_needed && draft.seeds.is_empty() && !has_mistake(draft, "cluster.seeds") {
        let wrong = Wrong::new("the list is empty", "name at least one node, such as \"10.0.0.1:7000\"");
        draft.note(wrong, &draft.origin("cluster.seeds"), "cluster.seeds");
    }
    refuse_own_address(draft);
    refuse_one_address_for_both(draft);
    refuse_long_requests(draft);
    warnings(draft)
}

fn has_mistake(draft: &Draft, key: &str) -> bool {
    draft.mistakes.iter().any(|mistake| mistake.key == key)
}

/// A proxy whose seed is itself would ask itself for the map, for ever.
fn refuse_own_address(draft: &mut Draft) {
    let own: Vec<Addr> = draft.config.doors().flat_map(|door| door.addrs).collect();
    for (seed, at) in draft.seeds.clone() {
        if own.contains(&seed.addr) {
            let what = format!("{} is an address that slotway itself listens on", seed.addr);
            draft.note(Wrong::new(what, "name a node of the cluster, or listen elsewhere"), &at, "cluster.seeds");
        }
    }
}

/// Two listeners cannot have one address.
fn refuse_one_address_for_both(draft: &mut Draft) {
    let mut taken: Vec<(Addr, String)> = Vec::new();
    let mut twice = Vec::new();
    let mut take = |addr: Addr, key: String, at: Origin| {
        // The system chooses another for each that asks for port 0.
        let is_chosen = matches!(addr, Addr::Tcp { port: 0, .. });
        match taken.iter().find(|(other, _)| *other == addr) {
            Some((_, other)) if !is_chosen => twice.push((addr, key, other.clone(), at)),
            _ => taken.push((addr, key)),
        }
    };
    for (at, door) in draft.config.doors().enumerate() {
        let origins = at.checked_sub(1).and_then(|at| draft.listener_origins.get(at)).unwrap_or(&draft.origins);
        for addr in door.addrs {
            let name = if matches!(addr, Addr::Unix(_)) && origins.contains_key("listen.unix_socket") {
                "unix_socket"
            } else {
                "addr"
            };
            let origin = origins.get(format!("listen.{name}").as_str()).cloned().unwrap_or(Origin::Default);
            let section = if at == 0 { "listen".to_owned() } else { format!("{}.{}", keys::LISTENERS, door.name) };
            take(addr, format!("{section}.{name}"), origin);
        }
    }
    if let Some(admin) = draft.config.admin.addr.clone() {
        take(admin, "admin.addr".to_owned(), draft.origin("admin.addr"));
    }
    for (addr, key, other, at) in twice {
        let wrong = Wrong::new(format!("{addr} is the address of {other}, too"), "give each an address of its own");
        draft.note(wrong, &at, &key);
    }
}

/// The clock of requests under way goes round after little more than an hour.
fn refuse_long_requests(draft: &mut Draft) {
    let longest = std::time::Duration::from_hours(1);
    if draft.config.backend.request_timeout > longest {
        let wrong = Wrong::new("no request may take longer than an hour", "write a duration up to \"1h\"");
        draft.note(wrong, &draft.origin("cluster.request_timeout"), "cluster.request_timeout");
    }
}

fn warnings(draft: &Draft) -> Vec<String> {
    let mut warnings = Vec::new();
    let config = &draft.config;
    let open = config.doors().filter(|door| door.client.users.is_empty()).flat_map(|door| door.addrs);
    for addr in open.filter(|addr| !addr.is_loopback()) {
        warnings.push(format!(
            "ANYONE who reaches {addr} can read and change the whole cluster: \
             no client has to authenticate; set auth.password_file, or listen on 127.0.0.1"
        ));
    }
    if let Some(admin) = config.admin.addr.as_ref().filter(|addr| !addr.is_loopback())
        && config.admin.token.is_none()
    {
        warnings.push(format!(
            "whoever reaches the admin port at {admin} sees its figures: \
             set admin.token_file, or listen on 127.0.0.1"
        ));
    }
    if config.backend.request_timeout < config.backend.connect_timeout {
        warnings.push(
            "cluster.request_timeout is shorter than cluster.connect_timeout: \
             a request that waits for a new connection ends before the connection may"
                .to_owned(),
        );
    }
    if draft.origin("cluster.seeds").rank() == 3 && draft.seeds.iter().any(|(seed, _)| seed.password.is_some()) {
        warnings.push(
            "the password in --seeds is visible to every user of this machine; \
             use SLOTWAY_PASSWORD or cluster.password_file"
                .to_owned(),
        );
    }
    warnings
}
