//! Types of the GraphQL API, with the names of schema.graphql. Unknown fields are ignored, so that the API
//! can be extended.
use std::{borrow::Cow, ops::Add};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IntoDeserializer, value::StrDeserializer},
};

/// One entry of a conversation: a user's message, or an agent's answer or a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEvent {
    /// Unique in its conversation; a user's event has its turn's id.
    pub id: String,
    pub conversation_id: String,
    /// Number in the conversation, from 1, without gaps.
    pub position: u32,
    pub turn_id: Option<String>,
    /// The attempt that wrote an agent's event; `None` for a user's event.
    pub attempt: Option<u32>,
    pub sender: Sender,
    pub content: Vec<ContentBlock>,
    /// The text blocks of the content, joined. The table has it where the content is not exactly one block.
    pub text: Option<String>,
    pub stop_reason: Option<StopReason>,
    pub usage: Option<Usage>,
    pub failure: Option<Failure>,
    /// True once the answer of a retry has replaced this one, or another message the whole turn. Then the
    /// user's event has it in the table, and the others of its turn may lack it there.
    pub superseded: Option<bool>,
    /// In a user's event: the turn that the message has replaced.
    pub replaces_turn_id: Option<String>,
    /// Only in the table, in a user's event: the agent's events of its turn up to this position are
    /// superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_position: Option<u32>,
    /// The model that answered; `None` in a user's event.
    pub model_id: Option<String>,
    /// What a guardrail did to the answer.
    pub guardrail: Option<GuardrailIntervention>,
    /// ISO 8601.
    pub created_at: String,
}

impl ConversationEvent {
    /// The texts of the content blocks, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.content.iter().filter_map(|block| block.text.as_deref())
    }

    /// The tool calls in the content, in order.
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| block.tool_use.as_ref())
    }

    /// The results of tool calls in the content, in order.
    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.content.iter().filter_map(|block| block.tool_result.as_ref())
    }

    /// The citations of the texts, in order.
    pub fn citations(&self) -> impl Iterator<Item = &Citation> {
        self.content.iter().flat_map(|block| &block.citations).flatten()
    }

    /// Whether the event belongs to a step with tool calls: it has the calls or their results.
    pub fn has_tool_blocks(&self) -> bool {
        self.content.iter().any(|block| block.tool_use.is_some() || block.tool_result.is_some())
    }

    /// The joined text; empty if there is none.
    pub fn text_or_empty(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Whether an answer ends with this event.
    pub fn ends_answer(&self) -> bool {
        self.sender.kind != SenderKind::User && (self.stop_reason.is_some() || self.failure.is_some())
    }
}

/// The author of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    pub kind: SenderKind,
    /// The agent's id, or the user's; `None` for callers with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SenderKind {
    User,
    Agent,
    /// The results of an agent's tool calls.
    Tool,
}

/// One piece of content. Exactly one member is set; later kinds of content are added as further optional
/// members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentBlock {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The passages that the text cites, in order of the ends of the text that cites them. Only beside a
    /// text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Citation>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_use: Option<ToolUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_result: Option<ToolResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
}

/// What a model thought before what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// Empty where the model does not show it.
    pub text: String,
    /// From the first to the last delta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u32>,
    /// The model's signature of the text. Only the handler and the table have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Reasoning that the model has encrypted, in Base64. Only the handler and the table have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted: Option<String>,
}

/// What a guardrail did to an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardrailIntervention {
    /// `None` where Bedrock did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<GuardrailSource>,
    /// Without duplicates.
    pub policies: Vec<GuardrailPolicy>,
}

/// What a guardrail has assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GuardrailSource {
    /// The user's message.
    Input,
    /// The model's answer.
    Output,
}

/// A policy of a guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GuardrailPolicy {
    Topic,
    Content,
    Word,
    SensitiveInformation,
    ContextualGrounding,
    /// A policy that this version does not know.
    #[serde(other)]
    Other,
}

impl ContentBlock {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    pub fn tool_use(tool_use: ToolUse) -> Self {
        Self { tool_use: Some(tool_use), ..Self::default() }
    }

    pub fn tool_result(tool_result: ToolResult) -> Self {
        Self { tool_result: Some(tool_result), ..Self::default() }
    }

    pub fn reasoning(reasoning: Reasoning) -> Self {
        Self { reasoning: Some(reasoning), ..Self::default() }
    }
}

/// A passage of a document that a text cites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The passage's number in its answer, from 1. A marker such as `[2]` in the text has it.
    pub number: u32,
    /// The document's name for people.
    pub title: String,
    /// The document's URI, such as `s3://bucket/key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The document's address for a browser; `None` for an object of S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The text of the passage. A long one is cut and ends with an ellipsis.
    pub passage: String,
    /// 0 to 1: how well the passage matched the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The page of the document, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Where the text that cites begins in its block, in UTF-16 code units.
    pub start: u32,
    /// Where the text that cites ends in its block, in UTF-16 code units.
    pub end: u32,
}

/// A tool call: the model asks for a tool to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUse {
    /// Unique in its step.
    pub id: String,
    pub name: String,
    /// The tool's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The arguments: the JSON text of an object.
    pub input: String,
}

/// The result of a tool call. At most one of `json` and `text` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    pub tool_use_id: String,
    pub status: ToolStatus,
    /// JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// A sentence, or the beginning of a JSON text that was too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// True where the result was too long and its end was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// ISO 8601; `None` if the tool was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// ISO 8601; `None` if the tool was not run or its end is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// The state of a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ToolStatus {
    /// The tool runs, or is about to.
    Running,
    /// A person is to approve or deny the call.
    ApprovalNeeded,
    /// A client is to run the tool.
    ClientNeeded,
    Succeeded,
    Failed,
    /// A person denied the call.
    Denied,
    /// Nobody answered the call in time.
    Expired,
    Cancelled,
    /// The tool may have run or not: its result never came. Also any state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A tool call and its state, without its arguments and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// The tool's name for people.
    pub title: Option<String>,
    pub status: ToolStatus,
    /// A sentence for people, such as why the call was denied.
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TurnStatus {
    Queued,
    Running,
    /// Tool calls wait for a person or a client. No handler works on the turn.
    Waiting,
    Cancelling,
    Completed,
    Cancelled,
    Failed,
}

impl TurnStatus {
    /// Whether the turn is over.
    pub fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Waiting | Self::Cancelling => false,
            Self::Completed | Self::Cancelled | Self::Failed => true,
        }
    }
}

/// Why the model's answer ended without a failure.
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
    /// The agent's largest number of steps is reached.
    MaxSteps,
    /// The model has thought and then said nothing.
    NoAnswer,
    /// Any reason that this version does not know.
    #[serde(other)]
    Other,
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `None` for a code that this version does not know.
    #[serde(deserialize_with = "known_failure_code")]
    pub code: Option<FailureCode>,
    /// A sentence for people.
    pub message: String,
    /// Whether a retry can help.
    pub retryable: bool,
}

/// What a program branches on when a turn fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    Throttled,
    ModelUnavailable,
    ModelSilent,
    ModelRefused,
    SettingsRefused,
    ModelNotAllowed,
    NotStarted,
    Interrupted,
    PendingExpired,
    KnowledgeUnavailable,
    Internal,
}

/// What a program branches on when a turn has a note for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NoteCode {
    /// The model is called again, because it is throttled.
    ModelBusy,
    /// The database of the documents wakes up.
    KnowledgeResuming,
    /// The answer is made without documents, because they could not be searched.
    KnowledgeUnavailable,
    /// The agent's model cannot answer, so another model is asked.
    FallbackModel,
    /// Any code that this version does not know.
    #[serde(other)]
    Other,
}

impl FailureCode {
    pub const ALL: [Self; 11] = [
        Self::Throttled,
        Self::ModelUnavailable,
        Self::ModelSilent,
        Self::ModelRefused,
        Self::SettingsRefused,
        Self::ModelNotAllowed,
        Self::NotStarted,
        Self::Interrupted,
        Self::PendingExpired,
        Self::KnowledgeUnavailable,
        Self::Internal,
    ];
}

fn known_failure_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FailureCode>, D::Error> {
    let Some(code) = Option::<Cow<str>>::deserialize(deserializer)? else { return Ok(None) };
    let code: StrDeserializer<serde::de::value::Error> = code.as_ref().into_deserializer();
    Ok(FailureCode::deserialize(code).ok())
}

/// Tokens as the model counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub input_tokens: u32,
    pub output_tokens: u32,
    pub total_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u32>,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let add_optional = |one: Option<u32>, two: Option<u32>| match (one, two) {
            (None, None) => None,
            (one, two) => Some(one.unwrap_or(0).saturating_add(two.unwrap_or(0))),
        };
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            total_tokens: self.total_tokens.saturating_add(other.total_tokens),
            cache_read_tokens: add_optional(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: add_optional(self.cache_write_tokens, other.cache_write_tokens),
        }
    }
}

/// Inference settings of an agent. The model's own default applies where one is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InferenceSettings {
    pub max_tokens: Option<u32>,
    /// 0 to 1.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    pub stop_sequences: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn event(stop_reason: Value, failure: Value) -> ConversationEvent {
        from_value(json!({
            "id": "t1-1-1",
            "conversationId": "c1",
            "position": 2,
            "turnId": "t1",
            "attempt": 1,
            "sender": { "kind": "AGENT", "id": "default", "name": null },
            "content": [{ "text": "Hi" }, { "text": "!", "notInventedYet": {} }],
            "stopReason": stop_reason,
            "failure": failure,
            "createdAt": "2026-11-21T09:00:00.000Z",
            "notInventedYet": true,
        }))
        .unwrap()
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_optional_fields_are_none() {
        let event = event(json!("END_TURN"), Value::Null);
        assert_eq!(event.texts().collect::<Vec<_>>(), ["Hi", "!"]);
        assert_eq!((event.text_or_empty(), event.superseded), ("", None));
        assert!(event.ends_answer());
    }

    #[test]
    fn unknown_stop_reason_reads_as_other() {
        assert_eq!(event(json!("NOT_INVENTED_YET"), Value::Null).stop_reason, Some(StopReason::Other));
    }

    #[test]
    fn unknown_failure_code_reads_as_none() {
        let code = |code: &str| {
            let failure = json!({ "code": code, "message": "No.", "retryable": true });
            event(Value::Null, failure).failure.unwrap().code
        };
        assert_eq!(code("NOT_INVENTED_YET"), None);
        for known in FailureCode::ALL {
            assert_eq!(code(serde_json::to_value(known).unwrap().as_str().unwrap()), Some(known));
        }
    }
}
