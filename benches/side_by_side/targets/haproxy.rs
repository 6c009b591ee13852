//! HAProxy in TCP mode before a single server: the null relay, what moving the bytes costs without understanding them.

use std::path::Path;

use super::{Missing, Site, Target, binary, joined};
use crate::Result;
use crate::child::{local, version};
use crate::cluster::Ground;

/// Finds the binary.
pub(super) fn seek(given: Option<&Path>) -> std::result::Result<Target, Missing> {
    let program = binary("haproxy", given, "install the package haproxy or give --haproxy PATH")?;
    let version = version(&program, "-v");
    Ok(Target { name: "haproxy", program, version, ground: Ground::One, countable: false, files: 2, arguments })
}

fn arguments(site: &Site<'_>) -> Result<Vec<String>> {
    let text = format!(
        "global\n    nbthread 1\n    maxconn 9900\ndefaults\n    mode tcp\n    timeout connect 5s\n    \
         timeout client 10m\n    timeout server 10m\nlisten relay\n    bind {} backlog 4096\n    server one {}\n",
        local(site.listen),
        joined(&site.servers, "", " "),
    );
    Ok(vec!["-db".to_owned(), "-f".to_owned(), site.write("haproxy.cfg", &text)?])
}
