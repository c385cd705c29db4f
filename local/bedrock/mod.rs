//! Amazon Bedrock with scripted models: ConverseStream and Converse over HTTP, with frames, errors and
//! validation.
mod account;
mod advice;
mod answer_text;
mod apply_guardrail;
mod bedrock_error;
mod cache_rules;
mod cached_prompt;
mod canned_text;
mod claude_rules;
mod faulty_models;
mod faulty_tool_models;
mod forward;
mod frames;
mod guarded_answer;
mod guardrail;
mod iam_guard;
mod mixed_messages;
mod model_catalog;
mod model_family;
mod model_service;
mod playback;
mod prompt_cache;
mod quotes;
mod reasoned_answer;
mod reasoning_echo;
mod reasoning_rules;
mod request;
mod requested_calls;
mod script;
mod scripted_citations;
mod scripted_models;
mod scripted_title;
mod scripted_tools;
mod search_results;
mod signatures;
mod streaming_tools;
mod tool_validation;
mod transcript_validation;
mod whole_answer;

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
pub use guardrail::{BLOCKED_INPUT_MESSAGE, BLOCKED_OUTPUT_MESSAGE, FORBIDDEN_TOPIC, FORBIDDEN_WORDS, Guardrail};
pub use iam_guard::{may_invoke, with_iam_guard};
pub use model_catalog::{CatalogError, OfferedModel, offered_models};
pub use model_service::ModelService;
pub use scripted_models::ScriptedModels;

pub(crate) use answer_text::{ModelFailure, TextStream, read_text};
pub(crate) use bedrock_error::BedrockError;
pub(crate) use forward::SESSION_ID_HEADER;
pub(crate) use frames::encode_frame;
pub(crate) use iam_guard::authorize_model;
pub(crate) use script::new_tool_use_id;

use request::Transcript;

const REQUEST_BYTES: usize = 25_000_000;

/// The routes of scripted models without a guardrail.
pub fn router() -> Router {
    scripted_router(ScriptedModels::default())
}

/// `POST /model/{modelId}/converse-stream`, `…/converse` and `/guardrail/{id}/version/{version}/apply`, for
/// HTTP/1.1 and HTTP/2; an id may be a percent-encoded ARN. Callers are not authenticated; see
/// `with_iam_guard`.
pub fn scripted_router(models: ScriptedModels) -> Router {
    Router::new()
        .route("/model/{model_id}/converse-stream", post(converse_stream))
        .route("/model/{model_id}/converse", post(converse))
        .route("/guardrail/{guardrail_id}/version/{version}/apply", post(apply_guardrail::apply))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(models)
}

async fn converse_stream(
    State(models): State<ScriptedModels>,
    Path(model_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let transcript = parse_transcript(&model_id, body)
        .and_then(|transcript| streaming_tools::check(&model_id, &transcript).map(|()| transcript));
    let response = match transcript {
        Ok(transcript) => playback::play(models.script(&model_id, transcript)).await,
        Err(error) => error.into_response(),
    };
    with_request_id(response)
}

async fn converse(
    State(models): State<ScriptedModels>,
    Path(model_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let response = match parse_transcript(&model_id, body) {
        Ok(transcript) => whole_answer::play(models.script(&model_id, transcript)).await,
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
    guarded_answer::check_config(&transcript)?;
    cache_rules::check(model_id, &transcript)?;
    mixed_messages::check(model_id, &transcript)?;
    search_results::check(model_id, &transcript)?;
    claude_rules::check(model_id, &transcript)?;
    reasoning_rules::check(model_id, &transcript)?;
    reasoning_echo::check(model_id, &transcript)?;
    Ok(transcript)
}

/// The rules that are the same for every model.
pub(crate) fn check_for_any_model(body: &[u8]) -> Result<(), BedrockError> {
    transcript_validation::validate(&Transcript::parse(body)?)
}

/// Why Bedrock refuses a request: its message, if it does. `body` is that of ConverseStream or Converse.
pub fn refusal(model_id: &str, body: Vec<u8>) -> Option<String> {
    parse_transcript(model_id, Ok(body.into())).err().map(BedrockError::into_message)
}
