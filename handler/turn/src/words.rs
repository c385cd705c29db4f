//! The vocabulary shared by everything here. The enums are spelled as in schema.graphql.
use serde::{Deserialize, Serialize};

/// Something that happened in a conversation and is kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEvent {
    pub id: String,
    /// Its number in the conversation, from 1.
    pub position: u32,
    pub turn_id: Option<String>,
    /// Which attempt said it; only on an agent's event.
    pub attempt: Option<u32>,
    pub sender: Sender,
    #[serde(default)]
    pub content: Vec<ContentBlock>,
    /// True once a retry has replaced this answer.
    pub superseded: Option<bool>,
    pub created_at: Option<String>,
}

impl ConversationEvent {
    /// Its texts, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.content.iter().filter_map(|block| block.text.as_deref())
    }
}

/// Who said something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sender {
    pub kind: SenderKind,
    pub id: Option<String>,
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SenderKind {
    User,
    Agent,
}

/// One piece of content. Later kinds join as further optional members.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ContentBlock {
    pub text: Option<String>,
}

impl ContentBlock {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()) }
    }
}

/// How far a turn is. The last three are ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TurnStatus {
    Queued,
    Running,
    Cancelling,
    Completed,
    Cancelled,
    Failed,
}

impl TurnStatus {
    pub fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Cancelling => false,
            Self::Completed | Self::Cancelled | Self::Failed => true,
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StopReason {
    EndTurn,
    StopSequence,
    MaxTokens,
    ContextWindowExceeded,
    GuardrailIntervened,
    ContentFiltered,
    MalformedOutput,
    Deadline,
    Cancelled,
    Other,
}

/// Tokens, as the model counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: i32,
    pub output_tokens: i32,
    pub total_tokens: i32,
    pub cache_read_tokens: Option<i32>,
    pub cache_write_tokens: Option<i32>,
}

/// Inference settings of Converse; what is missing is the model's own default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inference {
    pub max_tokens: Option<i32>,
    /// 0 to 1.
    pub temperature: Option<f32>,
    /// 0 to 1.
    pub top_p: Option<f32>,
    pub stop_sequences: Option<Vec<String>>,
}

/// What the model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    pub model_id: String,
    pub system_prompt: Option<String>,
    pub inference: Inference,
    pub transcript: Vec<TranscriptMessage>,
}

/// One message of the transcript, as Converse wants it: one side, at least one text, none blank but the question's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptMessage {
    pub side: SenderKind,
    pub texts: Vec<String>,
}

/// One event of ConverseStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A delta of text; blocks are numbered from 0.
    Text { block: u32, text: String },
    /// The model has said all it will.
    Stopped(StopReason),
    /// Comes last.
    Used(Usage),
    /// A sign of life that says nothing to the user: a block's begin or end, reasoning, tool use, a citation.
    Other,
}
