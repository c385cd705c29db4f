//! The table of failures: what each failure code means to users, logs and programs.
use api::types::{FailureCode, StopReason};

/// The log level of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Normal in a healthy system.
    Info,
    /// Needs attention if it becomes frequent.
    Warning,
    /// Needs an operator or the agent's owner to act.
    Error,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: FailureCode,
    /// A sentence for the user, without internals.
    pub message: &'static str,
    pub severity: Severity,
    /// Whether a retry can help.
    pub retryable: bool,
}

impl Failure {
    pub const fn new(code: FailureCode) -> Self {
        use Severity::{Error, Info, Warning};
        let (message, severity, retryable) = match code {
            FailureCode::Throttled => ("The model is too busy right now. Try again later.", Info, true),
            FailureCode::ModelUnavailable => {
                ("The model could not be reached, or broke off. Try again.", Warning, true)
            }
            FailureCode::ModelSilent => ("The model said nothing for too long. Try again.", Warning, true),
            FailureCode::ModelRefused => ("The model does not accept this conversation.", Warning, false),
            FailureCode::SettingsRefused => (
                "The model does not accept this agent's inference settings. An administrator must change them.",
                Error,
                false,
            ),
            FailureCode::ModelNotAllowed => ("This agent's model does not exist or may not be used.", Error, false),
            FailureCode::NotStarted => ("The answer could not be started. Try again.", Warning, true),
            FailureCode::Interrupted => ("The work on the answer was interrupted. Try again.", Error, true),
            FailureCode::PendingExpired => ("Nobody answered the tool call in time.", Info, true),
            FailureCode::KnowledgeUnavailable => ("The documents could not be searched. Try again.", Warning, true),
            FailureCode::Internal => ("Something went wrong on our side. Try again.", Error, true),
        };
        Self { code, message, severity, retryable }
    }
}

impl From<Failure> for api::types::Failure {
    fn from(failure: Failure) -> Self {
        Self { code: Some(failure.code), message: failure.message.to_owned(), retryable: failure.retryable }
    }
}

/// What a user reads in place of the text of an answer that did not fail and has none.
pub const fn no_text_sentence(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Cancelled => "The answer was stopped.",
        StopReason::Deadline => "There was no answer in time. Ask again.",
        StopReason::MaxTokens | StopReason::ContextWindowExceeded => {
            "The model has used up its tokens before its answer."
        }
        StopReason::MaxSteps => "The model has called tools for as often as it may, without an answer.",
        StopReason::ContentFiltered | StopReason::GuardrailIntervened => "A filter has withheld the answer.",
        StopReason::NoAnswer => "The model has thought, and said nothing. Try again.",
        StopReason::EndTurn | StopReason::StopSequence | StopReason::MalformedOutput | StopReason::Other => {
            "The model has answered without a text. Try again."
        }
    }
}
