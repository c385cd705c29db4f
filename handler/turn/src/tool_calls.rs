//! The tool calls of one step, gathered from the model's stream.
use std::{collections::HashSet, sync::Arc};

use api::{
    json_size::json_size,
    types::{ToolStatus, ToolUse},
};
use serde::de::IgnoredAny;

use crate::{
    model::ToolOutput,
    tool::{CallAnswer, Tool},
};

/// The largest number of tool calls of a step. The model is told nothing of further calls.
pub const MAX_STEP_CALLS: usize = 32;
/// The largest size of a call's arguments, in JSON-escaped bytes. A call with more fails.
pub const MAX_INPUT_BYTES: usize = 48 * 1024;
/// The largest size of the arguments of all calls of a step together, which are stored in one event.
pub const MAX_STEP_INPUT_BYTES: usize = 120_000;

/// The arguments of a call whose own could not be used. They are no object, so a later attempt does not run
/// the call either. The transcript has an empty object in their place.
const NO_INPUT: &str = "null";
const INVALID_INPUT: &str = "The arguments are not a valid JSON object. The tool was not run.";

/// A tool call and whether it can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub tool_use: ToolUse,
    pub tool: Result<Arc<Tool>, Refusal>,
    /// `None` if the call was never answered, or needs no answer.
    pub answer: Option<CallAnswer>,
}

/// Why a call is not run. The text is for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl Refusal {
    pub const fn status() -> ToolStatus {
        ToolStatus::Failed
    }

    pub fn into_output(self) -> ToolOutput {
        ToolOutput::Text(self.0)
    }
}

/// Gathers the calls of a step while the model streams them.
#[derive(Debug, Default)]
pub struct CallCollector {
    calls: Vec<StreamedCall>,
}

#[derive(Debug)]
struct StreamedCall {
    block: u32,
    id: String,
    name: String,
    input: String,
    is_too_long: bool,
}

impl CallCollector {
    pub fn push_call(&mut self, block: u32, id: String, name: String) {
        if self.calls.len() < MAX_STEP_CALLS {
            self.calls.push(StreamedCall { block, id, name, input: String::new(), is_too_long: false });
        }
    }

    /// Appends a part of the arguments of the call in a content block.
    pub fn push_input(&mut self, block: u32, json: &str) {
        let Some(call) = self.calls.iter_mut().find(|call| call.block == block) else { return };
        call.is_too_long |= call.input.len() + json.len() > MAX_INPUT_BYTES;
        if !call.is_too_long {
            call.input.push_str(json);
        }
    }

    /// The calls of the step, which is complete. `id_prefix` makes the ids of calls whose own id cannot be
    /// used, because it is invalid or `taken` by a call of the transcript.
    pub fn take_calls(&mut self, tools: &[Tool], id_prefix: &str, mut taken: HashSet<String>) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        let mut room = MAX_STEP_INPUT_BYTES;
        for (index, mut streamed) in self.calls.drain(..).enumerate() {
            let input_bytes = json_size(&streamed.input);
            streamed.is_too_long |= input_bytes > room.min(MAX_INPUT_BYTES);
            if !streamed.is_too_long {
                room -= input_bytes;
            }
            let is_usable = is_valid_id(&streamed.id) && !taken.contains(&streamed.id);
            let id = if is_usable { streamed.id.clone() } else { free_id(id_prefix, index + 1, &taken) };
            taken.insert(id.clone());
            calls.push(call(streamed, id, tools));
        }
        calls
    }
}

/// The call of a stored event.
pub fn stored_call(tool_use: ToolUse, answer: Option<CallAnswer>, tools: &[Tool]) -> Call {
    let tool = find_tool(&tool_use.name, tools).and_then(|tool| match is_object(&tool_use.input) {
        true => Ok(tool),
        false => Err(Refusal(INVALID_INPUT.to_owned())),
    });
    Call { tool_use, tool, answer }
}

/// The first of `{prefix}-{number}`, `{prefix}-{number + 1}` … that is not taken.
fn free_id(prefix: &str, mut number: usize, taken: &HashSet<String>) -> String {
    loop {
        let id = format!("{prefix}-{number}");
        if !taken.contains(&id) {
            return id;
        }
        number += 1;
    }
}

fn call(streamed: StreamedCall, id: String, tools: &[Tool]) -> Call {
    let name = if is_valid_name(&streamed.name) { streamed.name } else { "invalid_name".to_owned() };
    let (input, input_refusal) = match check_input(streamed.input, streamed.is_too_long) {
        Ok(input) => (input, None),
        Err(refusal) => (NO_INPUT.to_owned(), Some(refusal)),
    };
    let tool = find_tool(&name, tools).and_then(|tool| input_refusal.map_or(Ok(tool), Err));
    let title = tool.as_ref().ok().and_then(|tool| tool.title.clone());
    Call { tool_use: ToolUse { id, name, title, input }, tool, answer: None }
}

/// A tool without arguments may be called with no text at all.
fn check_input(input: String, is_too_long: bool) -> Result<String, Refusal> {
    if is_too_long {
        return Err(Refusal("The arguments are too long. The tool was not run.".to_owned()));
    }
    if input.trim().is_empty() {
        return Ok("{}".to_owned());
    }
    if is_object(&input) { Ok(input) } else { Err(Refusal(INVALID_INPUT.to_owned())) }
}

fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

fn find_tool(name: &str, tools: &[Tool]) -> Result<Arc<Tool>, Refusal> {
    match tools.iter().find(|tool| tool.name == name) {
        Some(tool) => Ok(Arc::new(tool.clone())),
        None => Err(Refusal("There is no tool with this name.".to_owned())),
    }
}

/// Bedrock accepts ids of this form. The limit leaves room for a key that contains the id.
fn is_valid_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'))
}

fn is_valid_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{LambdaTool, ToolEffect, ToolTarget};

    fn tool() -> Tool {
        Tool {
            name: "order".into(),
            title: None,
            description: "Orders.".into(),
            input_schema: r#"{"type":"object"}"#.into(),
            effect: ToolEffect::Write,
            approval: None,
            target: ToolTarget::Lambda(LambdaTool { function_arn: "arn".into() }),
        }
    }

    #[test]
    fn call_with_unusable_arguments_is_refused_by_later_attempts_as_well() {
        let too_long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_INPUT_BYTES));
        for (input, is_run) in
            [(r#"{"a":1}"#, true), ("", true), ("{\"a\":", false), ("[1]", false), (&too_long, false)]
        {
            let mut collector = CallCollector::default();
            collector.push_call(0, "id1".into(), "order".into());
            collector.push_input(0, input);
            let call = collector.take_calls(&[tool()], "call-1-1", HashSet::new()).remove(0);
            let stored = stored_call(call.tool_use, None, &[tool()]);
            assert_eq!((call.tool.is_ok(), stored.tool.is_ok()), (is_run, is_run), "{}", stored.tool_use.input);
        }
    }

    #[test]
    fn calls_that_change_something_are_approved_by_default() {
        let status = |effect, approval| Tool { effect, approval, ..tool() }.pending_status();
        assert_eq!(status(ToolEffect::Write, None), Some(ToolStatus::ApprovalNeeded));
        assert_eq!(status(ToolEffect::Read, None), None);
    }
}
