//! The API's types as a client reads them. Unknown fields are ignored, so that the API can grow.
pub use api::types::{
    Citation, ContentBlock, ConversationEvent, Failure, FailureCode, GuardrailIntervention, GuardrailPolicy,
    GuardrailSource, InferenceSettings, NoteCode, Reasoning, Sender, SenderKind, StopReason, ToolCall, ToolResult,
    ToolStatus, ToolUse, TurnStatus, Usage,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    pub id: String,
    pub title: Option<String>,
    pub agent_id: String,
    pub active_turn: Option<ActiveTurn>,
    pub created_at: String,
    pub last_activity_at: String,
    pub owner_id: Option<String>,
    /// The caller's access.
    pub access: Option<Access>,
}

/// What a user may do in a conversation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Access {
    Owner,
    Write,
    Read,
}

/// A user with whom a conversation is shared.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    pub conversation_id: String,
    pub user_id: String,
    pub access: Access,
    pub shared_at: String,
}

/// The participants of a conversation, at most 50.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ConversationParticipants {
    pub participants: Option<Vec<Participant>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ActiveTurn {
    pub id: String,
    pub status: TurnStatus,
}

/// A page of conversations, latest activity first.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConversationConnection {
    pub items: Vec<Conversation>,
    pub next_token: Option<String>,
}

/// A citation, and how to open its document.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CitedDocument {
    pub citation: Citation,
    /// A link for a browser. Whoever has it can read the document until it expires.
    pub url: Option<String>,
    /// When the link expires; `None` if it does not.
    pub expires_at: Option<String>,
}

/// Events of one conversation, and its active turn.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEvents {
    pub active_turn: Option<ActiveTurn>,
    pub events: Option<ConversationEventConnection>,
}

/// A page of events, ordered by position.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEventConnection {
    pub items: Vec<ConversationEvent>,
    pub has_more: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    pub id: String,
    pub conversation_id: String,
    pub status: TurnStatus,
    pub run: u32,
    /// 0 before the first claim.
    pub attempt: u32,
    pub question: Option<ConversationEvent>,
    /// The agent events of the turn's answer, ordered by position.
    pub answer: Option<Vec<ConversationEvent>>,
    pub batches: Option<Vec<AgentBatch>>,
    pub has_more_batches: Option<bool>,
    /// The tool calls that wait for a user or a client, or have waited, while the status is `Waiting`.
    pub pending: Option<Vec<ToolCall>>,
    pub failure: Option<Failure>,
    pub usage: Option<Usage>,
}

/// A stored update of an attempt.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct AgentBatch {
    pub attempt: u32,
    pub sequence: u32,
    pub metadata: AgentMetadata,
}

/// An update as a subscriber receives it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationUpdate {
    pub conversation_id: String,
    pub turn_id: Option<String>,
    pub attempt: Option<u32>,
    /// Numbered from 1 within the attempt, without gaps.
    pub sequence: Option<u32>,
    pub metadata: Option<AgentMetadata>,
    pub event: Option<ConversationEvent>,
    /// The conversation's new title. Such an update has no turn, attempt and sequence.
    pub title: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMetadata {
    pub status: TurnStatus,
    pub content_block_index: Option<u32>,
    pub agent_partial_message: Option<String>,
    pub agent_partial_reasoning: Option<String>,
    pub note: Option<String>,
    /// Set on the first update of an attempt that continues the answer of earlier runs.
    pub continues: Option<bool>,
    /// The new state of a tool call, while others of its event still run or wait.
    pub tool_call: Option<ToolCall>,
    /// The tool calls for which the turn begins to wait.
    pub pending: Option<Vec<ToolCall>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub id: String,
    /// Numbered from 1; 0 is the default agent as the template defines it.
    pub version: u32,
    pub name: Option<String>,
    pub model_id: String,
    pub inference: Option<InferenceSettings>,
    pub context_bytes: u64,
    /// At most 32.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// The most requests to the model in one attempt at an answer.
    pub max_steps: Option<u32>,
    pub tool_timeout_seconds: Option<u32>,
    /// How much the model thinks before it answers; `None` for the model's own default.
    pub reasoning: Option<ReasoningSettings>,
    pub prompt_caching: Option<PromptCaching>,
    /// The models that are asked in turn where the agent's model cannot answer.
    #[serde(default)]
    pub fallback_model_ids: Vec<String>,
    /// `None` for the deployment's guardrail, if it has one.
    pub guardrail: Option<Guardrail>,
}

/// How much a model thinks before it answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<ReasoningEffort>,
    /// The most tokens to think with, for models that take a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReasoningEffort {
    Low,
    Medium,
    High,
}

/// Whether and for how long Bedrock caches the beginning of a request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PromptCaching {
    Off,
    FiveMinutes,
    OneHour,
}

/// How an agent uses the deployment's guardrail, without its id, which only administrators may read.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    /// A number, or `DRAFT`.
    pub version: String,
    pub mode: GuardrailMode,
    /// Whether the newest message alone is assessed.
    pub newest_message_only: bool,
}

/// Whether text is published before a guardrail has assessed it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GuardrailMode {
    /// It is assessed first.
    Sync,
    /// It is published first, and replaced where it turns out to be blocked.
    Async,
}

/// A model that agents can have, and what it can do.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    pub id: String,
    /// The family's name; `None` where the backend does not know it.
    pub family: Option<String>,
    pub tools: bool,
    pub reasoning: bool,
    /// What it takes besides `Off`.
    pub prompt_caching: Vec<PromptCaching>,
    pub images: bool,
    pub documents: bool,
    /// The tokens of its context window.
    pub context_tokens: Option<u32>,
}

/// A tool that an agent's model may call.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    pub name: String,
    /// The tool's name for people.
    pub title: Option<String>,
    pub description: String,
    /// JSON Schema of the arguments, as JSON text.
    pub input_schema: String,
    pub effect: ToolEffect,
    /// `Some(true)` where a client runs the tool.
    pub client: Option<bool>,
}

/// Whether a tool changes something.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ToolEffect {
    Read,
    Write,
}

/// Whether a call of a tool waits for a user's approval before it is run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ToolApproval {
    Always,
    Never,
}

/// When the documents of an agent are searched.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KnowledgeMode {
    /// Before the model is asked, for each question.
    Always,
    /// When the model calls the tool `search_documents`.
    Tool,
}

/// How the documents of an agent are searched.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KnowledgeSearch {
    /// By meaning and by words.
    Hybrid,
    /// By meaning.
    Semantic,
}

/// What happens to an answer whose documents cannot be searched.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KnowledgeFailure {
    /// The model answers without documents and is to say so.
    Answer,
    /// The turn fails.
    Fail,
}

/// The caller and its use of the quotas. The quota fields are None with an API key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    pub id: String,
    pub name: Option<String>,
    pub is_administrator: bool,
    /// None where the number of messages is not limited.
    pub messages_this_minute: Option<u32>,
    pub messages_per_minute: Option<u32>,
    pub tokens_today: Option<u64>,
    pub tokens_per_day: Option<u64>,
}

/// A page of agents, ordered by id after the default agent.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentConnection {
    pub items: Vec<Agent>,
    pub next_token: Option<String>,
}
