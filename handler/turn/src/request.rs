//! What the handler is context with.
use serde::Deserialize;

use api::types::{ConversationEvent, InferenceSettings};

/// The payload of an invocation, told apart by its member `type`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Invocation {
    Turn(Box<TurnRequest>),
    Purge(PurgeRequest),
}

/// The order to answer one user message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnRequest {
    pub conversation_id: String,
    pub turn_id: String,
    /// Which order to answer this turn it is, from 1.
    pub run: u32,
    pub agent: Agent,
    /// Missing in a retry or a continue: the table has it.
    pub question: Option<ConversationEvent>,
    /// Ascending by position, all older than the question.
    #[serde(default)]
    pub history: Vec<ConversationEvent>,
    /// Whether the conversation has events older than those in `history`.
    #[serde(default)]
    pub history_cut: Option<bool>,
    /// Whether the run goes on where the answer so far has ended.
    pub continues: Option<bool>,
    /// Which user's quota the answer is counted for, if any's.
    pub asked_by: Option<String>,
}

/// The order to remove what is left of a deleted conversation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeRequest {
    pub conversation_id: String,
}

/// One version of an agent: what answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub id: String,
    pub version: u32,
    pub name: Option<String>,
    /// A Bedrock model id or inference profile id.
    pub model_id: String,
    pub system_prompt: Option<String>,
    /// How much of the conversation the model is given, in bytes of JSON-escaped text.
    pub context_bytes: usize,
    pub inference: Option<InferenceSettings>,
}
