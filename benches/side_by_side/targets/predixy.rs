//! predixy: one worker thread, before the cluster. Nobody packages it: it takes part when its path is given.

use std::path::Path;

use super::{Missing, Site, Target, binary, joined};
use crate::Result;
use crate::child::{local, version};
use crate::cluster::Ground;

/// Finds the binary.
pub(super) fn seek(given: Option<&Path>) -> std::result::Result<Target, Missing> {
    let program = binary("predixy", given, "build it from its sources and give --predixy PATH")?;
    let version = version(&program, "-v");
    Ok(Target { name: "predixy", program, version, ground: Ground::Cluster, countable: true, files: 1, arguments })
}

fn arguments(site: &Site<'_>) -> Result<Vec<String>> {
    let text = format!(
        "Name bench\nBind {}\nWorkerThreads 1\nClientTimeout 0\nLogVerbSample 0\nLogDebugSample 0\nLogInfoSample 0\n\
         LogNoticeSample 0\nLogWarnSample 1\nLogErrorSample 1\n\
         Authority {{\n    Auth {{\n        Mode admin\n    }}\n}}\n\
         ClusterServerPool {{\n    MasterReadPriority 60\n    StaticSlaveReadPriority 0\n    \
         DynamicSlaveReadPriority 0\n    RefreshInterval 1\n    Servers {{\n{}\n    }}\n}}\n",
        local(site.listen),
        joined(&site.servers, "        + ", "\n"),
    );
    Ok(vec![site.write("predixy.conf", &text)?])
}
