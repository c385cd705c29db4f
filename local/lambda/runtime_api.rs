//! The Runtime API of one execution environment: its process asks for work here and hands back answers.
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Invocation, failure::FunctionError};

/// Lambda's limit for what a function returns.
const RESPONSE_BYTES: usize = 6_291_556;

/// The service's side of the API. Dropping it closes the API.
pub(super) struct RuntimeApi {
    pub address: String,
    pub assignments: mpsc::Sender<Assignment>,
    pub reports: mpsc::Receiver<Report>,
    _server: AbortOnDropHandle<()>,
}

/// Work for the process.
pub(super) struct Assignment {
    pub invocation: Invocation,
    pub function_arn: String,
    pub timeout: Duration,
}

/// What the process tells.
pub(super) enum Report {
    /// It waits for work.
    Ready,
    Answered(Result<Value, FunctionError>),
    InitFailed(FunctionError),
}

/// The process's side: at most one invocation is in its hands.
struct Desk {
    assignments: AsyncMutex<mpsc::Receiver<Assignment>>,
    reports: mpsc::Sender<Report>,
    in_hand: Mutex<Option<String>>,
}

impl RuntimeApi {
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (assignments, work) = mpsc::channel(1);
        let (told, reports) = mpsc::channel(4);
        let desk = Desk { assignments: AsyncMutex::new(work), reports: told, in_hand: Mutex::default() };
        let served = axum::serve(undelayed(listener), router(Arc::new(desk)));
        let server = tokio::spawn(async move {
            if let Err(fault) = served.await {
                tracing::error!(%fault, "the Runtime API ended");
            }
        });
        Ok(Self { address, assignments, reports, _server: AbortOnDropHandle::new(server) })
    }
}

impl Desk {
    /// Whether this is the invocation in hand, which then no longer is.
    fn hand_back(&self, request_id: &str) -> bool {
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        in_hand.take_if(|id| id == request_id).is_some()
    }

    fn hand_out(&self, request_id: &str) {
        *self.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(request_id.to_owned());
    }

    async fn report(&self, report: Report) {
        // Nobody listens any more when the environment is being ended.
        self.reports.send(report).await.ok();
    }
}

fn undelayed(listener: TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    listener.tap_io(|stream| {
        if let Err(fault) = stream.set_nodelay(true) {
            tracing::debug!(%fault, "a connection keeps Nagle's delay");
        }
    })
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(desk)
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    desk.report(Report::Ready).await;
    let Some(assignment) = desk.assignments.lock().await.recv().await else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "Container", "The execution environment is ending.");
    };
    let Invocation { request_id, payload } = &assignment.invocation;
    desk.hand_out(request_id);
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", request_id.clone()),
        ("Lambda-Runtime-Deadline-Ms", epoch_milliseconds_after(assignment.timeout).to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", assignment.function_arn),
        ("Lambda-Runtime-Trace-Id", trace_id()),
        ("Lambda-Runtime-Invocation-Id", Uuid::new_v4().to_string()),
    ];
    (headers, Json(payload)).into_response()
}

async fn response(State(desk): State<Arc<Desk>>, Path(id): Path<String>, body: Body) -> Response {
    if !desk.hand_back(&id) {
        return unknown_request(&id);
    }
    let (status, answer) = match whole(body).await {
        Some(body) => (StatusCode::ACCEPTED, document(&body)),
        None => (StatusCode::PAYLOAD_TOO_LARGE, Err(FunctionError::response_too_large(RESPONSE_BYTES))),
    };
    desk.report(Report::Answered(answer)).await;
    (status, Json(json!({ "status": "OK" }))).into_response()
}

async fn error(State(desk): State<Arc<Desk>>, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Response {
    if !desk.hand_back(&id) {
        return unknown_request(&id);
    }
    desk.report(Report::Answered(Err(reported(&headers, body).await))).await;
    accepted()
}

async fn init_error(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Body) -> Response {
    desk.report(Report::InitFailed(reported(&headers, body).await)).await;
    accepted()
}

/// None when it is too large. It is read to its end even then: a client that is cut off while it writes sees a broken
/// connection and not the refusal.
async fn whole(body: Body) -> Option<Vec<u8>> {
    let mut pieces = body.into_data_stream();
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(Ok(piece)) = pieces.next().await {
        length = length.saturating_add(piece.len());
        if length <= RESPONSE_BYTES {
            kept.extend_from_slice(&piece);
        }
    }
    (length <= RESPONSE_BYTES).then_some(kept)
}

/// A function's answer is a JSON document; an empty one is `null`.
fn document(body: &[u8]) -> Result<Value, FunctionError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|fault| FunctionError::malformed_response(&fault))
}

async fn reported(headers: &HeaderMap, body: Body) -> FunctionError {
    let payload = whole(body).await.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_else(|| json!({}));
    let kind = headers.get("Lambda-Runtime-Function-Error-Type").and_then(|value| value.to_str().ok());
    FunctionError::reported(payload, kind)
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

fn unknown_request(id: &str) -> Response {
    refused(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("No invocation {id} is in hand."))
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({ "errorType": kind, "errorMessage": message }))).into_response()
}

fn epoch_milliseconds_after(timeout: Duration) -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + timeout).as_millis()
}

/// X-Ray's form, not sampled.
fn trace_id() -> String {
    let seconds = epoch_milliseconds_after(Duration::ZERO) / 1000;
    let random = Uuid::new_v4().simple().to_string();
    let (root, parent) = (&random[..24], &Uuid::new_v4().simple().to_string()[..16]);
    format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0")
}
