//! What was made of files, kept until the files make something else.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::validity::Validity;
use super::{Certificates, Part, Unfit};

/// What files give: the configuration, and when its certificate is valid.
pub(super) type Made<T> = (Arc<T>, Option<Validity>);

/// By what a changed file is known. A link that leads elsewhere changes it too.
type Stamp = (u64, u64, u64, i64, i64);

/// A configuration in use, and the files that it was made of.
pub(super) struct Kept<T> {
    make: Box<dyn Fn() -> Result<Made<T>, Unfit> + Send + Sync>,
    /// The certificate first, if there is one.
    files: Vec<PathBuf>,
    has_certificate: bool,
    config: ArcSwap<T>,
    validity: Mutex<Option<Validity>>,
    /// What the files were like when they were last read, whether that went well or not.
    seen: Mutex<Vec<Option<Stamp>>>,
    replaced: AtomicU64,
    refused: AtomicU64,
}

impl<T: Send + Sync> Kept<T> {
    /// Makes the first one, which must be good.
    pub(super) fn new(
        cert: Option<PathBuf>,
        others: impl IntoIterator<Item = PathBuf>,
        make: Box<dyn Fn() -> Result<Made<T>, Unfit> + Send + Sync>,
    ) -> Result<Self, Unfit> {
        let has_certificate = cert.is_some();
        let files: Vec<PathBuf> = cert.into_iter().chain(others).collect();
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let seen = files.iter().map(|file| stamp(file)).collect();
        let (config, validity) = make()?;
        Ok(Self {
            make,
            files,
            has_certificate,
            config: ArcSwap::new(config),
            validity: Mutex::new(validity),
            seen: Mutex::new(seen),
            replaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// The one in use.
    pub(super) fn get(&self) -> Arc<T> {
        self.config.load_full()
    }

    fn try_reload(&self, now: u64) -> Result<(), Unfit> {
        let (config, validity) = (self.make)()?;
        if let Some(dates) = validity
            && !(dates.not_before..=dates.not_after).contains(&now)
        {
            let file = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
            let when = if now > dates.not_after { "has expired" } else { "is not valid yet" };
            let what = format!("the certificate in {file} {when}");
            return Err(Unfit::new(Part::Certificate, what, "renew it, and look at the clock of this machine"));
        }
        self.config.store(config);
        *lock(&self.validity) = validity;
        Ok(())
    }
}

impl<T: Send + Sync> Certificates for Kept<T> {
    fn reload(&self, now: u64) -> Result<(), Unfit> {
        let stamps = self.files.iter().map(|file| stamp(file)).collect();
        *lock(&self.seen) = stamps;
        let result = self.try_reload(now);
        let count = if result.is_ok() { &self.replaced } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn look(&self, now: u64) -> Option<Result<(), Unfit>> {
        let is_same = lock(&self.seen).iter().eq(self.files.iter().map(|file| stamp(file)).collect::<Vec<_>>().iter());
        (!is_same).then(|| self.reload(now))
    }

    fn file(&self) -> Option<&Path> {
        self.files.first().filter(|_| self.has_certificate).map(PathBuf::as_path)
    }

    fn validity(&self) -> Option<Validity> {
        *lock(&self.validity)
    }

    fn reloads(&self) -> (u64, u64) {
        (self.replaced.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Values are replaced as a whole, so that a poisoned one is whole too.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}
