//! The figures of each test: shown, and kept for `docs/faults.md` where `scripts/faults` asks for them.

use std::time::Duration;

use crate::harness::tell;

/// One row: what was done, what a client saw, what it must not exceed, what was measured.
pub(crate) struct Row {
    /// Such as `T13`.
    pub(crate) test: &'static str,
    pub(crate) what: &'static str,
    pub(crate) client: &'static str,
    pub(crate) passes: &'static str,
    pub(crate) figures: String,
}

impl Row {
    /// Shows the row, and writes it to the file that `FAULTS_ROWS` names a folder for.
    pub(crate) fn tell(&self) {
        let Self { test, what, client, passes, figures } = self;
        tell(&format!("{test} {what}: {figures} (passes at: {passes})"));
        if let Some(folder) = std::env::var_os("FAULTS_ROWS") {
            let name: String = what.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            let path = std::path::Path::new(&folder).join(format!("{test}-{name}"));
            std::fs::write(path, format!("| {test} | {what} | {client} | {passes} | {figures} |\n")).unwrap();
        }
    }
}

/// A share of the largest values: 0.5 is the median, 1.0 the worst.
pub(crate) fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len());
    values[at - 1]
}

/// Milliseconds with one digit behind the point.
pub(crate) fn ms(value: Duration) -> String {
    format!("{:.1} ms", value.as_secs_f64() * 1000.0)
}
