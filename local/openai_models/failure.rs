//! Why a model server gives no answer, as Bedrock says it. What the server says stays in the log.
use http::StatusCode;
use serde_json::{Value, json};

use crate::bedrock::BedrockError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server serves too many requests.
    Throttled,
    /// The key is missing or refused.
    KeyRefused,
    /// The server has no such model.
    ModelMissing,
    /// The transcript is longer than the model's context window.
    InputTooLong,
    ToolsUnsupported,
    ImagesUnsupported,
    /// The server refuses the request for another reason.
    Refused,
    /// The server cannot be reached, or has failed before the answer.
    Unavailable,
    /// The answer broke off, or cannot be understood.
    BrokenAnswer,
}

/// What servers say of a transcript that is too long.
const TOO_LONG: [&str; 10] = [
    "context length",
    "context size",
    "context window",
    "context_length",
    "exceed_context",
    "exceeds the context",
    "exceeds context",
    "prompt is too long",
    "input is too long",
    "when context the overflows",
];

impl Failure {
    /// `message` is the server's.
    pub fn of_response(status: StatusCode, message: &str) -> Self {
        let message = message.to_lowercase();
        if is_too_long(&message) {
            return Self::InputTooLong;
        }
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::KeyRefused,
            StatusCode::NOT_FOUND => Self::ModelMissing,
            StatusCode::PAYLOAD_TOO_LARGE => Self::InputTooLong,
            // Some servers say so with 500.
            _ if is_unsupported(&message, "tool") => Self::ToolsUnsupported,
            _ if is_unsupported(&message, "image") || message.contains("not a multimodal model") => {
                Self::ImagesUnsupported
            }
            status if status.is_server_error() => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    /// Of an error within a stream or a body: `{"message": …, "code": …}` or a text.
    pub fn of_error(error: &Value) -> Self {
        let message = message(error).to_lowercase();
        let code = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        let code = code.or_else(|| error["code"].as_str()?.parse().ok());
        if is_too_long(&message) || error["code"] == "context_length_exceeded" {
            return Self::InputTooLong;
        }
        if code == Some(429) || message.contains("rate limit") || message.contains("too many requests") {
            return Self::Throttled;
        }
        Self::BrokenAnswer
    }

    pub(crate) fn error(self) -> BedrockError {
        match self {
            Self::Throttled => BedrockError::throttled(),
            Self::KeyRefused => BedrockError::model_access_denied(),
            Self::ModelMissing => BedrockError::model_not_found(),
            Self::InputTooLong | Self::ToolsUnsupported | Self::ImagesUnsupported | Self::Refused => {
                BedrockError::validation(self.message())
            }
            Self::Unavailable => BedrockError::unavailable(),
            Self::BrokenAnswer => BedrockError::model_error(),
        }
    }

    /// The type and the payload of the exception in a stream.
    pub(super) fn exception(self) -> (&'static str, Value) {
        let name = match self {
            Self::Throttled => "throttlingException",
            Self::InputTooLong | Self::ToolsUnsupported | Self::ImagesUnsupported | Self::Refused => {
                "validationException"
            }
            Self::KeyRefused | Self::ModelMissing | Self::Unavailable => "serviceUnavailableException",
            Self::BrokenAnswer => "modelStreamErrorException",
        };
        (name, json!({ "message": self.message() }))
    }

    fn message(self) -> &'static str {
        match self {
            Self::Throttled => "Too many requests, please wait before trying again.",
            Self::InputTooLong => "Input is too long for requested model.",
            Self::ToolsUnsupported => "This model doesn't support tool use.",
            Self::ImagesUnsupported => "This model doesn't support the image content block that you provided.",
            Self::Refused => "The model server refused the request.",
            Self::KeyRefused | Self::ModelMissing | Self::Unavailable => "Bedrock is unable to process your request.",
            Self::BrokenAnswer => "The model encountered an unexpected error during streaming.",
        }
    }
}

/// The message of an error in the forms of the servers: `{"message": …}`, a text, or whole bodies with
/// `error`.
pub(super) fn message(error: &Value) -> &str {
    let inner = &error["error"];
    [&error["message"], error, &inner["message"], inner].into_iter().find_map(Value::as_str).unwrap_or_default()
}

fn is_too_long(message: &str) -> bool {
    TOO_LONG.iter().any(|text| message.contains(text))
}

fn is_unsupported(message: &str, feature: &str) -> bool {
    message.contains(feature) && ["support", "requires --"].iter().any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of the servers, as their sources and issues have them.
    #[test]
    fn refusals_of_servers_become_those_of_bedrock() {
        for (status, message, expected) in [
            (400, "registry.ollama.ai/library/gemma3:270m does not support tools", Failure::ToolsUnsupported),
            (404, "model \"qwen3\" not found, try pulling it first", Failure::ModelMissing),
            (400, "the request exceeds the available context size, try increasing it", Failure::InputTooLong),
            (500, "Context size has been exceeded.", Failure::InputTooLong),
            (500, "tools param requires --jinja flag", Failure::ToolsUnsupported),
            (400, "\"auto\" tool choice requires --enable-auto-tool-choice to be set", Failure::ToolsUnsupported),
            (500, "image input is not supported", Failure::ImagesUnsupported),
            (400, "This model's maximum context length is 4096 tokens.", Failure::InputTooLong),
            (400, "Requested tokens (5000) exceed context window of 2048", Failure::InputTooLong),
            (400, "qwen is not a multimodal model", Failure::ImagesUnsupported),
            (400, "bad", Failure::Refused),
            (401, "Unauthorized", Failure::KeyRefused),
            (429, "", Failure::Throttled),
            (503, "Loading model", Failure::Unavailable),
        ] {
            assert_eq!(Failure::of_response(StatusCode::from_u16(status).unwrap(), message), expected, "{message}");
        }
    }
}
