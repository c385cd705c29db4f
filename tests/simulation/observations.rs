//! The observations of a finished run as plain values: the stored items, what subscribers displayed, and what
//! the model received and sent.
use std::collections::BTreeMap;

use client::schema::{ToolStatus, TurnStatus};
use serde_json::Value;
use turn::{knowledge::Passage, model::TranscriptMessage};

use crate::{read_back::ReadBack, tools::ToolCounters, users::ToolAnswers};

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
    /// The turn that each message was to replace, by the id of the message.
    pub replacements: BTreeMap<String, String>,
    pub model_requests: Vec<ModelRequest>,
    /// The text that handlers received from the model, by turn and attempt: each delta with its block.
    pub received_deltas: BTreeMap<(String, u64), Vec<(u32, String)>>,
    /// The turns whose last run has no pending event: a handler or the closer could store the
    /// end.
    pub settled_turns: Vec<String>,
    /// The most writes of one published batch.
    pub max_writes_per_batch: u32,
    pub purge: Purge,
    /// Whether the agent has tools.
    pub has_tools: bool,
    /// What searches have found.
    pub passages: Vec<Passage>,
    /// What has happened in tools.
    pub tool_counters: ToolCounters,
    /// What users have answered to tool calls.
    pub tool_answers: ToolAnswers,
    /// What the API returns in the end. `None` if the conversation is deleted.
    pub read_back: Option<ReadBack>,
}

/// The removal of a deleted conversation's items.
#[derive(Default)]
pub struct Purge {
    /// When the first purge began, in milliseconds since 1970. `None` if no purge has succeeded.
    pub began_ms: Option<u64>,
    /// When each batch was last written, by partition and sort key.
    pub batch_writes: BTreeMap<(String, String), u64>,
}

/// Whether an item of a turn's partition is a batch, and not a claim of a tool call or an answer to one.
pub fn is_batch(item: &Value) -> bool {
    let text = |name: &str| item[name].as_str().unwrap_or_default();
    text("pk").starts_with("TURN#") && text("sk").starts_with(|character: char| character.is_ascii_digit())
}

/// The largest numbers that a run has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    pub turns: usize,
    pub replaced_turns: usize,
    pub events: usize,
    pub events_of_turn: usize,
    pub blocks_of_event: usize,
    pub batches_of_attempt: usize,
    pub runs_of_turn: u64,
}

impl Sizes {
    pub fn of_items(items: &[Value]) -> Self {
        let mut sizes = Self::default();
        let mut events_of_turns = BTreeMap::<&str, usize>::new();
        let mut batches_of_attempts = BTreeMap::<(&str, String), usize>::new();
        for item in items {
            let (pk, sk) = (item["pk"].as_str().unwrap_or_default(), item["sk"].as_str().unwrap_or_default());
            if sk.starts_with("EVENT#") {
                sizes.events += 1;
                *events_of_turns.entry(item["turnId"].as_str().unwrap_or_default()).or_default() += 1;
                sizes.blocks_of_event = sizes.blocks_of_event.max(item["content"].as_array().map_or(0, Vec::len));
            } else if sk.starts_with("TURN#") {
                sizes.turns += 1;
                sizes.replaced_turns += usize::from(item["replacedBy"].is_string());
                sizes.runs_of_turn = sizes.runs_of_turn.max(item["run"].as_f64().unwrap_or_default() as u64);
            } else if is_batch(item) {
                *batches_of_attempts.entry((pk, item["attempt"].to_string())).or_default() += 1;
            }
        }
        sizes.events_of_turn = events_of_turns.into_values().max().unwrap_or_default();
        sizes.batches_of_attempt = batches_of_attempts.into_values().max().unwrap_or_default();
        sizes
    }

    /// The larger of each two numbers.
    pub fn max(self, other: Self) -> Self {
        Self {
            turns: self.turns.max(other.turns),
            replaced_turns: self.replaced_turns.max(other.replaced_turns),
            events: self.events.max(other.events),
            events_of_turn: self.events_of_turn.max(other.events_of_turn),
            blocks_of_event: self.blocks_of_event.max(other.blocks_of_event),
            batches_of_attempt: self.batches_of_attempt.max(other.batches_of_attempt),
            runs_of_turn: self.runs_of_turn.max(other.runs_of_turn),
        }
    }

    /// Whether no number is smaller than the bound's.
    pub fn reach(&self, bound: &Self) -> bool {
        self.turns >= bound.turns
            && self.replaced_turns >= bound.replaced_turns
            && self.events >= bound.events
            && self.events_of_turn >= bound.events_of_turn
            && self.blocks_of_event >= bound.blocks_of_event
            && self.batches_of_attempt >= bound.batches_of_attempt
            && self.runs_of_turn >= bound.runs_of_turn
    }
}

/// What a subscriber displayed of one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisplayedTurn {
    pub text: String,
    pub end: Option<TurnStatus>,
    /// The last state of each tool call, by its id.
    pub calls: BTreeMap<String, ToolStatus>,
}

pub struct ModelRequest {
    /// The turn of the request, if its handler has published.
    pub turn_id: Option<String>,
    pub transcript: Vec<TranscriptMessage>,
    /// What was superseded by then.
    pub superseded_texts: Vec<SupersededText>,
}

/// The text of an event that a retry or another message has replaced.
#[derive(Clone, Debug)]
pub struct SupersededText {
    pub text: String,
    /// The event's turn, if another message has replaced that.
    pub replaced_turn: Option<String>,
}
