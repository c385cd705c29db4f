//! One execution environment: a process and the Runtime API that it calls.
use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    Invocation,
    errors::FunctionError,
    launcher::Launcher,
    logs,
    process::Process,
    runtime_api::{RuntimeApi, RuntimeEvent, Work},
};
use crate::stack::Function;

/// Lambda's limit for the initialization, which does not count towards the function's timeout.
const INIT_SECONDS: u64 = 10;

pub(super) struct Environment {
    function: Arc<Function>,
    api: RuntimeApi,
    process: Process,
}

/// How an invocation ended.
pub(super) enum InvocationEnd {
    /// The environment can be reused.
    Responded(Result<Bytes, FunctionError>),
    /// The process has ended, or must be ended.
    Broken(FunctionError),
}

impl Environment {
    pub async fn start(function: Arc<Function>, launcher: &Launcher) -> io::Result<Self> {
        let api = RuntimeApi::open().await?;
        let (mut child, access_key_id) = launcher.launch(&function, &api.address)?;
        logs::forward_output(&function.name, &mut child);
        let process = Process::supervise(child, access_key_id, &launcher.processes);
        Ok(Self { function, api, process })
    }

    /// False when the process ended while it was idle.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    pub async fn run(&mut self, invocation: &Invocation) -> InvocationEnd {
        let id = &invocation.request_id;
        tokio::select! {
            biased;
            end = run_invocation(&mut self.api, &self.function, invocation) => end,
            status = self.process.wait() => InvocationEnd::Broken(FunctionError::exited(id, &status)),
        }
    }

    /// Kills the process and waits until it has ended.
    pub async fn end(self) {
        self.process.clone().kill().await;
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.process.start_kill();
    }
}

async fn run_invocation(api: &mut RuntimeApi, function: &Function, invocation: &Invocation) -> InvocationEnd {
    let id = &invocation.request_id;
    match timeout(Duration::from_secs(INIT_SECONDS), wait_until_ready(api)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return InvocationEnd::Broken(error),
        Err(_) => return InvocationEnd::Broken(FunctionError::timed_out(id, INIT_SECONDS as f64)),
    }
    let limit = Duration::from_secs(function.timeout_seconds.into());
    let work = Work { invocation: invocation.clone(), function_arn: function.arn.clone(), timeout: limit };
    if api.work.send(work).await.is_err() {
        // The API is closed: the process has ended, which `run` reports.
        return std::future::pending().await;
    }
    match timeout(limit, wait_for_response(api)).await {
        Ok(end) => end,
        Err(_) => InvocationEnd::Broken(FunctionError::timed_out(id, limit.as_secs_f64())),
    }
}

/// Waits until the process asks for work.
async fn wait_until_ready(api: &mut RuntimeApi) -> Result<(), FunctionError> {
    match api.events.recv().await {
        Some(RuntimeEvent::InitFailed(error)) => Err(error),
        Some(RuntimeEvent::Ready | RuntimeEvent::Responded(_)) => Ok(()),
        None => std::future::pending().await,
    }
}

async fn wait_for_response(api: &mut RuntimeApi) -> InvocationEnd {
    loop {
        match api.events.recv().await {
            Some(RuntimeEvent::Ready) => {}
            Some(RuntimeEvent::Responded(response)) => return InvocationEnd::Responded(response),
            Some(RuntimeEvent::InitFailed(error)) => return InvocationEnd::Broken(error),
            None => return std::future::pending().await,
        }
    }
}
