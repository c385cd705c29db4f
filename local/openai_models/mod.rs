//! The models of an OpenAI-compatible server behind Bedrock's ConverseStream and Converse.
mod answer;
mod answer_reader;
mod chunk;
mod content;
mod event;
mod failure;
mod model_list;
mod reasoning_effort;
mod request;
mod server_options;
mod sse;
mod think_tags;
mod tool_calls;

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use http::{StatusCode, header::CONTENT_TYPE};
use reqwest::Client;
use serde_json::Value;

pub use answer_reader::{answer_events, whole_events};
pub use event::{Delta, Event, Usage};
pub use failure::Failure;
pub use model_list::{ModelServerError, ServedModels, http_client, list_models};
pub use request::{ChatRequest, Omissions};
pub use server_options::{ModelKey, ModelName, ModelServer, ModelServerAddress, ModelServerOptions, ModelServerUrl};
pub use sse::{MAX_EVENT_BYTES, event_data};
pub use tool_calls::{MAX_ARGUMENT_BYTES, MAX_TOOL_CALLS};

use answer::loggable;

use crate::bedrock::{BedrockError, check_for_any_model, with_request_id};

/// As long as a request of Bedrock may be.
const MAX_REQUEST_BYTES: usize = 25_000_000;
/// A longer whole answer fails.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// What is read of an error.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The models of one server. What the server has refused once it is not sent again.
pub struct OpenAiModels {
    server: ModelServer,
    client: Client,
    models: ServedModels,
    /// By name of the model.
    omissions: Mutex<HashMap<String, Omissions>>,
    /// The names of models whose last stream with tools has ended before its first event.
    broken_streams: Mutex<HashSet<String>>,
}

/// What a server gives to a request that it does not refuse.
enum Answer {
    /// The data of the stream's events.
    Stream(BoxStream<'static, io::Result<String>>),
    Whole(Vec<u8>),
}

impl OpenAiModels {
    /// Asks the server for its models.
    pub async fn connect(server: ModelServer) -> Result<Self, ModelServerError> {
        let client = http_client()?;
        let models = ServedModels::new(&server, list_models(&client, &server).await?)?;
        Ok(Self { server, client, models, omissions: Mutex::default(), broken_streams: Mutex::default() })
    }

    /// Which models answer, for the message at the start.
    pub fn description(&self) -> String {
        format!("{} at {}", self.models.description(), self.server.url)
    }

    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/model/{model_id}/converse-stream", post(converse_stream))
            .route("/model/{model_id}/converse", post(converse))
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(self)
    }

    /// The response of ConverseStream.
    pub async fn converse_stream(&self, model_id: &str, body: Bytes) -> Response {
        let started_at = Instant::now();
        let answer = self.answer(model_id, &body, true).await;
        with_request_id(match answer {
            Ok(Answer::Stream(data)) => stream_response(answer_events(data, started_at).map(|event| event.encode())),
            Ok(Answer::Whole(body)) => {
                let events = whole_events(&body, started_at);
                stream_response(stream::iter(events).map(|event| event.encode()))
            }
            Err(error) => error.into_response(),
        })
    }

    /// The response of Converse.
    pub async fn converse(&self, model_id: &str, body: Bytes) -> Response {
        let started_at = Instant::now();
        let answer = self.answer(model_id, &body, false).await;
        with_request_id(match answer {
            Ok(Answer::Whole(body)) => match event::whole_answer(whole_events(&body, started_at)) {
                Ok(answer) => Json(answer).into_response(),
                Err(failure) => failure.error().into_response(),
            },
            // The server streams although it was asked not to.
            Ok(Answer::Stream(_)) => Failure::BrokenAnswer.error().into_response(),
            Err(error) => error.into_response(),
        })
    }

    async fn answer(&self, model_id: &str, body: &Bytes, is_stream: bool) -> Result<Answer, BedrockError> {
        check_for_any_model(body)?;
        let body = body.clone();
        // Documents are read on the way.
        let request = tokio::task::spawn_blocking(move || ChatRequest::translate(&body)).await;
        let request = request.unwrap_or_else(|_| Err(BedrockError::internal_error()))?;
        let name = self.models.name_for(model_id);
        self.send(name, &request, is_stream).await.map_err(Failure::error)
    }

    /// Sends a request, again where the server refuses what it can do without.
    async fn send(&self, name: &str, request: &ChatRequest, is_stream: bool) -> Result<Answer, Failure> {
        loop {
            let omissions = self.omissions(name);
            let body = request.body(name, is_stream, omissions);
            let response = self.post(&body).await?;
            let status = response.status();
            if status.is_success() {
                match received(response).await? {
                    Answer::Stream(data) if body.get("tools").is_some() => {
                        let data = with_first_event(data).await;
                        let is_second = self.is_second_broken_stream(name, data.is_none());
                        let Some(data) = data else {
                            return self.send_whole(name, request, omissions, is_second).await;
                        };
                        return Ok(Answer::Stream(data));
                    }
                    answer => return Ok(answer),
                }
            }
            let body_text = read(response, MAX_ERROR_BYTES).await;
            let message = error_message(&body_text);
            let more = more_omissions(omissions, &body, status, &message);
            tracing::warn!(model = name, %status, message = loggable(&message), "the model server refuses a request");
            if more == omissions {
                return Err(Failure::of_response(status, &message));
            }
            self.remember(name, more);
        }
    }

    /// Sends a request again whose stream has ended before its first event: llama-cpp-python finds only then
    /// that it cannot stream calls.
    async fn send_whole(
        &self,
        name: &str,
        request: &ChatRequest,
        omissions: Omissions,
        is_remembered: bool,
    ) -> Result<Answer, Failure> {
        let omissions = Omissions { streams_with_tools: true, ..omissions };
        let response = self.post(&request.body(name, false, omissions)).await?;
        if !response.status().is_success() {
            return Err(Failure::BrokenAnswer);
        }
        let answer = received(response).await?;
        if is_remembered {
            self.remember(name, omissions);
        }
        Ok(answer)
    }

    /// Whether the model's stream before has broken off as well. One broken connection says nothing about
    /// later streams.
    fn is_second_broken_stream(&self, name: &str, is_broken: bool) -> bool {
        let mut broken = self.broken_streams.lock().unwrap_or_else(PoisonError::into_inner);
        if is_broken {
            return !broken.insert(name.to_owned());
        }
        broken.remove(name);
        false
    }

    fn remember(&self, name: &str, omissions: Omissions) {
        tracing::warn!(model = name, ?omissions, "what the model server refused is left out from now on");
        self.omissions.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), omissions);
    }

    async fn post(&self, body: &Value) -> Result<reqwest::Response, Failure> {
        let mut request = self.client.post(self.server.url.join("/chat/completions")).json(body);
        if let Some(key) = &self.server.key {
            request = request.bearer_auth(key.expose());
        }
        request.send().await.map_err(|error| {
            tracing::warn!(%error, "the model server cannot be reached");
            Failure::Unavailable
        })
    }

    fn omissions(&self, name: &str) -> Omissions {
        let omissions = self.omissions.lock().unwrap_or_else(PoisonError::into_inner);
        omissions.get(name).copied().unwrap_or_default()
    }
}

async fn converse_stream(
    State(models): State<Arc<OpenAiModels>>,
    Path(model_id): Path<String>,
    body: Bytes,
) -> Response {
    models.converse_stream(&model_id, body).await
}

async fn converse(State(models): State<Arc<OpenAiModels>>, Path(model_id): Path<String>, body: Bytes) -> Response {
    models.converse(&model_id, body).await
}

/// What a refusal adds to what is left out. Each kind is left out once, so that a request is sent four times
/// at most.
fn more_omissions(omissions: Omissions, body: &Value, status: StatusCode, message: &str) -> Omissions {
    let mut more = omissions;
    let message = message.to_lowercase();
    let is_refusal = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
    if !is_refusal && !message.contains("stream") {
        return more;
    }
    let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let is_stream = body["stream"] == true;
    if is_stream && message.contains("stream_options") {
        more.stream_options = true;
    } else if body.get("reasoning_effort").is_some() && mentions(&["reasoning", "think"]) {
        more.reasoning_effort = true;
    } else if is_stream && body.get("tools").is_some() && message.contains("stream") && message.contains("tool") {
        more.streams_with_tools = true;
    }
    more
}

/// Some servers answer whole although a stream was asked for.
async fn received(response: reqwest::Response) -> Result<Answer, Failure> {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("text/event-stream") {
        return Ok(Answer::Stream(event_data(chunks(response)).boxed()));
    }
    let body = read(response, MAX_ANSWER_BYTES + 1).await;
    if body.len() > MAX_ANSWER_BYTES { Err(Failure::BrokenAnswer) } else { Ok(Answer::Whole(body)) }
}

/// As much as arrives, up to a limit.
async fn read(mut response: reqwest::Response, max_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= max_bytes {
            body.truncate(max_bytes);
            break;
        }
    }
    body
}

fn error_message(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    match failure::message(&json) {
        "" => String::from_utf8_lossy(body).into_owned(),
        message => message.to_owned(),
    }
}

fn stream_response(frames: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    ([(CONTENT_TYPE, "application/vnd.amazon.eventstream")], Body::from_stream(frames)).into_response()
}

/// What arrives. Dropping it ends the connection to the server.
fn chunks(response: reqwest::Response) -> impl Stream<Item = reqwest::Result<Bytes>> + Send {
    stream::try_unfold(
        response,
        |mut response| async move { Ok(response.chunk().await?.map(|chunk| (chunk, response))) },
    )
}

/// The same data, once there is some. `None` for a stream that ends or breaks without any.
async fn with_first_event(
    mut data: BoxStream<'static, io::Result<String>>,
) -> Option<BoxStream<'static, io::Result<String>>> {
    let first = data.next().await?.ok()?;
    Some(stream::once(std::future::ready(Ok(first))).chain(data).boxed())
}
