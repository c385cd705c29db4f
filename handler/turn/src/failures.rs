//! Every way a turn can fail, and what each means to people, logs and programs: one table.
use serde::{Deserialize, Serialize};

/// What a program branches on; spelled as in schema.graphql.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    Throttled,
    ModelUnavailable,
    ModelSilent,
    ModelRefused,
    ModelNotAllowed,
    NotStarted,
    Interrupted,
    Internal,
}

/// How loudly a failure is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
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
    pub loudness: Loudness,
    /// Whether asking again can help.
    pub retryable: bool,
}

impl FailureCode {
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::ModelUnavailable,
        Self::ModelSilent,
        Self::ModelRefused,
        Self::ModelNotAllowed,
        Self::NotStarted,
        Self::Interrupted,
        Self::Internal,
    ];

    pub const fn failure(self) -> Failure {
        use Loudness::{Error, Info, Warning};
        let (text, loudness, retryable) = match self {
            Self::Throttled => ("The model is too busy right now. Try again later.", Info, true),
            Self::ModelUnavailable => ("The model could not be reached, or broke off. Try again.", Warning, true),
            Self::ModelSilent => ("The model said nothing for too long. Try again.", Warning, true),
            Self::ModelRefused => ("The model does not accept this conversation.", Warning, false),
            Self::ModelNotAllowed => ("This agent's model does not exist or may not be used.", Error, false),
            Self::NotStarted => ("The answer could not be started. Try again.", Warning, true),
            Self::Interrupted => ("The work on the answer was interrupted. Try again.", Error, true),
            Self::Internal => ("Something went wrong on our side. Try again.", Error, true),
        };
        Failure { code: self, text, loudness, retryable }
    }
}
