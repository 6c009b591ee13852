//! Processes that this benchmark starts: each dies with it, however it ends.
//!
//! A child is this very program started again, which asks the kernel for a signal at its parent's death and then
//! becomes the wanted program (same process id). `Drop` ends it in the ordinary case. Knows nothing of Redis.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::Result;

/// The first word on the command line of a child that has not become its program yet.
pub(crate) const BECOME: &str = "--become";

/// Runs in the child: binds its life to its parent's and becomes the program. Returns only if that failed.
pub(crate) fn become_program(mut words: impl Iterator<Item = OsString>) -> Result<()> {
    let parent = words.next().ok_or("no parent was named")?;
    let program = words.next().ok_or("no program was named")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above took effect.
    let now = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    if parent.to_str() != Some(now.to_string().as_str()) {
        return Err("the parent is gone".into());
    }
    Err(format!("{}: {}", program.display(), Command::new(&program).args(words).exec()).into())
}

/// A running program, ended when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    inner: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a program; what it prints goes to `log`. Must be called on the main thread: the kernel's promise to end
    /// the child is bound to the thread that started it.
    pub(crate) fn spawn(program: &Path, args: &[String], log: &Path) -> Result<Self> {
        let out = File::create(log)?;
        let inner = Command::new("/proc/self/exe")
            .arg(BECOME)
            .arg(std::process::id().to_string())
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { inner, log: log.to_path_buf() })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.inner.try_wait()?)
    }

    /// The end of what it printed, for messages about its failure.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn finish(&mut self, signal: Signal, patience: Duration) -> Result<ExitStatus> {
        let pid = Pid::from_child(&self.inner);
        rustix::process::kill_process(pid, signal)?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("process {} did not end within {patience:?}", pid.as_raw_pid()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.inner.kill();
        let _ = self.inner.wait();
    }
}

/// The run's directory for configurations and logs, removed at the end.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Creates it, and sees to it that a signal that ends the run removes it too.
    pub(crate) fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("slotway-side-by-side-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        let doomed = path.clone();
        std::thread::spawn(move || tidy_at_signal(&doomed));
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for a signal that ends the run, tidies up and leaves; the children are ended by the kernel then.
fn tidy_at_signal(path: &Path) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        let _ = std::fs::remove_dir_all(path);
        std::process::exit(130);
    });
}

/// How far a cluster node's bus port is above its port.
const BUS: u16 = 10_000;

/// The lowest port to try; with [`BUS`] added, all stay below the ports that outgoing connections take.
const LOWEST: u16 = 11_000;

/// How many ports there are to try.
const PORTS: u16 = 11_000;

/// A port on loopback that is free now, and the cluster bus port above it too. Never the same twice in a run.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % u32::from(PORTS)) as u16;
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = LOWEST + ((u32::from(offset) + u32::from(step)) % u32::from(PORTS)) as u16;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free(port) && free(port + BUS) {
            return Ok(port);
        }
    }
    Err("no free port on loopback".into())
}

/// An address on loopback.
pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Looks a program up on PATH and in the directories of daemons.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The first non-empty line that a program prints when asked for its version, without its own path.
pub(crate) fn version(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).stdin(Stdio::null()).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace(&program.display().to_string(), "");
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}
