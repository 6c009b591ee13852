//! `slotway demo`: a small cluster on this machine with the proxy in front. Flags only; the cluster is a room
//! of its own.

use std::io;
use std::time::Duration;

use super::failure::Failure;
use super::{log, signals};
use crate::config::{Level, Log};
use crate::demo::{self, Disturb, Options};
use crate::net::addr::AddrError;

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where the proxy listens
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:7379")]
    pub(super) listen: crate::net::Addr,
    /// Where the status page is: host:port, or off
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9379")]
    pub(super) admin: String,
    /// Move slots and fail primaries over under a built-in load, for so many seconds or until a signal; exit code
    /// 1 if a client saw a wrong reply, or an error outside an election
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = false)]
    #[expect(clippy::option_option, reason = "absent, without a number, with one: three different wishes")]
    pub(super) chaos: Option<Option<u64>>,
    /// Use the nodes built into this program even where redis-server or valkey-server is installed
    #[arg(long)]
    pub(super) embedded: bool,
}

impl Args {
    /// What `--chaos` asks for.
    fn disturb(&self) -> Disturb {
        match self.chaos {
            None => Disturb::Never,
            Some(None) => Disturb::Endlessly,
            Some(Some(seconds)) => Disturb::For(Duration::from_secs(seconds)),
        }
    }
}

/// Starts the demo and waits for its end.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    log::init(Log { level: Level::Warn, ..Log::default() });
    let shutdown = signals::shutdown(None)?;
    let admin = match args.admin.as_str() {
        "off" => None,
        addr => Some(addr.parse().map_err(|error: AddrError| Failure::Runtime(format!("--admin: {error}")))?),
    };
    let options = Options { listen: args.listen.clone(), admin, embedded: args.embedded, disturb: args.disturb() };
    demo::run(&options, &mut io::stdout(), shutdown).map_err(|error| Failure::Runtime(error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn chaos_takes_a_time_or_none() {
        let wish = |words: &[&str]| {
            let words = ["demo"].iter().chain(words);
            Line::try_parse_from(words).unwrap().args.disturb()
        };
        assert_eq!(wish(&[]), Disturb::Never);
        assert_eq!(wish(&["--chaos"]), Disturb::Endlessly);
        assert_eq!(wish(&["--chaos", "--embedded"]), Disturb::Endlessly);
        assert_eq!(wish(&["--chaos", "60", "--embedded"]), Disturb::For(Duration::from_mins(1)));
    }
}
