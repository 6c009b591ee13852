//! Lines of the log that must not come as often as their cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long it is silent after a line.
const SILENCE: Duration = Duration::from_mins(1);

/// Lets one line through a minute, and counts the others.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<(Instant, u64)>>);

impl Seldom {
    /// Whether a line is due now; if so, how many were left out since the last one.
    pub fn due(&self) -> Option<u64> {
        // Nothing in here can stop half-way.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((at, left_out)) if at.elapsed() < SILENCE => {
                *left_out += 1;
                None
            }
            other => Some(other.replace((Instant::now(), 0)).map_or(0, |(_, left_out)| left_out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute_says_how_many_there_were() {
        let seldom = Seldom::default();
        assert_eq!([seldom.due(), seldom.due(), seldom.due()], [Some(0), None, None]);
        tokio::time::advance(SILENCE).await;
        assert_eq!([seldom.due(), seldom.due()], [Some(2), None]);
    }
}
