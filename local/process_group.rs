//! Process groups: a program and the processes that it starts.
use rustix::process::{Pid, Signal, kill_process_group};

/// The group that a child process leads.
#[derive(Clone, Copy, Debug)]
pub struct ProcessGroup(Pid);

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
