//! Records the calls of functions' processes, and kills a process at the call that the plan names.
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use fastrand::Rng;
use futures::{StreamExt, stream};

use super::{Fault, FaultInjector, FaultPlan};
use crate::lambda::Processes;

/// `Fault::ProcessKilled` kills a process at one of its first calls, up to this one.
const LAST_CALL: u64 = 20;
/// Time for a response to arrive before the process is killed.
const RESPONSE_DELIVERY: Duration = Duration::from_millis(5);

/// A call of a process to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    GetItem,
    Query,
    TransactGetItems,
    PutItem,
    UpdateItem,
    DeleteItem,
    BatchWriteItem,
    TransactWriteItems,
    ConverseStream,
    Converse,
    /// A decryption by KMS.
    Decrypt,
    /// An invocation of a function.
    Invoke,
    /// A GraphQL request.
    Publish,
}

/// When in a call its process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallPhase {
    /// The call has arrived and is not executed.
    Before,
    /// The call is executed and its response is not sent.
    During,
    /// The response is sent.
    After,
}

/// A point in the work of a process: `Publish 3 during`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KillPoint {
    pub call: Call,
    /// Counted from 1 among the process's calls of this kind.
    pub number: u64,
    pub phase: CallPhase,
}

/// Middleware that sees every call of every process. Clones share state.
#[derive(Clone)]
pub struct CallRecorder(Arc<Recorder>);

struct Recorder {
    processes: Processes,
    kills: BTreeMap<u64, KillPoint>,
    faults: FaultInjector,
    record_calls: bool,
    logs: Mutex<HashMap<u64, ProcessLog>>,
}

#[derive(Default)]
struct ProcessLog {
    calls: Vec<Call>,
    kill_plan: Option<KillPlan>,
    killed_at: Option<KillPoint>,
}

#[derive(Clone, Copy)]
enum KillPlan {
    At(KillPoint),
    /// At the nth call of any kind.
    AtNthCall(u64, CallPhase),
}

impl CallRecorder {
    pub fn new(plan: &FaultPlan, faults: FaultInjector, processes: Processes) -> Self {
        let (kills, record_calls) = (plan.kills.clone(), plan.record_calls);
        Self(Arc::new(Recorder { processes, kills, faults, record_calls, logs: Mutex::default() }))
    }

    /// The same routes, with the recorder as middleware if there is anything to record or to kill.
    pub fn wrap_router(&self, router: Router) -> Router {
        let recorder = &self.0;
        match recorder.record_calls || recorder.faults.includes(Fault::ProcessKilled) {
            true => router.layer(middleware::from_fn_with_state(self.clone(), handle_call)),
            false => router,
        }
    }

    /// The calls of every process in their order, by the number of the process.
    pub fn calls(&self) -> BTreeMap<u64, Vec<Call>> {
        self.logs().iter().map(|(process, log)| (*process, log.calls.clone())).collect()
    }

    /// Where processes were killed, by the number of the process.
    pub fn kills(&self) -> BTreeMap<u64, KillPoint> {
        self.logs().iter().filter_map(|(process, log)| Some((*process, log.killed_at?))).collect()
    }

    /// Records a call. Returns when in the call the process is to be killed, if it is.
    fn record(&self, process: u64, call: Call) -> Option<CallPhase> {
        let mut logs = self.logs();
        let log = logs
            .entry(process)
            .or_insert_with(|| ProcessLog { kill_plan: self.kill_plan(process), ..ProcessLog::default() });
        log.calls.push(call);
        let number = log.calls.iter().filter(|earlier| **earlier == call).count() as u64;
        let phase = match log.kill_plan? {
            KillPlan::At(point) => (point.call == call && point.number == number).then_some(point.phase),
            KillPlan::AtNthCall(nth, phase) => (log.calls.len() as u64 == nth).then_some(phase),
        }?;
        log.killed_at = Some(KillPoint { call, number, phase });
        Some(phase)
    }

    fn kill_plan(&self, process: u64) -> Option<KillPlan> {
        match self.0.kills.get(&process) {
            Some(point) => Some(KillPlan::At(*point)),
            None => self.0.faults.sample(Fault::ProcessKilled).map(KillPlan::random),
        }
    }

    fn logs(&self) -> MutexGuard<'_, HashMap<u64, ProcessLog>> {
        self.0.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KillPlan {
    fn random(mut rng: Rng) -> Self {
        let phase = CallPhase::ALL[rng.usize(..CallPhase::ALL.len())];
        Self::AtNthCall(rng.u64(1..=LAST_CALL), phase)
    }
}

async fn handle_call(State(recorder): State<CallRecorder>, request: Request, next: Next) -> Response {
    let processes = recorder.0.processes.clone();
    let Some(access_key_id) = access_key_id(request.headers()).map(str::to_owned) else {
        return next.run(request).await;
    };
    let Some(process) = processes.number(&access_key_id) else { return next.run(request).await };
    let Some(call) = call_of(&request) else { return next.run(request).await };
    match recorder.record(process, call) {
        None => next.run(request).await,
        Some(CallPhase::Before) => {
            processes.kill(&access_key_id).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Some(CallPhase::During) => {
            let response = next.run(request).await;
            processes.kill(&access_key_id).await;
            response
        }
        Some(CallPhase::After) => kill_after_response(next.run(request).await, processes, access_key_id),
    }
}

/// The response, followed by the kill of the process once the body is sent.
fn kill_after_response(response: Response, processes: Processes, access_key_id: String) -> Response {
    let kill = stream::once(async move {
        tokio::spawn(async move {
            tokio::time::sleep(RESPONSE_DELIVERY).await;
            processes.kill(&access_key_id).await;
        });
        Ok(Bytes::new())
    });
    response.map(|body| Body::from_stream(body.into_data_stream().chain(kill)))
}

/// The access key id of a signed request.
fn access_key_id(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    authorization.split_once("Credential=")?.1.split('/').next()
}

fn call_of(request: &Request) -> Option<Call> {
    if let Some(target) = request.headers().get("x-amz-target") {
        let operation = target.to_str().ok()?.rsplit('.').next()?;
        return Call::TARGETED_OPERATIONS.into_iter().find(|call| call.to_string() == operation);
    }
    match request.uri().path() {
        "/graphql" if request.method() == Method::POST => Some(Call::Publish),
        path if path.ends_with("/converse-stream") => Some(Call::ConverseStream),
        path if path.ends_with("/converse") => Some(Call::Converse),
        path if path.ends_with("/invocations") => Some(Call::Invoke),
        _ => None,
    }
}

impl Call {
    /// Those whose requests name them in the header `X-Amz-Target`.
    const TARGETED_OPERATIONS: [Self; 9] = [
        Self::GetItem,
        Self::Query,
        Self::TransactGetItems,
        Self::PutItem,
        Self::UpdateItem,
        Self::DeleteItem,
        Self::BatchWriteItem,
        Self::TransactWriteItems,
        Self::Decrypt,
    ];
}

impl CallPhase {
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// The name of the operation in AWS's API.
impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl fmt::Display for KillPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, number, phase } = self;
        let phase = match phase {
            CallPhase::Before => "before",
            CallPhase::During => "during",
            CallPhase::After => "after",
        };
        write!(formatter, "{call} {number} {phase}")
    }
}
