//! One execution environment: a process and the Runtime API that it speaks with.
use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    process::{Child, ChildStdin},
    time::timeout,
};

use super::{
    Invocation,
    failure::FunctionError,
    launcher::Launcher,
    logs,
    runtime_api::{Assignment, Report, RuntimeApi},
};
use crate::stack::Function;

/// Lambda's limit for starting, beside the function's own timeout.
const INIT_SECONDS: u64 = 10;

pub(super) struct Environment {
    function: Arc<Function>,
    api: RuntimeApi,
    child: Child,
    /// Held for as long as the environment lives: its process ends when this closes, so none outlives a killed parent.
    _lifeline: Option<ChildStdin>,
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
        let mut child = launcher.launch(&function, &api.address)?;
        let lifeline = child.stdin.take();
        logs::follow(&function.name, &mut child);
        Ok(Self { function, api, child, _lifeline: lifeline })
    }

    /// False when the process ended while it was idle.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub async fn run(&mut self, invocation: &Invocation) -> Ending {
        let id = &invocation.request_id;
        tokio::select! {
            biased;
            ending = answer(&mut self.api, &self.function, invocation) => ending,
            status = self.child.wait() => Ending::Broken(FunctionError::exited(id, &describe(status))),
        }
    }

    /// Returns when the process is gone.
    pub async fn end(mut self) {
        if let Err(fault) = self.child.kill().await {
            tracing::warn!(function = self.function.name, %fault, "an execution environment could not be ended");
        }
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

fn describe(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|fault| fault.to_string(), |status| status.to_string())
}
