//! What can go wrong, apart by what a caller can do about it.
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// Why a request has no answer, or why a conversation can no longer be followed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("{url} is no GraphQL endpoint: it must be an absolute http or https URL")]
    Endpoint { url: String },
    #[error("the credentials cannot sign a request: {0}")]
    Credentials(String),
    /// Whether the request was carried out is unknown.
    #[error("the API could not be reached: {0}")]
    Transport(String),
    /// Refused before GraphQL looked at it.
    #[error("the API answered {status}: {}", listed(.errors))]
    Refused { status: u16, errors: Vec<ApiError> },
    #[error("{}", listed(.0))]
    GraphQl(Vec<ApiError>),
    #[error("the API's answer cannot be read: {0}")]
    Unreadable(String),
    #[error("the subscription was refused: {}", listed(.0))]
    Subscription(Vec<ApiError>),
}

impl Error {
    /// Whether the same request can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::GraphQl(errors) => !errors.is_empty() && errors.iter().all(ApiError::is_transient),
            Self::Endpoint { .. } | Self::Credentials(_) | Self::Unreadable(_) | Self::Subscription(_) => false,
        }
    }

    /// The first error the API named, if it named one.
    pub fn named(&self) -> Option<&ApiError> {
        match self {
            Self::Refused { errors, .. } | Self::GraphQl(errors) | Self::Subscription(errors) => errors.first(),
            Self::Endpoint { .. } | Self::Credentials(_) | Self::Transport(_) | Self::Unreadable(_) => None,
        }
    }
}

/// One entry of AppSync's `errors`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    #[serde(default)]
    pub error_type: Option<ErrorType>,
    #[serde(default)]
    pub message: String,
    /// Details of the error type.
    #[serde(default)]
    pub error_info: Option<Value>,
    #[serde(default)]
    pub path: Option<Value>,
    /// The realtime protocol's, like an HTTP status.
    #[serde(default)]
    pub error_code: Option<u16>,
}

impl ApiError {
    /// When what exceeded a quota will be taken: ISO 8601.
    pub fn retry_at(&self) -> Option<&str> {
        self.error_info.as_ref()?.get("retryAt")?.as_str()
    }

    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.error_type, Some(ErrorType::TryAgain | ErrorType::ExecutionTimeout))
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

/// The API's closed list, and AppSync's own.
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
    ExecutionTimeout,
    /// AppSync has more of its own, such as UnauthorizedException.
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
            "ExecutionTimeout" => Self::ExecutionTimeout,
            _ => Self::Other(name),
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            named => write!(f, "{named:?}"),
        }
    }
}

fn listed(errors: &[ApiError]) -> String {
    match errors {
        [] => "no reason given".to_owned(),
        errors => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    }
}
