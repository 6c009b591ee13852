//! What `-V` prints: version, commit, features.

use std::sync::LazyLock;

/// The commit that was built, when the build said so by `SLOTWAY_COMMIT`.
const COMMIT: &str = match option_env!("SLOTWAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// `0.1.0 (commit unknown, features: jemalloc)`.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let features = if cfg!(feature = "jemalloc") { "jemalloc" } else { "none" };
        let commit = if COMMIT.is_empty() { "unknown" } else { COMMIT };
        format!("{} (commit {commit}, features: {features})", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}
