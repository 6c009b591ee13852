//! slotway: one worker (two where that is what is measured), defaults otherwise.

use std::path::{Path, PathBuf};

use super::{Missing, OURS, Site, Target, joined};
use crate::Result;
use crate::child::{local, version};
use crate::cluster::Ground;

/// Finds the binary: the given one, else the one that cargo built together with this benchmark.
pub(super) fn seek(given: Option<&Path>) -> std::result::Result<Target, Missing> {
    let program = given.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_slotway")), Path::to_path_buf);
    if !program.is_file() {
        let why = format!("not found at {}, build it with cargo build --release", program.display());
        return Err(Missing { name: OURS, why });
    }
    let version = version(&program, "-V");
    Ok(Target { name: OURS, program, version, ground: Ground::Cluster, countable: true, files: 1, arguments })
}

#[expect(clippy::unnecessary_wraps, reason = "the others write files, which can fail")]
fn arguments(site: &Site<'_>) -> Result<Vec<String>> {
    let seeds = joined(&site.servers, "", ",");
    let words = format!("run --seeds {seeds} --listen {} --workers {}", local(site.listen), site.workers);
    Ok(words.split(' ').map(str::to_owned).collect())
}
