//! The Lambda service: an execution environment is a process, an Event invocation waits in a queue and is retried.
pub mod decisions;
mod environment;
mod failure;
mod launcher;
mod logs;
mod pool;
mod process;
mod queue;
mod record;
mod runtime_api;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use failure::{Fault, FunctionError, InvokeError};
pub use launcher::{EnvironmentBuilder, Launcher};
pub use process::Processes;

use crate::{fault_injection::FaultInjector, identity::Grants, stack::Function};
use pool::Pool;

const SYNCHRONOUS_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
const ASYNCHRONOUS_PAYLOAD_BYTES: usize = 1024 * 1024;

/// The functions of a stack, ready to be invoked. Clones share everything.
#[derive(Clone)]
pub struct Lambda {
    functions: Arc<BTreeMap<String, Arc<Pool>>>,
    time_scale: f64,
    faults: FaultInjector,
    processes: Processes,
    running: TaskTracker,
    /// Deliveries that wait or run; closed from the start, which hinders nobody and lets it be waited for.
    events: TaskTracker,
    stopping: CancellationToken,
}

/// Whether the caller waits for the function's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationType {
    RequestResponse,
    Event,
}

/// One order to run a function: the same request id on every try of it.
#[derive(Clone, Debug)]
struct Invocation {
    request_id: String,
    payload: Value,
}

impl Lambda {
    /// Starts no process yet: the first invocation does.
    pub async fn start(functions: &BTreeMap<String, Function>, launcher: Launcher) -> Result<Self, Fault> {
        functions.values().try_for_each(|function| check_destination(function, functions))?;
        let stopping = CancellationToken::new();
        let (time_scale, faults, processes) =
            (launcher.time_scale, launcher.faults.clone(), launcher.processes.clone());
        let launcher = Arc::new(launcher);
        let pools = functions.iter().map(|(name, function)| {
            (name.clone(), Arc::new(Pool::new(function.clone(), launcher.clone(), stopping.clone())))
        });
        let functions: BTreeMap<_, _> = pools.collect();
        let (running, events) = (TaskTracker::new(), TaskTracker::new());
        events.close();
        for pool in functions.values() {
            let pool = Arc::clone(pool);
            running.spawn(async move { pool.sweep().await });
        }
        Ok(Self { functions: Arc::new(functions), time_scale, faults, processes, running, events, stopping })
    }

    /// Runs a function, given by name or ARN. An Event invocation is queued and answers `null` at once.
    pub async fn invoke(&self, function: &str, kind: InvocationType, payload: Value) -> Result<Value, InvokeError> {
        let name = name_of(function);
        let pool = self.functions.get(name).ok_or_else(|| InvokeError::NotFound { function: name.to_owned() })?;
        if self.stopping.is_cancelled() {
            return Err(InvokeError::Stopped);
        }
        check_size(kind, &payload)?;
        let invocation = Invocation { request_id: Uuid::new_v4().to_string(), payload };
        match kind {
            InvocationType::Event => {
                self.enqueue(pool.clone(), invocation);
                Ok(Value::Null)
            }
            InvocationType::RequestResponse => self.answer(pool.clone(), invocation).await,
        }
    }

    /// Kills a process at once (SIGKILL), as a machine that breaks would; returns when it is gone. False when no process
    /// has these credentials.
    pub async fn kill(&self, access_key_id: &str) -> bool {
        self.processes.kill(access_key_id).await
    }

    /// Returns when no event waits, runs or is to be delivered again.
    pub async fn settled(&self) {
        self.events.wait().await;
    }

    /// Ends every process and forgets what is queued. Returns when nothing is left.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.running.close();
        self.running.wait().await;
        self.events.wait().await;
        for pool in self.functions.values() {
            pool.close().await;
        }
    }

    /// The function runs to its end even when its caller has gone.
    async fn answer(&self, pool: Arc<Pool>, invocation: Invocation) -> Result<Value, InvokeError> {
        let run = self.running.spawn(async move { pool.run(&invocation).await });
        run.await.unwrap_or(Err(InvokeError::Stopped))
    }
}

fn check_destination(function: &Function, functions: &BTreeMap<String, Function>) -> Result<(), Fault> {
    let Some(destination) = &function.asynchronous.on_failure else { return Ok(()) };
    let (destination, name) = (destination.clone(), function.name.clone());
    match functions.get(name_of(&destination)) {
        Some(found) if found.name == name => Err(Fault::OwnDestination { function: name }),
        Some(_) if may_tell(function, &destination) => Ok(()),
        Some(_) => Err(Fault::ForbiddenDestination { function: name, destination }),
        None => Err(Fault::UnknownDestination { function: name, destination }),
    }
}

fn may_tell(function: &Function, destination: &str) -> bool {
    Grants::of_statements(&function.role.statements).allow("lambda:InvokeFunction", destination)
}

fn check_size(kind: InvocationType, payload: &Value) -> Result<(), InvokeError> {
    let limit = match kind {
        InvocationType::RequestResponse => SYNCHRONOUS_PAYLOAD_BYTES,
        InvocationType::Event => ASYNCHRONOUS_PAYLOAD_BYTES,
    };
    if payload.to_string().len() > limit { Err(InvokeError::TooLarge { limit }) } else { Ok(()) }
}

/// The name within an ARN such as `arn:aws:lambda:eu-west-1:123456789012:function:answer:$LATEST`, or the name itself.
fn name_of(function: &str) -> &str {
    let unqualified = function.split_once(":function:").map_or(function, |(_, name)| name);
    unqualified.split(':').next().unwrap_or(unqualified)
}
