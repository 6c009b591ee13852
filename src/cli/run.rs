//! `slotway run`: the proxy, until a signal asks it to stop.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::failure::Failure;
use super::settings::Settings;
use super::{log, signals};
use crate::config::{Certificates, Config};
use crate::net::Addr;
use crate::net::tcp::Tcp;

/// Descriptors that are not clients: listeners, node connections, the runtimes' own.
const SPARE_FILES: u64 = 512;

/// Reads the configuration, prepares the process and serves.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let loaded = settings.load_with(true, Certificates::Usable)?;
    log::init(loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = loaded.config;
    if config.worker.workers == 0 {
        config.worker.workers = cores();
    }
    raise_open_files(&config);
    let shutdown = signals::shutdown()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(crate::run(config, Arc::new(Tcp), announce, shutdown));
    done.map_err(|error| Failure::Runtime(error.to_string()))?;
    tracing::info!("stopped");
    Ok(())
}

/// One line for each address; scripts and tests wait for it.
fn announce(addrs: &[Addr]) {
    for addr in addrs {
        tracing::info!("listening on {addr}");
    }
}

/// The cores that this process may use: affinity and cgroup quota counted.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Raises the limit of open files as far as allowed, and says so when it is still too low for `max_clients`.
fn raise_open_files(config: &Config) {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum })
    {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    let wanted = config.worker.max_clients as u64 + SPARE_FILES;
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        tracing::warn!(
            "only {limit} files may be open, which is less than listen.max_clients needs ({wanted}): \
             raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower max_clients"
        );
    }
}
