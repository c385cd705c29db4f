//! Errors of an invocation. Lambda records them and repeats the invocation.
use lambda_runtime::Diagnostic;
use turn::{
    effect::AttemptEnd,
    failures::{Failure, Severity},
};

use crate::aws::{LinkError, RenewalError, TableError};

#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    #[error("the payload is not one that is served")]
    Payload,
    #[error("the turn is being answered already")]
    Leased,
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the turn is closed but could not be announced")]
    Unannounced,
    #[error("the answered tool call could not be published")]
    ToolCallNotPublished,
    #[error("the turn could not be published in time")]
    OutOfTime,
    #[error("the function has no API key to renew")]
    NoApiKey,
    #[error("the API key is not renewed: {0}")]
    ApiKeyNotRenewed(#[from] RenewalError),
    #[error("the link to a document is not made: {0}")]
    DocumentNotLinked(#[from] LinkError),
}

impl HandlerError {
    /// Drops the message of serde, which may quote the conversation.
    pub(crate) fn from_payload_error(error: serde_json::Error) -> Self {
        tracing::debug!(%error, "payload");
        Self::Payload
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Payload => "Handler.Payload",
            Self::Leased => "Handler.Leased",
            Self::Table(_) => "Handler.Table",
            Self::Unannounced => "Handler.Unannounced",
            Self::ToolCallNotPublished => "Handler.ToolCallNotPublished",
            Self::OutOfTime => "Handler.OutOfTime",
            Self::NoApiKey => "Handler.NoApiKey",
            Self::ApiKeyNotRenewed(_) => "Handler.ApiKeyNotRenewed",
            Self::DocumentNotLinked(_) => "Handler.DocumentNotLinked",
        }
    }
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        Self { error_type: error.type_name().into(), error_message: error.to_string() }
    }
}

/// Logs a failed turn at the level of its severity.
pub(crate) fn log_failure(attempt: u32, updates: u32, end: AttemptEnd, failure: &Failure) {
    let code = failure.code;
    match failure.severity {
        Severity::Info => tracing::info!(attempt, updates, ended = ?end, ?code, "failed"),
        Severity::Warning => tracing::warn!(attempt, updates, ended = ?end, ?code, "failed"),
        Severity::Error => tracing::error!(attempt, updates, ended = ?end, ?code, "failed"),
    }
}
