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

/// `POST /model/{modelId}/converse-stream`, for HTTP/1.1 and HTTP/2; the model id may be a percent-encoded ARN. Who asks
/// is not asked here.
pub fn router() -> Router {
    Router::new()
        .route("/model/{model_id}/converse-stream", post(converse_stream))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(Memory::default())
}

async fn converse_stream(
    State(memory): State<Memory>,
    Path(model_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = match transcript(body) {
        Ok(transcript) => playback::play(memory.script(&model_id, &transcript)).await,
        Err(refusal) => refusal.into_response(),
    };
    ([("x-amzn-requestid", Uuid::new_v4().to_string())], answer).into_response()
}

fn transcript(body: Result<Bytes, BytesRejection>) -> Result<Transcript, Refusal> {
    let body = body.map_err(|_| Refusal::malformed())?;
    let transcript = Transcript::parse(&body)?;
    rules::check(&transcript)?;
    Ok(transcript)
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
