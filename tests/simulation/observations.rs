//! The observations of a finished run as plain values: the stored items, what subscribers displayed, and what
//! the model received and sent.
use std::collections::BTreeMap;

use client::schema::TurnStatus;
use serde_json::Value;
use turn::types::TranscriptMessage;

#[derive(Default)]
pub struct Observations {
    /// The time of the observation, in milliseconds since 1970.
    pub now_ms: u64,
    /// The items of the conversation and the batches of its turns.
    pub items: Vec<Value>,
    /// What each subscriber displayed, by turn. The first subscriber was connected from the beginning.
    pub subscribers: Vec<BTreeMap<String, DisplayedTurn>>,
    /// The texts of acknowledged messages, by turn.
    pub acknowledged: BTreeMap<String, String>,
    pub model_requests: Vec<ModelRequest>,
    /// The text that handlers received from the model, by turn and attempt.
    pub received_text: BTreeMap<(String, u64), String>,
    /// The turns whose last run has no pending event: a handler or the closer could store the
    /// end.
    pub settled_turns: Vec<String>,
    /// The most writes of one published batch.
    pub max_writes_per_batch: u32,
}

/// What a subscriber displayed of one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisplayedTurn {
    pub text: String,
    pub end: Option<TurnStatus>,
}

pub struct ModelRequest {
    pub transcript: Vec<TranscriptMessage>,
    /// The answers that a retry had replaced by then.
    pub superseded_answers: Vec<String>,
}
