//! `slotway health`: is the proxy on this machine well? For probes of containers, which have no curl.

use std::time::Duration;

use super::failure::{Failure, print};
use super::settings::Settings;
use crate::admin::ask;
use crate::net::tcp::Tcp;

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask only whether the process lives (/livez), not whether it takes clients (/readyz)
    #[arg(long)]
    live: bool,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    #[command(flatten)]
    settings: Settings,
}

/// Asks the admin port of the configuration: success if it says yes.
pub(super) fn check(args: &Args) -> Result<(), Failure> {
    let options = args.settings.load(false)?.config.admin;
    let path = if args.live { "/livez" } else { "/readyz" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asking = ask::get(&Tcp, &options, path, Duration::from_secs(args.timeout));
    let (code, text) = runtime.block_on(asking).map_err(|error| Failure::Runtime(error.to_string()))?;
    if code == 200 { print(text.as_bytes()) } else { Err(Failure::Runtime(text.trim_end().to_owned())) }
}
