//! A request to the model and the events of its answer.
use std::sync::Arc;

use api::types::{
    FailureCode, GuardrailPolicy, GuardrailSource, InferenceSettings, Reasoning, StopReason, ToolUse, Usage,
};
use serde::Deserialize;

use crate::tool::Tool;

/// A request to the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelRequest {
    pub model_id: String,
    pub system_prompt: Option<String>,
    pub inference: InferenceSettings,
    pub tools: Arc<[Tool]>,
    pub transcript: Vec<TranscriptMessage>,
    /// `None` for the model's own default.
    pub reasoning: Option<ReasoningSettings>,
    pub prompt_caching: PromptCaching,
    pub guardrail: Option<Guardrail>,
}

/// How much a model thinks before it answers. At least one member is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSettings {
    pub effort: Option<ReasoningEffort>,
    /// For models that take a number of tokens.
    pub budget_tokens: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReasoningEffort {
    Low,
    Medium,
    High,
}

/// Whether and for how long the beginning of a request is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PromptCaching {
    Off,
    #[default]
    FiveMinutes,
    OneHour,
}

/// A guardrail of Amazon Bedrock, and how it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    /// The id or the ARN.
    pub id: String,
    pub version: String,
    pub mode: GuardrailMode,
    /// Whether the newest message alone is assessed, and not the whole request.
    pub newest_message_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GuardrailMode {
    /// Text is assessed before it is sent.
    Sync,
    /// Text is assessed while it is sent.
    Async,
}

/// One message of the transcript. Converse requires at least one block and accepts no blank text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptMessage {
    pub role: Role,
    pub content: Vec<TranscriptBlock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The user's texts and the results of tool calls.
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TranscriptBlock {
    Text(String),
    /// Only in a message of the assistant, as the model has sent it.
    Reasoning(Reasoning),
    /// Only in a message of the user, before the question.
    SearchResult(SearchResult),
    /// Only in a message of the assistant. The next message has the result of each call.
    ToolUse(ToolUse),
    /// Only in a message of the user, before any text.
    ToolResult {
        tool_use_id: String,
        is_error: bool,
        output: ToolOutput,
    },
    /// What a search with the built-in tool has found, for a model that cites passages itself. It stands in
    /// the place of a tool result, and has at least one search result.
    FoundSearchResults {
        tool_use_id: String,
        results: Vec<SearchResult>,
    },
}

/// A passage for a model that cites passages itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResult {
    /// The passage's number in the answer. The model does not get it.
    pub number: usize,
    /// Identifies the document. Not empty.
    pub source: String,
    pub title: String,
    pub text: String,
}

/// A passage as the model names it where it cites it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CitedPassage {
    pub source: Option<String>,
    /// The index of the search result among all of the request, from 0.
    pub search_result_index: Option<usize>,
    /// The cited part of the passage; empty if the model did not say.
    pub text: String,
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolOutput {
    /// JSON text.
    Json(String),
    Text(String),
}

/// One event of ConverseStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A delta of text. Content blocks are numbered from 0.
    Text { block: u32, text: String },
    /// The text of a block cites a passage. It comes before the text.
    Citation { block: u32, cited: CitedPassage },
    /// A part of a block of reasoning, which has no text for the answer.
    Reasoning { block: u32, part: ReasoningPart },
    /// A content block is complete.
    BlockEnd { block: u32 },
    /// A tool call begins.
    ToolUse { block: u32, id: String, name: String },
    /// A part of the JSON text of a tool call's arguments.
    ToolInput { block: u32, json: String },
    /// The model has stopped.
    MessageStop(ModelStop),
    /// What a guardrail has found. It comes before the usage.
    Guardrail(GuardrailFindings),
    /// The last event of a stream.
    Usage(Usage),
    /// An event that matters to nobody.
    Other,
}

/// A part of a block of reasoning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasoningPart {
    /// A delta.
    Text(String),
    /// The signature of the whole text: the last part of a block.
    Signature(String),
    /// Reasoning that the model has encrypted, or a piece of it.
    Encrypted(Vec<u8>),
}

impl StreamEvent {
    /// Whether the model has said, thought or called something.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Text { text, .. } => !text.is_empty(),
            Self::Reasoning { .. } | Self::ToolUse { .. } => true,
            Self::Citation { .. }
            | Self::BlockEnd { .. }
            | Self::ToolInput { .. }
            | Self::MessageStop(_)
            | Self::Guardrail(_)
            | Self::Usage(_)
            | Self::Other => false,
        }
    }
}

/// What a guardrail has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardrailFindings {
    pub source: Option<GuardrailSource>,
    /// In their order, without duplicates.
    pub policies: Vec<GuardrailPolicy>,
    /// Whether something was blocked, and not only masked.
    pub is_blocked: bool,
    /// What the model has said before the guardrail changed it. Empty if Bedrock did not say.
    pub model_output: String,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelStop {
    /// The answer is complete, or as much of it as there will be.
    Answered(StopReason),
    /// The model waits for the results of its tool calls.
    ToolUse,
}

/// Why a call of the model failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelError {
    /// Throttling that ends within seconds: the call may be repeated.
    ThrottledBriefly,
    /// The model takes no search results, or does not cite them. The call may be repeated with text in their
    /// place.
    SearchResultsRefused,
    /// The model has reached the end of its life.
    Retired,
    /// A repeated call would fail as well, or the failure is not to be hidden by repeating the call.
    Failed(FailureCode),
}
