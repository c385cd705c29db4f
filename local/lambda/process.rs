//! The processes of execution environments: supervision, and look-up by access key id.
use std::{
    collections::HashMap,
    io,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{process::Child, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::process_group::ProcessGroup;

/// A process that runs, or has ended. Clones refer to the same process.
#[derive(Clone)]
pub(super) struct Process {
    kill_request: CancellationToken,
    /// The exit status as text, once the process has ended.
    exit: watch::Receiver<Option<String>>,
}

/// The running processes by their access key ids. Clones share state.
#[derive(Clone, Default)]
pub struct Processes(Arc<Mutex<ProcessTable>>);

#[derive(Default)]
struct ProcessTable {
    started: u64,
    running: HashMap<String, RunningProcess>,
}

struct RunningProcess {
    number: u64,
    process: Process,
}

impl Process {
    /// Supervises the child in a task, which holds the child's standard input: `parlance handler` ends when
    /// its standard input closes, so no child outlives a killed parent.
    pub fn supervise(mut child: Child, access_key_id: String, processes: &Processes) -> Self {
        let kill_request = CancellationToken::new();
        let (exit_sender, exit) = watch::channel(None);
        let process = Self { kill_request: kill_request.clone(), exit };
        processes.add(access_key_id.clone(), process.clone());
        let processes = processes.clone();
        tokio::spawn(async move {
            let stdin = child.stdin.take();
            let status = tokio::select! {
                status = child.wait() => status,
                () = kill_request.cancelled() => {
                    // The child leads its group.
                    if let Some(group) = ProcessGroup::of(child.id()) {
                        group.kill();
                    }
                    match child.start_kill() {
                        Ok(()) => child.wait().await,
                        Err(error) => Err(error),
                    }
                }
            };
            drop(stdin);
            processes.remove(&access_key_id);
            exit_sender.send_replace(Some(describe_exit(status)));
        });
        process
    }

    pub fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Waits until the process has ended. Returns its exit status as text.
    pub async fn wait(&mut self) -> String {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            Err(_) => "the runtime ended".to_owned(),
        }
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub async fn kill(mut self) {
        self.kill_request.cancel();
        self.wait().await;
    }

    /// Sends SIGKILL without waiting.
    pub fn start_kill(&self) {
        self.kill_request.cancel();
    }
}

impl Processes {
    /// Kills a process with SIGKILL and waits until it has ended. False when no process has this access key
    /// id.
    pub async fn kill(&self, access_key_id: &str) -> bool {
        let process = self.table().running.get(access_key_id).map(|running| running.process.clone());
        let Some(process) = process else { return false };
        process.kill().await;
        true
    }

    /// The number of a running process, counted from 1 in the order of their start.
    pub fn number(&self, access_key_id: &str) -> Option<u64> {
        self.table().running.get(access_key_id).map(|running| running.number)
    }

    fn add(&self, access_key_id: String, process: Process) {
        let mut table = self.table();
        table.started += 1;
        let number = table.started;
        table.running.insert(access_key_id, RunningProcess { number, process });
    }

    fn remove(&self, access_key_id: &str) {
        self.table().running.remove(access_key_id);
    }

    fn table(&self) -> MutexGuard<'_, ProcessTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe_exit(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}
