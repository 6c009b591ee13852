//! `slotway run`: the proxy, until a signal asks it to stop.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::failure::Failure;
use super::settings::Settings;
use super::{log, signals};
use crate::config::{self, Config, Loaded, Mistakes, Sources};
use crate::net::Addr;
use crate::net::tcp::Tcp;
use crate::reload::{Read, Reloads, Stage};

/// Descriptors that are not clients: listeners, node connections, the runtimes' own.
const SPARE_FILES: u64 = 512;

/// Reads the configuration, prepares the process and serves.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let loaded = load(&settings.sources(true)).map_err(Failure::Config)?;
    let log = log::init(loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = loaded.config;
    raise_open_files(&config);
    let reloads = Reloads::new(read_again(settings), Box::new(move |stage| report(&stage, &log)));
    let shutdown = signals::shutdown(Some(reloads.asks.clone()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(crate::run_with(config, Some(reloads), Arc::new(Tcp), announce, shutdown));
    done.map_err(|error| Failure::Runtime(error.to_string()))?;
    tracing::info!("stopped");
    Ok(())
}

/// Reads every layer, with what only the machine knows put in.
fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    let mut loaded = config::load(sources)?;
    if loaded.config.worker.workers == 0 {
        loaded.config.worker.workers = cores();
    }
    Ok(loaded)
}

/// Reads the configuration again, away from the thread that has all else to do: a file may be slow.
fn read_again(settings: &Settings) -> Read {
    let settings = settings.clone();
    Box::new(move || {
        let sources = settings.sources(true);
        Box::pin(async move {
            let (done, read) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new().name("configuration".to_owned());
            let started = thread.spawn(move || done.send(load(&sources)).is_ok());
            started.map_err(|error| Mistakes::of_reading(&error))?;
            read.await.unwrap_or_else(|error| Err(Mistakes::of_reading(&error)))
        })
    })
}

/// What is told of a reload; a service manager that waits for it is to be told here, too.
fn report(stage: &Stage<'_>, log: &log::Handle) {
    match stage {
        Stage::Began => {}
        Stage::Over(config) => log.set(config.log),
    }
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
    let wanted = config.doors().map(|door| door.worker.max_clients as u64).sum::<u64>() + SPARE_FILES;
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        tracing::warn!(
            "only {limit} files may be open, which is less than listen.max_clients needs ({wanted}): \
             raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower max_clients"
        );
    }
}
