//! What servers demand of a request.
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::fake_server::{Dialect, MODEL};

type Checked = Result<(), String>;

const MEMBERS: [&str; 10] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
];

pub fn check(dialect: Dialect, request: &Value) -> Checked {
    let members = request.as_object().ok_or("not an object")?;
    let mut known = MEMBERS.to_vec();
    // LM Studio's chat completions have no such member.
    if dialect != Dialect::LmStudio {
        known.push("reasoning_effort");
    }
    has_only(members, &known, "the request")?;
    if request["model"] != MODEL {
        return Err(format!("model {} not found", request["model"]));
    }
    let is_stream = request["stream"].as_bool().ok_or("stream is no boolean")?;
    if request.get("stream_options").is_some() && !is_stream {
        return Err("stream_options without stream".into());
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        has_only(tool.as_object().ok_or("a tool is no object")?, &["type", "function"], "a tool")?;
        let function = tool["function"].as_object().ok_or("a function is no object")?;
        has_only(function, &["name", "description", "parameters"], "a function")?;
        if tool["type"] != "function" || tool["function"]["parameters"]["type"] != "object" {
            return Err(format!("the tool {tool} has no parameters"));
        }
    }
    check_messages(dialect, request["messages"].as_array().ok_or("messages is no list")?)
}

fn check_messages(dialect: Dialect, messages: &[Value]) -> Checked {
    let mut open_calls = BTreeSet::new();
    for (number, message) in messages.iter().enumerate() {
        let members = message.as_object().ok_or("a message is no object")?;
        let role = message["role"].as_str().ok_or("a role is no string")?;
        if role != "tool" && !open_calls.is_empty() {
            return Err(format!("calls without results before message {number}"));
        }
        match role {
            "system" if number == 0 => has_only(members, &["role", "content"], role)?,
            "system" => return Err("System message must be at the beginning.".into()),
            "user" => has_only(members, &["role", "content"], role)?,
            "assistant" => {
                has_only(members, &["role", "content", "tool_calls"], role)?;
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    open_calls.insert(check_call(call)?);
                }
            }
            "tool" => {
                has_only(members, &["role", "content", "tool_call_id"], role)?;
                if !open_calls.remove(message["tool_call_id"].as_str().ok_or("an id is no string")?) {
                    return Err(format!("result without a call in message {number}"));
                }
            }
            _ => return Err(format!("Unexpected role {role}")),
        }
        check_content(dialect, role, &message["content"])?;
    }
    if messages.is_empty() { Err("no messages".into()) } else { Ok(()) }
}

fn check_content(dialect: Dialect, role: &str, content: &Value) -> Checked {
    let parts = match content {
        Value::String(_) => return Ok(()),
        Value::Array(parts) if role == "user" => parts,
        _ => return Err(format!("invalid message content type: {content}")),
    };
    for part in parts {
        let members = part.as_object().ok_or("a part is no object")?;
        match part["type"].as_str() {
            Some("text") => has_only(members, &["type", "text"], "a part")?,
            Some("image_url") => {
                has_only(members, &["type", "image_url"], "a part")?;
                let url = part["image_url"]["url"].as_str().ok_or("an image has no URL")?;
                let formats: &[&str] =
                    if dialect == Dialect::Ollama { &["jpeg", "png", "webp"] } else { &["jpeg", "png", "webp", "gif"] };
                if !formats.iter().any(|format| url.starts_with(&format!("data:image/{format};base64,"))) {
                    return Err("invalid image input".into());
                }
            }
            _ => return Err(format!("unknown part {part}")),
        }
    }
    Ok(())
}

/// The id of a call.
fn check_call(call: &Value) -> Result<String, String> {
    has_only(call.as_object().ok_or("a call is no object")?, &["id", "type", "function"], "a call")?;
    let arguments = call["function"]["arguments"].as_str().ok_or("arguments are no string")?;
    serde_json::from_str::<Map<String, Value>>(arguments).map_err(|error| format!("{arguments}: {error}"))?;
    call["function"]["name"].as_str().ok_or("a call has no name")?;
    Ok(call["id"].as_str().filter(|id| !id.is_empty()).ok_or("a call has no id")?.to_owned())
}

fn has_only(members: &Map<String, Value>, known: &[&str], what: &str) -> Checked {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("Unrecognized key '{name}' in {what}")),
        None => Ok(()),
    }
}
