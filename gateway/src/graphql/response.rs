//! What AppSync's responses mean. GraphQL errors come with HTTP 200 and have their type at their top level.
use api::errors::{RETRYABLE_ERROR_TYPES, is_retryable_status};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::reply::ErrorReply;

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The value of the root field.
    Success(Value),
    /// The API refuses the request.
    Refused(ErrorReply),
    /// The same request may succeed later.
    Retryable,
    /// The gateway or its deployment is wrong. The log says how.
    Broken,
}

#[derive(Deserialize)]
struct Response {
    data: Option<Map<String, Value>>,
    errors: Option<Vec<ResponseError>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseError {
    error_type: Option<String>,
    message: Option<String>,
    error_info: Option<Value>,
}

pub fn classify(status: u16, body: &[u8], field: &str) -> Outcome {
    if is_retryable_status(status) {
        return Outcome::Retryable;
    }
    let is_success = (200..300).contains(&status);
    let Ok(Response { data, errors }) = serde_json::from_slice::<Response>(body) else {
        return if is_success { Outcome::Retryable } else { Outcome::Broken };
    };
    if let Some(error) = errors.unwrap_or_default().into_iter().next() {
        return classify_error(error, is_success);
    }
    match data.and_then(|mut data| data.remove(field)) {
        Some(value) if is_success && !value.is_null() => Outcome::Success(value),
        _ => Outcome::Broken,
    }
}

/// The errors of the resolvers go to the client. AppSync's own ones, of the document or of the signature, are
/// about the gateway.
fn classify_error(error: ResponseError, is_success: bool) -> Outcome {
    let error_type = error.error_type.unwrap_or_default();
    if RETRYABLE_ERROR_TYPES.contains(&error_type.as_str()) {
        return Outcome::Retryable;
    }
    if !is_success || error_type.is_empty() || AWS_ERROR_TYPES.contains(&error_type.as_str()) {
        tracing::error!(error_type, "the API refuses the gateway's request");
        return Outcome::Broken;
    }
    let message = error.message.unwrap_or_default();
    Outcome::Refused(ErrorReply { info: error.error_info, ..ErrorReply::new(&error_type, &message) })
}

/// Errors whose messages are about AppSync's own work.
const AWS_ERROR_TYPES: [&str; 5] =
    ["BadRequestException", "Code", "MalformedHttpRequestException", "MappingTemplate", "UnauthorizedException"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(error_type: Value) -> String {
        json!({
            "data": { "getTurn": null },
            "errors": [{ "path": ["getTurn"], "errorType": error_type, "errorInfo": { "field": "id" },
                "message": "No.", "locations": [] }],
        })
        .to_string()
    }

    #[test]
    fn each_response_succeeds_is_refused_retryable_or_broken() {
        use Outcome::{Broken, Refused, Retryable, Success};
        let refused =
            |code: &str| Refused(ErrorReply { info: Some(json!({ "field": "id" })), ..ErrorReply::new(code, "No.") });
        for (status, body, expected) in [
            (200, r#"{"data":{"getTurn":{"id":"t"}}}"#.to_owned(), Success(json!({ "id": "t" }))),
            (200, r#"{"data":{"getTurn":{"id":"t"}},"errors":null}"#.into(), Success(json!({ "id": "t" }))),
            (200, error(json!("NotFound")), refused("NotFound")),
            (200, error(json!("Unauthorized")), refused("Unauthorized")),
            (200, error(json!("TryAgain")), Retryable),
            (200, error(json!("ThrottlingException")), Retryable),
            (200, error(json!(null)), Broken),
            (200, error(json!("MappingTemplate")), Broken),
            (200, r#"{"data":null,"errors":[{"message":"Validation error of type FieldUndefined"}]}"#.into(), Broken),
            (200, r#"{"data":{"getTurn":null}}"#.into(), Broken),
            (200, r#"{"data":null}"#.into(), Broken),
            (200, "<html>".into(), Retryable),
            (401, r#"{"errors":[{"errorType":"UnauthorizedException","message":"Permission denied"}]}"#.into(), Broken),
            (403, "<html>".into(), Broken),
            (400, r#"{"errors":[{"errorType":"ThrottlingException"}]}"#.into(), Retryable),
            (429, String::new(), Retryable),
            (503, String::new(), Retryable),
        ] {
            assert_eq!(classify(status, body.as_bytes(), "getTurn"), expected, "{status} {body}");
        }
    }
}
