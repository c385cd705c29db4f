//! Checks invariants 12 and 13: a tool that changes something runs at most once per call, and every call has
//! exactly one result.
use std::{collections::BTreeMap, fmt, ops::AddAssign, sync::Arc};

use api::types::{ConversationEvent, Sender, SenderKind, ToolResult, ToolStatus, ToolUse};
use serde::Deserialize;
use serde_json::{Value, json};
use turn::{
    knowledge::Passage,
    knowledge_tool::{SEARCH_TOOL_NAME, passages_of_result},
    model::{ModelRequest, ToolOutput, TranscriptBlock},
    request::Agent,
    transcript::{TranscriptInput, build_transcript},
};

use crate::{
    aws::{bedrock::check_request, citations::is_search_result},
    checker::Violation,
    environment::Environment,
    observations::Observations,
    tools::{CallId, Executions, SimulatedTool},
    users::{Answer, CallAnswers},
};

/// The start of the text in place of a result that was never stored, by `turn::transcript`.
const UNKNOWN_RESULT: &str = "The result of this call is not known";
/// The result of a call that waits while the user sends another message, by
/// resolvers/turns/prepareClosingEvent.js.
const MESSAGE_INSTEAD: &str = "The user sent a new message instead of answering.";

/// The calls of a run, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCounts {
    pub runs_with_tools: u64,
    /// Stored calls of tools that change something.
    pub changing_calls: u64,
    pub claimed: u64,
    pub executed: u64,
    /// Claimed, and the outcome is stored.
    pub done: u64,
    /// The results of all calls.
    pub results: BTreeMap<String, u64>,
    /// Of calls that change something.
    pub unknown: u64,
}

/// A call with its results, of a turn that is not deleted.
struct StoredCall<'a> {
    id: CallId,
    tool_use: ToolUse,
    results: Vec<ToolResult>,
    executions: Option<&'a Executions>,
    answers: Option<&'a CallAnswers>,
    /// What searches have found.
    passages: &'a [Passage],
}

pub fn check(observations: &Observations) -> Vec<Violation> {
    if !observations.has_tools {
        return Vec::new();
    }
    let mut violations = check_effects(observations);
    let events = stored_events(&observations.items);
    let turns = observations.items.iter().filter(|item| is_turn(item));
    for turn in turns {
        violations.extend(check_turn(turn, &events, observations));
    }
    violations.extend(check_transcripts(observations, &events));
    violations
}

/// 12, whatever is stored: a call of a tool that changes something has one effect at most, and none unless a
/// user has approved it. A client's tool is never run.
fn check_effects(observations: &Observations) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (call, executions) in &observations.tool_counters {
        let Some(tool) = SimulatedTool::named(&executions.tool) else { continue };
        if tool.changes_something() && executions.count > 1 {
            violations.push(Violation::new(12, format!("{call:?} was executed {} times", executions.count)));
        }
        let answers = observations.tool_answers.get(&(call.turn_id.clone(), call.tool_use_id.clone()));
        let sent = answers.map_or(&[][..], |answers| &answers.sent);
        if tool == SimulatedTool::ApprovedChange && !sent.contains(&Answer::Approval) {
            violations.push(Violation::new(12, format!("{call:?} was executed and nobody has approved it")));
        }
        if tool == SimulatedTool::Client {
            violations.push(Violation::new(12, format!("{call:?} of a client's tool was executed")));
        }
    }
    for ((turn_id, id), answers) in &observations.tool_answers {
        if answers.accepted.windows(2).any(|pair| pair[0] != pair[1]) {
            let accepted = &answers.accepted;
            violations.push(Violation::new(12, format!("different answers to {id} of {turn_id}: {accepted:?}")));
        }
    }
    violations
}

fn check_turn(turn: &Value, events: &[ConversationEvent], observations: &Observations) -> Vec<Violation> {
    let turn_id = turn["id"].as_str().unwrap_or_default();
    let events: Vec<_> = events.iter().filter(|event| is_agents(event) && event_turn(event) == turn_id).collect();
    let calls = stored_calls(turn_id, &events, observations);
    let mut violations = Vec::new();
    let call_ids: Vec<_> = calls.iter().map(|call| call.tool_use.id.as_str()).collect();
    let orphans = events.iter().flat_map(|event| event.tool_results());
    let orphans = orphans.filter(|result| !call_ids.contains(&result.tool_use_id.as_str())).count();
    if orphans > 0 {
        violations.push(Violation::new(13, format!("{turn_id} has {orphans} results without calls")));
    }
    let is_ended = matches!(turn["status"].as_str(), Some("COMPLETED" | "CANCELLED" | "FAILED"));
    // An answer that a retry has replaced may have ended without the results.
    let answer_position = turn["answerPosition"].as_f64().unwrap_or_default();
    for call in &calls {
        let count = call.results.len();
        let is_of_answer = f64::from(call.id.position) > answer_position;
        let needs_result = is_ended && is_of_answer && !call.is_cut_off(&events);
        if count > 1 || count == 0 && needs_result {
            violations.push(Violation::new(13, format!("{:?} has {count} results", call.id)));
        }
        violations.extend(call.results.iter().filter_map(|result| call.contradiction(result)));
    }
    violations
}

/// Whether an event ends an answer in place of its handler, and has no results.
fn is_closed_by_other(event: &ConversationEvent) -> bool {
    event.id.contains("-closed-") && event.sender.kind != SenderKind::Tool
}

/// A later event of the same turn has the result. A call of an answer that a retry has replaced may have the
/// same id as a later one: the result belongs to the call before it.
fn stored_calls<'a>(
    turn_id: &str,
    events: &[&ConversationEvent],
    observations: &'a Observations,
) -> Vec<StoredCall<'a>> {
    let mut calls: Vec<StoredCall> = Vec::new();
    for event in events {
        for result in event.tool_results() {
            let call = calls.iter_mut().rev().find(|call| call.tool_use.id == result.tool_use_id);
            if let Some(call) = call {
                call.results.push(result.clone());
            }
        }
        for tool_use in event.tool_uses() {
            let id = CallId { turn_id: turn_id.to_owned(), position: event.position, tool_use_id: tool_use.id.clone() };
            let executions = observations.tool_counters.get(&id);
            let answers = observations.tool_answers.get(&(turn_id.to_owned(), tool_use.id.clone()));
            let (tool_use, passages) = (tool_use.clone(), observations.passages.as_slice());
            calls.push(StoredCall { id, tool_use, results: Vec::new(), executions, answers, passages });
        }
    }
    calls
}

impl StoredCall<'_> {
    /// Whether the call's step was ended by somebody who does not know the results, because its handler had
    /// died. The next transcript says so of the call.
    fn is_cut_off(&self, events: &[&ConversationEvent]) -> bool {
        let later_events = events.iter().filter(|event| event.position > self.id.position);
        // The results of calls that need no user are stored before the others wait.
        let waits = SimulatedTool::named(&self.tool_use.name).is_some_and(SimulatedTool::waits_for_user);
        let mut ends_of_step = later_events.skip_while(|event| waits && event.sender.kind == SenderKind::Tool);
        ends_of_step.next().is_some_and(|event| is_closed_by_other(event))
    }

    /// What the result says and the tool or the user contradicts.
    fn contradiction(&self, result: &ToolResult) -> Option<Violation> {
        let tool = SimulatedTool::named(&self.tool_use.name);
        let (executed, failures) = self.executions.map_or((0, 0), |executions| (executions.count, executions.failures));
        let returned = self.executions.map_or(&[][..], |executions| &executions.returned);
        let sent = self.answers.map_or(&[][..], |answers| &answers.sent);
        let json = result.json.as_deref().unwrap_or_default();
        let is_from_client = |is_error: bool| sent.contains(&Answer::Result { json: json.to_owned(), is_error });
        let is_true = match (result.status, tool) {
            (ToolStatus::Succeeded, Some(SimulatedTool::Client)) => is_from_client(false),
            (ToolStatus::Succeeded, Some(_)) => returned.iter().any(|returned| returned == json),
            (ToolStatus::Succeeded, None) => {
                self.tool_use.name == SEARCH_TOOL_NAME && has_known_passages(json, self.passages)
            }
            // A failure is known: a call that may have taken effect is UNKNOWN.
            (ToolStatus::Failed, Some(SimulatedTool::Change | SimulatedTool::ApprovedChange)) => {
                executed == 0 || failures > 0
            }
            (ToolStatus::Denied, Some(tool)) => {
                let text = result.text.as_deref().unwrap_or_default();
                let is_denied = sent.iter().any(|answer| answer.denial_text().as_deref() == Some(text));
                executed == 0 && tool.waits_for_user() && (is_denied || text == MESSAGE_INSTEAD)
            }
            (ToolStatus::Denied, None) => false,
            (ToolStatus::Expired, _) => executed == 0,
            _ => true,
        };
        let is_denied = self
            .answers
            .is_some_and(|answers| answers.accepted.iter().any(|answer| matches!(answer, Answer::Denial { .. })));
        let has_denied_effect = is_denied && executed > 0;
        (!is_true || has_denied_effect).then(|| {
            let text = format!("{:?}: {result:?} contradicts {:?} and {:?}", self.id, self.executions, self.answers);
            Violation::new(12, text)
        })
    }
}

/// 13: no transcript says of a call with another result that the result is not known. 12: the JSON of a
/// result is what the tool returned or the client answered. An attempt asks the model while it stores
/// results, so a transcript may have others than the attempt after it, which runs the tools again.
fn check_transcripts(observations: &Observations, events: &[ConversationEvent]) -> Vec<Violation> {
    let results: Vec<&ToolResult> = events.iter().flat_map(ConversationEvent::tool_results).collect();
    let is_known = |id: &str, json: &str| {
        let counters = observations.tool_counters.iter().filter(|(call, _)| call.tool_use_id == id);
        let mut returned = counters.flat_map(|(_, executions)| &executions.returned);
        let answers = observations.tool_answers.iter().filter(|((_, call), _)| call == id);
        let mut sent = answers.flat_map(|(_, answers)| &answers.sent);
        has_known_passages(json, &observations.passages)
            || returned.any(|returned| returned == json)
            || sent.any(|answer| matches!(answer, Answer::Result { json: sent, .. } if sent == json))
    };
    let has_other_result = |id: &str, text: &str| {
        results.iter().any(|result| result.tool_use_id == id && result.text.as_deref() != Some(text))
    };
    let blocks = observations.model_requests.iter().flat_map(|request| &request.transcript);
    let blocks = blocks.flat_map(|message| &message.content);
    let wrong = blocks.filter_map(|block| match block {
        TranscriptBlock::ToolResult { tool_use_id, output: ToolOutput::Text(text), .. }
            if text.starts_with(UNKNOWN_RESULT) && has_other_result(tool_use_id, text) =>
        {
            Some(Violation::new(13, format!("a transcript lacks the result of {tool_use_id}")))
        }
        TranscriptBlock::ToolResult { tool_use_id, output: ToolOutput::Json(json), .. }
            if !is_known(tool_use_id, json) =>
        {
            Some(Violation::new(12, format!("a transcript has an unknown result of {tool_use_id}: {json}")))
        }
        _ => None,
    });
    wrong.collect()
}

/// Whether a result is that of a search that has found these passages.
fn has_known_passages(json: &str, passages: &[Passage]) -> bool {
    is_search_result(json) && passages_of_result(json).iter().all(|(_, passage)| passages.contains(passage))
}

/// 8 and 13: whatever the conversation's turns have ended in, Bedrock takes the transcript of a next message.
pub async fn check_next_request(environment: &Environment, observations: &Observations) {
    if !observations.has_tools {
        return;
    }
    let events = stored_events(&observations.items);
    let Some(last) = events.last() else { return };
    let question = ConversationEvent {
        id: "next".into(),
        position: last.position + 1,
        sender: Sender { kind: SenderKind::User, id: None, name: None },
        content: vec![api::types::ContentBlock::text("Next?")],
        text: Some("Next?".into()),
        turn_id: Some("next".into()),
        attempt: None,
        ..last.clone()
    };
    let input = TranscriptInput {
        context: Vec::new(),
        history: events,
        history_cut: false,
        question,
        kept_answer: Vec::new(),
        context_bytes: 4_000_000,
        model_id: "anthropic.claude-sonnet-4-20250514-v1:0".into(),
    };
    for has_tools in [true, false] {
        let request = ModelRequest {
            model_id: "anthropic.claude-sonnet-4-20250514-v1:0".into(),
            system_prompt: None,
            inference: Default::default(),
            tools: if has_tools { any_tool().tools.into() } else { Arc::default() },
            transcript: build_transcript(&input),
            ..ModelRequest::default()
        };
        check_request(environment, Arc::new(request)).await;
    }
}

fn any_tool() -> Agent {
    let tool = json!({ "name": "look", "description": "Looks.", "inputSchema": "{\"type\":\"object\"}",
        "effect": "READ", "lambda": { "functionArn": "arn" } });
    let agent = json!({ "id": "a", "version": 1, "modelId": "m", "contextBytes": 1, "tools": [tool] });
    serde_json::from_value(agent).expect("an agent is valid")
}

/// The events of the conversation by position.
fn stored_events(items: &[Value]) -> Vec<ConversationEvent> {
    let events = items.iter().filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("EVENT#")));
    events.map(|event| ConversationEvent::deserialize(with_integers(event)).expect("a stored event is valid")).collect()
}

/// The database returns some numbers as floats.
fn with_integers(item: &Value) -> Value {
    match item {
        Value::Number(number) => number.as_f64().map_or_else(|| item.clone(), |number| json!(number as u64)),
        Value::Array(items) => items.iter().map(with_integers).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_integers(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => item.clone(),
    }
}

fn is_agents(event: &ConversationEvent) -> bool {
    event.sender.kind != SenderKind::User
}

fn event_turn(event: &ConversationEvent) -> &str {
    event.turn_id.as_deref().unwrap_or_default()
}

fn is_turn(item: &Value) -> bool {
    item["sk"].as_str().is_some_and(|key| key.starts_with("TURN#"))
}

impl ToolCounts {
    pub fn of(observations: &Observations) -> Self {
        if !observations.has_tools {
            return Self::default();
        }
        let events = stored_events(&observations.items);
        let mut counts = Self { runs_with_tools: 1, ..Self::default() };
        let changes = |name: &str| SimulatedTool::named(name).is_some_and(SimulatedTool::changes_something);
        let mut changing_ids = Vec::new();
        for tool_use in events.iter().flat_map(ConversationEvent::tool_uses).filter(|call| changes(&call.name)) {
            counts.changing_calls += 1;
            changing_ids.push(&tool_use.id);
        }
        for result in events.iter().flat_map(ConversationEvent::tool_results) {
            *counts.results.entry(format!("{:?}", result.status)).or_default() += 1;
            let is_unknown = result.status == ToolStatus::Unknown && changing_ids.contains(&&result.tool_use_id);
            counts.unknown += u64::from(is_unknown);
        }
        let claims =
            observations.items.iter().filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("TOOL#")));
        for claim in claims {
            counts.claimed += 1;
            counts.done += u64::from(claim["outcome"].is_object());
        }
        // Those of a purged conversation are not among the stored ones.
        let is_stored = |call: &CallId| changing_ids.contains(&&call.tool_use_id);
        counts.executed = observations.tool_counters.keys().filter(|call| is_stored(call)).count() as u64;
        counts
    }
}

impl AddAssign<&Self> for ToolCounts {
    fn add_assign(&mut self, other: &Self) {
        self.runs_with_tools += other.runs_with_tools;
        self.changing_calls += other.changing_calls;
        self.claimed += other.claimed;
        self.executed += other.executed;
        self.done += other.done;
        self.unknown += other.unknown;
        for (status, count) in &other.results {
            *self.results.entry(status.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for ToolCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs_with_tools, changing_calls, claimed, executed, done, results, unknown } = self;
        write!(
            formatter,
            "{runs_with_tools} runs with tools; changing calls: {changing_calls} stored, {claimed} claimed, {executed} \
             executed, {done} done, {unknown} UNKNOWN; results of all calls: {results:?}"
        )
    }
}

/// Each case is a conversation whose only call has an answer or a result that nobody gave.
mod tests {
    use turn::model::{Role, TranscriptMessage};

    use super::*;
    use crate::observations::ModelRequest;

    /// A turn `t1` whose call `ask_client` has this result.
    fn observations(result: &Value, sent: Vec<Answer>) -> Observations {
        let event = |position: u32, kind: &str, block: Value| {
            json!({ "pk": "CONVERSATION#c1", "sk": format!("EVENT#{position:08}"), "id": format!("e{position}"),
                "conversationId": "c1", "position": position, "turnId": "t1", "attempt": 1,
                "sender": { "kind": kind }, "content": [block], "createdAt": "2026-11-26T12:00:00Z" })
        };
        let call = json!({ "toolUse": { "id": "call", "name": SimulatedTool::Client.name(), "input": "{}" } });
        let mut result = result.clone();
        result["toolUseId"] = json!("call");
        let turn = json!({ "pk": "CONVERSATION#c1", "sk": "TURN#t1", "id": "t1", "status": "COMPLETED",
            "answerPosition": 1 });
        let events = [event(2, "AGENT", call), event(3, "TOOL", json!({ "toolResult": result }))];
        let answers = CallAnswers { sent, accepted: Vec::new() };
        Observations {
            items: [vec![turn], events.into()].concat(),
            has_tools: true,
            tool_answers: [(("t1".to_owned(), "call".to_owned()), answers)].into(),
            ..Observations::default()
        }
    }

    fn is_violated(observations: &Observations) -> bool {
        check(observations).iter().any(|violation| violation.invariant == 12)
    }

    #[test]
    fn denial_that_was_not_sent_is_found() {
        let denied = json!({ "status": "DENIED", "text": "The user denied this call. Reason: No." });
        let denial = |reason: &str| Answer::Denial { reason: Some(reason.to_owned()) };
        assert!(!is_violated(&observations(&denied, vec![denial("No.")])));
        assert!(!is_violated(&observations(&json!({ "status": "DENIED", "text": MESSAGE_INSTEAD }), Vec::new())));
        for sent in [vec![], vec![Answer::Approval], vec![denial("Never.")], vec![Answer::Denial { reason: None }]] {
            assert!(is_violated(&observations(&denied, sent.clone())), "{sent:?}");
        }
    }

    #[test]
    fn result_of_a_transcript_that_nobody_gave_is_found() {
        let answer = |json: &str| Answer::Result { json: json.to_owned(), is_error: false };
        let with_transcript = |json: &str| {
            let output = ToolOutput::Json(json.to_owned());
            let block = TranscriptBlock::ToolResult { tool_use_id: "call".into(), is_error: false, output };
            let transcript = vec![TranscriptMessage { role: Role::User, content: vec![block] }];
            let succeeded = json!({ "status": "SUCCEEDED", "json": "7" });
            let request = ModelRequest { turn_id: None, transcript, superseded_texts: Vec::new() };
            Observations { model_requests: vec![request], ..observations(&succeeded, vec![answer("7")]) }
        };
        assert!(!is_violated(&with_transcript("7")));
        assert!(is_violated(&with_transcript("8")));
    }

    #[test]
    fn call_without_a_result_is_found_unless_the_closer_ended_its_step() {
        let is_missing = |kind: &str, id: &str| {
            let mut observations = observations(&json!({ "status": "CANCELLED" }), Vec::new());
            let end = &mut observations.items[2];
            (end["id"], end["sender"]["kind"]) = (json!(id), json!(kind));
            end["content"] = json!([{ "text": "So far." }]);
            check(&observations).iter().any(|violation| violation.invariant == 13)
        };
        assert!(!is_missing("AGENT", "t1-closed-1"));
        assert!(is_missing("AGENT", "t1-1-2"));
        assert!(is_missing("TOOL", "t1-closed-1"));
    }
}
