//! Bedrock's error responses, with its messages.
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::identity::AccessDenied;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BedrockError {
    status: StatusCode,
    error_type: &'static str,
    message: String,
}

impl BedrockError {
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// What the model's provider checks, not Bedrock.
    pub fn refused_by_model(error: &str) -> Self {
        Self::validation(format!("The model returned the following errors: {error}"))
    }

    pub fn into_message(self) -> String {
        self.message
    }

    /// The type and the message.
    pub fn parts(&self) -> (&'static str, &str) {
        (self.error_type, &self.message)
    }

    pub fn malformed_request() -> Self {
        Self::validation("Malformed input request, please reformat your input and try again.")
    }

    pub fn unknown_credentials() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(StatusCode::FORBIDDEN, "UnrecognizedClientException", message)
    }

    pub fn throttled() -> Self {
        let message = "Too many requests, please wait before trying again.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", message)
    }

    pub fn throttled_for_the_day() -> Self {
        let message = "Too many tokens per day, please wait before trying again.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", message)
    }

    pub fn model_access_denied() -> Self {
        let message = "You don't have access to the model with the specified model ID.";
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    pub fn access_denied(denied: &AccessDenied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", denied.to_string())
    }

    pub fn model_not_found() -> Self {
        let message = "Could not resolve the foundation model from the provided model identifier.";
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// The text was recorded.
    pub fn model_retired() -> Self {
        let message = "This model version has reached the end of its life. Please refer to the AWS documentation for more \
            details.";
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub fn model_not_ready() -> Self {
        let message = "The model specified in the request is not ready to serve inference requests.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ModelNotReadyException", message)
    }

    /// The text was recorded, with this apostrophe.
    pub fn model_needs_profile(model_id: &str) -> Self {
        Self::validation(format!(
            "Invocation of model ID {model_id} with on-demand throughput isn’t supported. Retry your request with the ID \
             or ARN of an inference profile that contains this model."
        ))
    }

    /// The text was recorded.
    pub fn no_prompt_caching() -> Self {
        let message = "You invoked an unsupported model or your request did not allow prompt caching. See the \
            documentation for more information.";
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    pub fn unavailable() -> Self {
        let message = "Bedrock is unable to process your request.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    }

    pub fn internal_error() -> Self {
        let message = "The system encountered an unexpected error during processing. Try your request again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", message)
    }

    pub fn model_error() -> Self {
        let message = "The model encountered an unexpected error while processing the request.";
        Self::new(StatusCode::FAILED_DEPENDENCY, "ModelErrorException", message)
    }

    pub fn new(status: StatusCode, error_type: &'static str, message: impl Into<String>) -> Self {
        Self { status, error_type, message: message.into() }
    }
}

impl IntoResponse for BedrockError {
    fn into_response(self) -> Response {
        (self.status, [("x-amzn-errortype", self.error_type)], Json(json!({ "message": self.message }))).into_response()
    }
}
