//! `slotway config`: the configuration in use, and what a configuration may look like.

use super::failure::{Failure, print};
use super::settings::Settings;
use crate::config::schema;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the values in use as TOML, each with the place it comes from, secrets hidden
    #[arg(long, required_unless_present = "schema", conflicts_with = "schema")]
    effective: bool,
    /// Print a JSON schema of the configuration, for editors
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Prints what is asked for.
pub(super) fn show(args: &Args) -> Result<(), Failure> {
    if args.schema {
        return print(schema().as_bytes());
    }
    print(args.settings.load(false)?.effective().as_bytes())
}
