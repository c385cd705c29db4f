//! Requests that Bedrock refuses before it streams, in its words.
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::identity::AccessDenied;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    pub fn malformed() -> Self {
        Self::invalid("Malformed input request, please reformat your input and try again.")
    }

    pub fn unknown_credentials() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(StatusCode::FORBIDDEN, "UnrecognizedClientException", message)
    }

    pub fn throttled() -> Self {
        let message = "Too many requests, please wait before trying again.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", message)
    }

    pub fn forbidden() -> Self {
        let message = "You don't have access to the model with the specified model ID.";
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    pub fn denied(denied: &AccessDenied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", denied.to_string())
    }

    pub fn missing() -> Self {
        let message = "Could not resolve the foundation model from the provided model identifier.";
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub fn unavailable() -> Self {
        let message = "Bedrock is unable to process your request.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    }

    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, [("x-amzn-errortype", self.kind)], Json(json!({ "message": self.message }))).into_response()
    }
}
