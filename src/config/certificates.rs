//! Checks of what the configuration says of TLS: keys that belong together, and the files that they name.

use std::path::Path;

use super::Certificates;
use super::draft::Draft;
use super::mistake::{Origin, Wrong};
use crate::net::Addr;
use crate::net::tls::{self, Nodes, Part, Server, Unfit, Validity, Verify};
use crate::telemetry::wall_clock;

/// A certificate that ends so soon deserves a word, in seconds.
const SOON: u64 = 7 * 24 * 3600;

/// The keys of one side.
struct Side {
    on: &'static str,
    cert: &'static str,
    key: &'static str,
    ca: &'static str,
}

const LISTEN: Side = Side {
    on: "listen.tls_cert_file",
    cert: "listen.tls_cert_file",
    key: "listen.tls_key_file",
    ca: "listen.tls_client_ca_file",
};
const CLUSTER: Side =
    Side { on: "cluster.tls", cert: "cluster.tls_cert_file", key: "cluster.tls_key_file", ca: "cluster.tls_ca_file" };

/// Notes the mistakes of a finished draft and returns its warnings.
pub(super) fn check(draft: &mut Draft, looked_at: Certificates) -> Vec<String> {
    let mut warnings = Vec::new();
    let pairs = [LISTEN, CLUSTER].map(|side| is_pair(draft, &side));
    listen(draft, &mut warnings);
    cluster(draft, &mut warnings);
    let (server, nodes) = (draft.config.worker.tls.clone(), draft.config.cluster.tls.clone());
    if looked_at > Certificates::Unread && pairs[0] && server.is_on() {
        let read = Server::new(&server).map(|server| server.certificates());
        judge(draft, read, &LISTEN, looked_at, &mut warnings);
    }
    if looked_at > Certificates::Unread && pairs[1] && nodes.on {
        let read = Nodes::new(&nodes).map(|nodes| nodes.certificates());
        judge(draft, read, &CLUSTER, looked_at, &mut warnings);
    }
    warnings
}

/// A certificate and its key are given together or not at all.
fn is_pair(draft: &mut Draft, side: &Side) -> bool {
    let given = |key: &str| draft.origins.contains_key(key);
    let (missing, there) = match (given(side.cert), given(side.key)) {
        (true, false) => (side.key, side.cert),
        (false, true) => (side.cert, side.key),
        _ => return true,
    };
    let wrong = Wrong::new(format!("{missing} belongs to it and is not given"), "give both, or none");
    draft.note(wrong, &draft.origin(there), there);
    false
}

fn listen(draft: &mut Draft, warnings: &mut Vec<String>) {
    if draft.config.worker.tls.is_on() {
        if matches!(draft.config.worker.addr, Addr::Unix(_)) {
            warnings.push("listen.addr is a Unix socket, and TLS is spoken on it: is that what you want?".to_owned());
        }
        return;
    }
    for key in ["listen.tls_client_ca_file", "listen.tls_client_auth", "listen.tls_min_version"] {
        if draft.origins.contains_key(key) && !draft.origins.contains_key(LISTEN.key) {
            warnings.push(format!("{key} means nothing without listen.tls_cert_file ({})", draft.origin(key)));
        }
    }
}

fn cluster(draft: &mut Draft, warnings: &mut Vec<String>) {
    let tls = &draft.config.cluster.tls;
    if !tls.on {
        for key in ["cluster.tls_ca_file", CLUSTER.cert, "cluster.tls_server_name", "cluster.tls_verify"] {
            if draft.origins.contains_key(key) {
                warnings.push(format!("{key} means nothing without cluster.tls = \"on\" ({})", draft.origin(key)));
            }
        }
        return;
    }
    match tls.verify {
        Verify::Full => {}
        Verify::Chain => warnings.push(
            "cluster.tls_verify = \"chain\": whoever has a certificate of the same authority can pose as a node"
                .to_owned(),
        ),
        Verify::Off => warnings.push(
            "cluster.tls_verify = \"off\": ANYONE in between can pose as a node, read everything and change it; \
             set cluster.tls_ca_file instead"
                .to_owned(),
        ),
    }
}

/// Notes what is wrong with files, and with when they are valid.
fn judge(
    draft: &mut Draft,
    read: Result<std::sync::Arc<dyn tls::Certificates>, Unfit>,
    side: &Side,
    looked_at: Certificates,
    warnings: &mut Vec<String>,
) {
    let certificates = match read {
        Ok(certificates) => certificates,
        Err(unfit) => {
            let key = match unfit.part {
                Part::Certificate => side.cert,
                Part::Key => side.key,
                Part::Authority if draft.origins.contains_key(side.ca) => side.ca,
                Part::Authority | Part::Whole => side.on,
            };
            return draft.note(Wrong::new(unfit.what, unfit.instead), &draft.origin(key), key);
        }
    };
    let (Some(file), Some(validity)) = (certificates.file(), certificates.validity()) else { return };
    let Some(what) = out_of_date(file, validity, wall_clock().as_secs()) else { return };
    let at = draft.origin(side.cert);
    if looked_at == Certificates::Valid && !what.is_only_soon {
        draft.note(Wrong::new(what.text, "renew it, and look at the clock of this machine"), &at, side.cert);
    } else if at == Origin::Default {
        warnings.push(what.text);
    } else {
        warnings.push(format!("{at}: {}: {}", side.cert, what.text));
    }
}

struct OutOfDate {
    text: String,
    is_only_soon: bool,
}

fn out_of_date(file: &Path, validity: Validity, now: u64) -> Option<OutOfDate> {
    let file = file.display();
    let hours = |seconds: u64| match seconds / 3600 {
        hours if hours < 48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    };
    let (text, is_only_soon) = if now < validity.not_before {
        (format!("the certificate in {file} is not valid for another {}", hours(validity.not_before - now)), false)
    } else if now > validity.not_after {
        (format!("the certificate in {file} expired {} ago", hours(now - validity.not_after)), false)
    } else if now + SOON > validity.not_after {
        (format!("the certificate in {file} expires in {}", hours(validity.not_after - now)), true)
    } else {
        return None;
    };
    Some(OutOfDate { text, is_only_soon })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_date_says_by_how_much() {
        let at = |now| {
            let dates = Validity { not_before: 1_000_000, not_after: 10_000_000 };
            out_of_date(Path::new("a.crt"), dates, now).map(|found| (found.text, found.is_only_soon))
        };
        let told = |text: &str, soon| Some((format!("the certificate in a.crt {text}"), soon));
        assert_eq!(at(900_000), told("is not valid for another 27 hours", false));
        assert_eq!(at(1_000_000), None);
        assert_eq!(at(10_000_000 - 2 * 24 * 3600), told("expires in 2 days", true));
        assert_eq!(at(10_000_000 + 3 * 24 * 3600), told("expired 3 days ago", false));
    }
}
