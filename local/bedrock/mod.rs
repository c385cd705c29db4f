//! Amazon Bedrock with scripted models: ConverseStream and Converse over HTTP, with frames, errors and
//! validation.
mod account;
mod advice;
mod answer_text;
mod bedrock_error;
mod canned_text;
mod claude_rules;
mod faulty_models;
mod faulty_tool_models;
mod forward;
mod frames;
mod iam_guard;
mod mixed_messages;
mod model_catalog;
mod model_service;
mod playback;
mod quotes;
mod request;
mod requested_calls;
mod script;
mod scripted_citations;
mod scripted_tools;
mod search_results;
mod streaming_tools;
mod tool_validation;
mod transcript_validation;
mod whole_answer;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::post,
};
use uuid::Uuid;

pub use account::AwsAccount;
pub use faulty_models::{FAULTY_MODELS, FaultyModel, SURROGATES, UNICODE, block_text, long_text};
pub use forward::{Forwarder, Upstream, UpstreamError, forwarding_router};
pub use iam_guard::{may_invoke, with_iam_guard};
pub use model_catalog::{CatalogError, OfferedModel, offered_models};
pub use model_service::ModelService;

pub(crate) use answer_text::{ModelFailure, TextStream, read_text};
pub(crate) use bedrock_error::BedrockError;
pub(crate) use forward::SESSION_ID_HEADER;
pub(crate) use frames::encode_frame;
pub(crate) use iam_guard::authorize_model;
use request::Transcript;
use script::Script;

const REQUEST_BYTES: usize = 25_000_000;
/// How often `parlance.throttled-twice` throttles a transcript.
const COUNTED_THROTTLES: u32 = 2;

/// `POST /model/{modelId}/converse-stream` and `…/converse`, for HTTP/1.1 and HTTP/2; the model id may be a
/// percent-encoded ARN. Callers are not authenticated; see `with_iam_guard`.
pub fn router() -> Router {
    scripted_router(ThrottleCounts::default())
}

fn scripted_router(counts: ThrottleCounts) -> Router {
    Router::new()
        .route("/model/{model_id}/converse-stream", post(converse_stream))
        .route("/model/{model_id}/converse", post(converse))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(counts)
}

async fn converse_stream(
    State(counts): State<ThrottleCounts>,
    Path(model_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let transcript = parse_transcript(&model_id, body)
        .and_then(|transcript| streaming_tools::check(&model_id, &transcript).map(|()| transcript));
    let response = match transcript {
        Ok(transcript) => playback::play(counts.script(&model_id, &transcript)).await,
        Err(error) => error.into_response(),
    };
    with_request_id(response)
}

async fn converse(
    State(counts): State<ThrottleCounts>,
    Path(model_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let response = match parse_transcript(&model_id, body) {
        Ok(transcript) => whole_answer::play(counts.script(&model_id, &transcript)).await,
        Err(error) => error.into_response(),
    };
    with_request_id(response)
}

pub(crate) fn with_request_id(response: Response) -> Response {
    ([("x-amzn-requestid", Uuid::new_v4().to_string())], response).into_response()
}

fn parse_transcript(model_id: &str, body: Result<Bytes, BytesRejection>) -> Result<Transcript, BedrockError> {
    let body = body.map_err(|_| BedrockError::malformed_request())?;
    let transcript = Transcript::parse(&body)?;
    transcript_validation::validate(&transcript)?;
    mixed_messages::check(model_id, &transcript)?;
    search_results::check(model_id, &transcript)?;
    claude_rules::check(model_id, &transcript)?;
    Ok(transcript)
}

/// Why Bedrock refuses a request: its message, if it does. `body` is that of ConverseStream or Converse.
pub fn refusal(model_id: &str, body: Vec<u8>) -> Option<String> {
    parse_transcript(model_id, Ok(body.into())).err().map(BedrockError::into_message)
}

/// How often each transcript was throttled in a row, by `transcript_key`.
#[derive(Clone, Default)]
struct ThrottleCounts(Arc<Mutex<HashMap<u64, u32>>>);

impl ThrottleCounts {
    fn script(&self, model_id: &str, transcript: &Transcript) -> Script {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = transcript_key(model_id, transcript);
        let throttles = counts.remove(&key).unwrap_or_default();
        let script = faulty_models::script(model_id, transcript, throttles);
        if throttles < COUNTED_THROTTLES && matches!(script, Script::Error(_)) {
            counts.insert(key, throttles + 1);
        }
        script
    }
}

fn transcript_key(model_id: &str, transcript: &Transcript) -> u64 {
    let mut hasher = DefaultHasher::new();
    model_id.hash(&mut hasher);
    transcript.messages.hash(&mut hasher);
    hasher.finish()
}
