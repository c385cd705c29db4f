//! A simulated model: a random answer to each request, with random failures.
use std::{future::pending, sync::Arc, time::Duration};

use api::types::{FailureCode, StopReason, Usage};
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;
use turn::model::{ModelError, ModelRequest, ModelStop, StreamEvent, TranscriptBlock};

use super::{
    citations::{RequestedPassages, is_one_block, search_tool},
    invocation,
};
use crate::{
    checker::Violation, environment::Environment, knowledge::QUERY_MODEL, long_run::LongRun, rng::Rng,
    tools::SimulatedTool,
};

/// Texts that are easily damaged: joined emoji, line ends, right-to-left text, combining marks, control
/// characters.
const TEXTS: [&str; 12] =
    ["Hello", " ", "👩‍👩‍👧", "\r\n", "שלום", "e\u{301}", "\u{1}\u{0}", "\"\\", "…and more", "日本語", "x", "\t\u{2028}"];

const USAGE: Usage =
    Usage { input_tokens: 3, output_tokens: 5, total_tokens: 8, cache_read_tokens: None, cache_write_tokens: None };

/// A response of the model.
struct Script {
    /// Each event with the pause before it.
    events: Vec<(Duration, ModelEvent)>,
    end: StreamEnd,
}

type ModelEvent = Result<StreamEvent, ModelError>;

impl Script {
    fn refusal_of_search_results(rng: &mut Rng) -> Self {
        let events = vec![(rng.milliseconds(1..500), Err(ModelError::SearchResultsRefused))];
        Self { events, end: StreamEnd::Closed }
    }
}

#[derive(Clone, Copy)]
enum StreamEnd {
    Closed,
    /// The stream stays open without further events.
    Silent,
}

/// Returns the index of the recorded model call, and its stream. Text is recorded when the handler receives
/// it.
pub fn converse(
    environment: Arc<Environment>,
    request: &Arc<ModelRequest>,
) -> (usize, impl Stream<Item = ModelEvent> + Send + use<>) {
    let call = environment.with_recorder(|recorder| recorder.record_model_call(&environment, request));
    let passages = RequestedPassages::of(request);
    let refuses_search_results = environment.agent.knowledge.is_some_and(|knowledge| knowledge.refuses_search_results);
    let Script { events, end } = environment.with_rng(|rng| match environment.long_run {
        Some(long_run) => long_script(rng, long_run, call),
        None if refuses_search_results && passages.has_search_results() => Script::refusal_of_search_results(rng),
        None if !request.tools.is_empty() && rng.percent(environment.agent.steps) => {
            step_script(rng, request, &passages, call)
        }
        None => random_script(rng, &passages, call),
    });
    let (is_query, is_one_block) = (request.model_id == QUERY_MODEL, is_one_block(request));
    environment.trace(|| format!("model call {call}: {} events", events.len()));
    let (caller, request) = (Arc::clone(&environment), Arc::clone(request));
    let open = stream::once(async move {
        check_request(&caller, request).await;
        invocation::pass_fault_point(&caller, "the model").await;
    });
    let events = stream::iter(events).then(async |(pause, event)| {
        sleep(pause).await;
        event
    });
    let silence = stream::once(async move {
        if let StreamEnd::Silent = end {
            pending::<()>().await;
        }
    });
    let stream = open.filter_map(async |()| None).chain(events).chain(silence.filter_map(async |()| None));
    let stream = stream.inspect(move |event| {
        if let Ok(StreamEvent::Text { block, text }) = event
            && !is_query
        {
            let delta = (if is_one_block { 0 } else { *block }, text.clone());
            environment.with_recorder(|recorder| recorder.model_calls[call].received_deltas.push(delta));
        }
    });
    (call, stream.boxed())
}

/// 8 and 13: Bedrock takes every request of a run with tools. The messages about calls and their results name
/// them.
pub async fn check_request(environment: &Environment, request: Arc<ModelRequest>) {
    if !environment.agent.has_tools {
        return;
    }
    if let Some(refusal) = environment.fixture.request_bodies.refusal(request).await {
        let invariant = if refusal.contains("tool") { 13 } else { 8 };
        let violation = Violation::new(invariant, format!("Bedrock refuses a request: {refusal}"));
        environment.with_recorder(|recorder| recorder.violations.push(violation));
    }
}

/// A step with tool calls, some of which cannot be run, and some of which break off.
fn step_script(rng: &mut Rng, request: &ModelRequest, passages: &RequestedPassages, call: usize) -> Script {
    let mut events: Vec<(Duration, ModelEvent)> = vec![(rng.milliseconds(5..300), Ok(StreamEvent::Other))];
    let mut block = 0;
    if rng.percent(60) {
        events.push((Duration::ZERO, Ok(StreamEvent::Text { block, text: format!("«{call}»") })));
        for _ in 0..rng.below(6) {
            let text = random_text(rng);
            events.push((rng.milliseconds(0..60), Ok(StreamEvent::Text { block, text })));
            for event in passages.random_events(rng, &mut block) {
                events.push((rng.milliseconds(0..60), Ok(event)));
            }
        }
        block += 1;
    }
    for number in 0..rng.within(0..5) {
        let (id, name) = (random_call_id(rng, request, call, number), random_tool_name(rng));
        let search = search_tool(request).filter(|_| rng.percent(50));
        let name = search.unwrap_or(name).to_owned();
        events.push((rng.milliseconds(0..20), Ok(StreamEvent::ToolUse { block, id, name })));
        for json in if search.is_some() { random_query(rng) } else { random_input(rng) } {
            events.push((rng.milliseconds(0..20), Ok(StreamEvent::ToolInput { block, json })));
        }
        block += 1;
    }
    let end = push_step_end(rng, &mut events);
    Script { events, end }
}

/// Unique, but for a few that the transcript or the step has already.
fn random_call_id(rng: &mut Rng, request: &ModelRequest, call: usize, number: u64) -> String {
    let ids = request.transcript.iter().flat_map(|message| &message.content).filter_map(|block| match block {
        TranscriptBlock::ToolUse(tool_use) => Some(tool_use.id.as_str()),
        TranscriptBlock::Text(_)
        | TranscriptBlock::Reasoning(_)
        | TranscriptBlock::SearchResult(_)
        | TranscriptBlock::ToolResult { .. }
        | TranscriptBlock::FoundSearchResults { .. } => None,
    });
    let ids: Vec<&str> = ids.collect();
    match rng.below(100) {
        0..3 if !ids.is_empty() => rng.choose(&ids).to_owned(),
        3..5 => format!("tooluse_{call}_0"),
        5..7 => "not an id".to_owned(),
        _ => format!("tooluse_{call}_{number}"),
    }
}

fn random_tool_name(rng: &mut Rng) -> &'static str {
    match rng.below(100) {
        0..35 => SimulatedTool::Look.name(),
        35..70 => SimulatedTool::Change.name(),
        70..85 => SimulatedTool::ApprovedChange.name(),
        85..95 => SimulatedTool::Client.name(),
        _ => "unknown_tool",
    }
}

/// The parts of a call's arguments. Some are no JSON, and some are none at all.
fn random_input(rng: &mut Rng) -> Vec<String> {
    let number = rng.below(100);
    let parts: &[&str] = match rng.below(100) {
        0..4 => &["", "{\"n\":"],
        4..12 => &[""],
        _ => &["", "{\"n\"", ":"],
    };
    let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    if parts.len() == 3 {
        parts.push(format!("{number}}}"));
    }
    parts
}

/// Some have no query.
fn random_query(rng: &mut Rng) -> Vec<String> {
    let parts = if rng.percent(8) { vec!["{\"n\":1}"] } else { vec!["", "{\"query\": \"", "So?\"}"] };
    parts.into_iter().map(str::to_owned).collect()
}

/// Most steps end with the order to run their tools; some stop for another reason, break off, or fall silent.
fn push_step_end(rng: &mut Rng, events: &mut Vec<(Duration, ModelEvent)>) -> StreamEnd {
    let pause = rng.milliseconds(0..50);
    let stop = |stop| Ok(StreamEvent::MessageStop(stop));
    match rng.below(100) {
        0..2 => events.push((pause, Err(ModelError::Failed(FailureCode::ModelUnavailable)))),
        2..4 => {}
        4 => return StreamEnd::Silent,
        5..8 => events.push((pause, stop(ModelStop::Answered(StopReason::MaxTokens)))),
        8..10 => events.push((pause, stop(ModelStop::Answered(StopReason::EndTurn)))),
        10..12 => events.push((pause, stop(ModelStop::Answered(StopReason::MalformedOutput)))),
        _ => {
            events.push((pause, stop(ModelStop::ToolUse)));
            events.push((pause, Ok(StreamEvent::Usage(USAGE))));
        }
    }
    StreamEnd::Closed
}

/// A text answer begins with the number of its call, so that no two answers are equal.
fn random_script(rng: &mut Rng, passages: &RequestedPassages, call: usize) -> Script {
    let kind = rng.below(100);
    if kind < 6 {
        return random_refusal(rng);
    }
    let (min_pause_ms, max_pause_ms) = rng.choose(&[(0, 1), (5, 30), (5, 30), (100, 400), (2_000, 9_000)]);
    let deltas = match rng.below(40) {
        0 if max_pause_ms <= 30 => rng.within(200..400),
        1..6 if max_pause_ms <= 400 => rng.within(20..60),
        _ => rng.within(1..10),
    };
    let mut events = Vec::new();
    let mut push = |rng: &mut Rng, event| events.push((rng.milliseconds(min_pause_ms..max_pause_ms), Ok(event)));
    push(rng, StreamEvent::Other);
    if kind >= 10 {
        push(rng, StreamEvent::Text { block: 0, text: format!("«{call}»") });
        let mut block = 0;
        for _ in 0..deltas {
            block += u32::from(rng.percent(3));
            let text = random_text(rng);
            push(rng, StreamEvent::Text { block, text });
            for event in passages.random_events(rng, &mut block) {
                push(rng, event);
            }
        }
    }
    let end = push_end(rng, &mut events, kind);
    Script { events, end }
}

/// In the first call of a long run, the answer that reaches the bound; afterwards answers are short.
fn long_script(rng: &mut Rng, long_run: LongRun, call: usize) -> Script {
    let is_long = call == 0 || matches!(long_run, LongRun::Continues(_) | LongRun::Turns(_));
    if !is_long {
        return random_script(rng, &RequestedPassages::none(), call);
    }
    let mut events = vec![(Duration::ZERO, Ok(StreamEvent::Text { block: 0, text: format!("«{call}»") }))];
    for (block, text) in long_run.deltas(rng) {
        events.push((long_run.pause_between_deltas(rng), Ok(StreamEvent::Text { block, text })));
    }
    if long_run.updates_before_death().is_some() {
        // Slow publishes catch up while the stream stays open.
        return Script { events, end: StreamEnd::Silent };
    }
    events.push((Duration::ZERO, Ok(StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)))));
    Script { events, end: StreamEnd::Closed }
}

fn push_end(rng: &mut Rng, events: &mut Vec<(Duration, ModelEvent)>, kind: u64) -> StreamEnd {
    let pause = rng.milliseconds(0..50);
    let reasons = [StopReason::EndTurn, StopReason::EndTurn, StopReason::MaxTokens, StopReason::StopSequence];
    let message_stop = StreamEvent::MessageStop(ModelStop::Answered(rng.choose(&reasons)));
    match kind {
        10..14 => events.push((pause, Err(ModelError::Failed(FailureCode::ModelUnavailable)))),
        14..16 => events.push((pause, Err(ModelError::ThrottledBriefly))),
        16..19 => {}
        19..22 => return StreamEnd::Silent,
        22..25 => events.push((pause, Ok(message_stop))),
        25..27 => {
            events.push((pause, Ok(message_stop)));
            return StreamEnd::Silent;
        }
        _ => {
            events.push((pause, Ok(message_stop)));
            events.push((pause, Ok(StreamEvent::Usage(USAGE))));
        }
    }
    StreamEnd::Closed
}

/// A failure before the first event, or no event at all.
fn random_refusal(rng: &mut Rng) -> Script {
    let error = rng.choose(&[
        ModelError::ThrottledBriefly,
        ModelError::ThrottledBriefly,
        ModelError::ThrottledBriefly,
        ModelError::Failed(FailureCode::Throttled),
        ModelError::Failed(FailureCode::ModelUnavailable),
        ModelError::Failed(FailureCode::ModelRefused),
    ]);
    if rng.percent(20) {
        return Script { events: Vec::new(), end: StreamEnd::Silent };
    }
    Script { events: vec![(rng.milliseconds(1..500), Err(error))], end: StreamEnd::Closed }
}

pub fn random_text(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.within(1..5) {
        text.push_str(rng.choose(&TEXTS));
    }
    if rng.per_mille(5) { text.repeat(200) } else { text }
}
