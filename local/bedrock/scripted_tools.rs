//! The steps in which the scripted model calls tools and names their results.
use super::{
    canned_text::{INTRODUCTION, limit_answer, shorten, split_tokens},
    request::{Message, ToolResult, Transcript},
    requested_calls::{RequestedCall, requested_steps},
    script::{Pace, Script, ScriptBuilder, new_tool_use_id},
    scripted_citations::SEARCH_TOOL,
};

const RESULT_CHARACTERS: usize = 400;

/// The calls that the question asks for, or an answer to their results. None if the question asks for no
/// calls, and for an answer from the passages of searches.
pub(super) fn script(transcript: &Transcript) -> Option<Script> {
    let (question, answer) = split_after_question(transcript)?;
    let steps_done = answer.iter().filter(|message| message.tool_uses().next().is_some()).count();
    let tool_names: Vec<&str> = transcript.tool_names().collect();
    match requested_steps(question, &tool_names).get(steps_done) {
        Some(calls) => Some(call_tools(calls, transcript)),
        None if has_only_searched(answer) => None,
        None => answer_to_results(transcript),
    }
}

fn has_only_searched(answer: &[Message]) -> bool {
    answer.iter().flat_map(Message::tool_uses).all(|call| call.name.as_deref() == Some(SEARCH_TOOL))
}

/// An answer that names each result since the question. None without results.
pub(super) fn answer_to_results(transcript: &Transcript) -> Option<Script> {
    let (_, answer) = split_after_question(transcript)?;
    let results = answer.iter().flat_map(Message::tool_results);
    let sentences: Vec<String> = results.map(|result| describe_result(result, answer)).collect();
    if sentences.is_empty() {
        return None;
    }
    let text = format!("{INTRODUCTION} {}", sentences.join(" "));
    let (tokens, reason) = limit_answer(&transcript.inference_config, &text);
    Some(ScriptBuilder::new(Pace::Natural).text(tokens).close_block().finish(reason, transcript))
}

/// The user's last text and the messages after it.
fn split_after_question(transcript: &Transcript) -> Option<(&str, &[Message])> {
    let (question, answer) = transcript.split_at_question()?;
    Some((question.last_text()?, answer))
}

fn call_tools(calls: &[RequestedCall], transcript: &Transcript) -> Script {
    let names: Vec<&str> = calls.iter().map(|call| call.name).collect();
    let text = format!("{INTRODUCTION} I call {}.", names.join(" and "));
    let mut script = ScriptBuilder::new(Pace::Natural).text(split_tokens(&text)).close_block();
    for call in calls {
        script = script.tool_call(&new_tool_use_id(), call.name, call.arguments);
    }
    script.finish("tool_use", transcript)
}

fn describe_result(result: &ToolResult, answer: &[Message]) -> String {
    let mut calls = answer.iter().flat_map(Message::tool_uses);
    let name = calls.find(|call| call.id() == result.id()).and_then(|call| call.name.as_deref()).unwrap_or("?");
    let contents: Vec<String> = result.content.iter().filter_map(|content| content.as_text()).collect();
    let content = shorten(&contents.join(" "), RESULT_CHARACTERS);
    match result.is_error() {
        true => format!("The tool {name} failed: {content}"),
        false => format!("The tool {name} returned: {content}"),
    }
}
