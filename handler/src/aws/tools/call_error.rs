//! Why a call of a tool has no result, and what the model is told about it.
use api::types::ToolStatus;
use turn::tool::ToolEffect;

use crate::aws::limited_body::BodyError;

/// No more of a tool's response is read.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// The largest length of a tool's error message for the model, in characters.
const MAX_MESSAGE_LENGTH: usize = 1000;

pub const NOT_ALLOWED: &str = "The tool may not be used or does not exist.";
pub const NOT_REACHED: &str = "The tool could not be reached.";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The tool ended with an error, of which this is the text for the model.
    Failed(String),
    NotJson,
    TooLarge,
    /// The tool's response does not follow the protocol. It may have ended or not.
    BadResponse,
    /// The tool was not started, and a repeated call would be refused as well. The sentence is for the model.
    Refused(&'static str),
    /// The tool was not started. A repeated call may start it.
    NotStarted,
    /// The tool's service failed. The tool may have been started or not.
    ServerError,
    /// The connection broke, and the tool may have been started or not.
    ConnectionBroken,
    /// The tool may have been started, and it did not answer in this time.
    TimeOver {
        seconds: u64,
    },
}

impl CallError {
    /// The tool ended with an error. The model gets the start of its message.
    pub fn failed(message: &str) -> Self {
        Self::Failed(limited_message(message).unwrap_or_else(|| "The tool failed.".to_owned()))
    }

    /// A repeated call of a tool that changes something must not change it twice.
    pub fn may_be_repeated(&self, effect: ToolEffect) -> bool {
        match self {
            Self::NotStarted => true,
            Self::ServerError | Self::ConnectionBroken => effect == ToolEffect::Read,
            Self::Failed(_)
            | Self::NotJson
            | Self::TooLarge
            | Self::BadResponse
            | Self::Refused(_)
            | Self::TimeOver { .. } => false,
        }
    }

    /// Whether the tool was started as far as is known.
    pub fn may_have_started(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::NotStarted)
    }

    /// Whether it is known that the tool has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NotJson | Self::TooLarge)
    }

    /// The status of the call, and a text for the model.
    pub fn status_and_text(&self, effect: ToolEffect) -> (ToolStatus, String) {
        let is_unknown = effect == ToolEffect::Write && self.may_have_started() && !self.has_ended();
        if !is_unknown {
            return (ToolStatus::Failed, self.text());
        }
        let text = match self {
            Self::ConnectionBroken => "The connection to the tool broke.".to_owned(),
            Self::ServerError => "The tool's service failed.".to_owned(),
            other => other.text(),
        };
        (ToolStatus::Unknown, format!("{text} It may have taken effect: check before calling the tool again."))
    }

    fn text(&self) -> String {
        match self {
            Self::Failed(text) => text.clone(),
            Self::NotJson => "The tool's result is not JSON.".to_owned(),
            Self::TooLarge => "The tool's result is larger than 1 MB.".to_owned(),
            Self::BadResponse => "The tool's response does not follow its protocol.".to_owned(),
            Self::Refused(text) => (*text).to_owned(),
            Self::NotStarted | Self::ServerError | Self::ConnectionBroken => NOT_REACHED.to_owned(),
            Self::TimeOver { seconds } => format!("The tool did not answer within {seconds} seconds."),
        }
    }
}

impl From<BodyError> for CallError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::ConnectionBroken => Self::ConnectionBroken,
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() { Self::NotStarted } else { Self::ConnectionBroken }
    }
}

/// The start of a tool's error message. `None` without a visible character.
pub fn limited_message(message: &str) -> Option<String> {
    (!message.trim().is_empty()).then(|| message.chars().take(MAX_MESSAGE_LENGTH).collect())
}
