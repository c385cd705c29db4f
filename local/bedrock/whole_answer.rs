//! Sends the response of a script as Converse does: whole, after the time of the script.
use std::{future::pending, time::Duration};

use axum::{
    Json,
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{
    bedrock_error::BedrockError,
    frames,
    script::{Delta, Exception, Metadata, Script, ScriptStep, StreamEvent},
};

pub(super) async fn play(script: Script) -> Response {
    match script {
        Script::Error(error) => error.into_response(),
        Script::NoResponse => pending().await,
        Script::Stream(steps) => {
            sleep(steps.iter().map(|(pause, _)| *pause).sum()).await;
            respond(steps).await
        }
    }
}

/// The outcome of the first step that ends a stream without an answer, else the answer.
async fn respond(steps: Vec<(Duration, ScriptStep)>) -> Response {
    let mut answer = Answer::default();
    for (_, step) in steps {
        match step {
            ScriptStep::Send(event) => answer.add(event),
            ScriptStep::SendException(exception) => return error_of(exception).into_response(),
            ScriptStep::Disconnect => return broken_response(),
            ScriptStep::Hang => pending().await,
        }
    }
    Json(answer.into_body()).into_response()
}

fn error_of(exception: Exception) -> BedrockError {
    match exception {
        Exception::Throttling => BedrockError::throttled(),
        Exception::InternalServer => BedrockError::internal_error(),
        Exception::ModelStreamError => BedrockError::model_error(),
        Exception::ServiceUnavailable => BedrockError::unavailable(),
    }
}

/// A response whose connection breaks before its body.
fn broken_response() -> Response {
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Err::<bytes::Bytes, _>(error)]));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Default)]
struct Answer {
    /// By the index of the block.
    blocks: Vec<Block>,
    stop_reason: &'static str,
    metadata: Metadata,
}

#[derive(Default)]
struct Block {
    text: String,
    reasoning: String,
    signature: String,
    /// Base64.
    redacted_reasoning: String,
    tool_use: Option<(String, String)>,
    /// The JSON text of a tool call's arguments.
    input: String,
}

impl Answer {
    fn add(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::ToolUseStart { index, id, name } => self.block(index).tool_use = Some((id, name)),
            StreamEvent::Delta { index, delta } => self.block(index).add(delta),
            StreamEvent::MessageStop { reason } => self.stop_reason = reason,
            StreamEvent::Metadata(metadata) => self.metadata = metadata,
            StreamEvent::MessageStart | StreamEvent::BlockStop { .. } => {}
        }
    }

    fn block(&mut self, index: usize) -> &mut Block {
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, Block::default);
        }
        &mut self.blocks[index]
    }

    fn into_body(self) -> Value {
        let content: Vec<Value> = self.blocks.into_iter().filter_map(Block::into_content).collect();
        let mut body = json!({
            "output": { "message": { "role": "assistant", "content": content } },
            "stopReason": self.stop_reason,
            "usage": usage(&self.metadata),
            "metrics": frames::latency_payload(&self.metadata),
        });
        if let Some(trace) = self.metadata.trace {
            body["trace"] = trace;
        }
        body
    }
}

/// Converse also counts what was read from the cache for a request without cache points, under two names.
fn usage(metadata: &Metadata) -> Value {
    let mut usage = frames::usage_payload(metadata);
    let read = metadata.cache.as_ref().map_or(0, |cache| cache.read_tokens);
    usage["cacheReadInputTokens"] = read.into();
    usage["cacheReadInputTokenCount"] = read.into();
    usage
}

impl Block {
    /// Citations are left out.
    fn add(&mut self, delta: Delta) {
        match delta {
            Delta::Text(text) => self.text.push_str(&text),
            // Half of a surrogate pair cannot be in a Rust string.
            Delta::EscapedText(_) => self.text.push(char::REPLACEMENT_CHARACTER),
            Delta::ToolInput(fragment) => self.input.push_str(&fragment),
            Delta::Reasoning(text) => self.reasoning.push_str(&text),
            Delta::ReasoningSignature(signature) => self.signature.push_str(&signature),
            Delta::RedactedReasoning(data) => self.redacted_reasoning.push_str(&data),
            Delta::Citation { .. } => {}
        }
    }

    /// Arguments that are no JSON object become an empty object: Converse sends a document, never a text.
    fn into_content(self) -> Option<Value> {
        if let Some((id, name)) = self.tool_use {
            let input = serde_json::from_str::<Map<String, Value>>(&self.input).unwrap_or_default();
            let tool_use = json!({ "toolUseId": id, "name": name, "input": input, "type": "tool_use" });
            return Some(json!({ "toolUse": tool_use }));
        }
        if !self.redacted_reasoning.is_empty() {
            return Some(json!({ "reasoningContent": { "redactedContent": self.redacted_reasoning } }));
        }
        if !self.reasoning.is_empty() || !self.signature.is_empty() {
            let mut reasoning = json!({ "text": self.reasoning });
            if !self.signature.is_empty() {
                reasoning["signature"] = self.signature.into();
            }
            return Some(json!({ "reasoningContent": { "reasoningText": reasoning } }));
        }
        (!self.text.is_empty()).then(|| json!({ "text": self.text }))
    }
}
