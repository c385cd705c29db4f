//! Errors of the table, and which of them are retried.
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use api::{backoff::Backoff, retry::retry};

const MAX_TRIES: u32 = 6;
pub const RETRY: Backoff = Backoff::half_jitter(Duration::from_millis(50), Duration::from_secs(1));
/// Error codes after which the same call may succeed.
pub const RETRYABLE: [&str; 9] = [
    NO_RESPONSE,
    "TransactionCanceledException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
];
/// Stands for the error code if DynamoDB sent no response.
pub const NO_RESPONSE: &str = "no answer";

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("DynamoDB {operation} failed: {code}")]
    Call { operation: &'static str, code: String },
    #[error("the {kind} item cannot be read")]
    Item { kind: &'static str },
}

impl TableError {
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Call { code, .. } => RETRYABLE.contains(&code.as_str()),
            Self::Item { .. } => false,
        }
    }
}

/// Repeats a call a few times while its error is retryable.
pub async fn with_retries<T, F>(jitter_seed: u64, call: impl Fn() -> F) -> Result<T, TableError>
where
    F: Future<Output = Result<T, TableError>>,
{
    retry(RETRY, jitter_seed, call, |error: &TableError, next| next.failures < MAX_TRIES && error.is_retryable()).await
}

/// Whether the condition of a write of one item did not hold.
pub fn is_condition_failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

/// Converts an error of the SDK; to be used with `map_err`.
pub fn call_error<E: ProvideErrorMetadata, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> TableError {
    move |error| {
        let code = error.code().unwrap_or(NO_RESPONSE).to_owned();
        TableError::Call { operation, code }
    }
}
