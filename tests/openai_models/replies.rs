//! What the servers answer, in their dialects.
use serde_json::{Value, json};

use crate::fake_server::{Dialect, MODEL};

/// An answer before it is put into a dialect.
pub struct Reply {
    reasoning: &'static str,
    text: String,
    /// Names and arguments.
    calls: Vec<(String, String)>,
}

impl Reply {
    /// Repeats the results of tools, calls the tools that the question names, or repeats the question.
    pub fn to(request: &Value) -> Self {
        let messages = request["messages"].as_array().unwrap();
        let last = messages.last().unwrap();
        let content = match &last["content"] {
            Value::Array(parts) => parts.iter().find_map(|part| part["text"].as_str()).unwrap_or("An image."),
            content => content.as_str().unwrap(),
        };
        if last["role"] == "tool" {
            return Self { reasoning: "", text: format!("The tool says {content}"), calls: Vec::new() };
        }
        let tools = request["tools"].as_array();
        let names: Vec<&str> =
            tools.into_iter().flatten().filter_map(|tool| tool["function"]["name"].as_str()).collect();
        let calls: Vec<(String, String)> =
            content.split("call ").skip(1).filter_map(|call| parse(call, &names)).collect();
        let text = if calls.is_empty() { format!("You said: {content}") } else { String::new() };
        Self { reasoning: "Let me think.", text, calls }
    }

    /// The data of the stream's events.
    pub fn stream(&self, dialect: Dialect, has_usage: bool) -> Vec<String> {
        let mut chunks = vec![];
        if dialect != Dialect::Ollama {
            let content = if dialect == Dialect::LlamaServer { Value::Null } else { json!("") };
            chunks.push(chunk(json!({ "role": "assistant", "content": content }), None));
        }
        for text in pieces(self.reasoning) {
            let name =
                if matches!(dialect, Dialect::Ollama | Dialect::LmStudio) { "reasoning" } else { "reasoning_content" };
            let mut delta = json!({ name: text });
            if dialect == Dialect::Ollama {
                delta["role"] = "assistant".into();
                delta["content"] = "".into();
            }
            chunks.push(chunk(delta, None));
        }
        for text in pieces(&self.text) {
            let mut delta = json!({ "content": text });
            if dialect == Dialect::Ollama {
                delta["role"] = "assistant".into();
            }
            chunks.push(chunk(delta, None));
        }
        chunks.extend(self.call_chunks(dialect));
        let reason = self.finish_reason(dialect);
        let mut last = chunk(json!({}), Some(reason));
        match dialect {
            // Whether it was asked for or not.
            Dialect::LlamaServer => {
                last["usage"] = usage();
                last["timings"] = json!({ "prompt_n": 10 });
                chunks.push(last);
            }
            _ => {
                chunks.push(last);
                if has_usage {
                    chunks.push(json!({ "id": "chatcmpl-1", "choices": [], "usage": usage() }));
                }
            }
        }
        chunks.iter().map(Value::to_string).chain(["[DONE]".to_owned()]).collect()
    }

    /// The body of an answer that is no stream.
    pub fn whole(&self, dialect: Dialect) -> Value {
        let mut message = json!({ "role": "assistant", "content": self.text });
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = self.reasoning.into();
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().enumerate();
            message["tool_calls"] =
                calls.map(|(number, (name, arguments))| whole_call(number, name, arguments)).collect();
        }
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "usage": usage(),
            "choices": [{ "index": 0, "message": message, "finish_reason": self.finish_reason(dialect) }],
        })
    }

    fn call_chunks(&self, dialect: Dialect) -> Vec<Value> {
        if dialect == Dialect::Ollama {
            let calls = self.calls.iter().enumerate();
            let calls: Vec<Value> = calls
                .map(|(number, (name, arguments))| {
                    let mut call = whole_call(number, name, arguments);
                    call["index"] = number.into();
                    call
                })
                .collect();
            let delta = json!({ "role": "assistant", "content": "", "tool_calls": calls });
            return if calls.is_empty() { Vec::new() } else { vec![chunk(delta, None)] };
        }
        let mut chunks = Vec::new();
        for (number, (name, arguments)) in self.calls.iter().enumerate() {
            // Some parsers of vLLM give every call the index 0.
            let index = if dialect == Dialect::Vllm { 0 } else { number };
            let mut call = whole_call(number, name, "");
            call["index"] = index.into();
            chunks.push(chunk(json!({ "tool_calls": [call] }), None));
            for fragment in pieces(arguments) {
                let call = json!({ "index": index, "function": { "arguments": fragment } });
                chunks.push(chunk(json!({ "tool_calls": [call] }), None));
            }
        }
        chunks
    }

    fn finish_reason(&self, dialect: Dialect) -> &'static str {
        if self.calls.is_empty() || dialect == Dialect::LmStudio { "stop" } else { "tool_calls" }
    }
}

/// The name of a known tool, and its arguments where `with` follows.
fn parse(call: &str, names: &[&str]) -> Option<(String, String)> {
    let name = names.iter().find(|name| call.starts_with(**name))?;
    let arguments = call[name.len()..].strip_prefix(" with ").unwrap_or_default();
    let arguments = serde_json::Deserializer::from_str(arguments).into_iter::<Value>().next();
    let arguments = arguments.and_then(Result::ok).map(|arguments| arguments.to_string());
    Some(((*name).to_owned(), arguments.unwrap_or_default()))
}

fn whole_call(number: usize, name: &str, arguments: &str) -> Value {
    let function = json!({ "name": name, "arguments": arguments });
    json!({ "id": format!("call_{number}"), "type": "function", "function": function })
}

fn chunk(delta: Value, reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
    })
}

fn usage() -> Value {
    json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 })
}

/// A text in pieces of four characters.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(4).map(String::from_iter).collect()
}
