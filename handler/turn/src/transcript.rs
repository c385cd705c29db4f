//! Events in, a transcript out that Converse accepts: it starts and ends with the user, alternates, and has no blank text
//! but the question's own: what counts as blank there was decided when it was sent.
use crate::{
    json_size::{fitting_suffix, json_size},
    types::TranscriptMessage,
};
use api::types::{ConversationEvent, SenderKind};

/// How a model is asked to continue: one that is given the beginning of its answer to complete may refuse the request.
const CONTINUE_PROMPT: &str = "Your answer above broke off. Go on exactly where it stopped: begin with the very next character, \
    repeat nothing, and do not mention the interruption.";

/// Of an answer that is to be continued, in JSON-escaped bytes: what the model is given of its end at the least.
const END_MIN_BYTES: usize = 2048;

/// What a transcript is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptInput {
    /// Ascending by position, all older than the question.
    pub history: Vec<ConversationEvent>,
    /// Whether the conversation has events older than those in `history`.
    pub history_cut: bool,
    pub question: ConversationEvent,
    /// What stands of an answer that is to be continued, ascending.
    pub kept_answer: Vec<ConversationEvent>,
    /// How much the model is given, in bytes of JSON-escaped text.
    pub context_bytes: usize,
}

/// The newest whole turns that fit, then the question, which always stays; where an answer is to be continued, as much of
/// its end as fits and the order to go on, which always stay too: a model without them would begin anew.
pub fn transcript(material: &TranscriptInput) -> Vec<TranscriptMessage> {
    let mut left = material.context_bytes.saturating_sub(size(&material.question));
    let continuing = continuing(&material.kept_answer, &mut left);
    let turns = answered_turns(&material.history);
    let fitting = turns.iter().rev().take_while(|turn| fits(turn, &mut left)).count();
    let kept = turns[turns.len() - fitting..].iter().flatten().copied();
    let history = kept.map(|event| message(event.sender.kind, said(event)));
    let question = message(SenderKind::User, material.question.texts());
    history.chain([question]).chain(continuing).fold(Vec::new(), append)
}

/// Events right before a position that the model may be given too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderEvents {
    pub before: u32,
    pub at_most: u32,
}

/// None when there are none, or the context is full already. How many is an estimate from the size of those at hand.
pub fn older_events_wanted(material: &TranscriptInput) -> Option<OlderEvents> {
    let at_hand = || material.history.iter().chain([&material.question]).chain(&material.kept_answer);
    let before = at_hand().map(|event| event.position).min().filter(|oldest| *oldest > 1)?;
    let spent: usize = at_hand().map(size).sum();
    let left = material.context_bytes.checked_sub(spent).filter(|left| *left > 0)?;
    let average = (spent / at_hand().count()).max(1);
    let at_most = (left / average + 1).clamp(4, 1000) as u32;
    material.history_cut.then_some(OlderEvents { before, at_most })
}

/// None where nothing stands.
fn continuing(kept_answer: &[ConversationEvent], left: &mut usize) -> Vec<TranscriptMessage> {
    let room = left.saturating_sub(json_size(CONTINUE_PROMPT)).max(END_MIN_BYTES);
    let texts: Vec<_> = kept_answer.iter().flat_map(said).collect();
    let end = end_that_fits(&texts, room);
    if end.is_empty() {
        return Vec::new();
    }
    let spent: usize = end.iter().chain([&CONTINUE_PROMPT]).map(|text| json_size(text)).sum();
    *left = left.saturating_sub(spent);
    vec![message(SenderKind::Agent, end.into_iter()), message(SenderKind::User, [CONTINUE_PROMPT].into_iter())]
}

/// The last texts, the first of them cut where it must be; without the space at their end where that alone would fit.
fn end_that_fits<'a>(texts: &[&'a str], mut room: usize) -> Vec<&'a str> {
    let mut end: Vec<&str> = Vec::new();
    for text in texts.iter().rev() {
        let (mut text, mut cut) = (*text, fitting_suffix(text, room));
        if end.is_empty() && text[cut.0..].trim().is_empty() {
            text = text.trim_end();
            cut = fitting_suffix(text, room);
        }
        let (from, size) = cut;
        end.push(&text[from..]);
        room -= size;
        if from > 0 {
            break;
        }
    }
    end.retain(|text| !text.trim().is_empty());
    end.reverse();
    end
}

/// The events of each turn that begins with its question, without answers that were replaced.
fn answered_turns(history: &[ConversationEvent]) -> Vec<Vec<&ConversationEvent>> {
    let events: Vec<_> = history.iter().filter(|event| event.superseded != Some(true) && is_said(event)).collect();
    let turns = events.chunk_by(|one, next| one.turn_id == next.turn_id);
    turns.filter(|turn| turn[0].sender.kind == SenderKind::User).map(<[_]>::to_vec).collect()
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
    said(event).map(json_size).sum()
}

fn message<'a>(side: SenderKind, texts: impl Iterator<Item = &'a str>) -> TranscriptMessage {
    TranscriptMessage { side, texts: texts.map(str::to_owned).collect() }
}

fn append(mut messages: Vec<TranscriptMessage>, next: TranscriptMessage) -> Vec<TranscriptMessage> {
    match messages.last_mut() {
        Some(last) if last.side == next.side => last.texts.extend(next.texts),
        _ => messages.push(next),
    }
    messages
}
