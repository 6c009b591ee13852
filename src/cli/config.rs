//! `slotway config --effective`: the configuration in use.

use super::failure::{Failure, print};
use super::settings::Settings;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the values in use as TOML, each with the place it comes from, secrets hidden
    #[arg(long, required = true)]
    effective: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Prints the configuration.
pub(super) fn show(args: &Args) -> Result<(), Failure> {
    print(args.settings.load(false)?.effective().as_bytes())
}
