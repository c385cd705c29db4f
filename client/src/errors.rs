//! Errors of the API and of the connection to it.
use std::fmt;

use api::errors::{RETRYABLE_ERROR_TYPES, is_retryable_status};
use serde::Deserialize;
use serde_json::Value;

/// Why a request failed, or why a conversation can no longer be followed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("{url} is not a GraphQL endpoint: it must be an absolute http or https URL")]
    InvalidEndpoint { url: String },
    #[error("the credentials cannot sign a request: {0}")]
    Credentials(String),
    /// No response arrived. The request may have been carried out.
    #[error("the API could not be reached: {0}")]
    Transport(String),
    /// The response has an HTTP error status: the GraphQL operation was not executed.
    #[error("the API answered {status}: {}", join_errors(.errors))]
    Http { status: u16, errors: Vec<ApiError> },
    /// The operation was executed and the response has errors.
    #[error("{}", join_errors(.0))]
    GraphQl(Vec<ApiError>),
    #[error("the API's response cannot be parsed: {0}")]
    InvalidResponse(String),
    #[error("the subscription was refused: {}", join_errors(.0))]
    Subscription(Vec<ApiError>),
}

impl Error {
    /// Whether the same request can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Http { status, errors } => {
                is_retryable_status(*status) || (!errors.is_empty() && errors.iter().all(ApiError::is_transient))
            }
            Self::GraphQl(errors) => !errors.is_empty() && errors.iter().all(ApiError::is_transient),
            Self::InvalidEndpoint { .. } | Self::Credentials(_) | Self::InvalidResponse(_) | Self::Subscription(_) => {
                false
            }
        }
    }

    /// The first error that the API has returned, if it has returned one.
    pub fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Http { errors, .. } | Self::GraphQl(errors) | Self::Subscription(errors) => errors.first(),
            Self::InvalidEndpoint { .. } | Self::Credentials(_) | Self::Transport(_) | Self::InvalidResponse(_) => None,
        }
    }
}

/// One entry of a response's `errors`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    #[serde(default)]
    pub error_type: Option<ErrorType>,
    #[serde(default)]
    pub message: String,
    /// Details, which depend on the error type.
    #[serde(default)]
    pub error_info: Option<Value>,
    #[serde(default)]
    pub path: Option<Value>,
    /// In errors of the realtime protocol: a code like an HTTP status.
    #[serde(default)]
    pub error_code: Option<u16>,
}

impl ApiError {
    /// When a request that exceeded a quota can be sent again, as an ISO 8601 time.
    pub fn retry_at(&self) -> Option<&str> {
        self.error_info.as_ref()?.get("retryAt")?.as_str()
    }

    pub(crate) fn is_transient(&self) -> bool {
        let error_type = self.error_type.as_ref().map(ToString::to_string);
        error_type.is_some_and(|error_type| RETRYABLE_ERROR_TYPES.contains(&error_type.as_str()))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error_type {
            Some(error_type) => write!(f, "{error_type}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The API's error types, which are a closed list, and AppSync's own.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub enum ErrorType {
    NotFound,
    InvalidInput,
    ConversationBusy,
    IdConflict,
    NotLatestTurn,
    StaleAttempt,
    TryAgain,
    QuotaExceeded,
    Unauthorized,
    NotPending,
    ToolCallAnswered,
    TooManyRuns,
    /// `invokeModel` has no answer: `error_info` has a `code`, and whether the request is worth repeating.
    AnswerFailed,
    /// A parameter of the deployment switches the field off.
    Disabled,
    ExecutionTimeout,
    /// An error type of AppSync, such as UnauthorizedException.
    Other(String),
}

impl From<String> for ErrorType {
    fn from(name: String) -> Self {
        match name.as_str() {
            "NotFound" => Self::NotFound,
            "InvalidInput" => Self::InvalidInput,
            "ConversationBusy" => Self::ConversationBusy,
            "IdConflict" => Self::IdConflict,
            "NotLatestTurn" => Self::NotLatestTurn,
            "StaleAttempt" => Self::StaleAttempt,
            "TryAgain" => Self::TryAgain,
            "QuotaExceeded" => Self::QuotaExceeded,
            "Unauthorized" => Self::Unauthorized,
            "NotPending" => Self::NotPending,
            "ToolCallAnswered" => Self::ToolCallAnswered,
            "TooManyRuns" => Self::TooManyRuns,
            "AnswerFailed" => Self::AnswerFailed,
            "Disabled" => Self::Disabled,
            "ExecutionTimeout" => Self::ExecutionTimeout,
            _ => Self::Other(name),
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            known => write!(f, "{known:?}"),
        }
    }
}

fn join_errors(errors: &[ApiError]) -> String {
    match errors {
        [] => "no reason given".to_owned(),
        errors => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(error_type: &str) -> ApiError {
        ApiError {
            error_type: Some(error_type.to_owned().into()),
            message: String::new(),
            error_info: None,
            path: None,
            error_code: None,
        }
    }

    #[test]
    fn client_retries_what_the_handler_retries() {
        for error_type in RETRYABLE_ERROR_TYPES {
            assert!(Error::GraphQl(vec![error(error_type)]).is_transient(), "{error_type}");
            assert!(Error::Http { status: 400, errors: vec![error(error_type)] }.is_transient(), "{error_type}");
            assert!(!Error::GraphQl(vec![error(error_type), error("NotFound")]).is_transient(), "{error_type}");
        }
        for status in [408, 429, 500, 503] {
            assert!(Error::Http { status, errors: Vec::new() }.is_transient(), "{status}");
        }
        for status in [400, 401, 403, 413] {
            assert!(!Error::Http { status, errors: Vec::new() }.is_transient(), "{status}");
        }
        assert!(!Error::GraphQl(vec![error("Unauthorized")]).is_transient());
    }
}
