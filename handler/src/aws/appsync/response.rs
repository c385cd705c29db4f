//! What AppSync's answer to a publish means. GraphQL fails with HTTP 200; errors carry their type at their top level.
use std::collections::HashMap;

use api::types::TurnStatus;
use reqwest::StatusCode;
use serde::Deserialize;
use turn::mutation::PublishFailure;

/// Errors after which the same mutation may succeed: our resolvers' own and AppSync's.
const PASSING_ERRORS: [&str; 11] = [
    "TryAgain",
    "ExecutionTimeout",
    "InternalFailure",
    "InternalServerError",
    "LimitExceededException",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

#[derive(Deserialize)]
struct Response {
    data: Option<HashMap<String, Option<Published>>>,
    errors: Option<Vec<ResponseError>>,
}

#[derive(Deserialize)]
struct Published {
    metadata: Option<PublishedMetadata>,
}

#[derive(Deserialize)]
struct PublishedMetadata {
    status: TurnStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseError {
    error_type: Option<String>,
    message: Option<String>,
}

pub fn classify_response(status: StatusCode, body: &[u8]) -> Result<TurnStatus, PublishFailure> {
    if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
        return Err(PublishFailure::Again);
    }
    let Ok(response) = serde_json::from_slice::<Response>(body) else {
        return Err(if status.is_success() { PublishFailure::Again } else { PublishFailure::Refused });
    };
    let published = response.data.into_iter().flatten().find_map(|(_, published)| published);
    let error = response.errors.into_iter().flatten().next();
    match (published, error) {
        (Some(published), None) => Ok(published.metadata.map_or(TurnStatus::Running, |metadata| metadata.status)),
        (_, Some(error)) => Err(failure(&error)),
        (None, None) => Err(PublishFailure::Refused),
    }
}

fn failure(error: &ResponseError) -> PublishFailure {
    let error_type = error.error_type.as_deref();
    tracing::info!(error_type, "appsync");
    tracing::debug!(message = error.message, "appsync");
    match error_type {
        Some("StaleAttempt") => PublishFailure::Stale,
        Some(passing) if PASSING_ERRORS.contains(&passing) => PublishFailure::Again,
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
    fn an_accepted_publish_tells_the_turns_status() {
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
    fn what_may_pass_is_sent_again_and_what_will_not_is_refused() {
        use PublishFailure::{Again, Refused, Stale};
        for (status, body, expected) in [
            (200, error("\"StaleAttempt\""), Stale),
            (200, error("\"TryAgain\""), Again),
            (200, error("\"ExecutionTimeout\""), Again),
            (200, error("\"ThrottlingException\""), Again),
            (200, error("\"TooManyRequests\""), Again),
            (400, r#"{"errors":[{"errorType":"ThrottlingException","message":"Rate exceeded"}]}"#.into(), Again),
            (200, error("\"Unauthorized\""), Refused),
            (200, error("null"), Refused),
            (
                200,
                r#"{"data":null,"errors":[{"path":null,"message":"Validation error of type FieldUndefined"}]}"#.into(),
                Refused,
            ),
            (200, r#"{"data":{"agentPublishEvent":null}}"#.into(), Refused),
            (200, "<html>".into(), Again),
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
            (429, String::new(), Again),
            (500, error("\"InternalFailure\""), Again),
            (503, String::new(), Again),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(classify_response(status, body.as_bytes()), Err(expected), "{status}: {body}");
        }
    }
}
