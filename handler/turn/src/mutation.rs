//! What is sent to AppSync, as values.
use std::sync::Arc;

use crate::{claim::Claim, failures::Failure, request::Agent};
use api::types::{ContentBlock, ConversationEvent, StopReason, TurnStatus, Usage};

/// One numbered publish. Never changed once made: its number names its content.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    pub claim: Claim,
    /// From 1 within the attempt, without gaps.
    pub sequence: u32,
    pub update: Update,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The attempt has begun; carries the user's event to everybody who watches.
    Began {
        question: ConversationEvent,
        /// What stands of the answer stays, and the attempt's text goes after it.
        continues: bool,
    },
    /// What a waiting person may be told.
    Note(&'static str),
    Batch(Batch),
    /// Stored for good; a closing status ends the turn.
    Event(AgentEvent),
    /// An event that the table has already is told to everybody who watches.
    Stored(StoredEvent),
}

/// Deltas of one content block, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub block: u32,
    pub text: String,
}

/// An agent's event: a whole answer, or as much of one as fits an update.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentEvent {
    pub id: String,
    pub position: u32,
    pub agent: Arc<Agent>,
    pub content: Vec<ContentBlock>,
    pub end: Option<AnswerEnd>,
}

/// An agent's event that is in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub id: String,
    pub position: u32,
    /// The turn's, with this event.
    pub status: TurnStatus,
}

/// What the last event of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerEnd {
    pub why: EndReason,
    pub usage: Option<Usage>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    Stopped(StopReason),
    Failed(Failure),
}

/// Why a publish did not succeed, as far as an attempt branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFailure {
    /// It may have arrived or not: send the same again.
    Again,
    /// Another attempt owns the turn, or it has ended.
    Stale,
    /// It would be refused again.
    Refused,
}

impl Mutation {
    /// Whether nothing may follow it.
    pub fn closes_turn(&self) -> bool {
        match &self.update {
            Update::Began { .. } | Update::Note(_) | Update::Batch(_) => false,
            Update::Event(event) => event.status().is_end(),
            Update::Stored(event) => event.status.is_end(),
        }
    }
}

impl AgentEvent {
    pub fn status(&self) -> TurnStatus {
        self.end.map_or(TurnStatus::Running, |end| end.why.status())
    }
}

impl EndReason {
    pub fn status(self) -> TurnStatus {
        match self {
            Self::Stopped(StopReason::Cancelled) => TurnStatus::Cancelled,
            Self::Stopped(_) => TurnStatus::Completed,
            Self::Failed(_) => TurnStatus::Failed,
        }
    }
}
