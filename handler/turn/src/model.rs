//! A request to the model and the events of its answer.
use api::types::{FailureCode, InferenceSettings, SenderKind, StopReason, Usage};

/// A request to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    pub model_id: String,
    pub system_prompt: Option<String>,
    pub inference: InferenceSettings,
    pub transcript: Vec<TranscriptMessage>,
}

/// One message of the transcript. Converse requires at least one text and accepts no blank one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptMessage {
    pub role: SenderKind,
    pub texts: Vec<String>,
}

/// One event of ConverseStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A delta of text. Content blocks are numbered from 0.
    Text { block: u32, text: String },
    /// The answer is complete.
    MessageStop(StopReason),
    /// The last event of a stream.
    Usage(Usage),
    /// An event without text for the user, such as a block's start, reasoning, tool use or a citation.
    Other,
}

/// Why a call of the model failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelError {
    /// Throttling that ends within seconds: the call may be repeated.
    ThrottledBriefly,
    /// A repeated call would fail as well, or the failure is not to be hidden by repeating the call.
    Failed(FailureCode),
}
