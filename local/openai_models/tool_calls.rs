//! Groups the fragments of tool calls, which servers number and name differently.
use serde::de::IgnoredAny;

use super::{chunk::CallFragment, failure::Failure};
use crate::bedrock::new_tool_use_id;

/// An answer with more calls fails.
pub const MAX_TOOL_CALLS: usize = 128;
/// An answer whose calls have longer arguments altogether fails.
pub const MAX_ARGUMENT_BYTES: usize = 1 << 20;
/// Bedrock's longest id of a call.
const MAX_ID_LENGTH: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallStep {
    /// Also ends the call before.
    Start {
        id: String,
        name: String,
    },
    Input(String),
}

#[derive(Default)]
pub(super) struct ToolCalls {
    calls: Vec<Call>,
    argument_bytes: usize,
}

struct Call {
    index: u64,
    /// As the server gives it; may be empty.
    server_id: String,
    /// As Bedrock accepts it.
    id: String,
    /// Empty until it arrives. The call starts with it.
    name: String,
    arguments: String,
    /// How much of the arguments was passed on.
    sent_bytes: usize,
}

impl ToolCalls {
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Adds a fragment. `position` stands in for an index that the server does not give.
    pub fn push(&mut self, position: u64, fragment: &CallFragment) -> Result<Vec<CallStep>, Failure> {
        let index = fragment.index.unwrap_or(position);
        let number = match self.number_of(index, fragment) {
            Some(number) => number,
            None => self.add(index, fragment)?,
        };
        if number + 1 < self.calls.len() {
            // Bedrock streams one call after another, and the call has ended.
            return Err(Failure::BrokenAnswer);
        }
        let arguments = fragment.arguments();
        self.argument_bytes += arguments.len();
        if self.argument_bytes > MAX_ARGUMENT_BYTES {
            return Err(Failure::BrokenAnswer);
        }
        Ok(self.calls[number].extend(fragment.name(), &arguments))
    }

    /// Fails if a call has no name.
    pub fn finish(&self) -> Result<(), Failure> {
        if self.calls.iter().any(|call| call.name.is_empty()) { Err(Failure::BrokenAnswer) } else { Ok(()) }
    }

    /// The call that a fragment continues. Some servers give every call the index 0, so that a new id begins
    /// a new call; others give no ids.
    fn number_of(&mut self, index: u64, fragment: &CallFragment) -> Option<usize> {
        let number = self.calls.iter().rposition(|call| call.index == index)?;
        let call = &mut self.calls[number];
        let id = fragment.id.as_deref().unwrap_or_default();
        if !id.is_empty() && !call.server_id.is_empty() {
            return (id == call.server_id).then_some(number);
        }
        if call.is_followed_by(fragment.name()) {
            return None;
        }
        if call.server_id.is_empty() {
            call.server_id = id.to_owned();
        }
        Some(number)
    }

    fn add(&mut self, index: u64, fragment: &CallFragment) -> Result<usize, Failure> {
        if self.calls.len() == MAX_TOOL_CALLS || self.finish().is_err() {
            return Err(Failure::BrokenAnswer);
        }
        let server_id = fragment.id.clone().unwrap_or_default();
        let is_new = self.calls.iter().all(|call| call.id != server_id);
        let id = if is_new && is_accepted(&server_id) { server_id.clone() } else { new_tool_use_id() };
        let (name, arguments) = (String::new(), String::new());
        self.calls.push(Call { index, server_id, id, name, arguments, sent_bytes: 0 });
        Ok(self.calls.len() - 1)
    }
}

impl Call {
    fn extend(&mut self, name: &str, arguments: &str) -> Vec<CallStep> {
        self.arguments.push_str(arguments);
        let mut steps = Vec::new();
        if self.name.is_empty() {
            if name.is_empty() {
                return steps;
            }
            name.clone_into(&mut self.name);
            steps.push(CallStep::Start { id: self.id.clone(), name: self.name.clone() });
        }
        let rest = &self.arguments[self.sent_bytes..];
        if !rest.is_empty() {
            steps.push(CallStep::Input(rest.to_owned()));
            self.sent_bytes = self.arguments.len();
        }
        steps
    }

    /// Whether a fragment without an id begins another call: it has a name, and this call is complete.
    fn is_followed_by(&self, name: &str) -> bool {
        let is_complete = || serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok();
        let is_other = self.arguments.is_empty() && name != self.name;
        !name.is_empty() && !self.name.is_empty() && (is_other || is_complete())
    }
}

/// Whether Bedrock accepts the id of a call.
fn is_accepted(id: &str) -> bool {
    let is_accepted = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    (1..=MAX_ID_LENGTH).contains(&id.len()) && id.bytes().all(is_accepted)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The names and arguments of the calls whose fragments are given.
    fn calls(fragments: &[Value]) -> Result<Vec<(String, String)>, Failure> {
        let mut calls: Vec<(String, String)> = Vec::new();
        let mut grouped = ToolCalls::default();
        for fragment in fragments {
            for step in grouped.push(0, &serde_json::from_value(fragment.clone()).unwrap())? {
                match step {
                    CallStep::Start { name, .. } => calls.push((name, String::new())),
                    CallStep::Input(input) => calls.last_mut().unwrap().1 += &input,
                }
            }
        }
        grouped.finish().map(|()| calls)
    }

    fn fragment(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Value {
        json!({ "index": index, "id": id, "function": { "name": name, "arguments": arguments } })
    }

    #[test]
    fn fragments_are_grouped_by_index_id_and_name() {
        let two = [("a".to_owned(), "{}".to_owned()), ("b".to_owned(), "{\"x\":1}".to_owned())];
        let by_index = [
            fragment(Some(0), "1", "a", "{"),
            fragment(Some(0), "", "", "}"),
            fragment(Some(1), "2", "b", ""),
            fragment(Some(1), "", "", "{\"x\":1}"),
        ];
        assert_eq!(calls(&by_index).as_deref(), Ok(&two[..]));
        let by_id = [
            fragment(Some(0), "1", "a", "{}"),
            fragment(Some(0), "2", "b", "{\"x\""),
            fragment(Some(0), "2", "b", ":1}"),
        ];
        assert_eq!(calls(&by_id).as_deref(), Ok(&two[..]));
        let whole_without_ids = [fragment(None, "", "a", "{}"), fragment(None, "", "b", "{\"x\":1}")];
        assert_eq!(calls(&whole_without_ids).as_deref(), Ok(&two[..]));
        let without_arguments = [fragment(Some(0), "", "a", ""), fragment(Some(0), "", "b", "")];
        let expected = ["a", "b"].map(|name| (name.to_owned(), String::new()));
        assert_eq!(calls(&without_arguments).as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn late_fragments_and_calls_without_a_name_fail() {
        let late =
            [fragment(Some(0), "1", "a", "{"), fragment(Some(1), "2", "b", "{}"), fragment(Some(0), "", "", "}")];
        assert_eq!(calls(&late), Err(Failure::BrokenAnswer));
        assert_eq!(calls(&[fragment(Some(0), "1", "", "{}")]), Err(Failure::BrokenAnswer));
    }

    #[test]
    fn calls_and_arguments_are_limited() {
        let many: Vec<Value> = (0..=MAX_TOOL_CALLS as u64).map(|i| fragment(Some(i), "", "a", "{}")).collect();
        assert_eq!(calls(&many[1..]).map(|calls| calls.len()), Ok(MAX_TOOL_CALLS));
        assert_eq!(calls(&many), Err(Failure::BrokenAnswer));
        let long = fragment(Some(0), "", "a", &" ".repeat(MAX_ARGUMENT_BYTES + 1));
        assert_eq!(calls(&[long]), Err(Failure::BrokenAnswer));
    }

    #[test]
    fn ids_that_bedrock_refuses_or_that_repeat_are_replaced() {
        let mut grouped = ToolCalls::default();
        let mut ids = Vec::new();
        for (index, id) in ["call_1", "", "call 2", "call_1", &"x".repeat(65)].into_iter().enumerate() {
            let fragment = fragment(Some(index as u64), id, "a", "{}");
            let steps = grouped.push(0, &serde_json::from_value(fragment).unwrap()).unwrap();
            let CallStep::Start { id, .. } = &steps[0] else { panic!("{steps:?}") };
            ids.push(id.clone());
        }
        assert_eq!(ids[0], "call_1");
        assert!(ids[1..].iter().all(|id| id.starts_with("tooluse_") && id.len() == 30), "{ids:?}");
    }
}
