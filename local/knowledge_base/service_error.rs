//! Errors of Knowledge Bases beside those of all of Bedrock.
use http::StatusCode;

use crate::bedrock::BedrockError;

/// In the words of Aurora's recorded error. The handler recognizes it by them.
pub fn resuming(cluster_arn: &str) -> BedrockError {
    BedrockError::validation(format!(
        "The Aurora DB instance {cluster_arn} is resuming after being auto-paused. Please wait a few seconds and \
         try again."
    ))
}

/// A member of a request breaks a rule of the API.
pub fn constraint(member: &str, rule: &str) -> BedrockError {
    BedrockError::validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {rule}"
    ))
}

/// `resource` is a sentence's subject, such as `Knowledge base with id ABCDEFGHIJ`.
pub fn not_found(resource: &str) -> BedrockError {
    let message = format!("{resource} does not exist.");
    BedrockError::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

pub fn job_is_running() -> BedrockError {
    let message = "An ingestion job of this data source is running. Wait for its end and try again.";
    BedrockError::new(StatusCode::CONFLICT, "ConflictException", message)
}

/// The model that makes vectors gives none.
pub fn dependency_failed(message: String) -> BedrockError {
    BedrockError::new(StatusCode::FAILED_DEPENDENCY, "DependencyFailedException", message)
}
