//! `slotway check`: is the configuration good? The same checks as at the start of `run`, and no socket touched.
//!
//! Only what is late differs: `run` starts with a certificate that has expired, and says so; here it is a mistake.

use std::io::Write as _;

use super::failure::{Failure, print};
use super::settings::Settings;
use crate::config::Certificates;

/// Reads the configuration and says what is wrong with it, or that nothing is.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    let loaded = settings.load_with(true, Certificates::Valid)?;
    for warning in &loaded.warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    print(b"the configuration is good\n")
}
