//! How a subcommand can fail, and with which exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::Mistakes;

/// The code for a bad configuration, `EX_CONFIG` of `sysexits.h`: service managers need not try again.
const EX_CONFIG: u8 = 78;

/// Why a subcommand did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration is bad.
    Config(Mistakes),
    /// It failed while running.
    Runtime(String),
}

impl Failure {
    /// Tells the user, and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        // When stderr is gone there is nobody left to tell.
        match self {
            Self::Config(mistakes) => {
                let count = mistakes.0.len();
                let plural = if count == 1 { "mistake" } else { "mistakes" };
                let _ = writeln!(io::stderr(), "{mistakes}\nslotway: {count} {plural} in the configuration");
                ExitCode::from(EX_CONFIG)
            }
            Self::Runtime(why) => {
                let _ = writeln!(io::stderr(), "slotway: {why}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Runtime(error.to_string())
    }
}

/// Writes `text` to stdout; that the reader of a pipe is gone is no failure.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
