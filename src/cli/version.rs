//! What `-V` prints: version, commit, features.

use std::sync::LazyLock;

use crate::net::tls::provider_name;

/// The commit that was built, when the build said so by `SLOTWAY_COMMIT`.
const COMMIT: &str = match option_env!("SLOTWAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// `0.1.0 (commit unknown, features: jemalloc, tls by ring)`.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let features = if cfg!(feature = "jemalloc") { "jemalloc, " } else { "" };
        let tls = provider_name();
        let commit = if COMMIT.is_empty() { "unknown" } else { COMMIT };
        format!("{} (commit {commit}, features: {features}tls by {tls})", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}
