//! Answers of the entry points whose text comes in parts.
use serde_json::Value;

/// An answer, whose text may come in parts.
#[derive(Default)]
pub struct Answer {
    parts: Vec<String>,
}

impl Answer {
    /// The number of the part that is expected, from 1.
    pub fn next_part(&self) -> u64 {
        self.parts.len() as u64 + 1
    }

    /// Adds a message of the type `answer`. Returns the whole text once it is complete.
    pub fn add(&mut self, message: &Value) -> Option<String> {
        let text = message.pointer("/result/text").or_else(|| message.get("message"));
        let number = message["part"].as_u64().unwrap_or(1);
        assert_eq!(self.next_part(), number, "parts arrive in order");
        self.parts.push(text.and_then(Value::as_str).expect("an answer has a text").to_owned());
        (number == message["parts"].as_u64().unwrap_or(1)).then(|| std::mem::take(&mut self.parts).concat())
    }
}
