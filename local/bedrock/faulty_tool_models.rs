//! Scripted models that call tools in ways that a backend must withstand. But for the endless one, they
//! answer the results of their calls.
use std::time::Duration;

use super::{
    canned_text::{INTRODUCTION, split_tokens},
    faulty_models::ScriptInput,
    script::{Pace, Script, ScriptBuilder, ScriptStep, new_tool_use_id},
    scripted_tools::answer_to_results,
};

const MANY_CALLS: usize = 40;
const LONG_BYTES: usize = 100_000;
/// The tool that is called if the request has none.
const DEFAULT_TOOL: &str = "forecast";
const BEGUN_ARGUMENTS: &str = r#"{"city": "Par"#;

pub(super) fn unknown(input: &ScriptInput) -> Script {
    call_unless_answered(input, |script| script.tool_call(&new_tool_use_id(), "no_such_tool", "{}"))
}

pub(super) fn no_json(input: &ScriptInput) -> Script {
    call_with_arguments(input, BEGUN_ARGUMENTS)
}

pub(super) fn list(input: &ScriptInput) -> Script {
    call_with_arguments(input, r#"["Paris"]"#)
}

pub(super) fn no_arguments(input: &ScriptInput) -> Script {
    call_with_arguments(input, "")
}

pub(super) fn long(input: &ScriptInput) -> Script {
    call_with_arguments(input, &format!(r#"{{"city":"{}"}}"#, "x".repeat(LONG_BYTES)))
}

pub(super) fn duplicate_id(input: &ScriptInput) -> Script {
    let id = new_tool_use_id();
    let call = |script: ScriptBuilder| script.tool_call(&id, first_tool(input), "{}");
    call_unless_answered(input, |script| call(call(script)))
}

pub(super) fn many(input: &ScriptInput) -> Script {
    let call = |script: ScriptBuilder, _| script.tool_call(&new_tool_use_id(), first_tool(input), "{}");
    call_unless_answered(input, |script| (0..MANY_CALLS).fold(script, call))
}

pub(super) fn no_call(input: &ScriptInput) -> Script {
    introduction().finish("tool_use", input.transcript)
}

pub(super) fn endless(input: &ScriptInput) -> Script {
    introduction().tool_call(&new_tool_use_id(), first_tool(input), "{}").finish("tool_use", input.transcript)
}

pub(super) fn cut(input: &ScriptInput) -> Script {
    begun_call(input).end_with(ScriptStep::Disconnect)
}

pub(super) fn max_tokens(input: &ScriptInput) -> Script {
    begun_call(input).close_block().finish("max_tokens", input.transcript)
}

pub(super) fn malformed(input: &ScriptInput) -> Script {
    introduction().finish("malformed_tool_use", input.transcript)
}

fn call_with_arguments(input: &ScriptInput, arguments: &str) -> Script {
    call_unless_answered(input, |script| script.tool_call(&new_tool_use_id(), first_tool(input), arguments))
}

/// A step with calls, or the answer to their results.
fn call_unless_answered(input: &ScriptInput, add_calls: impl FnOnce(ScriptBuilder) -> ScriptBuilder) -> Script {
    answer_to_results(input.transcript)
        .unwrap_or_else(|| add_calls(introduction()).finish("tool_use", input.transcript))
}

fn introduction() -> ScriptBuilder {
    ScriptBuilder::new(Pace::Every(Duration::from_millis(1))).text(split_tokens(INTRODUCTION)).close_block()
}

/// A call whose arguments are not complete.
fn begun_call(input: &ScriptInput) -> ScriptBuilder {
    let script = introduction().tool_use(&new_tool_use_id(), first_tool(input));
    script.tool_input_start().tool_input(BEGUN_ARGUMENTS)
}

fn first_tool<'a>(input: &'a ScriptInput) -> &'a str {
    input.transcript.tool_names().next().unwrap_or(DEFAULT_TOOL)
}
