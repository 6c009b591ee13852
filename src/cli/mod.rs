//! The command line: arguments → subcommand → exit code. One file a subcommand.
//!
//! Exit codes: 0 all went well; 1 it failed while running (or a second signal ended it); 2 the arguments make no
//! sense; 78 the configuration is bad. Values of settings are not judged here: they go to [`crate::config`] with
//! those of the file and the environment, so that all mistakes are told together.

mod check;
mod completions;
mod config;
mod demo;
mod doctor;
mod failure;
mod health;
mod log;
mod man;
mod run;
mod settings;
mod signals;
mod top;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use settings::Settings;

/// One RESP endpoint in front of a Redis Cluster.
#[derive(Debug, Parser)]
#[command(name = "slotway", version = version::text(), args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(after_help = "Without a subcommand slotway runs the proxy: slotway --seeds 10.0.0.1:7000\n\
    Exit codes: 0 success, 1 failure while running, 2 bad arguments, 78 bad configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
    /// Only check the configuration (as `slotway check`)
    #[arg(short = 't', long = "test")]
    test: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or SIGINT; a second signal exits at once with code 1
    Run(Settings),
    /// Check the configuration and exit: 0 when it is good, 78 with every mistake when it is not
    Check(Settings),
    /// Show the configuration
    Config(config::Args),
    /// Start a small cluster on this machine with the proxy in front, to try things on
    Demo(demo::Args),
    /// Look at the cluster and tell what stands between an application and it; 1 when something is bad
    Doctor(doctor::Args),
    /// Ask the proxy on this machine whether it takes clients: 0 or 1, for probes of containers
    Health(health::Args),
    /// Show what goes on in the proxy on this machine, live
    Top(top::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man,
}

/// Does what the arguments say.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors too, with code 0. A closed pipe is no reason to complain.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match (cli.command, cli.test) {
        (None, true) => check::check(&cli.settings),
        (None, false) => run::run(&cli.settings),
        (Some(Command::Run(settings)), _) => run::run(&settings),
        (Some(Command::Check(settings)), _) => check::check(&settings),
        (Some(Command::Config(args)), _) => config::show(&args),
        (Some(Command::Demo(args)), _) => demo::run(&args),
        (Some(Command::Doctor(args)), _) => doctor::run(&args),
        (Some(Command::Health(args)), _) => health::check(&args),
        (Some(Command::Top(args)), _) => top::run(&args),
        (Some(Command::Completions(args)), _) => completions::print_script(&args, &mut Cli::command()),
        (Some(Command::Man), _) => man::print_page(Cli::command()),
    };
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_subcommand() {
        let bare = Cli::try_parse_from(["slotway", "--seeds", "a:1,b:2", "--seeds", "c:3"]).unwrap();
        let named = Cli::try_parse_from(["slotway", "run", "--seeds", "a:1,b:2,c:3"]).unwrap();
        let Some(Command::Run(settings)) = named.command else { panic!("run") };
        assert!(bare.command.is_none());
        assert_eq!(bare.settings.seeds, settings.seeds);
    }

    #[test]
    fn completions_and_the_manual_page_know_every_subcommand() {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).unwrap();
        let mut texts = vec![String::from_utf8(page).unwrap()];
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "slotway", &mut script);
            texts.push(String::from_utf8(script).unwrap());
        }
        for name in ["run", "check", "config", "demo", "doctor", "health", "top", "completions", "man"] {
            assert!(texts.iter().all(|text| text.contains(name)), "{name}");
        }
    }

    #[test]
    fn settings_before_a_subcommand_are_refused() {
        // They would be ignored, and nobody would notice.
        assert!(Cli::try_parse_from(["slotway", "--seeds", "a:1", "check"]).is_err());
    }

    #[test]
    fn no_argument_takes_a_password() {
        let command = Cli::command();
        let all = command.get_subcommands().chain(std::iter::once(&command));
        let named: Vec<_> = all.flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long).collect();
        assert!(named.contains(&"seeds"));
        assert!(!named.iter().any(|name| name.contains("pass")));
    }
}
