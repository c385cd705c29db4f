//! The members of a chunk of a stream, or of a whole answer, that the translation reads.
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    choices: Option<Vec<Choice>>,
    pub usage: Option<TokenCounts>,
    error: Option<Value>,
    /// `error` where the chunk itself is an error, with a message and a code.
    object: Option<String>,
    message: Option<Value>,
    code: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    index: u64,
    /// A whole answer has a message.
    #[serde(alias = "message")]
    pub delta: Option<Delta>,
    pub finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    content: Option<Value>,
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
    pub tool_calls: Option<Vec<CallFragment>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallFragment {
    pub index: Option<u64>,
    pub id: Option<String>,
    pub function: Option<FunctionFragment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionFragment {
    pub name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenCounts {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
}

impl Chunk {
    /// The choice that is read: one answer was asked for.
    pub fn choice(&mut self) -> Option<Choice> {
        self.choices.take()?.into_iter().find(|choice| choice.index == 0)
    }

    /// The error that the chunk is, with a message and perhaps a code.
    pub fn error(&mut self) -> Option<Value> {
        if self.object.as_deref() == Some("error") {
            return Some(serde_json::json!({ "message": self.message.take(), "code": self.code.take() }));
        }
        self.error.take().filter(|error| !error.is_null())
    }
}

impl Delta {
    /// Servers name the reasoning differently, and some send it under both names.
    pub fn reasoning(&self) -> &str {
        let texts = [&self.reasoning_content, &self.reasoning].into_iter().flatten().filter_map(Value::as_str);
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The text, also where the content is a list of parts.
    pub fn text(&self) -> String {
        match &self.content {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            _ => String::new(),
        }
    }
}

impl CallFragment {
    pub fn name(&self) -> &str {
        self.function.as_ref().and_then(|function| function.name.as_deref()).unwrap_or_default()
    }

    /// A fragment of the arguments' JSON text. Some servers send the document itself.
    pub fn arguments(&self) -> String {
        match self.function.as_ref().and_then(|function| function.arguments.as_ref()) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(document) => document.to_string(),
        }
    }
}
