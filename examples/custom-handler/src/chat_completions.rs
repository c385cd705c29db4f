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
            TranscriptBlock::SearchResult(result) => texts.push(&result.text),
            // Chat completions have no place for it.
            TranscriptBlock::Reasoning(_) => {}
            TranscriptBlock::ToolUse(call) => calls.push(json!({
                "type": "function",
                "id": call.id,
                "function": { "name": call.name, "arguments": call.input },
            })),
            TranscriptBlock::ToolResult { tool_use_id, output, .. } => {
                let (ToolOutput::Json(text) | ToolOutput::Text(text)) = output;
                messages.push(json!({ "role": "tool", "tool_call_id": tool_use_id, "content": text }));
            }
            TranscriptBlock::FoundSearchResults { tool_use_id, results } => {
                let texts: Vec<_> = results.iter().map(|result| result.text.as_str()).collect();
                let text = texts.join("\n\n");
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
    /// Texts and calls are numbered together, in the order in which they begin.
    block_count: u32,
    /// The block of the last text, unless a call has begun since.
    text_block: Option<u32>,
    calls: Vec<Call>,
    has_stopped: bool,
    is_complete: bool,
    usage: Option<ChunkUsage>,
}

/// A call that has begun.
struct Call {
    index: Option<u32>,
    id: String,
    block: u32,
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
    index: Option<u32>,
    id: Option<String>,
    #[serde(default)]
    function: FunctionDelta,
}

#[derive(Default, Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct ChunkUsage {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    total_tokens: Option<u32>,
}

impl Answer {
    /// The events of a line. Those without data are empty or comments; `[DONE]` is the last.
    pub fn read_line(&mut self, line: &str) -> Result<Vec<StreamEvent>, ModelError> {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { return Ok(Vec::new()) };
        if data == "[DONE]" {
            self.is_complete = true;
            return Ok(Vec::new());
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| unusable("a line is no chunk"))?;
        if chunk.error.is_some() {
            return Err(unusable("it has an error"));
        }
        // Some services count in every chunk: the last one has the sum.
        self.usage = chunk.usage.or(self.usage.take());
        // A chunk without anything of these, such as one of reasoning, still shows that the model works.
        let mut events = vec![StreamEvent::Other];
        for Choice { delta, finish_reason } in chunk.choices {
            if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                let block = self.text_block.unwrap_or_else(|| self.next_block());
                self.text_block = Some(block);
                events.push(StreamEvent::Text { block, text });
            }
            for call in delta.tool_calls.unwrap_or_default() {
                self.read_call(call, &mut events)?;
            }
            // Some services repeat the reason.
            if let Some(reason) = finish_reason.filter(|_| !self.has_stopped) {
                self.has_stopped = true;
                events.push(StreamEvent::MessageStop(self.stop(&reason)));
            }
        }
        Ok(events)
    }

    /// Whether the service has said that no further line follows.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// One piece of a call. The first has the name.
    fn read_call(&mut self, delta: CallDelta, events: &mut Vec<StreamEvent>) -> Result<(), ModelError> {
        let CallDelta { index, id, function } = delta;
        let id = id.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let block = match self.calls.iter().rfind(|call| call.has_piece(index, &id, &name)) {
            Some(call) => call.block,
            None if name.is_empty() => return Err(unusable("a call has no name")),
            None => {
                let block = self.next_block();
                self.text_block = None;
                self.calls.push(Call { index, id: id.clone(), block });
                events.push(StreamEvent::ToolUse { block, id, name });
                block
            }
        };
        events.push(StreamEvent::ToolInput { block, json: function.arguments.unwrap_or_default() });
        Ok(())
    }

    fn next_block(&mut self) -> u32 {
        let block = self.block_count;
        self.block_count += 1;
        block
    }

    fn stop(&self, reason: &str) -> ModelStop {
        match reason {
            "length" => ModelStop::Answered(StopReason::MaxTokens),
            "content_filter" => ModelStop::Answered(StopReason::ContentFiltered),
            // Some services stop so with calls, too.
            "stop" if self.calls.is_empty() => ModelStop::Answered(StopReason::EndTurn),
            "stop" | "tool_calls" => ModelStop::ToolUse,
            _ => ModelStop::Answered(StopReason::Other),
        }
    }

    pub fn usage(&self) -> Option<Usage> {
        let usage = self.usage.as_ref()?;
        let input_tokens = usage.prompt_tokens.unwrap_or_default();
        let output_tokens = usage.completion_tokens.unwrap_or_default();
        let total_tokens = usage.total_tokens.unwrap_or_else(|| input_tokens.saturating_add(output_tokens));
        Some(Usage { input_tokens, output_tokens, total_tokens, ..Usage::default() })
    }
}

impl Call {
    /// Whether a piece belongs to this call. Services number calls, or repeat their ids, or do neither and
    /// send one call after the other. Some give all calls the same number, but other ids.
    fn has_piece(&self, index: Option<u32>, id: &str, name: &str) -> bool {
        let is_same_id = id.is_empty() || id == self.id;
        match index {
            Some(_) => index == self.index && is_same_id,
            None if id.is_empty() => name.is_empty(),
            None => is_same_id,
        }
    }
}

fn unusable(reason: &str) -> ModelError {
    tracing::info!(reason, "the answer of the model's service cannot be used");
    ModelError::Failed(FailureCode::ModelUnavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of lines, without those that only show that the model works.
    fn read(answer: &mut Answer, lines: &[Value]) -> Result<Vec<StreamEvent>, ModelError> {
        let mut events = Vec::new();
        for line in lines {
            events.extend(answer.read_line(&format!("data: {line}"))?);
        }
        events.retain(|event| *event != StreamEvent::Other);
        Ok(events)
    }

    fn delta(delta: Value) -> Value {
        json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
    }

    fn text(text: &str) -> Value {
        delta(json!({ "content": text }))
    }

    fn call(call: Value) -> Value {
        delta(json!({ "content": "", "tool_calls": [call] }))
    }

    fn text_event(block: u32, text: &str) -> StreamEvent {
        StreamEvent::Text { block, text: text.into() }
    }

    fn call_event(block: u32, id: &str, name: &str) -> StreamEvent {
        StreamEvent::ToolUse { block, id: id.into(), name: name.into() }
    }

    fn input_event(block: u32, json: &str) -> StreamEvent {
        StreamEvent::ToolInput { block, json: json.into() }
    }

    #[test]
    fn text_after_a_call_has_a_block_of_its_own() {
        let lines = [
            text("I "),
            text("look."),
            call(json!({ "index": 0, "id": "a", "function": { "name": "look", "arguments": "{}" } })),
            text("And "),
            text("wait."),
            call(json!({ "index": 1, "id": "b", "function": { "name": "wait", "arguments": "{}" } })),
        ];
        let expected = [
            text_event(0, "I "),
            text_event(0, "look."),
            call_event(1, "a", "look"),
            input_event(1, "{}"),
            text_event(2, "And "),
            text_event(2, "wait."),
            call_event(3, "b", "wait"),
            input_event(3, "{}"),
        ];
        assert_eq!(read(&mut Answer::default(), &lines).unwrap(), expected);
    }

    #[test]
    fn pieces_of_calls_are_joined_however_the_service_marks_them() {
        let begin = |mark: &Value, name: &str| {
            let mut begin = mark.clone();
            begin["function"] = json!({ "name": name, "arguments": "{" });
            call(begin)
        };
        let end = |mark: &Value| {
            let mut end = mark.clone();
            end["function"] = json!({ "arguments": "}" });
            call(end)
        };
        let both = [("a", "look"), ("b", "wait")];
        let numbered = [json!({ "index": 0, "id": "a" }), json!({ "index": 1, "id": "b" })];
        let numbered_later = [json!({ "index": 0 }), json!({ "index": 1, "id": "" })];
        let with_ids = [json!({ "id": "a" }), json!({ "id": "b" })];
        let same_number = [json!({ "index": 0, "id": "a" }), json!({ "index": 0, "id": "b" })];
        for (first, later) in
            [(&numbered, &numbered), (&numbered, &numbered_later), (&with_ids, &with_ids), (&same_number, &same_number)]
        {
            let lines = [begin(&first[0], both[0].1), begin(&first[1], both[1].1), end(&later[0]), end(&later[1])];
            let expected = [
                call_event(0, "a", "look"),
                input_event(0, "{"),
                call_event(1, "b", "wait"),
                input_event(1, "{"),
                input_event(0, "}"),
                input_event(1, "}"),
            ];
            assert_eq!(read(&mut Answer::default(), &lines).unwrap(), expected, "{first:?} {later:?}");
        }
        let unmarked = json!({});
        let lines = [begin(&unmarked, "look"), end(&unmarked), begin(&unmarked, "wait"), end(&unmarked)];
        let expected = [
            call_event(0, "", "look"),
            input_event(0, "{"),
            input_event(0, "}"),
            call_event(1, "", "wait"),
            input_event(1, "{"),
            input_event(1, "}"),
        ];
        assert_eq!(read(&mut Answer::default(), &lines).unwrap(), expected);
    }

    #[test]
    fn piece_of_no_call_is_an_error() {
        for piece in [json!({ "index": 0 }), json!({ "index": 0, "function": { "name": "", "arguments": "{}" } })] {
            let result = read(&mut Answer::default(), &[call(piece)]);
            assert_eq!(result, Err(ModelError::Failed(FailureCode::ModelUnavailable)));
        }
    }

    #[test]
    fn answer_stops_once_and_is_complete_at_its_last_line() {
        let stop = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
        let mut answer = Answer::default();
        let expected = [StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn))];
        assert_eq!(read(&mut answer, &[stop.clone(), stop]).unwrap(), expected);
        assert!(!answer.is_complete());
        assert_eq!(answer.read_line("data:[DONE]").unwrap(), []);
        assert!(answer.is_complete());
    }

    #[test]
    fn missing_counts_are_zero_and_the_total_is_their_sum() {
        for (usage, expected) in [
            (json!({ "prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 30 }), Some((20, 3, 30))),
            (json!({ "prompt_tokens": 20, "completion_tokens": 3 }), Some((20, 3, 23))),
            (json!({ "prompt_tokens": 20, "completion_tokens": null }), Some((20, 0, 20))),
            (json!({}), Some((0, 0, 0))),
            (json!(null), None),
        ] {
            let mut answer = Answer::default();
            read(&mut answer, &[json!({ "choices": [], "usage": usage })]).unwrap();
            let counts = answer.usage().map(|usage| (usage.input_tokens, usage.output_tokens, usage.total_tokens));
            assert_eq!(counts, expected, "{usage}");
        }
    }
}
