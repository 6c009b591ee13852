//! nutcracker (twemproxy): knows no clusters, so it stands before three plain servers and hashes keys itself.

use std::path::Path;

use super::{Missing, Site, Target, binary};
use crate::Result;
use crate::child::{free_port, local, version};
use crate::cluster::Ground;

/// Finds the binary.
pub(super) fn seek(given: Option<&Path>) -> std::result::Result<Target, Missing> {
    let program = binary("nutcracker", given, "install the package nutcracker or give --nutcracker PATH")?;
    let version = version(&program, "-V");
    Ok(Target { name: "nutcracker", program, version, ground: Ground::Three, countable: true, files: 1, arguments })
}

fn arguments(site: &Site<'_>) -> Result<Vec<String>> {
    let servers: String =
        site.servers.iter().fold(String::new(), |all, port| all + &format!("    - {}:1\n", local(*port)));
    let listen = local(site.listen);
    let text = format!(
        "bench:\n  listen: {listen}\n  hash: fnv1a_64\n  distribution: ketama\n  redis: true\n  \
         preconnect: true\n  backlog: 4096\n  servers:\n{servers}"
    );
    let file = site.write("nutcracker.yml", &text)?;
    // The page of statistics needs a port too; it is asked for rarely so that it does not count.
    let words = format!("-c {file} -a 127.0.0.1 -s {} -i 30000 -v 0", free_port()?);
    Ok(words.split(' ').map(str::to_owned).collect())
}
