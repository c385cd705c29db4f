//! What a model is asked and what it answers.
use api::types::{InferenceSettings, SenderKind, StopReason, Usage};

/// A request to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    pub model_id: String,
    pub system_prompt: Option<String>,
    pub inference: InferenceSettings,
    pub transcript: Vec<TranscriptMessage>,
}

/// One message of the transcript as Converse accepts it: at least one text, and no blank text except the question's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptMessage {
    pub side: SenderKind,
    pub texts: Vec<String>,
}

/// One event of ConverseStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A delta of text. Content blocks are numbered from 0.
    Text { block: u32, text: String },
    /// The model has finished its answer.
    Stopped(StopReason),
    /// Comes last.
    Used(Usage),
    /// Any other event, such as a block's start or end, reasoning, tool use or a citation. It only shows that the model
    /// is alive.
    Other,
}
