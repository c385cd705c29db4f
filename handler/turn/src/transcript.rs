//! Builds the transcript for the model from the events of a conversation.
//!
//! Converse accepts a transcript that starts and ends with the user, alternates between the roles and has no
//! blank text. The question's own text is exempt: `sendMessage` has already decided that it is not blank.
use api::{
    text::{is_blank, is_blank_character},
    types::{ConversationEvent, SenderKind},
};

use crate::{
    json_size::{fitting_suffix, json_size},
    model::TranscriptMessage,
};

/// Asks the model to continue its answer. Some models refuse a request that ends with the start of their own
/// answer, so the transcript ends with this message of the user.
const CONTINUE_PROMPT: &str = "Your answer above broke off. Go on exactly where it stopped: begin with the very next \
    character, repeat nothing, and do not mention the interruption.";

/// The part of a continued answer that the model always gets, in JSON-escaped bytes.
const KEPT_ANSWER_MIN_BYTES: usize = 2048;

#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptInput {
    /// Events older than the question, ascending by position.
    pub history: Vec<ConversationEvent>,
    /// Whether the conversation has events older than those in `history`.
    pub history_cut: bool,
    pub question: ConversationEvent,
    /// The existing events of an answer that is to be continued, ascending by position.
    pub kept_answer: Vec<ConversationEvent>,
    /// The size limit of the transcript, in bytes of JSON-escaped text.
    pub context_bytes: usize,
}

/// The newest whole turns that fit, the question, and for a continued answer its end with the continue
/// prompt.
///
/// The question and the continue prompt with an end of the answer are always kept, whatever the limit:
/// without them the model would start another answer.
pub fn build_transcript(input: &TranscriptInput) -> Vec<TranscriptMessage> {
    let mut budget = input.context_bytes.saturating_sub(event_size(&input.question));
    let kept_texts = kept_answer_texts(&input.kept_answer, budget);
    if !kept_texts.is_empty() {
        let kept_size: usize = kept_texts.iter().map(|text| json_size(text)).sum();
        budget = budget.saturating_sub(kept_size + json_size(CONTINUE_PROMPT));
    }

    let mut messages = Vec::new();
    for event in newest_turns_that_fit(&input.history, budget) {
        push_texts(&mut messages, event.sender.kind, nonblank_texts(event));
    }
    push_texts(&mut messages, SenderKind::User, input.question.texts());
    if !kept_texts.is_empty() {
        push_texts(&mut messages, SenderKind::Agent, kept_texts.into_iter());
        push_texts(&mut messages, SenderKind::User, [CONTINUE_PROMPT].into_iter());
    }
    messages
}

/// A page of older events to load for the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderEvents {
    /// The page ends before this position.
    pub before: u32,
    pub at_most: u32,
}

/// The next page to load, or `None` if there are no older events or no room for them. The number of events is
/// estimated from the average size of the events at hand.
pub fn older_events_to_load(input: &TranscriptInput) -> Option<OlderEvents> {
    if !input.history_cut {
        return None;
    }
    let at_hand = || input.history.iter().chain([&input.question]).chain(&input.kept_answer);
    let before = at_hand().map(|event| event.position).min().filter(|oldest| *oldest > 1)?;
    let used_bytes: usize = at_hand().map(event_size).sum();
    let free_bytes = input.context_bytes.checked_sub(used_bytes).filter(|free| *free > 0)?;
    let average_bytes = (used_bytes / at_hand().count()).max(1);
    let at_most = (free_bytes / average_bytes + 1).clamp(4, 1000) as u32;
    Some(OlderEvents { before, at_most })
}

/// The end of the answer that is to be continued: as much as fits beside the continue prompt. Empty if there
/// is no nonblank text.
fn kept_answer_texts(kept_answer: &[ConversationEvent], budget: usize) -> Vec<&str> {
    let texts: Vec<_> = kept_answer.iter().flat_map(nonblank_texts).collect();
    last_texts_that_fit(&texts, budget.saturating_sub(json_size(CONTINUE_PROMPT)).max(KEPT_ANSWER_MIN_BYTES))
}

/// The last of the texts that fit; the first of these may be cut. If nothing but the white space at the very
/// end would fit, that white space is left out.
fn last_texts_that_fit<'a>(texts: &[&'a str], mut budget: usize) -> Vec<&'a str> {
    let mut suffix: Vec<&str> = Vec::new();
    for text in texts.iter().rev() {
        let mut text = *text;
        let mut fit = fitting_suffix(text, budget);
        if suffix.is_empty() && is_blank(&text[fit.cut..]) {
            text = text.trim_end_matches(is_blank_character);
            fit = fitting_suffix(text, budget);
        }
        suffix.push(&text[fit.cut..]);
        budget -= fit.size;
        if fit.cut > 0 {
            break;
        }
    }
    suffix.retain(|text| !is_blank(text));
    suffix.reverse();
    suffix
}

/// The events of the newest turns, as many whole turns as fit.
fn newest_turns_that_fit(history: &[ConversationEvent], mut budget: usize) -> Vec<&ConversationEvent> {
    let turns = turns_with_question(history);
    let mut first_kept = turns.len();
    for (index, turn) in turns.iter().enumerate().rev() {
        let size: usize = turn.iter().map(|event| event_size(event)).sum();
        if size > budget {
            break;
        }
        budget -= size;
        first_kept = index;
    }
    turns[first_kept..].concat()
}

/// The events of each turn that starts with its question, without superseded answers and without blank
/// events. A retry notes in the question after which position the answer begins.
fn turns_with_question(history: &[ConversationEvent]) -> Vec<Vec<&ConversationEvent>> {
    let events: Vec<_> = history
        .iter()
        .filter(|event| event.superseded != Some(true))
        .filter(|event| nonblank_texts(event).next().is_some())
        .collect();
    events
        .chunk_by(|one, next| one.turn_id == next.turn_id)
        .filter(|turn| turn[0].sender.kind == SenderKind::User)
        .map(without_superseded_answer)
        .collect()
}

fn without_superseded_answer<'a>(turn: &[&'a ConversationEvent]) -> Vec<&'a ConversationEvent> {
    let answer_position = turn[0].answer_position.unwrap_or(0);
    let is_current =
        |event: &&ConversationEvent| event.sender.kind == SenderKind::User || event.position > answer_position;
    turn.iter().copied().filter(is_current).collect()
}

fn nonblank_texts(event: &ConversationEvent) -> impl Iterator<Item = &str> {
    event.texts().filter(|text| !is_blank(text))
}

fn event_size(event: &ConversationEvent) -> usize {
    nonblank_texts(event).map(json_size).sum()
}

/// Appends texts to the last message if it has the same role, because roles must alternate.
fn push_texts<'a>(messages: &mut Vec<TranscriptMessage>, role: SenderKind, texts: impl Iterator<Item = &'a str>) {
    let texts = texts.map(str::to_owned);
    match messages.last_mut() {
        Some(last) if last.role == role => last.texts.extend(texts),
        _ => messages.push(TranscriptMessage { role, texts: texts.collect() }),
    }
}
