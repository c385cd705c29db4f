//! The types of the API as a client reads them. Unknown fields are ignored and unknown codes kept apart, so that the API
//! may grow.
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
    /// The caller's own.
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

/// With whom a conversation is shared, at most 50.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ConversationParticipants {
    pub participants: Option<Vec<Participant>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
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

/// Events of one conversation, with the turn being answered.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEvents {
    pub active_turn: Option<ActiveTurn>,
    pub events: Option<ConversationEventConnection>,
}

/// A page of events in order of position.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEventConnection {
    pub items: Vec<ConversationEvent>,
    pub has_more: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConversationEvent {
    pub id: String,
    pub conversation_id: String,
    /// From 1, without gaps.
    pub position: u32,
    pub turn_id: Option<String>,
    /// Which claim of the turn said it; none for a user's event.
    pub attempt: Option<u32>,
    pub sender: Sender,
    pub content: Vec<ContentBlock>,
    /// The text blocks of the content, joined.
    pub text: Option<String>,
    pub stop_reason: Option<StopReason>,
    pub usage: Option<Usage>,
    pub failure: Option<Failure>,
    pub superseded: Option<bool>,
    pub created_at: String,
}

impl ConversationEvent {
    /// The text, empty when nothing was said.
    pub fn said(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Whether an answer ends with this event.
    pub fn ends_answer(&self) -> bool {
        self.sender.kind == SenderKind::Agent && (self.stop_reason.is_some() || self.failure.is_some())
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Sender {
    pub kind: SenderKind,
    pub id: Option<String>,
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum SenderKind {
    User,
    Agent,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ContentBlock {
    pub text: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    pub id: String,
    pub conversation_id: String,
    pub status: TurnStatus,
    pub run: u32,
    /// 0 before the first claim.
    pub attempt: u32,
    pub question: Option<ConversationEvent>,
    /// The agent's events that are the turn's answer, in order of position.
    pub answer: Option<Vec<ConversationEvent>>,
    pub batches: Option<Vec<AgentBatch>>,
    pub has_more_batches: Option<bool>,
    pub failure: Option<Failure>,
    pub usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
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

/// A stored update: what was published under its number.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct AgentBatch {
    pub attempt: u32,
    pub sequence: u32,
    pub metadata: AgentMetadata,
}

/// What a subscriber receives.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConversationUpdate {
    pub conversation_id: String,
    pub turn_id: Option<String>,
    pub attempt: Option<u32>,
    /// Its number within the attempt, from 1, without gaps.
    pub sequence: Option<u32>,
    pub metadata: Option<AgentMetadata>,
    pub event: Option<ConversationEvent>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AgentMetadata {
    pub status: TurnStatus,
    pub content_block_index: Option<u32>,
    pub agent_partial_message: Option<String>,
    pub note: Option<String>,
    /// Whether the attempt that begins here goes on after what stands of the answer.
    pub continues: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
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
    /// Also a reason this client does not know.
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Failure {
    pub code: FailureCode,
    /// What a person reads.
    pub message: String,
    pub retryable: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
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
    /// A code this client does not know.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub total_tokens: u64,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub id: String,
    /// From 1; 0 is the default agent as the template has it.
    pub version: u32,
    pub name: Option<String>,
    pub model_id: String,
    pub inference: Option<InferenceSettings>,
    pub context_bytes: u64,
}

/// Who calls, and what it has used of its quotas; none of it with the API key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    pub id: String,
    pub name: Option<String>,
    pub is_administrator: bool,
    /// None where messages are not limited.
    pub messages_this_minute: Option<u32>,
    pub messages_per_minute: Option<u32>,
    pub tokens_today: Option<u64>,
    pub tokens_per_day: Option<u64>,
}

/// A page of agents by id, the default one first.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentConnection {
    pub items: Vec<Agent>,
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InferenceSettings {
    pub max_tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub stop_sequences: Option<Vec<String>>,
}
