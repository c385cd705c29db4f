//! ApplyGuardrail: assesses texts without a model.
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    bedrock_error::BedrockError,
    guardrail::{Assessment, BLOCKED_INPUT_MESSAGE, BLOCKED_OUTPUT_MESSAGE, Guardrail, Source, mask},
    scripted_models::ScriptedModels,
    transcript_validation::violation,
    with_request_id,
};
use crate::object_only::{self, ObjectOnly};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ApplyRequest {
    source: String,
    #[serde(deserialize_with = "object_only::deserialize_list")]
    content: Vec<Content>,
}

/// Images are not read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    #[serde(deserialize_with = "object_only::deserialize_option")]
    text: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    text: String,
}

pub(super) async fn apply(
    State(models): State<ScriptedModels>,
    Path((guardrail_id, version)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let response = parse(body).and_then(|(source, texts)| {
        let guardrail = models.guardrail().ok_or_else(Guardrail::unknown)?;
        guardrail.check_name(&guardrail_id, &version)?;
        Ok(Json(respond(guardrail, &version, source, &texts)))
    });
    with_request_id(response.into_response())
}

fn parse(body: Result<Bytes, BytesRejection>) -> Result<(Source, Vec<String>), BedrockError> {
    let body = body.map_err(|_| BedrockError::malformed_request())?;
    let Ok(ObjectOnly(request)) = serde_json::from_slice::<ObjectOnly<ApplyRequest>>(&body) else {
        return Err(BedrockError::malformed_request());
    };
    let source = match request.source.as_str() {
        "INPUT" => Source::Input,
        "OUTPUT" => Source::Output,
        other => {
            let violation = violation(&other, "source", "satisfy enum value set: [INPUT, OUTPUT]");
            return Err(BedrockError::validation(format!("1 validation error detected: {violation}")));
        }
    };
    Ok((source, request.content.into_iter().filter_map(|content| content.text).map(|text| text.text).collect()))
}

fn respond(guardrail: &Guardrail, version: &str, source: Source, texts: &[String]) -> Value {
    let assessment = Assessment::new(source, texts.iter().map(String::as_str));
    let blocked = match source {
        Source::Input => BLOCKED_INPUT_MESSAGE,
        Source::Output => BLOCKED_OUTPUT_MESSAGE,
    };
    let outputs: Vec<Value> = match (assessment.is_blocked(), assessment.is_masked()) {
        (true, _) => vec![json!({ "text": blocked })],
        (false, true) => texts.iter().map(|text| json!({ "text": mask(text) })).collect(),
        (false, false) => Vec::new(),
    };
    json!({
        "usage": assessment.usage(),
        "action": if outputs.is_empty() { "NONE" } else { "GUARDRAIL_INTERVENED" },
        "actionReason": assessment.reason(),
        "outputs": outputs,
        "assessments": [guardrail.report(version, &assessment, assessment.characters())],
        "guardrailCoverage": {
            "textCharacters": { "guarded": assessment.characters(), "total": assessment.characters() },
        },
    })
}
