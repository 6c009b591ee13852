//! Child processes that never outlive this one, not even when it is killed with SIGKILL.
//!
//! A small shell waits at the other end of a pipe. It is told which children live; when the pipe closes, because
//! this process ended in whatever way, it kills them and removes their directory. Unlike the kernel's own signal at
//! the parent's death this works on every Unix and does not depend on the thread that started the child.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// Each line replaces the list of children; the end of the input is the end of their parent.
const WATCH: &str = r#"trap '' INT TERM HUP
pids=
while IFS= read -r line; do pids=$line; done
[ -z "$pids" ] || kill -9 $pids
[ -z "$1" ] || rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

/// Starts children and outlives them.
#[derive(Debug)]
pub struct Keeper {
    watch: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    shell: Child,
    /// `None` once this process means to end it.
    pipe: Option<ChildStdin>,
    pids: Vec<u32>,
}

impl Keeper {
    /// A keeper that also removes `directory` (if any) when it is dropped or this process ends.
    pub fn new(directory: Option<&Path>) -> io::Result<Arc<Self>> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", WATCH, "keeper"])
            .arg(directory.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Arc::new(Self { watch: Mutex::new(Watch { shell, pipe, pids: Vec::new() }) }))
    }

    /// Starts a child in a process group of its own, so that a terminal's interrupt reaches only its parent.
    pub fn spawn(self: &Arc<Self>, command: &mut Command) -> io::Result<Kept> {
        let child = command.process_group(0).spawn()?;
        let kept = Kept { child, keeper: Arc::clone(self), ended: None };
        self.change(|pids| pids.push(kept.id()))?;
        Ok(kept)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u32>)) -> io::Result<()> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut watch.pids);
        let mut line = watch.pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        line.push('\n');
        watch.pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(line.as_bytes()))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner);
        watch.pipe = None;
        // The shell ends as soon as its input does; a failure to wait leaves nothing to do.
        let _ = watch.shell.wait();
    }
}

/// One running child: killed and waited for when it is dropped.
#[derive(Debug)]
pub struct Kept {
    child: Child,
    keeper: Arc<Keeper>,
    ended: Option<ExitStatus>,
}

impl Kept {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
            if self.ended.is_some() {
                self.forget()?;
            }
        }
        Ok(self.ended)
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.ended()?.is_some() {
            return Err(io::Error::other("the process has ended"));
        }
        kill_process(Pid::from_child(&self.child), signal).map_err(io::Error::from)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.ended()?.is_none() {
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
            self.forget()?;
        }
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        let id = self.id();
        self.keeper.change(|pids| pids.retain(|pid| *pid != id))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be killed here is killed by the shell.
        let _ = self.kill();
    }
}
