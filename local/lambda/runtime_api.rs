//! The Runtime API of one execution environment: its process polls for invocations and posts responses.
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Invocation, errors::FunctionError};

/// Lambda's limit for a response.
const RESPONSE_BYTES: usize = 6_291_556;

/// The service's side of the API. Dropping it closes the API.
pub(super) struct RuntimeApi {
    pub address: String,
    pub work: mpsc::Sender<Work>,
    pub events: mpsc::Receiver<RuntimeEvent>,
    _server: AbortOnDropHandle<()>,
}

/// An invocation for the process.
pub(super) struct Work {
    pub invocation: Invocation,
    pub function_arn: String,
    pub timeout: Duration,
}

/// A request of the process.
pub(super) enum RuntimeEvent {
    /// The process polls for an invocation.
    Ready,
    /// The bytes of a response, which should be a JSON text.
    Responded(Result<Bytes, FunctionError>),
    InitFailed(FunctionError),
}

/// The process's side of the API.
struct ApiState {
    work: AsyncMutex<mpsc::Receiver<Work>>,
    events: mpsc::Sender<RuntimeEvent>,
    /// The request id of the running invocation.
    running: Mutex<Option<String>>,
}

impl RuntimeApi {
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (work, work_receiver) = mpsc::channel(1);
        let (event_sender, events) = mpsc::channel(4);
        let state = ApiState { work: AsyncMutex::new(work_receiver), events: event_sender, running: Mutex::default() };
        let server = axum::serve(without_nagle_delay(listener), router(Arc::new(state)));
        let server = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the Runtime API ended");
            }
        });
        Ok(Self { address, work, events, _server: AbortOnDropHandle::new(server) })
    }
}

impl ApiState {
    fn begin_invocation(&self, request_id: &str) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(request_id.to_owned());
    }

    /// False when this invocation is not running.
    fn end_invocation(&self, request_id: &str) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.take_if(|id| id == request_id).is_some()
    }

    async fn send(&self, event: RuntimeEvent) {
        // The receiver is gone when the environment is being ended.
        self.events.send(event).await.ok();
    }
}

fn without_nagle_delay(listener: TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's delay");
        }
    })
}

fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(state)
}

async fn next(State(state): State<Arc<ApiState>>) -> Response {
    state.send(RuntimeEvent::Ready).await;
    let Some(work) = state.work.lock().await.recv().await else {
        return error_response(StatusCode::INTERNAL_SERVER_ERROR, "Container", "The execution environment is ending.");
    };
    let Invocation { request_id, payload } = &work.invocation;
    state.begin_invocation(request_id);
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", request_id.clone()),
        ("Lambda-Runtime-Deadline-Ms", epoch_milliseconds_after(work.timeout).to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", work.function_arn),
        ("Lambda-Runtime-Trace-Id", trace_id()),
        ("Lambda-Runtime-Invocation-Id", Uuid::new_v4().to_string()),
        (CONTENT_TYPE.as_str(), "application/json".to_owned()),
    ];
    (headers, payload.clone()).into_response()
}

async fn response(State(state): State<Arc<ApiState>>, Path(id): Path<String>, body: Body) -> Response {
    if !state.end_invocation(&id) {
        return unknown_request(&id);
    }
    let (status, response) = match read_body(body).await {
        Some(body) => (StatusCode::ACCEPTED, Ok(body.into())),
        None => (StatusCode::PAYLOAD_TOO_LARGE, Err(FunctionError::response_too_large(RESPONSE_BYTES))),
    };
    state.send(RuntimeEvent::Responded(response)).await;
    (status, Json(json!({ "status": "OK" }))).into_response()
}

async fn error(State(state): State<Arc<ApiState>>, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Response {
    if !state.end_invocation(&id) {
        return unknown_request(&id);
    }
    state.send(RuntimeEvent::Responded(Err(read_error(&headers, body).await))).await;
    accepted()
}

async fn init_error(State(state): State<Arc<ApiState>>, headers: HeaderMap, body: Body) -> Response {
    state.send(RuntimeEvent::InitFailed(read_error(&headers, body).await)).await;
    accepted()
}

/// None when the body is too large. It is read to its end even then, because a client whose connection closes
/// while it writes does not read the error response.
async fn read_body(body: Body) -> Option<Vec<u8>> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(Ok(chunk)) = chunks.next().await {
        length = length.saturating_add(chunk.len());
        if length <= RESPONSE_BYTES {
            bytes.extend_from_slice(&chunk);
        }
    }
    (length <= RESPONSE_BYTES).then_some(bytes)
}

async fn read_error(headers: &HeaderMap, body: Body) -> FunctionError {
    let payload =
        read_body(body).await.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_else(|| json!({}));
    let kind = headers.get("Lambda-Runtime-Function-Error-Type").and_then(|value| value.to_str().ok());
    FunctionError::from_report(payload, kind)
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

fn unknown_request(id: &str) -> Response {
    error_response(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("No invocation {id} is running."))
}

fn error_response(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({ "errorType": kind, "errorMessage": message }))).into_response()
}

fn epoch_milliseconds_after(timeout: Duration) -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + timeout).as_millis()
}

/// An X-Ray trace header, not sampled.
fn trace_id() -> String {
    let seconds = epoch_milliseconds_after(Duration::ZERO) / 1000;
    let random = Uuid::new_v4().simple().to_string();
    let (root, parent) = (&random[..24], &Uuid::new_v4().simple().to_string()[..16]);
    format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0")
}
