//! Error types of the API that handler and client retry.

/// Error types after which the same request may succeed: those of the resolvers and of AppSync.
pub const RETRYABLE_ERROR_TYPES: [&str; 12] = [
    "TryAgain",
    "ExecutionTimeout",
    "InternalFailure",
    "InternalServerError",
    "LimitExceededException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

/// Whether the same request may succeed after a response with this HTTP status, whatever its body.
pub const fn is_retryable_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}
