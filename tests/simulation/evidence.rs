//! What the checker looks at, as plain values: what the table keeps, what each subscriber ended with, what was said.
use std::collections::BTreeMap;

use client::schema::TurnStatus;
use serde_json::Value;

/// Whether the user said it, and its texts.
pub type Transcript = Vec<(bool, Vec<String>)>;

#[derive(Default)]
pub struct Evidence {
    /// Milliseconds since 1970.
    pub now: u64,
    /// Of one conversation and of its turns' batches, as the table has them.
    pub items: Vec<Value>,
    /// By turn. The first subscriber was there from the beginning, and has connected once more at the end.
    pub subscribers: Vec<BTreeMap<String, Page>>,
    /// What was acknowledged to the senders, by turn.
    pub acknowledged: BTreeMap<String, String>,
    pub asked: Vec<Asked>,
    /// What the model was heard to say, by turn and attempt.
    pub heard: BTreeMap<(String, u64), String>,
    /// The turns whose last run Lambda has done with: somebody was left to write its end.
    pub attended: Vec<String>,
    /// The most writes that one published batch took.
    pub most_writes: u32,
}

/// What a person saw of one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub text: String,
    pub ended: Option<TurnStatus>,
}

/// One request to the model.
pub struct Asked {
    pub transcript: Transcript,
    /// Answers that a retry had replaced by then.
    pub replaced: Vec<String>,
}
