//! Errors of Knowledge Bases beside those of all of Bedrock.
use http::StatusCode;
use uuid::Uuid;

use super::KNOWLEDGE_BASE_ID;
use crate::{bedrock::BedrockError, stack::VectorStore};

/// As recorded from Bedrock. The handler recognizes it by Aurora's sentence.
pub fn resuming() -> BedrockError {
    store_error(
        "The Aurora DB instance db-LOCALKNOWLEDGE is resuming after being auto-paused. Please wait a few seconds and \
         try again.",
        "RdsData, Status Code: 400",
    )
}

/// The table or the index of the vectors does not exist. The sentence of PostgreSQL is as the RDS Data API
/// reports it; that Bedrock passes it on like the pause is an assumption.
pub fn missing_index(store: VectorStore) -> BedrockError {
    match store {
        VectorStore::Rds => store_error(
            "ERROR: relation \"bedrock_integration.bedrock_kb\" does not exist; Position: 41; SQLState: 42P01",
            "RdsData, Status Code: 400",
        ),
        VectorStore::S3Vectors => store_error("The specified index could not be found", "S3Vectors, Status Code: 404"),
    }
}

fn store_error(message: &str, service: &str) -> BedrockError {
    BedrockError::validation(format!(
        "The vector database encountered an error while processing the request: {message} (Service: {service}, \
         Request ID: {}) (SDK Attempt Count: 1)",
        Uuid::new_v4()
    ))
}

/// As users of S3 Vectors report it.
pub fn hybrid_search_not_supported() -> BedrockError {
    BedrockError::validation(format!(
        "HYBRID search type is not supported for search operation on index {KNOWLEDGE_BASE_ID}. Retry your request \
         with a different search type."
    ))
}

/// What Bedrock can do and the local server cannot.
pub fn not_supported(member: &str) -> BedrockError {
    BedrockError::validation(format!("The local server does not support {member}."))
}

/// An error of the model, as one of the errors that RetrieveAndGenerate has.
pub fn of_model(error_type: &str, message: String) -> BedrockError {
    // A type may be followed by a colon and a URL.
    let error_type = error_type.split(':').next().unwrap_or_default();
    let (status, error_type) = match error_type {
        "ValidationException" => (StatusCode::BAD_REQUEST, "ValidationException"),
        "AccessDeniedException" | "UnrecognizedClientException" => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        "ResourceNotFoundException" => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        "ThrottlingException" => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
        "ServiceQuotaExceededException" => (StatusCode::BAD_REQUEST, "ServiceQuotaExceededException"),
        _ => (StatusCode::FAILED_DEPENDENCY, "DependencyFailedException"),
    };
    BedrockError::new(status, error_type, message)
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
