//! `slotway completions SHELL`.

use super::failure::{Failure, print};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script that completes the arguments of `command`.
pub(super) fn print_script(args: &Args, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "slotway", &mut script);
    print(&script)
}
