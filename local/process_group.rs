//! Process groups: a program and the processes that it starts.
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::signal::unix::{SignalKind, signal};

/// The group that a child process leads.
#[derive(Clone, Copy, Debug)]
pub struct ProcessGroup(Pid);

/// A process group that does not outlive this value.
#[derive(Debug)]
pub struct ProcessGroupGuard {
    group: Option<ProcessGroup>,
    is_killed: AtomicBool,
}

impl ProcessGroup {
    /// The group of a child that was started as the leader of one. `None` once the child has ended.
    pub fn of(child_id: Option<u32>) -> Option<Self> {
        i32::try_from(child_id?).ok().and_then(Pid::from_raw).map(Self)
    }

    /// Sends SIGKILL to every process of the group.
    pub fn kill(self) {
        if let Err(error) = kill_process_group(self.0, Signal::KILL) {
            tracing::debug!(%error, "a process group is not killed");
        }
    }

    /// Waits until the leader has ended, and leaves its exit status to be read.
    async fn wait_for_leader(self) -> io::Result<()> {
        let mut child_signals = signal(SignalKind::child())?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(self.0), options)?.is_none() {
            child_signals.recv().await;
        }
        Ok(())
    }
}

impl ProcessGroupGuard {
    pub fn new(group: Option<ProcessGroup>) -> Self {
        Self { group, is_killed: AtomicBool::new(false) }
    }

    /// Waits until the leader has ended, and kills the rest of its group. The caller reads the leader's exit
    /// status afterwards: from then on another group may have the same id.
    pub async fn end_with_leader(&self) {
        if let Some(group) = self.group
            && let Err(error) = group.wait_for_leader().await
        {
            tracing::debug!(%error, "the end of a process is not seen");
        }
        self.kill();
    }

    /// Kills the group, unless it was killed before.
    pub fn kill(&self) {
        if let Some(group) = self.group
            && !self.is_killed.swap(true, Ordering::Relaxed)
        {
            group.kill();
        }
    }
}

impl Drop for ProcessGroupGuard {
    fn drop(&mut self) {
        self.kill();
    }
}
