//! The process of an execution environment, and how to find it by its credentials.
use std::{
    collections::HashMap,
    io,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{process::Child, sync::watch};
use tokio_util::sync::CancellationToken;

/// A process that runs, or has run. Clones are the same process.
#[derive(Clone)]
pub(super) struct Process {
    condemned: CancellationToken,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
}

/// The processes that run now, by the access key id that each was given. Clones share them.
#[derive(Clone, Default)]
pub struct Processes(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    started: u64,
    alive: HashMap<String, (u64, Process)>,
}

impl Process {
    /// Holds the child's standard input for as long as it lives: it ends when that closes, so none outlives a killed
    /// parent.
    pub fn keep(mut child: Child, access_key_id: String, processes: &Processes) -> Self {
        let condemned = CancellationToken::new();
        let (tell, ended) = watch::channel(None);
        let process = Self { condemned: condemned.clone(), ended };
        processes.enlist(access_key_id.clone(), process.clone());
        let processes = processes.clone();
        tokio::spawn(async move {
            let lifeline = child.stdin.take();
            let status = tokio::select! {
                status = child.wait() => status,
                () = condemned.cancelled() => match child.start_kill() {
                    Ok(()) => child.wait().await,
                    Err(fault) => Err(fault),
                },
            };
            drop(lifeline);
            processes.strike_off(&access_key_id);
            tell.send_replace(Some(described(status)));
        });
        process
    }

    pub fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Returns when it has ended, and how.
    pub async fn ended(&mut self) -> String {
        match self.ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_default(),
            Err(_) => "the runtime ended".to_owned(),
        }
    }

    /// Kills it (SIGKILL); returns when it is gone.
    pub async fn kill(mut self) {
        self.condemned.cancel();
        self.ended().await;
    }

    /// Kills it without waiting.
    pub fn condemn(&self) {
        self.condemned.cancel();
    }
}

impl Processes {
    /// Kills a process at once (SIGKILL); returns when it is gone. False when no process has these credentials.
    pub async fn kill(&self, access_key_id: &str) -> bool {
        let found = self.known().alive.get(access_key_id).map(|(_, process)| process.clone());
        let is_known = found.is_some();
        if let Some(process) = found {
            process.kill().await;
        }
        is_known
    }

    /// Which process has these credentials, counted from 1 in the order of their start; none when it is gone.
    pub fn number(&self, access_key_id: &str) -> Option<u64> {
        self.known().alive.get(access_key_id).map(|(number, _)| *number)
    }

    fn enlist(&self, access_key_id: String, process: Process) {
        let mut known = self.known();
        known.started += 1;
        let number = known.started;
        known.alive.insert(access_key_id, (number, process));
    }

    fn strike_off(&self, access_key_id: &str) {
        self.known().alive.remove(access_key_id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn described(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|fault| fault.to_string(), |status| status.to_string())
}
