//! Events in, a transcript out that Converse accepts: it starts and ends with the user, alternates, and has no blank text
//! but the question's own: what counts as blank there was decided when it was sent.
use std::collections::HashMap;

use crate::{
    escaped::escaped_len,
    request::TurnRequest,
    words::{ConversationEvent, SenderKind, TranscriptMessage},
};

/// The newest whole turns that fit the agent's `context_bytes`, then the question, which always stays.
pub fn transcript(request: &TurnRequest) -> Vec<TranscriptMessage> {
    let mut left = request.agent.context_bytes.saturating_sub(size(&request.question));
    let turns = answerable_turns(&request.history);
    let fitting = turns.iter().rev().take_while(|turn| fits(turn, &mut left)).count();
    let kept = turns[turns.len() - fitting..].iter().flatten().copied();
    let history = kept.map(|event| message(event, said(event)));
    history.chain([message(&request.question, request.question.texts())]).fold(Vec::new(), append)
}

/// Events right before a position that the model may be given too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderEvents {
    pub before: u32,
    pub at_most: u32,
}

/// None when there are none, or the context is full already. How many is an estimate from the size of those at hand.
pub fn older_events_wanted(request: &TurnRequest) -> Option<OlderEvents> {
    let at_hand = || request.history.iter().chain([&request.question]);
    let before = at_hand().map(|event| event.position).min().filter(|oldest| *oldest > 1)?;
    let spent: usize = at_hand().map(size).sum();
    let left = request.agent.context_bytes.checked_sub(spent).filter(|left| *left > 0)?;
    let average = (spent / at_hand().count()).max(1);
    let at_most = (left / average + 1).clamp(4, 1000) as u32;
    request.history_cut.unwrap_or(false).then_some(OlderEvents { before, at_most })
}

/// The events of each turn that begins with its question, without answers that were given up.
fn answerable_turns(history: &[ConversationEvent]) -> Vec<Vec<&ConversationEvent>> {
    let last_attempts = last_attempts(history);
    let of_last_attempt =
        |event: &&ConversationEvent| event.attempt >= last_attempts.get(&event.turn_id).copied().flatten();
    let current = history.iter().filter(|event| event.superseded != Some(true) && is_said(event));
    let events: Vec<_> =
        current.filter(|event| event.sender.kind == SenderKind::User || of_last_attempt(event)).collect();
    let turns = events.chunk_by(|one, next| one.turn_id == next.turn_id);
    turns.filter(|turn| turn[0].sender.kind == SenderKind::User).map(<[_]>::to_vec).collect()
}

/// By turn. An attempt that was overtaken does not count, even where the one that overtook it said nothing usable.
fn last_attempts(history: &[ConversationEvent]) -> HashMap<&Option<String>, Option<u32>> {
    let mut attempts = HashMap::new();
    for event in history {
        let last = attempts.entry(&event.turn_id).or_insert(event.attempt);
        *last = event.attempt.max(*last);
    }
    attempts
}

fn is_said(event: &ConversationEvent) -> bool {
    said(event).next().is_some()
}

fn said(event: &ConversationEvent) -> impl Iterator<Item = &str> {
    event.texts().filter(|text| !text.trim().is_empty())
}

fn fits(turn: &[&ConversationEvent], left: &mut usize) -> bool {
    let needed: usize = turn.iter().map(|event| size(event)).sum();
    let fits = needed <= *left;
    *left = left.saturating_sub(needed);
    fits
}

fn size(event: &ConversationEvent) -> usize {
    said(event).map(escaped_len).sum()
}

fn message<'a>(event: &ConversationEvent, texts: impl Iterator<Item = &'a str>) -> TranscriptMessage {
    TranscriptMessage { side: event.sender.kind, texts: texts.map(str::to_owned).collect() }
}

fn append(mut messages: Vec<TranscriptMessage>, next: TranscriptMessage) -> Vec<TranscriptMessage> {
    match messages.last_mut() {
        Some(last) if last.side == next.side => last.texts.extend(next.texts),
        _ => messages.push(next),
    }
    messages
}
