//! A Bedrock whose model is a script: real ConverseStream frames over HTTP, answers that say that they are a stand-in.
mod answer;
mod forward;
mod frames;
mod guard;
mod misbehaviours;
mod playback;
mod refusal;
mod request;
mod rules;
mod script;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::post,
};
use uuid::Uuid;

pub use forward::{Fault, Upstream, forward};
pub use guard::guarded;
pub use misbehaviours::{MISBEHAVIOURS, Misbehaviour, UNICODE, long_text};

use refusal::Refusal;
use request::Transcript;
use script::Script;

const REQUEST_BYTES: usize = 25_000_000;
/// How often `parlance.throttled-twice` refuses a transcript before it answers it.
const REMEMBERED_REFUSALS: u32 = 2;

/// `POST /model/{modelId}/converse-stream`, for HTTP/1.1 and HTTP/2; the model id may be a percent-encoded ARN.
pub fn router() -> Router {
    Router::new()
        .route("/model/{model_id}/converse-stream", post(converse_stream))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(Memory::default())
}

async fn converse_stream(
    State(memory): State<Memory>,
    Path(model_id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = match transcript(&headers, body) {
        Ok(transcript) => playback::play(memory.script(&model_id, &transcript)).await,
        Err(refusal) => refusal.into_response(),
    };
    ([("x-amzn-requestid", Uuid::new_v4().to_string())], answer).into_response()
}

fn transcript(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Transcript, Refusal> {
    check_credentials(headers)?;
    let body = body.map_err(|_| Refusal::malformed())?;
    let transcript = Transcript::parse(&body)?;
    rules::check(&transcript)?;
    Ok(transcript)
}

/// Credentials have to be there; whose they are is not asked.
fn check_credentials(headers: &HeaderMap) -> Result<(), Refusal> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(Refusal::no_credentials)?;
    let known = |text: &str| text.starts_with("AWS4-HMAC-SHA256 ") || text.starts_with("Bearer ");
    if header.to_str().is_ok_and(known) { Ok(()) } else { Err(Refusal::unknown_credentials()) }
}

/// How often each transcript has been throttled in a row.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<u64, u32>>>);

impl Memory {
    fn script(&self, model_id: &str, transcript: &Transcript) -> Script {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(model_id, transcript);
        let refusals = memory.remove(&key).unwrap_or_default();
        let script = misbehaviours::script(model_id, transcript, refusals);
        if refusals < REMEMBERED_REFUSALS && matches!(script, Script::Refused(_)) {
            memory.insert(key, refusals + 1);
        }
        script
    }
}

fn key(model_id: &str, transcript: &Transcript) -> u64 {
    let mut hasher = DefaultHasher::new();
    model_id.hash(&mut hasher);
    transcript.messages.hash(&mut hasher);
    hasher.finish()
}
