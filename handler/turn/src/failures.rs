//! Every way a turn can fail, and what each means to people, logs and programs: one table.
use api::types::FailureCode;

/// How loudly a failure is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Happens in good health.
    Info,
    /// Worth a look when it grows.
    Warning,
    /// Somebody has to do something.
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: FailureCode,
    /// What the user reads; nothing internal.
    pub text: &'static str,
    pub severity: Severity,
    /// Whether asking again can help.
    pub retryable: bool,
}

impl Failure {
    pub const fn new(code: FailureCode) -> Self {
        use Severity::{Error, Info, Warning};
        let (text, severity, retryable) = match code {
            FailureCode::Throttled => ("The model is too busy right now. Try again later.", Info, true),
            FailureCode::ModelUnavailable => {
                ("The model could not be reached, or broke off. Try again.", Warning, true)
            }
            FailureCode::ModelSilent => ("The model said nothing for too long. Try again.", Warning, true),
            FailureCode::ModelRefused => ("The model does not accept this conversation.", Warning, false),
            FailureCode::ModelNotAllowed => ("This agent's model does not exist or may not be used.", Error, false),
            FailureCode::NotStarted => ("The answer could not be started. Try again.", Warning, true),
            FailureCode::Interrupted => ("The work on the answer was interrupted. Try again.", Error, true),
            FailureCode::Internal => ("Something went wrong on our side. Try again.", Error, true),
        };
        Self { code, text, severity, retryable }
    }
}
