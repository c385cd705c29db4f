//! Translates a request of Converse or ConverseStream into one of chat completions.
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    content::{Part, part, tool_result},
    reasoning_effort::reasoning_effort,
};
use crate::bedrock::BedrockError;

/// A member of a union of Converse, such as `{"text": "Hello"}`.
pub(super) type Block = Map<String, Value>;

/// What a server may not know and can do without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omissions {
    pub stream_options: bool,
    pub reasoning_effort: bool,
    /// Requests with tools are answered whole.
    pub streams_with_tools: bool,
}

/// A request for any server.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// Without the model and what depends on the server.
    members: Map<String, Value>,
    reasoning_effort: Option<&'static str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConverseRequest {
    messages: Vec<Message>,
    system: Vec<Block>,
    inference_config: InferenceConfig,
    tool_config: Option<ToolConfig>,
    guardrail_config: Option<Value>,
    additional_model_request_fields: Value,
    output_config: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    role: String,
    content: Vec<Block>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InferenceConfig {
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stop_sequences: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ToolConfig {
    tools: Vec<Block>,
    tool_choice: Option<Block>,
}

impl ChatRequest {
    /// Fails on what a model of such a server cannot be given.
    pub(crate) fn translate(body: &[u8]) -> Result<Self, BedrockError> {
        let request: ConverseRequest = serde_json::from_slice(body).map_err(|_| BedrockError::malformed_request())?;
        if request.guardrail_config.is_some_and(|config| !config.is_null()) {
            return Err(no_guardrails());
        }
        let mut messages = system_message(&request.system)?.into_iter().collect::<Vec<_>>();
        for message in request.messages {
            match message.role.as_str() {
                "assistant" => messages.push(assistant_message(&message.content)?),
                _ => messages.extend(user_messages(&message.content)?),
            }
        }
        let mut members = request.inference_config.members();
        members.insert("messages".into(), messages.into());
        if let Some(config) = request.tool_config {
            members.extend(config.members());
        }
        let reasoning_effort = reasoning_effort(&request.additional_model_request_fields, &request.output_config);
        Ok(Self { members, reasoning_effort })
    }

    pub fn has_tools(&self) -> bool {
        self.members.contains_key("tools")
    }

    /// The body for a model.
    pub fn body(&self, model: &str, is_stream: bool, omissions: Omissions) -> Value {
        let mut members = self.members.clone();
        let is_stream = is_stream && !(omissions.streams_with_tools && self.has_tools());
        members.insert("model".into(), model.into());
        members.insert("stream".into(), is_stream.into());
        if is_stream && !omissions.stream_options {
            members.insert("stream_options".into(), json!({ "include_usage": true }));
        }
        if let Some(effort) = self.reasoning_effort.filter(|_| !omissions.reasoning_effort) {
            members.insert("reasoning_effort".into(), effort.into());
        }
        Value::Object(members)
    }
}

fn no_guardrails() -> BedrockError {
    BedrockError::validation(
        "Guardrails of Amazon Bedrock do not exist with --models: leave out guardrailConfig, or use --bedrock.",
    )
}

/// `None` for a prompt without text: cache points alone.
fn system_message(blocks: &[Block]) -> Result<Option<Value>, BedrockError> {
    let content = content(parts(blocks)?);
    Ok((content != "").then(|| json!({ "role": "system", "content": content })))
}

/// Each tool result is a message of its own, before the texts.
fn user_messages(blocks: &[Block]) -> Result<Vec<Value>, BedrockError> {
    let mut messages = Vec::new();
    let mut parts = Vec::new();
    for (kind, value) in blocks.iter().flatten() {
        if kind == "toolResult" {
            let (message, images) = tool_result(value)?;
            messages.push(message);
            parts.extend(images);
        } else {
            parts.extend(part(kind, value)?);
        }
    }
    if !parts.is_empty() || messages.is_empty() {
        messages.push(json!({ "role": "user", "content": content(parts) }));
    }
    Ok(messages)
}

/// Reasoning is left out: the models' templates drop it.
fn assistant_message(blocks: &[Block]) -> Result<Value, BedrockError> {
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    for (kind, value) in blocks.iter().flatten() {
        if kind == "toolUse" {
            let arguments = if value["input"].is_null() { "{}".to_owned() } else { value["input"].to_string() };
            let function = json!({ "name": value["name"], "arguments": arguments });
            calls.push(json!({ "id": value["toolUseId"], "type": "function", "function": function }));
        } else {
            parts.extend(part(kind, value)?);
        }
    }
    // Not every server takes an assistant's content that is null or missing.
    let mut message = json!({ "role": "assistant", "content": content(parts) });
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
}

fn parts(blocks: &[Block]) -> Result<Vec<Part>, BedrockError> {
    let mut parts = Vec::new();
    for (kind, value) in blocks.iter().flatten() {
        parts.extend(part(kind, value)?);
    }
    Ok(parts)
}

/// A text, which every server takes, unless there are images.
fn content(parts: Vec<Part>) -> Value {
    if parts.iter().any(|part| matches!(part, Part::Image(_))) {
        return parts.into_iter().map(Part::into_value).collect();
    }
    let texts: Vec<String> = parts.into_iter().map(Part::into_text).collect();
    texts.join("\n\n").into()
}

impl InferenceConfig {
    fn members(self) -> Map<String, Value> {
        let stop = self.stop_sequences.filter(|texts| !texts.is_empty());
        let members = [
            ("max_tokens", json!(self.max_tokens)),
            ("temperature", json!(self.temperature)),
            ("top_p", json!(self.top_p)),
            ("stop", json!(stop)),
        ];
        members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl ToolConfig {
    /// Nothing without tools: cache points are no tools.
    fn members(&self) -> Map<String, Value> {
        let functions: Vec<Value> =
            self.tools.iter().filter_map(|tool| tool.get("toolSpec")).map(function_tool).collect();
        let mut members = Map::new();
        if functions.is_empty() {
            return members;
        }
        members.insert("tools".into(), functions.into());
        let choice = self.tool_choice.iter().flatten().find_map(|(kind, value)| match kind.as_str() {
            "any" => Some(json!("required")),
            "tool" => Some(json!({ "type": "function", "function": { "name": value["name"] } })),
            _ => None,
        });
        // It is the default, but llama-cpp-python calls no tools without it.
        members.insert("tool_choice".into(), choice.unwrap_or_else(|| "auto".into()));
        members
    }
}

fn function_tool(specification: &Value) -> Value {
    let mut function = json!({ "name": specification["name"], "parameters": specification["inputSchema"]["json"] });
    if let Some(description) = specification["description"].as_str() {
        function["description"] = description.into();
    }
    json!({ "type": "function", "function": function })
}
