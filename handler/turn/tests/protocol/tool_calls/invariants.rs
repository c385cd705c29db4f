//! The invariants of tool calls.
use api::types::{ContentBlock, ConversationEvent, Sender, SenderKind, ToolResult, ToolUse};
use turn::{
    model::{Role, TranscriptBlock, TranscriptMessage},
    transcript::{TranscriptInput, build_transcript},
};

use super::{
    actions::Action,
    state::{APPROVED_CALL, Answer, CALLS, Call, Outcome, State, Status},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    AtMostOneEffectPerCall,
    AtMostOneResultPerCall,
    EffectNeedsItsApproval,
    AnswersAreFinal,
    /// A step that is ended by somebody who knows its calls.
    EndedStepHasAllResults,
    ResultTellsTheEffect,
}

pub fn check_transition(before: &State, action: Action, after: &State) -> Result<(), Invariant> {
    let answer = before.calls[APPROVED_CALL].answer;
    let is_answer = matches!(action, Action::Answer { .. });
    let is_final = answer.is_none() || !is_answer && answer == after.calls[APPROVED_CALL].answer;
    first_broken(&[(Invariant::AnswersAreFinal, is_final)])
}

pub fn check_state(state: &State) -> Result<(), Invariant> {
    let all = |holds: fn(&Call) -> bool| state.calls.iter().all(holds);
    let approved = state.calls[APPROVED_CALL];
    let is_ended = state.turn.status == Status::Ended && state.is_step_stored;
    first_broken(&[
        (Invariant::AtMostOneEffectPerCall, all(|call| call.effects <= 1)),
        (Invariant::AtMostOneResultPerCall, all(|call| call.results <= 1)),
        (Invariant::EffectNeedsItsApproval, approved.effects == 0 || approved.answer == Some(Answer::Approved)),
        (Invariant::EndedStepHasAllResults, !is_ended || all(|call| call.results == 1)),
        (Invariant::ResultTellsTheEffect, all(tells_effect)),
    ])
}

fn first_broken(checks: &[(Invariant, bool)]) -> Result<(), Invariant> {
    match checks.iter().find(|(_, holds)| !holds) {
        Some((invariant, _)) => Err(*invariant),
        None => Ok(()),
    }
}

fn tells_effect(call: &Call) -> bool {
    match call.result {
        Some(Outcome::Succeeded) => call.effects == 1,
        Some(Outcome::Denied | Outcome::Expired) => call.effects == 0,
        Some(Outcome::Unknown | Outcome::Cancelled) | None => true,
    }
}

/// The handler builds the transcript of the next message from the stored events. `results` are those of the
/// stored step.
pub fn has_valid_transcript(results: [Option<Outcome>; CALLS]) -> bool {
    let calls = (0..CALLS).map(|call| ContentBlock::tool_use(tool_use(call))).collect();
    let blocks: Vec<ContentBlock> =
        (0..CALLS).filter_map(|call| Some(ContentBlock::tool_result(tool_result(call, results[call]?)))).collect();
    let mut history =
        vec![event(1, SenderKind::User, vec![ContentBlock::text("Order it.")]), event(2, SenderKind::Agent, calls)];
    if !blocks.is_empty() {
        history.push(event(3, SenderKind::Tool, blocks));
    }
    let question = ConversationEvent {
        turn_id: Some("t2".into()),
        ..event(4, SenderKind::User, vec![ContentBlock::text("And now?")])
    };
    let transcript = build_transcript(&TranscriptInput {
        history,
        history_cut: false,
        question,
        context: Vec::new(),
        kept_answer: Vec::new(),
        model_id: "any".into(),
        context_bytes: 100_000,
    });
    has_one_result_of_each_call(&transcript)
}

fn has_one_result_of_each_call(transcript: &[TranscriptMessage]) -> bool {
    let roles = transcript.iter().map(|message| message.role);
    let alternates = roles.enumerate().all(|(index, role)| (role == Role::User) == index.is_multiple_of(2));
    let uses = |message: &TranscriptMessage| {
        ids(message, |block| match block {
            TranscriptBlock::ToolUse(tool_use) => Some(tool_use.id.clone()),
            _ => None,
        })
    };
    let results = |message: &TranscriptMessage| {
        ids(message, |block| match block {
            TranscriptBlock::ToolResult { tool_use_id, .. } => Some(tool_use_id.clone()),
            _ => None,
        })
    };
    let pairs = transcript.windows(2).all(|pair| uses(&pair[0]) == results(&pair[1]));
    alternates && pairs && transcript.iter().any(|message| !uses(message).is_empty())
}

fn ids(message: &TranscriptMessage, id: impl Fn(&TranscriptBlock) -> Option<String>) -> Vec<String> {
    let mut ids: Vec<String> = message.content.iter().filter_map(id).collect();
    ids.sort();
    ids
}

fn tool_use(call: usize) -> ToolUse {
    ToolUse { id: format!("call{call}"), name: "order".into(), title: None, input: "{}".into() }
}

fn tool_result(call: usize, outcome: Outcome) -> ToolResult {
    ToolResult {
        tool_use_id: format!("call{call}"),
        status: outcome.tool_status(),
        json: None,
        text: Some("A result.".into()),
        truncated: None,
        started_at: None,
        ended_at: None,
    }
}

fn event(position: u32, kind: SenderKind, content: Vec<ContentBlock>) -> ConversationEvent {
    ConversationEvent {
        id: format!("e{position}"),
        conversation_id: "c1".into(),
        position,
        turn_id: Some("t1".into()),
        attempt: (kind != SenderKind::User).then_some(1),
        sender: Sender { kind, id: None, name: None },
        content,
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        replaces_turn_id: None,
        answer_position: None,
        model_id: None,
        guardrail: None,
        created_at: "2026-11-26T12:00:00Z".into(),
    }
}
