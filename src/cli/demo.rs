//! `slotway demo`: a small cluster on this machine with the proxy in front. Flags only; the cluster is a room
//! of its own.

use std::time::Duration;

use super::failure::Failure;

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where the proxy listens
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:7379")]
    pub(super) listen: crate::net::Addr,
    /// Move slots and fail primaries over under a built-in load, for so many seconds or until a signal
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = false)]
    #[expect(clippy::option_option, reason = "absent, without a number, with one: three different wishes")]
    pub(super) chaos: Option<Option<u64>>,
    /// Use the nodes built into this program even where redis-server or valkey-server is installed
    #[arg(long)]
    pub(super) embedded: bool,
}

/// Whether and how long to disturb the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chaos {
    /// Leave it in peace.
    Off,
    /// Until a signal.
    Endless,
    /// For so long; then the demo ends.
    For(Duration),
}

impl Args {
    /// What `--chaos` asks for.
    pub(super) fn chaos(&self) -> Chaos {
        match self.chaos {
            None => Chaos::Off,
            Some(None) => Chaos::Endless,
            Some(Some(seconds)) => Chaos::For(Duration::from_secs(seconds)),
        }
    }
}

/// Starts the demo and waits for its end.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let wish = (&args.listen, args.chaos(), args.embedded);
    Err(Failure::Runtime(format!("this build has no demo: {wish:?}")))
}
