//! Servers that speak the dialects of Ollama, llama-server, vLLM and LM Studio. They refuse what such a
//! server may refuse, and call a tool when the question says so: `call look with {"a":1}`.
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{replies::Reply, request_rules};

pub const MODEL: &str = "small:latest";
/// Chunks of the body are cut within lines and characters.
const CHUNK_BYTES: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Ollama,
    LlamaServer,
    Vllm,
    LmStudio,
}

impl Dialect {
    pub const ALL: [Self; 4] = [Self::Ollama, Self::LlamaServer, Self::Vllm, Self::LmStudio];
}

/// What the server does in place of its dialect.
#[derive(Clone, Debug)]
pub enum Behaviour {
    Dialect(Dialect),
    /// A response to every question.
    Respond(StatusCode, &'static str, String),
    /// A stream that goes on for as long as somebody reads it.
    Endless,
    /// Refuses a stream with tools, as older servers do.
    NoStreamWithTools,
    /// Begins a stream with tools and breaks it off before its first event, as llama-cpp-python does.
    BreaksStreamWithTools,
}

pub struct FakeServer {
    pub url: String,
    state: FakeState,
}

#[derive(Clone)]
struct FakeState {
    behaviour: Behaviour,
    requests: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
    open_streams: Arc<AtomicUsize>,
}

impl FakeServer {
    pub async fn start(behaviour: Behaviour) -> Self {
        let state =
            FakeState { behaviour, requests: Arc::default(), keys: Arc::default(), open_streams: Arc::default() };
        let router = Router::new()
            .route("/v1/models", get(list_models))
            .route("/v1/chat/completions", post(complete))
            .with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn requests(&self) -> Vec<Value> {
        self.state.requests.lock().unwrap().clone()
    }

    /// The `authorization` headers of all requests.
    pub fn keys(&self) -> Vec<String> {
        self.state.keys.lock().unwrap().clone()
    }

    /// Whether somebody reads an endless stream.
    pub fn has_open_stream(&self) -> bool {
        self.state.open_streams.load(Ordering::SeqCst) > 0
    }
}

fn add_key(state: &FakeState, headers: &HeaderMap) {
    let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    state.keys.lock().unwrap().extend(key);
}

async fn list_models(State(state): State<FakeState>, headers: HeaderMap) -> Json<Value> {
    add_key(&state, &headers);
    let models = ["nomic-embed-text:latest", MODEL].map(|id| json!({ "id": id, "object": "model" }));
    Json(json!({ "object": "list", "data": models }))
}

async fn complete(State(state): State<FakeState>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    add_key(&state, &headers);
    state.requests.lock().unwrap().push(request.clone());
    let dialect = match &state.behaviour {
        Behaviour::Respond(status, content_type, body) => {
            return (*status, [(CONTENT_TYPE, *content_type)], body.clone()).into_response();
        }
        Behaviour::Endless => return endless(state.open_streams.clone()),
        Behaviour::NoStreamWithTools if request["stream"] == true && request.get("tools").is_some() => {
            let message = "Cannot use tools with stream";
            return refusal(Dialect::LlamaServer, StatusCode::INTERNAL_SERVER_ERROR, message);
        }
        Behaviour::BreaksStreamWithTools if request["stream"] == true && request.get("tools").is_some() => {
            let head = stream::iter([Ok(Bytes::from_static(b": ping\n\n"))]);
            // The head and the comment are sent before the connection breaks.
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            let broken = head.chain(broken);
            return ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(broken)).into_response();
        }
        Behaviour::NoStreamWithTools | Behaviour::BreaksStreamWithTools => Dialect::LlamaServer,
        Behaviour::Dialect(dialect) => *dialect,
    };
    if let Err(message) = request_rules::check(dialect, &request) {
        return refusal(dialect, StatusCode::BAD_REQUEST, &message);
    }
    let reply = Reply::to(&request);
    if request["stream"] == true {
        let has_usage = request["stream_options"]["include_usage"] == true;
        return event_stream(&reply.stream(dialect, has_usage));
    }
    Json(reply.whole(dialect)).into_response()
}

/// Each dialect has its own form of an error.
fn refusal(dialect: Dialect, status: StatusCode, message: &str) -> Response {
    let body = match dialect {
        Dialect::Ollama => json!({ "error": { "message": message, "type": "api_error", "param": null, "code": null } }),
        Dialect::LlamaServer => json!({ "error": { "code": status.as_u16(), "message": message, "type": "error" } }),
        Dialect::Vllm => json!({ "object": "error", "message": message, "type": "Bad", "code": status.as_u16() }),
        Dialect::LmStudio => json!({ "error": message }),
    };
    (status, Json(body)).into_response()
}

pub fn event_stream(data: &[String]) -> Response {
    let body: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
    let chunks: Vec<io::Result<Bytes>> =
        body.as_bytes().chunks(CHUNK_BYTES).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = Body::from_stream(stream::iter(chunks));
    ([(CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response()
}

/// Counts an endless stream as long as somebody reads it.
struct OpenStream(Arc<AtomicUsize>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn endless(open_streams: Arc<AtomicUsize>) -> Response {
    open_streams.fetch_add(1, Ordering::SeqCst);
    let open_stream = OpenStream(open_streams);
    let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": "and " }, "finish_reason": null }] });
    let data = format!("data: {chunk}\n\n");
    let ticks = stream::unfold(open_stream, move |open_stream| {
        let data = data.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, Infallible>(data), open_stream))
        }
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(ticks.boxed())).into_response()
}
