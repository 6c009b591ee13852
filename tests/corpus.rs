//! The seeds of the fuzz targets, replayed: what a fuzzer once found stays found, and the targets cannot rot.
//!
//! Each file of `fuzz/seeds/<target>` is one input. To keep a new finding, put its file there.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::fs;
use std::path::Path;

/// Feeds every seed of `target` to its check, and every beginning and a few changes of each.
fn replay(target: &str, check: fn(&[u8]), cut_every: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a seed");
        let outcome = std::panic::catch_unwind(|| {
            check(&bytes);
            for cut in (0..bytes.len()).step_by(cut_every) {
                check(&bytes[..cut]);
                let mut changed = bytes.clone();
                changed[cut] ^= 1 << (cut % 8);
                check(&changed);
            }
        });
        assert!(outcome.is_ok(), "{} breaks it, or a change of it does", path.display());
        count += 1;
    }
    assert!(count >= 5, "only {count} seeds for {target}");
}

#[test]
fn requests() {
    replay("request", checks::request, 1);
}

#[test]
fn inline_requests() {
    replay("inline", checks::inline, 1);
}

#[test]
fn replies() {
    replay("reply", checks::reply, 1);
}

#[test]
fn values() {
    replay("value", checks::value, 1);
}

#[test]
fn headers_of_balancers() {
    replay("announced", checks::announced, 1);
}

#[test]
fn configurations() {
    replay("config", checks::config, 7);
}

#[test]
fn sessions() {
    replay("session", checks::session::session, 5);
}
