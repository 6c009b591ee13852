//! Who is compared: how each is found, configured and started.
//!
//! One file per proxy holds what is peculiar to it; here is what they share. A target that cannot take part is
//! [`Missing`], with the reason and the remedy, and is named in the output.

mod envoy;
mod haproxy;
mod nutcracker;
mod predixy;
mod slotway;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Result;
use crate::args::Args;
use crate::child::{self, Child, free_port, local};
use crate::cluster::{Ground, Servers, wait_for};
use crate::load::Destination;
use crate::plan::Scene;

/// A proxy that takes part.
#[derive(Debug)]
pub(crate) struct Target {
    /// The name in tables.
    pub(crate) name: &'static str,
    /// Its binary.
    pub(crate) program: PathBuf,
    /// What it says of itself.
    pub(crate) version: String,
    /// What stands behind it.
    pub(crate) ground: Ground,
    /// Whether callgrind can run it in reasonable time.
    pub(crate) countable: bool,
    /// Open files for each connection of a client.
    pub(crate) files: u64,
    arguments: fn(&Site<'_>) -> Result<Vec<String>>,
}

/// A proxy that cannot take part.
#[derive(Debug, Serialize)]
pub(crate) struct Missing {
    /// The name in tables.
    pub(crate) name: &'static str,
    /// What is wrong and what helps.
    pub(crate) why: String,
}

/// What a proxy's configuration is made from.
pub(crate) struct Site<'a> {
    /// The port to listen on.
    pub(crate) listen: u16,
    /// The ports of the servers behind it.
    pub(crate) servers: Vec<u16>,
    /// How many threads serve clients, where that is a matter of configuration.
    pub(crate) workers: usize,
    /// A directory of its own.
    pub(crate) directory: &'a Path,
}

impl Site<'_> {
    /// Writes a configuration file and gives its path.
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.directory.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

/// A target that answers.
#[derive(Debug)]
pub(crate) struct Running {
    /// The name in tables.
    pub(crate) name: &'static str,
    /// The proxy's process; the direct run has none.
    pub(crate) child: Option<Child>,
    /// What it was started for.
    pub(crate) scene: Scene,
    /// Where the load goes.
    pub(crate) destination: Destination,
    /// The process ids of the servers behind it.
    pub(crate) nodes: Vec<u32>,
    /// Whether those servers are the cluster.
    pub(crate) on_cluster: bool,
}

impl Running {
    /// The cluster itself, asked by a load that knows the slots.
    pub(crate) fn direct(servers: &Servers) -> Self {
        let nodes = servers.on(Ground::Cluster);
        let addresses = nodes.iter().map(|server| local(server.port)).collect();
        Self {
            name: DIRECT,
            child: None,
            scene: Scene::Usual,
            destination: Destination { addresses, owners: servers.owners(Ground::Cluster).to_vec() },
            nodes: nodes.iter().map(crate::cluster::Server::pid).collect(),
            on_cluster: true,
        }
    }

    /// The proxy's process id.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }
}

/// The name of the run without a proxy.
pub(crate) const DIRECT: &str = "direct";

/// The name of the house's own proxy.
pub(crate) const OURS: &str = "slotway";

/// Looks for every proxy that the arguments invite.
pub(crate) fn seek(args: &Args) -> (Vec<Target>, Vec<Missing>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let seekers = [slotway::seek, nutcracker::seek, predixy::seek, envoy::seek, haproxy::seek];
    let paths = [&args.slotway, &args.nutcracker, &args.predixy, &args.envoy, &args.haproxy];
    for (seek, path) in seekers.into_iter().zip(paths) {
        match seek(path.as_deref()) {
            Ok(target) if args.invites(target.name) => found.push(target),
            Err(absent) if args.invites(absent.name) => missing.push(absent),
            _ => {}
        }
    }
    (found, missing)
}

/// The binary at the given path, else on PATH, else what helps.
fn binary(name: &'static str, given: Option<&Path>, remedy: &str) -> std::result::Result<PathBuf, Missing> {
    let place = given.map_or("on PATH".to_owned(), |path| format!("at {}", path.display()));
    let found = given.map_or_else(|| child::on_path(name), |path| path.is_file().then(|| path.to_path_buf()));
    found.ok_or_else(|| Missing { name, why: format!("not found {place}, {remedy}") })
}

impl Target {
    /// Whether it can be a part of a scene.
    pub(crate) fn plays(&self, scene: Scene) -> bool {
        match scene {
            Scene::Usual => true,
            Scene::Thirty | Scene::Scattered => self.ground == Ground::Cluster,
            Scene::TwoWorkers => self.name == OURS,
        }
    }

    /// Starts it, under `wrapper` if there is one, and waits until it answers.
    pub(crate) fn start(
        &self,
        scene: Scene,
        servers: &Servers,
        directory: &Path,
        wrapper: &[String],
    ) -> Result<Running> {
        let listen = free_port()?;
        let home = directory.join(format!("{}-{listen}", self.name));
        std::fs::create_dir_all(&home)?;
        let nodes = servers.on(match scene {
            Scene::Usual | Scene::TwoWorkers => self.ground,
            Scene::Thirty => Ground::Thirty,
            Scene::Scattered => Ground::Scattered,
        });
        let workers = if scene == Scene::TwoWorkers { 2 } else { 1 };
        let ports = nodes.iter().map(|server| server.port).collect();
        let site = Site { listen, servers: ports, workers, directory: &home };
        let mut words = wrapper.to_vec();
        words.push(self.program.display().to_string());
        words.extend((self.arguments)(&site)?);
        let program = PathBuf::from(words.remove(0));
        let mut child = Child::spawn(&program, &words, &home.join("log"))?;
        let address = local(listen);
        wait_for(&mut child, address, &["PING"], "+PONG")?;
        // Some answer PING before they know a server.
        wait_for(&mut child, address, &["SET", "side:by:side", "1"], "+OK")?;
        Ok(Running {
            name: self.name,
            child: Some(child),
            scene,
            destination: Destination { addresses: vec![address], owners: Vec::new() },
            nodes: nodes.iter().map(crate::cluster::Server::pid).collect(),
            on_cluster: self.ground == Ground::Cluster,
        })
    }
}

/// The addresses of the servers, joined.
fn joined(servers: &[u16], before: &str, between: &str) -> String {
    let each: Vec<String> = servers.iter().map(|port| format!("{before}{}", local(*port))).collect();
    each.join(between)
}
