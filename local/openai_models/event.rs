//! The events of an answer as Bedrock streams them, and the whole answer of Converse.
use std::{io, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use crate::bedrock::encode_frame;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    MessageStart,
    ToolUseStart {
        index: usize,
        id: String,
        name: String,
    },
    Delta {
        index: usize,
        delta: Delta,
    },
    BlockStop {
        index: usize,
    },
    MessageStop {
        reason: &'static str,
    },
    /// The last event of an answer.
    Metadata {
        /// None if the server did not say.
        usage: Option<Usage>,
        latency: Duration,
    },
    /// Ends an answer that fails.
    Exception(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    Text(String),
    Reasoning(String),
    /// A fragment of a JSON document.
    ToolInput(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub total_tokens: u64,
}

impl Event {
    /// The type and the payload.
    pub fn payload(&self) -> (&'static str, Value) {
        match self {
            Self::MessageStart => ("messageStart", json!({ "role": "assistant" })),
            Self::ToolUseStart { index, id, name } => {
                let start = json!({ "toolUse": { "name": name, "toolUseId": id, "type": "tool_use" } });
                ("contentBlockStart", json!({ "contentBlockIndex": index, "start": start }))
            }
            Self::Delta { index, delta } => {
                ("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta.payload() }))
            }
            Self::BlockStop { index } => ("contentBlockStop", json!({ "contentBlockIndex": index })),
            Self::MessageStop { reason } => ("messageStop", json!({ "stopReason": reason })),
            Self::Metadata { usage, latency } => ("metadata", metadata(usage.as_ref(), *latency)),
            Self::Exception(failure) => failure.exception(),
        }
    }

    pub(super) fn encode(&self) -> io::Result<Bytes> {
        let (name, mut payload) = self.payload();
        if matches!(self, Self::Exception(_)) {
            return encode_frame("exception", ":exception-type", name, payload.to_string());
        }
        // Bedrock pads its events.
        payload["p"] = "abcd".into();
        encode_frame("event", ":event-type", name, payload.to_string())
    }
}

impl Delta {
    fn payload(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "text": text }),
            Self::Reasoning(text) => json!({ "reasoningContent": { "text": text } }),
            Self::ToolInput(fragment) => json!({ "toolUse": { "input": fragment } }),
        }
    }
}

fn metadata(usage: Option<&Usage>, latency: Duration) -> Value {
    let latency = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    let mut payload = json!({ "metrics": { "latencyMs": latency } });
    if let Some(usage) = usage {
        payload["usage"] = json!(usage);
    }
    payload
}

/// The response of Converse, unless the answer fails.
pub(super) fn whole_answer(events: Vec<Event>) -> Result<Value, Failure> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut answer = json!({});
    for event in events {
        match event {
            Event::ToolUseStart { id, name, .. } => blocks.push(Block::ToolUse { id, name, input: String::new() }),
            Event::Delta { index, delta } => add_delta(&mut blocks, index, delta),
            Event::MessageStop { reason } => answer["stopReason"] = reason.into(),
            Event::Metadata { usage, latency } => {
                let Value::Object(members) = metadata(usage.as_ref(), latency) else { continue };
                members.into_iter().for_each(|(name, value)| answer[name] = value);
            }
            Event::Exception(failure) => return Err(failure),
            Event::MessageStart | Event::BlockStop { .. } => {}
        }
    }
    let content: Vec<Value> = blocks.into_iter().map(Block::into_content).collect();
    answer["output"] = json!({ "message": { "role": "assistant", "content": content } });
    Ok(answer)
}

enum Block {
    Text(String),
    Reasoning(String),
    ToolUse { id: String, name: String, input: String },
}

/// Blocks begin in the order of their indices.
fn add_delta(blocks: &mut Vec<Block>, index: usize, delta: Delta) {
    match (blocks.get_mut(index), delta) {
        (Some(Block::Text(text)), Delta::Text(delta)) => text.push_str(&delta),
        (Some(Block::Reasoning(text)), Delta::Reasoning(delta)) => text.push_str(&delta),
        (Some(Block::ToolUse { input, .. }), Delta::ToolInput(delta)) => input.push_str(&delta),
        (_, Delta::Text(text)) => blocks.push(Block::Text(text)),
        (_, Delta::Reasoning(text)) => blocks.push(Block::Reasoning(text)),
        (_, Delta::ToolInput(_)) => {}
    }
}

impl Block {
    /// Arguments that are no JSON object become an empty object: Converse sends a document, never a text.
    fn into_content(self) -> Value {
        match self {
            Self::Text(text) => json!({ "text": text }),
            Self::Reasoning(text) => json!({ "reasoningContent": { "reasoningText": { "text": text } } }),
            Self::ToolUse { id, name, input } => {
                let input = serde_json::from_str::<Map<String, Value>>(&input).unwrap_or_default();
                json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } })
            }
        }
    }
}
