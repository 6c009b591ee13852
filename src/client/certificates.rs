//! Keeps certificates fresh: read again when their files change, and whenever somebody says so.

use std::time::Duration;

use super::Process;
use super::process::wall_clock;
use crate::net::tls::{Certificates, Unfit};

/// How often files are looked at. Volumes of secrets are themselves up to a minute behind.
const LOOK: Duration = Duration::from_secs(5);

impl Process {
    /// Reads all certificates anew; those whose files are bad stay as they are. True if all are good.
    pub fn reload_certificates(&self) -> bool {
        let now = wall_clock().as_secs();
        let mut all_good = true;
        for one in self.certificates.load().iter() {
            all_good &= told(&**one, &one.reload(now));
        }
        all_good
    }

    /// Reads certificates anew whenever their files change, for as long as it is polled.
    pub async fn watch_certificates(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let now = wall_clock().as_secs();
            for one in self.certificates.load().iter() {
                if let Some(result) = one.look(now) {
                    told(&**one, &result);
                }
            }
        }
    }
}

fn told(one: &dyn Certificates, result: &Result<(), Unfit>) -> bool {
    let file = one.file().map_or_else(|| "authorities of the nodes".to_owned(), |file| file.display().to_string());
    match result {
        Ok(()) => tracing::info!("certificates were read anew: {file}"),
        Err(why) => tracing::error!("{why}; {}; the certificates read before stay in use ({file})", why.instead),
    }
    result.is_ok()
}
