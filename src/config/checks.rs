//! Checks over several keys: values that are each right and together wrong, and what deserves a warning.

use super::draft::Draft;
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
    let own = draft.config.worker.addr.clone();
    let socket = draft.config.worker.unix_socket.clone().map(Addr::Unix);
    for (seed, at) in draft.seeds.clone() {
        if seed.addr == own || Some(&seed.addr) == socket.as_ref() {
            let what = format!("{own} is the address that slotway itself listens on");
            draft.note(Wrong::new(what, "name a node of the cluster, or change listen.addr"), &at, "cluster.seeds");
        }
    }
}

/// Two listeners cannot have one address.
fn refuse_one_address_for_both(draft: &mut Draft) {
    let own = draft.config.worker.addr.clone();
    if own.port() != 0 && draft.config.admin.addr.as_ref() == Some(&own) {
        let what = format!("{own} is the address of the clients, too");
        let wrong = Wrong::new(what, "give each an address of its own");
        draft.note(wrong, &draft.origin("admin.addr"), "admin.addr");
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
    let (config, addr) = (&draft.config, &draft.config.worker.addr);
    if config.client.users.is_empty() && !config.worker.tls.wants_certificates() && !addr.is_loopback() {
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
