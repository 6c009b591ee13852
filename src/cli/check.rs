//! `slotway check`: is the configuration good? The same checks as at the start of `run`, and no socket touched.

use std::io::Write as _;

use super::failure::{Failure, print};
use super::settings::Settings;

/// Reads the configuration and says what is wrong with it, or that nothing is.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    let loaded = settings.load(true)?;
    for warning in &loaded.warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    print(b"the configuration is good\n")
}
