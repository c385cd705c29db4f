//! The mutations that an attempt publishes, as values.
use std::sync::Arc;

use api::types::{
    Citation, ContentBlock, ConversationEvent, GuardrailIntervention, NoteCode, SenderKind, StopReason, ToolCall,
    TurnStatus, Usage,
};

use crate::{claim::Claim, failures::Failure, request::Agent};

/// One numbered update to publish. It never changes, because readers identify its content by its sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    pub claim: Claim,
    /// From 1 within the attempt, without gaps.
    pub sequence: u32,
    pub update: Update,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The attempt has started.
    Started {
        /// The user's event, for all subscribers.
        question: ConversationEvent,
        /// Whether the attempt appends to the existing answer.
        continues: bool,
    },
    /// A sentence for the waiting user.
    Note(Note),
    Batch(Batch),
    /// The state of a tool call has changed while other calls of the step still run.
    ToolProgress(ToolCall),
    /// Tool calls wait for a person or a client. The turn is WAITING, and the attempt is over.
    Waiting(Wait),
    /// A waiting call was answered while others still wait. Published on behalf of a resolver.
    CallAnswered(ToolCall),
    /// An event to store. A closing status ends the turn.
    Event(AgentEvent),
    /// An event that is already stored, to be published to subscribers.
    Stored(StoredEvent),
}

/// Joined deltas of one content block.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub block: u32,
    pub kind: BlockKind,
    pub text: String,
    /// Those whose citing text ends in this batch. Their places are in the text of the whole block.
    pub citations: Vec<Citation>,
}

/// What the deltas of a content block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    Text,
    Reasoning,
}

/// A sentence for the waiting user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note(pub NoteCode);

impl Note {
    pub const fn text(self) -> &'static str {
        match self.0 {
            NoteCode::ModelBusy => "The model is busy; trying again.",
            NoteCode::KnowledgeResuming => "The documents are being made available. This takes up to a minute.",
            NoteCode::KnowledgeUnavailable => "The documents cannot be searched at the moment.",
            NoteCode::FallbackModel => "The model cannot answer right now; another one is asked.",
            NoteCode::Other => "Please wait.",
        }
    }
}

/// What the turn keeps while its tool calls wait, and the next run continues with.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// The calls that wait, in their order.
    pub calls: Vec<ToolCall>,
    /// The position of the event with the calls.
    pub position: u32,
    pub agent: Arc<Agent>,
    /// The user for whom the tools run. `None` for callers with an API key.
    pub asked_by: Option<String>,
}

/// An agent's event: a whole answer or a part of it, or the results of its tool calls.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentEvent {
    pub id: String,
    pub position: u32,
    pub agent: Arc<Agent>,
    /// The agent's model, or the fallback model that answered.
    pub model_id: String,
    pub author: Author,
    pub content: Vec<ContentBlock>,
    /// The tokens of the answer up to the calls of a step. Only in an event with tool calls.
    pub step_usage: Option<Usage>,
    /// Only on the last event of an answer.
    pub end: Option<AnswerEnd>,
    /// Only where a guardrail has ended the answer.
    pub guardrail: Option<GuardrailIntervention>,
}

/// Who an attempt's event is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    Agent,
    /// The event has the results of tool calls.
    Tools,
}

impl From<Author> for SenderKind {
    fn from(author: Author) -> Self {
        match author {
            Author::Agent => Self::Agent,
            Author::Tools => Self::Tool,
        }
    }
}

/// An agent's event in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub id: String,
    pub position: u32,
    /// The status of the turn after this event.
    pub status: TurnStatus,
}

/// The outcome of an answer, on its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerEnd {
    pub reason: EndReason,
    /// The tokens of the whole answer.
    pub usage: Option<Usage>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    Stopped(StopReason),
    Failed(Failure),
}

/// What AppSync returns for an accepted update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The turn's status after the update.
    pub status: TurnStatus,
    /// The update as subscribers get it, as JSON text. `None` if it is not needed.
    pub update: Option<String>,
}

impl From<TurnStatus> for Accepted {
    fn from(status: TurnStatus) -> Self {
        Self { status, update: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFailure {
    /// The update may have arrived or not: the same update is sent again.
    Retryable,
    /// Another attempt owns the turn, or the turn has ended.
    Stale,
    /// AppSync would refuse the update again.
    Refused,
}

impl Mutation {
    /// Whether the update begins a wait of the turn. No update of the attempt follows it once it is accepted.
    pub fn begins_wait(&self) -> bool {
        matches!(self.update, Update::Waiting(_))
    }

    /// Whether the update ends the turn. No update follows it.
    pub fn closes_turn(&self) -> bool {
        match &self.update {
            Update::Started { .. }
            | Update::Note(_)
            | Update::Batch(_)
            | Update::ToolProgress(_)
            | Update::Waiting(_)
            | Update::CallAnswered(_) => false,
            Update::Event(event) => event.status().is_end(),
            Update::Stored(event) => event.status.is_end(),
        }
    }
}

impl AgentEvent {
    /// The tokens of the answer up to this event, if the event says so.
    pub fn usage(&self) -> Option<Usage> {
        self.end.map_or(self.step_usage, |end| end.usage)
    }

    /// The status of the turn after this event.
    pub fn status(&self) -> TurnStatus {
        self.end.map_or(TurnStatus::Running, |end| end.reason.status())
    }

    /// Whether a later attempt of the run keeps this event: it has a step's tool calls or their results.
    pub fn is_kept_by_later_attempts(&self) -> bool {
        self.content.iter().any(|block| block.tool_use.is_some() || block.tool_result.is_some())
    }
}

impl EndReason {
    /// The status of a turn whose answer ended for this reason.
    pub fn status(self) -> TurnStatus {
        match self {
            Self::Stopped(StopReason::Cancelled) => TurnStatus::Cancelled,
            Self::Stopped(_) => TurnStatus::Completed,
            Self::Failed(_) => TurnStatus::Failed,
        }
    }
}
