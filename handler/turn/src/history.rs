//! Which turns of a conversation a transcript has.
use api::types::{ConversationEvent, GuardrailSource, SenderKind, StopReason};

use crate::{transcript::has_text, transcript_size::trimmed_size};

/// Of fewer turns none is left out that fits.
const MIN_TURNS_TO_CUT: usize = 8;

/// The events of the newest turns, whole turns that fit without their tool results: all of them, or most.
pub fn newest_turns_that_fit(
    history: &[ConversationEvent],
    history_cut: bool,
    mut budget: usize,
) -> Vec<&ConversationEvent> {
    let turns = turns_with_question(history);
    let mut first_kept = turns.len();
    for (index, turn) in turns.iter().enumerate().rev() {
        let size: usize = turn.iter().map(|event| trimmed_size(event)).sum();
        if size > budget {
            break;
        }
        budget -= size;
        first_kept = index;
    }
    let has_older = history_cut && history.first().is_some_and(|oldest| oldest.position > 1);
    if first_kept > 0 || has_older {
        first_kept += steady_start(&turns[first_kept..]);
    }
    turns[first_kept..].concat()
}

/// The events of a history, ascending by position, that neither a retry nor another message has replaced, of
/// turns whose question no guardrail has blocked.
pub fn current_events(history: &[ConversationEvent]) -> impl DoubleEndedIterator<Item = &ConversationEvent> {
    let turns = history.chunk_by(|one, next| one.turn_id == next.turn_id);
    turns.flat_map(|turn| {
        let is_current = |event: &&ConversationEvent| !is_superseded(event, &turn[0]);
        let is_blocked = turn.iter().filter(is_current).any(blocks_question);
        turn.iter().filter(move |event| !is_blocked && is_current(event))
    })
}

/// With which of the turns that fit the transcript begins, where not all of the conversation fits. It stays
/// the same turn for many messages, because a prompt cache finds only beginnings that are the same: the turn
/// of the first half whose position passes the largest power of two. Few turns all stay.
fn steady_start(turns: &[Vec<&ConversationEvent>]) -> usize {
    let (Some(first), Some(last)) = (turns.first(), turns.last()) else { return 0 };
    if turns.len() < MIN_TURNS_TO_CUT {
        return 0;
    }
    let middle = first[0].position.midpoint(last[0].position);
    let mut before = first[0].position.saturating_sub(1);
    let mut best = (0, 0);
    for (index, turn) in turns.iter().enumerate().take_while(|(_, turn)| turn[0].position <= middle) {
        let position = turn[0].position;
        let passed = (before ^ position).checked_ilog2().unwrap_or(0);
        if passed > best.0 {
            best = (passed, index);
        }
        before = position;
    }
    best.1
}

/// The events of each turn that starts with its question, without superseded and blank events.
fn turns_with_question(history: &[ConversationEvent]) -> Vec<Vec<&ConversationEvent>> {
    let events: Vec<_> = current_events(history).filter(|event| event.has_tool_blocks() || has_text(event)).collect();
    events
        .chunk_by(|one, next| one.turn_id == next.turn_id)
        .filter(|turn| turn[0].sender.kind == SenderKind::User)
        .map(<[_]>::to_vec)
        .collect()
}

/// Whether the event says that a guardrail has blocked the question. It would block every later request that
/// has the question, too. Where Bedrock did not say what it has blocked, it may have been the question.
fn blocks_question(event: &ConversationEvent) -> bool {
    let source = event.guardrail.as_ref().and_then(|guardrail| guardrail.source);
    event.stop_reason == Some(StopReason::GuardrailIntervened) && source != Some(GuardrailSource::Output)
}

/// `first`: the first event of the same turn in the history. If it is the question, it has what a retry has
/// noted there: after which position the answer begins. A question that another message has replaced is
/// superseded itself, and its answer with it.
fn is_superseded(event: &ConversationEvent, first: &ConversationEvent) -> bool {
    let has_replaced_question = first.sender.kind == SenderKind::User && first.superseded == Some(true);
    let is_before_answer =
        event.sender.kind != SenderKind::User && event.position <= first.answer_position.unwrap_or(0);
    event.superseded == Some(true) || has_replaced_question || is_before_answer
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Events of one turn: its question, then its answers, each with these members.
    fn turn(answers: &[Value]) -> Vec<ConversationEvent> {
        let event = |position: usize, members: &Value| {
            let mut event = json!({
                "id": position.to_string(), "conversationId": "c1", "position": position, "turnId": "t1",
                "sender": { "kind": if position == 1 { "USER" } else { "AGENT" } },
                "content": [{ "text": position.to_string() }], "createdAt": "2026-11-27T09:00:00.000Z",
            });
            event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            serde_json::from_value(event).unwrap()
        };
        [json!({})].iter().chain(answers).enumerate().map(|(index, members)| event(index + 1, members)).collect()
    }

    #[test]
    fn turn_whose_question_was_blocked_is_left_out() {
        let blocked = |source: Value| {
            json!({
                "stopReason": "GUARDRAIL_INTERVENED", "guardrail": { "source": source, "policies": ["TOPIC"] },
            })
        };
        let superseded = |mut members: Value| {
            members["superseded"] = json!(true);
            members
        };
        for (answers, expected) in [
            (vec![blocked(json!("INPUT"))], vec![]),
            (vec![blocked(Value::Null)], vec![]),
            (vec![json!({ "stopReason": "GUARDRAIL_INTERVENED" })], vec![]),
            (vec![blocked(json!("OUTPUT"))], vec![1, 2]),
            (vec![superseded(blocked(json!("INPUT"))), json!({ "stopReason": "END_TURN" })], vec![1, 3]),
            (vec![superseded(json!({})), blocked(json!("INPUT"))], vec![]),
        ] {
            let events = turn(&answers);
            let positions: Vec<_> = current_events(&events).map(|event| event.position).collect();
            assert_eq!(positions, expected, "{answers:?}");
        }
    }
}
