//! One execution environment: a process and the Runtime API that it speaks with.
use std::{io, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::timeout;

use super::{
    Invocation,
    failure::FunctionError,
    launcher::Launcher,
    logs,
    process::Process,
    runtime_api::{Assignment, Report, RuntimeApi},
};
use crate::stack::Function;

/// Lambda's limit for starting, beside the function's own timeout.
const INIT_SECONDS: u64 = 10;

pub(super) struct Environment {
    function: Arc<Function>,
    api: RuntimeApi,
    process: Process,
}

/// How an invocation ended.
pub(super) enum Ending {
    /// The environment can take the next one.
    Answered(Result<Value, FunctionError>),
    /// The process is gone, or has to go.
    Broken(FunctionError),
}

impl Environment {
    pub async fn start(function: Arc<Function>, launcher: &Launcher) -> io::Result<Self> {
        let api = RuntimeApi::open().await?;
        let (mut child, access_key_id) = launcher.launch(&function, &api.address)?;
        logs::follow(&function.name, &mut child);
        let process = Process::keep(child, access_key_id, &launcher.processes);
        Ok(Self { function, api, process })
    }

    /// False when the process ended while it was idle.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    pub async fn run(&mut self, invocation: &Invocation) -> Ending {
        let id = &invocation.request_id;
        tokio::select! {
            biased;
            ending = answer(&mut self.api, &self.function, invocation) => ending,
            how = self.process.ended() => Ending::Broken(FunctionError::exited(id, &how)),
        }
    }

    /// Returns when the process is gone.
    pub async fn end(self) {
        self.process.clone().kill().await;
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.process.condemn();
    }
}

async fn answer(api: &mut RuntimeApi, function: &Function, invocation: &Invocation) -> Ending {
    let id = &invocation.request_id;
    match timeout(Duration::from_secs(INIT_SECONDS), ready(api)).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => return Ending::Broken(failure),
        Err(_) => return Ending::Broken(FunctionError::timed_out(id, INIT_SECONDS as f64)),
    }
    let limit = Duration::from_secs(function.timeout_seconds.into());
    let assignment = Assignment { invocation: invocation.clone(), function_arn: function.arn.clone(), timeout: limit };
    if api.assignments.send(assignment).await.is_err() {
        return std::future::pending().await;
    }
    match timeout(limit, answered(api)).await {
        Ok(ending) => ending,
        Err(_) => Ending::Broken(FunctionError::timed_out(id, limit.as_secs_f64())),
    }
}

/// Waits until the process asks for work.
async fn ready(api: &mut RuntimeApi) -> Result<(), FunctionError> {
    match api.reports.recv().await {
        Some(Report::InitFailed(failure)) => Err(failure),
        Some(Report::Ready | Report::Answered(_)) => Ok(()),
        None => std::future::pending().await,
    }
}

async fn answered(api: &mut RuntimeApi) -> Ending {
    loop {
        match api.reports.recv().await {
            Some(Report::Ready) => {}
            Some(Report::Answered(answer)) => return Ending::Answered(answer),
            Some(Report::InitFailed(failure)) => return Ending::Broken(failure),
            None => return std::future::pending().await,
        }
    }
}
