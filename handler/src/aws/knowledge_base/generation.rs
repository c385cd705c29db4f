//! Answers that Bedrock itself makes from a knowledge base: the operation RetrieveAndGenerate.
use std::time::Duration;

use api::types::{FailureCode, InferenceSettings, StopReason};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use turn::{
    knowledge::Filter,
    one_shot::{GeneratedAnswer, GenerationError, GenerationRequest},
};

use super::{KnowledgeBases, MAX_RESPONSE_BYTES, RESUMING, ServiceError, retrieval_configuration};
use crate::aws::{limited_body::read_limited, signed_http::SendError};

/// No answer takes longer than a request of AppSync.
const TIMEOUT: Duration = Duration::from_secs(30);
/// RetrieveAndGenerate accepts no more of each (API reference, TextInferenceConfig).
const MAX_TOKENS: u32 = 65_536;
const MAX_STOP_SEQUENCES: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenerateResponse {
    output: Output,
    guardrail_action: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    text: String,
}

impl KnowledgeBases {
    /// Tries once. The log has ids and error types, never the question or the answer.
    pub async fn generate(&self, request: &GenerationRequest) -> Result<GeneratedAnswer, GenerationError> {
        let body = generate_request(request).to_string();
        let response = self.post("/retrieveAndGenerate", body.as_bytes(), TIMEOUT).await.map_err(send_failure)?;
        if response.status() != StatusCode::OK {
            return Err(refusal(ServiceError::read(response).await, &request.search.knowledge_base_id));
        }
        let body = read_limited(response, MAX_RESPONSE_BYTES).await.map_err(|error| {
            tracing::warn!(%error, "a generated answer could not be read");
            GenerationError::Refused(FailureCode::ModelUnavailable)
        })?;
        let GenerateResponse { output, guardrail_action } = serde_json::from_slice(&body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            tracing::error!(line, column, "a generated answer is not as expected");
            GenerationError::Refused(FailureCode::Internal)
        })?;
        let is_withheld = guardrail_action.as_deref() == Some("INTERVENED");
        let reason = if is_withheld { StopReason::GuardrailIntervened } else { StopReason::EndTurn };
        Ok(GeneratedAnswer { text: output.text, reason })
    }
}

fn generate_request(request: &GenerationRequest) -> Value {
    let GenerationRequest { search, model_id, inference } = request;
    let filter = match &search.filter {
        Filter::Matching(filter) => Some(filter),
        Filter::All | Filter::Nothing => None,
    };
    json!({
        "input": { "text": search.query },
        "retrieveAndGenerateConfiguration": {
            "type": "KNOWLEDGE_BASE",
            "knowledgeBaseConfiguration": {
                "knowledgeBaseId": search.knowledge_base_id,
                "modelArn": model_id,
                "retrievalConfiguration": retrieval_configuration(search, filter),
                "generationConfiguration": { "inferenceConfig": { "textInferenceConfig": text_settings(inference) } },
            },
        },
    })
}

/// Only the settings that are given.
fn text_settings(settings: &InferenceSettings) -> Map<String, Value> {
    let stop_sequences = settings.stop_sequences.as_ref().map(|texts| texts.iter().take(MAX_STOP_SEQUENCES));
    let settings = [
        ("maxTokens", settings.max_tokens.map(|tokens| json!(tokens.min(MAX_TOKENS)))),
        ("temperature", settings.temperature.map(Value::from)),
        ("topP", settings.top_p.map(Value::from)),
        ("stopSequences", stop_sequences.map(|texts| json!(texts.collect::<Vec<_>>()))),
    ];
    settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A request without a response is not repeated, because Bedrock may be answering it.
fn send_failure(error: SendError) -> GenerationError {
    match error {
        SendError::Credentials(_) | SendError::Transport(_) => {
            tracing::warn!(%error, "a generated answer has no response");
            GenerationError::Refused(FailureCode::ModelUnavailable)
        }
        SendError::Signing(_) | SendError::Request(_) => {
            tracing::error!(%error, "the request for a generated answer could not be made");
            GenerationError::Refused(FailureCode::Internal)
        }
    }
}

fn refusal(error: ServiceError, knowledge_base_id: &str) -> GenerationError {
    let ServiceError { status, error_type, message } = error;
    if message.contains(RESUMING) {
        tracing::info!(knowledge_base_id, "the database of the knowledge base wakes up");
        return GenerationError::Temporary(FailureCode::KnowledgeUnavailable);
    }
    let refusal = match status {
        StatusCode::TOO_MANY_REQUESTS => GenerationError::Temporary(FailureCode::Throttled),
        StatusCode::CONFLICT | StatusCode::FAILED_DEPENDENCY => {
            GenerationError::Temporary(FailureCode::ModelUnavailable)
        }
        status if status.is_server_error() => GenerationError::Temporary(FailureCode::ModelUnavailable),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => GenerationError::Refused(FailureCode::ModelNotAllowed),
        _ => GenerationError::Refused(FailureCode::ModelRefused),
    };
    match refusal {
        GenerationError::Temporary(_) => {
            tracing::warn!(knowledge_base_id, error_type, %status, "a generated answer has failed");
        }
        GenerationError::Refused(_) => {
            tracing::error!(knowledge_base_id, error_type, %status, "a generated answer is refused");
        }
    }
    refusal
}
