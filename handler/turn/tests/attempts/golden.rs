//! Golden timelines: each file in tests/golden is a script, a line of dashes and the expected effects of the
//! attempt. `UPDATE_EXPECT=1` rewrites the second half.
use std::{
    collections::{HashMap, VecDeque},
    env,
    fmt::Write as _,
    fs,
    path::Path,
    time::Duration,
};

use api::types::{Citation, ContentBlock, GuardrailIntervention, Reasoning, ToolCall, ToolUse, Usage};
use serde::Serialize;
use serde_json::Value;
use turn::{
    direct_write::DirectWrite,
    effect::{AttemptEnd, Effect},
    limits::Limits,
    model::{ModelRequest, SearchResult, StreamEvent, ToolOutput, TranscriptBlock, TranscriptMessage},
    mutation::{AgentEvent, Author, BlockKind, EndReason, Mutation, Update},
    replies::{Listener, MessageKind, ReplyFailure, ReplyMessage, ReplyTo},
};

use crate::{
    received_text::ReceivedText,
    script::{ModelStep, Script, Scripted},
    simulation::{ReceivedDelta, Timeline, simulate},
};

const GOLDEN_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
const DIVIDER: &str = "---\n";
/// A longer text is printed as its two ends.
const PRINTED_CHARS: usize = 60;

#[test]
fn timelines_match_their_golden_files() {
    let mut paths: Vec<_> = fs::read_dir(GOLDEN_FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 25, "only {} files in {GOLDEN_FOLDER}", paths.len());
    let failures: Vec<_> = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whatever becomes of replies, everything else happens as without them.
#[test]
fn replies_change_no_other_effect() {
    let paths = fs::read_dir(GOLDEN_FOLDER).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let text = fs::read_to_string(&path).unwrap();
        let script = || Script::parse(text.split(DIVIDER).next().unwrap());
        let without = simulate(Script { reply_to: None, ..script() });
        let never = VecDeque::from([None]);
        let retryable = Some(Scripted { result: Err(ReplyFailure::Retryable), latency: None });
        let all_results = [never, VecDeque::new(), VecDeque::from(vec![retryable; 9])];
        for (reply_results, stream) in
            all_results.into_iter().flat_map(|results| [(results.clone(), true), (results, false)])
        {
            let listener = Listener::Events("/chat/responses/u1".into());
            let reply_to = Some(ReplyTo { listener, stream, request_id: None, participant_id: None });
            let with = simulate(Script { reply_to, reply_results, ..script() });
            let printed = |timeline: &Timeline| {
                let others = timeline.effects.iter().filter(|(_, effect)| !matches!(effect, Effect::SendReplies(_)));
                others.map(|(at, effect)| print_effect(*at, effect)).collect::<String>()
            };
            assert_eq!(printed(&with), printed(&without), "{}", path.display());
            assert_eq!(with.end, without.end);
        }
    }
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap();
    let (script_text, expected) = text.split_once(DIVIDER).unwrap_or((&text, ""));
    let script = Script::parse(script_text);
    let limits = script.limits;
    let model_text = model_text(&script);
    let timeline = simulate(script);
    check_invariants(&timeline, &limits, &model_text)
        .map_err(|invariant| format!("{}: broken: {invariant}", path.display()))?;
    let mut actual: String = timeline.effects.iter().map(|(at, effect)| print_effect(*at, effect)).collect();
    if timeline.skipped_replies > 0 {
        writeln!(actual, "replies skipped: {}", timeline.skipped_replies).unwrap();
    }
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, format!("{}\n\n{DIVIDER}{actual}", script_text.trim_end())).unwrap();
    } else if actual != expected {
        return Err(format!("{}\nexpected:\n{expected}\nactual:\n{actual}", path.display()));
    }
    Ok(())
}

/// All text of the script's model streams.
fn model_text(script: &Script) -> String {
    // The text of a query is no part of the answer.
    let query_calls = usize::from(script.writes_query());
    let deltas = script.model_calls.iter().skip(query_calls).flatten().filter_map(|(_, step)| match step {
        ModelStep::Event(StreamEvent::Text { text, .. }) => Some(text.as_str()),
        _ => None,
    });
    deltas.collect()
}

/// Returns the invariant that the timeline breaks.
fn check_invariants(timeline: &Timeline, limits: &Limits, model_text: &str) -> Result<(), &'static str> {
    let mut sent: HashMap<u32, &Mutation> = HashMap::new();
    let mut received = ReceivedText::default();
    // Text with native citations is one block in each step: in the scripts, block 0.
    let has_passages = timeline.effects.iter().any(|(_, effect)| match effect {
        Effect::Retrieve(_) => true,
        Effect::CallModel(request) => request.transcript.iter().flat_map(|message| &message.content).any(is_found),
        _ => false,
    });
    let block = |delta: &ReceivedDelta| if has_passages { 0 } else { delta.block };
    timeline.deltas.iter().for_each(|delta| received.push_delta(block(delta), &delta.text));
    check_citations(timeline)?;
    for mutation in mutations(timeline) {
        let newest = sent.len() as u32;
        if let Some(first) = sent.get(&mutation.sequence) {
            ensure(*first == mutation && mutation.sequence == newest, "the content of a sequence never changes")?;
            continue;
        }
        ensure(mutation.sequence == newest + 1, "sequences have no gaps")?;
        sent.insert(mutation.sequence, mutation);
        match &mutation.update {
            Update::Started { .. } | Update::Note(_) | Update::ToolProgress(_) | Update::Stored(_) => {}
            Update::Waiting(_) | Update::CallAnswered(_) => {}
            Update::Batch(batch) => {
                ensure(json_len(&batch.text) <= limits.batch_max_bytes, "batches are bounded")?;
                if batch.kind == BlockKind::Text {
                    received.push_batch(batch)?;
                }
            }
            Update::Event(event) => {
                ensure(event_size(&event.content) <= limits.event_max_bytes, "events are bounded")?;
                if event.guardrail.is_some() {
                    // The guardrail's text is in place of what was received.
                    return Ok(());
                }
                received.push_event(&event.content)?;
            }
        }
    }
    let received_text: String = timeline.deltas.iter().map(|delta| delta.text.as_str()).collect();
    ensure(model_text.starts_with(&received_text), "the simulation follows the script")?;
    let is_stored = received.is_all_stored();
    ensure(timeline.end != AttemptEnd::Published || is_stored, "all received text is stored, byte for byte")
}

/// Every citation is at a place in its text, in order, and those of batches are those of the event.
fn check_citations(timeline: &Timeline) -> Result<(), &'static str> {
    let mut published: HashMap<u32, Vec<&Citation>> = HashMap::new();
    let mut seen = 0;
    for mutation in mutations(timeline) {
        if mutation.sequence <= seen {
            continue;
        }
        seen = mutation.sequence;
        match &mutation.update {
            Update::Batch(batch) => published.entry(batch.block).or_default().extend(&batch.citations),
            Update::Event(event) => {
                for block in &event.content {
                    let citations = block.citations.as_deref().unwrap_or_default();
                    let length = block.text.as_deref().unwrap_or_default().encode_utf16().count();
                    let is_inside =
                        |citation: &Citation| citation.start < citation.end && citation.end as usize <= length;
                    ensure(citations.iter().all(is_inside), "citations are inside of their text")?;
                    ensure(citations.is_sorted_by_key(|citation| citation.end), "citations are in order")?;
                }
                let stored: Vec<&Citation> =
                    event.content.iter().flat_map(|block| &block.citations).flatten().collect();
                let mut batches = published.drain().flat_map(|(_, citations)| citations);
                ensure(
                    batches.all(|citation| stored.contains(&citation)),
                    "an event has the citations of its batches",
                )?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn ensure(holds: bool, invariant: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(invariant) }
}

/// All mutations of a timeline, published or written directly.
fn mutations(timeline: &Timeline) -> impl Iterator<Item = &Mutation> {
    timeline.effects.iter().filter_map(|(_, effect)| match effect {
        Effect::Publish(mutation) | Effect::Write(DirectWrite::StoreEvent(mutation)) => Some(mutation.as_ref()),
        Effect::Retrieve(_)
        | Effect::StopRetrieval
        | Effect::CallModel(_)
        | Effect::CloseModelStream
        | Effect::RunTool(_)
        | Effect::StopTools
        | Effect::Write(DirectWrite::RenewLease(_))
        | Effect::SendReplies(_)
        | Effect::End(_) => None,
    })
}

pub fn join_text(content: &[ContentBlock]) -> String {
    content.iter().filter_map(|block| block.text.as_deref()).collect()
}

pub fn json_len(text: &str) -> usize {
    serde_json::to_string(text).unwrap().len() - 2
}

fn print_effect(at: Duration, effect: &Effect) -> String {
    let printed = match effect {
        Effect::Retrieve(request) => format!("search for {:?}", request.query),
        Effect::StopRetrieval => "stop search".into(),
        Effect::CallModel(request) => print_call(request),
        Effect::CloseModelStream => "close model stream".into(),
        Effect::RunTool(run) => format!("run {} of the event at {}", print_tool_use(&run.tool_use), run.position),
        Effect::StopTools => "stop tools".into(),
        Effect::Publish(mutation) => format!("publish #{} {}", mutation.sequence, print_update(&mutation.update)),
        Effect::Write(DirectWrite::RenewLease(_)) => "renew lease".into(),
        Effect::Write(DirectWrite::StoreEvent(event)) => {
            format!("write #{} {}", event.sequence, print_update(&event.update))
        }
        Effect::SendReplies(request) => {
            format!("replies {}", request.messages.iter().map(print_message_to_client).collect::<Vec<_>>().join(", "))
        }
        Effect::End(end) => format!("end: {end:?}"),
    };
    format!("{:>6} {printed}\n", at.as_millis())
}

fn print_message_to_client(message: &ReplyMessage) -> String {
    let sequence = message.sequence;
    match message.kind {
        MessageKind::Delta => format!("#{sequence}"),
        MessageKind::Reference => format!("reference to #{sequence}"),
        MessageKind::Answer => print_answer(&serde_json::from_str(&message.text).unwrap()),
    }
}

fn print_answer(answer: &Value) -> String {
    let text = answer["message"].as_str().or(answer["result"]["text"].as_str()).unwrap();
    let status = answer["status"].as_str().unwrap();
    let mut printed = format!("answer #{} {status}: {}", answer["sequence"], print_text(text));
    if let Some(part) = answer["part"].as_u64() {
        write!(printed, ", part {part} of {}", answer["parts"]).unwrap();
    }
    for citation in answer["citations"].as_array().into_iter().flatten() {
        let citation: Citation = serde_json::from_value(citation.clone()).unwrap();
        printed.push_str(&print_citation(&citation));
    }
    if let Some(code) = answer["failure"]["code"].as_str() {
        write!(printed, ", failure {code}").unwrap();
    }
    for call in answer["pending"].as_array().into_iter().flatten() {
        let call: ToolCall = serde_json::from_value(call.clone()).unwrap();
        write!(printed, ", {}", print_call_state(&call)).unwrap();
    }
    printed
}

fn print_update(update: &Update) -> String {
    match update {
        Update::Started { question, continues } => {
            let continues = if *continues { ", continues" } else { "" };
            format!("started, question {} at {}{continues}", question.id, question.position)
        }
        Update::Note(note) => format!("note {}: {:?}", enum_name(note.0), note.text()),
        Update::Batch(batch) => {
            let citations: String = batch.citations.iter().map(print_citation).collect();
            let kind = if batch.kind == BlockKind::Reasoning { "reasoning of" } else { "of" };
            format!("batch {kind} block {}: {}{citations}", batch.block, print_text(&batch.text))
        }
        Update::ToolProgress(call) => format!("tool call {}", print_call_state(call)),
        Update::CallAnswered(call) => format!("answered tool call {}", print_call_state(call)),
        Update::Waiting(wait) => {
            let calls: Vec<_> = wait.calls.iter().map(print_call_state).collect();
            format!("waiting for {} of the event at {}", calls.join(", "), wait.position)
        }
        Update::Event(event) => print_event(event),
        Update::Stored(event) => {
            format!("stored event {} at {}, {}", event.id, event.position, enum_name(event.status))
        }
    }
}

fn print_call_state(call: &ToolCall) -> String {
    format!("{} {}", call.id, enum_name(call.status))
}

fn print_event(event: &AgentEvent) -> String {
    let blocks: Vec<_> = event.content.iter().map(print_block).collect();
    let status = enum_name(event.status());
    let author = match event.author {
        Author::Agent => "event",
        Author::Tools => "results",
    };
    let mut printed = format!("{author} {} at {}, {status}: [{}]", event.id, event.position, blocks.join(", "));
    if let Some(usage) = event.step_usage {
        write!(printed, ", {}", print_usage(usage)).unwrap();
    }
    if event.model_id != event.agent.model_id {
        write!(printed, ", by {}", event.model_id).unwrap();
    }
    let Some(end) = event.end else { return printed };
    match end.reason {
        EndReason::Stopped(reason) => write!(printed, ", stop {}", enum_name(reason)).unwrap(),
        EndReason::Failed(failure) => {
            let retryable = if failure.retryable { "retryable" } else { "not retryable" };
            write!(printed, ", failure {}, {retryable}", enum_name(failure.code)).unwrap();
        }
    }
    if let Some(usage) = end.usage {
        write!(printed, ", {}", print_usage(usage)).unwrap();
    }
    if let Some(GuardrailIntervention { source, policies }) = &event.guardrail {
        let source = source.map_or("unknown".to_owned(), enum_name);
        let policies: Vec<_> = policies.iter().map(enum_name).collect();
        write!(printed, ", guardrail on {source}: {}", policies.join(", ")).unwrap();
    }
    printed
}

fn print_usage(usage: Usage) -> String {
    let mut printed = format!("usage {}+{}={}", usage.input_tokens, usage.output_tokens, usage.total_tokens);
    if let (Some(read), Some(write)) = (usage.cache_read_tokens, usage.cache_write_tokens) {
        write!(printed, ", cache {read}/{write}").unwrap();
    }
    printed
}

/// The transcript is printed if tools have added to it.
fn print_call(request: &ModelRequest) -> String {
    let messages: Vec<_> = request.transcript.iter().map(print_message).collect();
    let is_fallback = request.model_id.starts_with("fallback.");
    let model = is_fallback.then(|| request.model_id.clone());
    let words = ["call model".to_owned()].into_iter().chain(model).chain(messages);
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn print_message(message: &TranscriptMessage) -> String {
    let blocks = message.content.iter().map(|block| match block {
        TranscriptBlock::Text(text) => print_text(text),
        TranscriptBlock::Reasoning(reasoning) => print_reasoning(reasoning),
        TranscriptBlock::SearchResult(result) => print_search_result(result),
        TranscriptBlock::ToolUse(tool_use) => print_tool_use(tool_use),
        TranscriptBlock::ToolResult { tool_use_id, is_error, output } => {
            let error = if *is_error { "error " } else { "" };
            let (ToolOutput::Json(output) | ToolOutput::Text(output)) = output;
            format!("{error}result of {tool_use_id} {}", print_text(output))
        }
        TranscriptBlock::FoundSearchResults { tool_use_id, results } => {
            let results: Vec<_> = results.iter().map(print_search_result).collect();
            format!("result of {tool_use_id} {}", results.join(" and "))
        }
    });
    format!("{:?}[{}]", message.role, blocks.collect::<Vec<_>>().join(", "))
}

fn print_search_result(result: &SearchResult) -> String {
    format!("search result {} {}", result.source, print_text(&result.text))
}

fn is_found(block: &TranscriptBlock) -> bool {
    matches!(block, TranscriptBlock::FoundSearchResults { .. })
}

fn print_block(block: &ContentBlock) -> String {
    match block {
        ContentBlock { tool_use: Some(tool_use), .. } => print_tool_use(tool_use),
        ContentBlock { reasoning: Some(reasoning), .. } => print_reasoning(reasoning),
        ContentBlock { tool_result: Some(result), .. } => {
            let output = result.json.as_deref().or(result.text.as_deref()).unwrap_or_default();
            let truncated = if result.truncated == Some(true) { " truncated" } else { "" };
            format!("{} {}{truncated} {}", result.tool_use_id, enum_name(result.status), print_text(output))
        }
        ContentBlock { text, citations, .. } => {
            let citations: String = citations.iter().flatten().map(print_citation).collect();
            format!("{}{citations}", print_text(text.as_deref().unwrap_or_default()))
        }
    }
}

fn print_reasoning(Reasoning { text, milliseconds, signature, redacted }: &Reasoning) -> String {
    let mut printed = format!("reasoning {}", print_text(text));
    if let Some(milliseconds) = milliseconds {
        write!(printed, " for {milliseconds} ms").unwrap();
    }
    for (name, value) in [("signed", signature), ("redacted", redacted)] {
        if let Some(value) = value {
            write!(printed, " {name} {}", print_text(value)).unwrap();
        }
    }
    printed
}

fn print_citation(citation: &Citation) -> String {
    format!(" {}..{} cites {} {}", citation.start, citation.end, citation.number, citation.title)
}

fn print_tool_use(tool_use: &ToolUse) -> String {
    format!("{}({}) as {}", tool_use.name, print_text(&tool_use.input), tool_use.id)
}

/// The JSON size of what an event carries. An update has the text twice.
pub fn event_size(content: &[ContentBlock]) -> usize {
    let calls = content.iter().filter_map(|block| block.tool_use.as_ref()).map(|call| json_len(&call.input));
    let results = content.iter().filter_map(|block| block.tool_result.as_ref());
    let results = results.flat_map(|result| [&result.json, &result.text]).flatten().map(|text| json_len(text));
    let citations =
        content.iter().flat_map(|block| &block.citations).map(|list| serde_json::to_string(list).unwrap().len());
    2 * json_len(&join_text(content)) + citations.sum::<usize>() + calls.sum::<usize>() + results.sum::<usize>()
}

fn enum_name(value: impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn print_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= PRINTED_CHARS {
        return format!("{text:?}");
    }
    let start: String = chars[..20].iter().collect();
    let end: String = chars[chars.len() - 20..].iter().collect();
    format!("{start:?}…{end:?} ({} bytes)", text.len())
}
