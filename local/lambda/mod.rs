//! The Lambda service: each execution environment is a process; Event invocations are queued and retried.
mod errors;
mod event_store;
mod execution_environment;
mod failure_queue;
mod failure_record;
mod invoke_api;
mod launcher;
mod local_function;
mod logs;
mod pool;
mod process;
mod queue;
pub mod retry_policy;
mod runtime_api;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use errors::{DestinationError, FunctionError, InvokeError};
pub use launcher::{EnvironmentBuilder, Launcher};
pub use local_function::LocalFunction;
pub use process::Processes;

use crate::{
    fault_injection::FaultInjector,
    identity::IamPolicy,
    stack::{FailureDestination, Function},
};
use event_store::EventStore;
use failure_queue::FailureQueues;
use pool::Pool;

const SYNCHRONOUS_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
const ASYNCHRONOUS_PAYLOAD_BYTES: usize = 1024 * 1024;

/// The functions of a stack, ready to be invoked. Clones share state.
#[derive(Clone)]
pub struct Lambda {
    functions: Arc<BTreeMap<String, Arc<Pool>>>,
    /// None keeps queued events in memory alone.
    event_store: Option<Arc<EventStore>>,
    failure_queues: Arc<FailureQueues>,
    time_scale: f64,
    faults: FaultInjector,
    processes: Processes,
    tasks: TaskTracker,
    /// One task for each queued event. A closed tracker still accepts tasks, and only a closed one can be
    /// waited for.
    events: TaskTracker,
    shutdown: CancellationToken,
}

/// Whether the caller waits for the function's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationType {
    RequestResponse,
    Event,
}

/// A request to run a function. Retries keep its request id.
#[derive(Clone, Debug)]
struct Invocation {
    request_id: String,
    /// A JSON text.
    payload: Bytes,
}

impl Lambda {
    /// Checks the functions' failure destinations. A process is started by the first invocation that needs
    /// one.
    pub async fn start(functions: &BTreeMap<String, Function>, launcher: Launcher) -> Result<Self, DestinationError> {
        functions.values().try_for_each(|function| check_destination(function, functions))?;
        let shutdown = CancellationToken::new();
        let launcher = Arc::new(launcher);
        let pools: BTreeMap<_, _> = functions
            .iter()
            .map(|(name, function)| {
                let pool = Pool::new(function.clone(), launcher.clone(), shutdown.clone());
                (name.clone(), Arc::new(pool))
            })
            .collect();
        let tasks = TaskTracker::new();
        for pool in pools.values() {
            let pool = Arc::clone(pool);
            tasks.spawn(async move { pool.end_expired_environments().await });
        }
        let events = TaskTracker::new();
        events.close();
        Ok(Self {
            functions: Arc::new(pools),
            event_store: None,
            failure_queues: Arc::default(),
            time_scale: launcher.time_scale,
            faults: launcher.faults.clone(),
            processes: launcher.processes.clone(),
            tasks,
            events,
            shutdown,
        })
    }

    /// Keeps queued events in files of this folder until their delivery has ended.
    #[must_use]
    pub fn with_event_folder(mut self, folder: PathBuf) -> Self {
        self.event_store = Some(Arc::new(EventStore::new(folder)));
        self
    }

    /// Delivers the events that were queued or running when the last server ended: Lambda delivers at least
    /// once.
    pub fn resume_events(&self) {
        let Some(store) = &self.event_store else { return };
        for (event, file) in store.load() {
            let age = Duration::from_millis(event.age_milliseconds()).div_f64(self.time_scale);
            match self.functions.get(&event.function) {
                Some(pool) => {
                    let invocation = Invocation { request_id: event.request_id, payload: event.payload.into() };
                    self.resume(pool.clone(), invocation, age, file);
                }
                None => {
                    tracing::warn!(function = event.function, "a queued event is for a function that is gone");
                    file.remove();
                }
            }
        }
    }

    /// Runs a function, given by name or ARN. An Event invocation is queued and returns `null` at once.
    pub async fn invoke(&self, function: &str, kind: InvocationType, payload: Value) -> Result<Value, InvokeError> {
        let name = function_name(function);
        let pool = self.functions.get(name).ok_or_else(|| InvokeError::NotFound { function: name.to_owned() })?;
        let response = self.start_invocation(pool, kind, Invocation::new(payload.to_string().into())).await?;
        parse_response(&response).map_err(InvokeError::Unhandled)
    }

    /// The response is what the function's process sent, and empty for an Event invocation.
    async fn start_invocation(
        &self,
        pool: &Arc<Pool>,
        kind: InvocationType,
        invocation: Invocation,
    ) -> Result<Bytes, InvokeError> {
        if self.shutdown.is_cancelled() {
            return Err(InvokeError::Stopped);
        }
        check_size(kind, &invocation.payload)?;
        match kind {
            InvocationType::Event => {
                self.enqueue(pool.clone(), invocation);
                Ok(Bytes::new())
            }
            InvocationType::RequestResponse => self.run(pool.clone(), invocation).await,
        }
    }

    /// Kills a process with SIGKILL, as a failing machine would. Returns when it has ended; false when no
    /// process has this access key id.
    pub async fn kill(&self, access_key_id: &str) -> bool {
        self.processes.kill(access_key_id).await
    }

    /// The failure records that a queue of the stack keeps, oldest first.
    pub fn failure_records(&self, queue_arn: &str) -> Vec<Value> {
        self.failure_queues.records(queue_arn)
    }

    /// Waits until no event is queued, running or waiting for a retry.
    pub async fn wait_for_events(&self) {
        self.events.wait().await;
    }

    /// Ends every process. Queued events are discarded, but for those in files. Returns when nothing is left.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.events.wait().await;
        for pool in self.functions.values() {
            pool.end_idle_environments().await;
        }
    }

    /// Runs in a task of its own, so that the function completes even when its caller stops waiting.
    async fn run(&self, pool: Arc<Pool>, invocation: Invocation) -> Result<Bytes, InvokeError> {
        let task = self.tasks.spawn(async move { pool.run(&invocation).await });
        task.await.unwrap_or(Err(InvokeError::Stopped))
    }
}

impl Invocation {
    fn new(payload: Bytes) -> Self {
        Self { request_id: Uuid::new_v4().to_string(), payload }
    }
}

/// Reads a function's response as JSON; an empty one is `null`.
fn parse_response(response: &[u8]) -> Result<Value, FunctionError> {
    if response.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(response).map_err(|error| FunctionError::malformed_response(&error))
}

fn check_destination(function: &Function, functions: &BTreeMap<String, Function>) -> Result<(), DestinationError> {
    let Some(destination) = &function.event_invoke.on_failure else { return Ok(()) };
    let name = function.name.clone();
    match destination {
        FailureDestination::Function(arn) => match functions.get(function_name(arn)) {
            Some(found) if found.name == name => Err(DestinationError::OwnDestination { function: name }),
            Some(_) => check_permission(function, "lambda:InvokeFunction", "Invoke", arn),
            None => Err(DestinationError::UnknownDestination { function: name, destination: arn.clone() }),
        },
        FailureDestination::Queue(arn) => check_permission(function, "sqs:SendMessage", "SendMessage", arn),
    }
}

/// Lambda checks at deployment that the function's role may call its destination.
fn check_permission(
    function: &Function,
    action: &str,
    operation: &'static str,
    destination: &str,
) -> Result<(), DestinationError> {
    if IamPolicy::from_statements(&function.role.statements).allows(action, destination) {
        return Ok(());
    }
    let (function, destination) = (function.name.clone(), destination.to_owned());
    Err(DestinationError::ForbiddenDestination { function, operation, destination })
}

fn check_size(kind: InvocationType, payload: &[u8]) -> Result<(), InvokeError> {
    let limit = match kind {
        InvocationType::RequestResponse => SYNCHRONOUS_PAYLOAD_BYTES,
        InvocationType::Event => ASYNCHRONOUS_PAYLOAD_BYTES,
    };
    if payload.len() > limit { Err(InvokeError::TooLarge { limit }) } else { Ok(()) }
}

/// The name within an ARN such as `arn:aws:lambda:eu-west-1:123456789012:function:answer:$LATEST`, or the
/// name itself.
fn function_name(function: &str) -> &str {
    let unqualified = function.split_once(":function:").map_or(function, |(_, name)| name);
    unqualified.split(':').next().unwrap_or(unqualified)
}
