//! The settings that can be given as arguments, the strongest layer of the configuration.

use std::path::PathBuf;

use crate::config::{Certificates, Loaded, Sources, load};

use super::failure::Failure;

/// What `run`, `check` and `config` take.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Settings {
    /// Configuration file; none is read without this
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Nodes of the cluster to ask first, separated by commas: host:port, redis://user@host:port or rediss://…
    #[arg(short, long, value_name = "ADDR", value_delimiter = ',')]
    pub(super) seeds: Vec<String>,
    /// Where to listen: host:port, [ipv6]:port or unix:PATH [default: 127.0.0.1:7379]
    #[arg(short, long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Threads that serve clients; 0 means one a core [default: 0]
    #[arg(short, long, value_name = "N", allow_hyphen_values = true)]
    pub(super) workers: Option<String>,
    /// Where the status page and the metrics are: host:port, or off [default: 127.0.0.1:9379]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// How much to log: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
}

impl Settings {
    /// Puts these settings over those of the environment and the file; files of certificates are not read.
    pub(super) fn load(&self, seeds_needed: bool) -> Result<Loaded, Failure> {
        self.load_with(seeds_needed, Certificates::Unread)
    }

    /// The same, for what runs with the certificates.
    pub(super) fn load_with(&self, seeds_needed: bool, certificates: Certificates) -> Result<Loaded, Failure> {
        let env = std::env::vars_os();
        let env = env.map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned())).collect();
        let mut flags = Vec::new();
        if !self.seeds.is_empty() {
            flags.push(("--seeds", "cluster.seeds", self.seeds.join(",")));
        }
        let single = [
            ("--listen", "listen.addr", &self.listen),
            ("--workers", "workers", &self.workers),
            ("--admin", "admin.addr", &self.admin),
            ("--log-level", "log.level", &self.log_level),
        ];
        flags.extend(single.into_iter().filter_map(|(flag, path, value)| Some((flag, path, value.clone()?))));
        load(&Sources { file: self.config.clone(), env, flags, seeds_needed, certificates }).map_err(Failure::Config)
    }
}
