//! OpenAI's chat completions API: the request, and the lines of a streamed answer.
use handler::model::{
    AgentTool, FailureCode, ModelError, ModelRequest, ModelStop, Role, StopReason, StreamEvent, ToolOutput,
    TranscriptBlock, TranscriptMessage, Usage,
};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub fn request_body(request: &ModelRequest) -> Value {
    let system = request.system_prompt.iter().map(|text| json!({ "role": "system", "content": text }));
    let messages: Vec<Value> = system.chain(request.transcript.iter().flat_map(messages)).collect();
    let mut body = json!({
        "model": request.model_id,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let inference = &request.inference;
    let tools: Vec<Value> = request.tools.iter().map(tool).collect();
    let optional = [
        // Services that know only its older name, max_tokens, ignore it.
        ("max_completion_tokens", inference.max_tokens.map(Value::from)),
        ("temperature", inference.temperature.map(Value::from)),
        ("top_p", inference.top_p.map(Value::from)),
        ("stop", inference.stop_sequences.clone().filter(|texts| !texts.is_empty()).map(Value::from)),
        ("tools", Some(tools).filter(|tools| !tools.is_empty()).map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    body
}

/// A message of the transcript: one for each result of a tool, and one for the texts and calls.
fn messages(message: &TranscriptMessage) -> Vec<Value> {
    let (mut messages, mut texts, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for block in &message.content {
        match block {
            TranscriptBlock::Text(text) => texts.push(text.as_str()),
            TranscriptBlock::ToolUse(call) => calls.push(json!({
                "type": "function",
                "id": call.id,
                "function": { "name": call.name, "arguments": call.input },
            })),
            TranscriptBlock::ToolResult { tool_use_id, output, .. } => {
                let (ToolOutput::Json(text) | ToolOutput::Text(text)) = output;
                messages.push(json!({ "role": "tool", "tool_call_id": tool_use_id, "content": text }));
            }
        }
    }
    let text = texts.join("\n\n");
    match message.role {
        Role::User if text.is_empty() => {}
        Role::User => messages.push(json!({ "role": "user", "content": text })),
        Role::Assistant if calls.is_empty() => messages.push(json!({ "role": "assistant", "content": text })),
        Role::Assistant => messages.push(json!({ "role": "assistant", "content": text, "tool_calls": calls })),
    }
    messages
}

fn tool(tool: &AgentTool) -> Value {
    let parameters: Value = serde_json::from_str(&tool.input_schema).unwrap_or_default();
    let function = json!({ "name": tool.name, "description": tool.description, "parameters": parameters });
    json!({ "type": "function", "function": function })
}

/// What a status says; `None` for success. The body is not read, because it may quote the conversation.
pub fn status_error(status: StatusCode) -> Option<ModelError> {
    let error = match status.as_u16() {
        200..=299 => return None,
        429 => ModelError::ThrottledBriefly,
        400 | 413 | 422 => ModelError::Failed(FailureCode::ModelRefused),
        401 | 403 | 404 => ModelError::Failed(FailureCode::ModelNotAllowed),
        408 | 500.. => ModelError::Failed(FailureCode::ModelUnavailable),
        _ => ModelError::Failed(FailureCode::Internal),
    };
    tracing::warn!(%status, ?error, "the model's service refused the request");
    Some(error)
}

/// Reads the lines of a streamed answer.
#[derive(Default)]
pub struct Answer {
    call_count: u32,
    usage: Option<ChunkUsage>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<ChunkUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    id: Option<String>,
    function: FunctionDelta,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct ChunkUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl Answer {
    /// The events of a line. Those without data are empty or comments; `[DONE]` is the last.
    pub fn read_line(&mut self, line: &str) -> Result<Vec<StreamEvent>, ModelError> {
        let Some(data) = line.strip_prefix("data:").map(str::trim).filter(|data| *data != "[DONE]") else {
            return Ok(Vec::new());
        };
        let unavailable = ModelError::Failed(FailureCode::ModelUnavailable);
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| unavailable)?;
        if chunk.error.is_some() {
            tracing::info!("the model's service reports an error within an answer");
            return Err(unavailable);
        }
        // Some services count in every chunk: the last one has the sum.
        self.usage = chunk.usage.or(self.usage.take());
        // A chunk without anything of these, such as one of reasoning, still shows that the model works.
        let mut events = vec![StreamEvent::Other];
        for Choice { delta, finish_reason } in chunk.choices {
            events.extend(delta.content.map(|text| StreamEvent::Text { block: 0, text }));
            for call in delta.tool_calls.unwrap_or_default() {
                self.read_call(call, &mut events);
            }
            events.extend(finish_reason.map(|reason| StreamEvent::MessageStop(self.stop(&reason))));
        }
        Ok(events)
    }

    /// The first piece of a call has its name.
    fn read_call(&mut self, call: CallDelta, events: &mut Vec<StreamEvent>) {
        if let Some(name) = call.function.name.filter(|name| !name.is_empty()) {
            self.call_count += 1;
            events.push(StreamEvent::ToolUse { block: self.call_count, id: call.id.unwrap_or_default(), name });
        }
        let json = call.function.arguments.unwrap_or_default();
        events.push(StreamEvent::ToolInput { block: self.call_count, json });
    }

    fn stop(&self, reason: &str) -> ModelStop {
        match reason {
            "length" => ModelStop::Answered(StopReason::MaxTokens),
            "content_filter" => ModelStop::Answered(StopReason::ContentFiltered),
            // Some services stop so with calls, too.
            "stop" if self.call_count == 0 => ModelStop::Answered(StopReason::EndTurn),
            "stop" | "tool_calls" => ModelStop::ToolUse,
            _ => ModelStop::Answered(StopReason::Other),
        }
    }

    pub fn usage(&self) -> Option<Usage> {
        let ChunkUsage { prompt_tokens, completion_tokens, total_tokens } = *self.usage.as_ref()?;
        Some(Usage { input_tokens: prompt_tokens, output_tokens: completion_tokens, total_tokens, ..Usage::default() })
    }
}
