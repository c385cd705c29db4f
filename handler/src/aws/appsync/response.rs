//! Classifies AppSync's responses to publishes. GraphQL errors come with HTTP 200 and have their type at
//! their top level.
use std::collections::HashMap;

use api::{
    errors::{RETRYABLE_ERROR_TYPES, is_retryable_status},
    types::TurnStatus,
};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use turn::mutation::PublishFailure;

#[derive(Deserialize)]
struct Response {
    data: Option<HashMap<String, Option<Update>>>,
    errors: Option<Vec<ResponseError>>,
}

#[derive(Deserialize)]
struct Update {
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    status: TurnStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseError {
    error_type: Option<String>,
    message: Option<String>,
}

/// Returns the turn's status if the mutation was accepted.
pub fn classify_response(status: StatusCode, body: &[u8]) -> Result<TurnStatus, PublishFailure> {
    if is_retryable_status(status.as_u16()) {
        return Err(PublishFailure::Retryable);
    }
    let Ok(response) = serde_json::from_slice::<Response>(body) else {
        return Err(if status.is_success() { PublishFailure::Retryable } else { PublishFailure::Refused });
    };
    if let Some(error) = response.errors.unwrap_or_default().first() {
        return Err(classify_error(error));
    }
    let update = response.data.unwrap_or_default().into_values().flatten().next();
    let Some(update) = update else { return Err(PublishFailure::Refused) };
    Ok(update.metadata.map_or(TurnStatus::Running, |metadata| metadata.status))
}

/// The update in the response to an accepted mutation, as JSON text: what subscribers get.
pub fn accepted_update(body: &[u8]) -> Option<String> {
    let mut response: Value = serde_json::from_slice(body).ok()?;
    let update = response.get_mut("data")?.as_object_mut()?.values_mut().next()?.take();
    update.is_object().then(|| update.to_string())
}

fn classify_error(error: &ResponseError) -> PublishFailure {
    let error_type = error.error_type.as_deref();
    tracing::info!(error_type, "appsync");
    tracing::debug!(message = error.message, "appsync");
    match error_type {
        Some("StaleAttempt") => PublishFailure::Stale,
        Some(error_type) if RETRYABLE_ERROR_TYPES.contains(&error_type) => PublishFailure::Retryable,
        _ => PublishFailure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(error_type: &str) -> String {
        format!(
            r#"{{"data":{{"agentPublishMetadata":null}},"errors":[{{"path":["agentPublishMetadata"],"data":null,
            "errorType":{error_type},"errorInfo":null,"locations":[],"message":"no"}}]}}"#
        )
    }

    #[test]
    fn accepted_publish_returns_the_status_of_the_turn() {
        for (body, expected) in [
            (r#"{"data":{"agentPublishMetadata":{"metadata":{"status":"RUNNING","note":null}}}}"#, TurnStatus::Running),
            (
                r#"{"data":{"agentPublishMetadata":{"metadata":{"status":"CANCELLING"}}},"errors":null}"#,
                TurnStatus::Cancelling,
            ),
            (
                r#"{"data":{"agentPublishEvent":{"metadata":{"status":"COMPLETED"}}},"errors":[]}"#,
                TurnStatus::Completed,
            ),
            (r#"{"data":{"agentPublishEvent":{"metadata":null,"event":{"id":"t-1-1"}}}}"#, TurnStatus::Running),
        ] {
            assert_eq!(classify_response(StatusCode::OK, body.as_bytes()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn update_of_an_accepted_publish_is_what_subscribers_get() {
        let update = r#"{"attempt":1,"event":null,"metadata":{"status":"RUNNING"},"sequence":2}"#;
        let body = format!(r#"{{"data":{{"agentPublishMetadata":{update}}}}}"#);
        assert_eq!(accepted_update(body.as_bytes()).as_deref(), Some(update));
        for body in [r#"{"data":{"agentPublishEvent":null}}"#, r#"{"data":null}"#, r#"{"data":{}}"#, "[]", "<html>"] {
            assert_eq!(accepted_update(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn each_error_is_retryable_stale_or_refused() {
        use PublishFailure::{Refused, Retryable, Stale};
        for (status, body, expected) in [
            (200, error("\"StaleAttempt\""), Stale),
            (200, error("\"TryAgain\""), Retryable),
            (200, error("\"ExecutionTimeout\""), Retryable),
            (200, error("\"ThrottlingException\""), Retryable),
            (200, error("\"TooManyRequests\""), Retryable),
            (400, r#"{"errors":[{"errorType":"ThrottlingException","message":"Rate exceeded"}]}"#.into(), Retryable),
            (200, error("\"Unauthorized\""), Refused),
            (200, error("null"), Refused),
            (
                200,
                r#"{"data":null,"errors":[{"path":null,"message":"Validation error of type FieldUndefined"}]}"#.into(),
                Refused,
            ),
            (200, r#"{"data":{"agentPublishEvent":null}}"#.into(), Refused),
            (200, "<html>".into(), Retryable),
            (
                401,
                r#"{"errors":[{"errorType":"UnauthorizedException","message":"Permission denied"}]}"#.into(),
                Refused,
            ),
            (
                403,
                r#"{"errors":[{"errorType":"BadRequestException","message":"The request signature"}]}"#.into(),
                Refused,
            ),
            (413, String::new(), Refused),
            (429, String::new(), Retryable),
            (500, error("\"InternalFailure\""), Retryable),
            (503, String::new(), Retryable),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(classify_response(status, body.as_bytes()), Err(expected), "{status}: {body}");
        }
    }
}
