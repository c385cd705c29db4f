//! Process groups: a program and the processes that it starts.
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

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
}

impl ProcessGroupGuard {
    pub fn new(group: Option<ProcessGroup>) -> Self {
        Self { group, is_killed: AtomicBool::new(false) }
    }

    /// Kills the group, unless it was killed before: once the group has ended, its id may be that of another.
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
