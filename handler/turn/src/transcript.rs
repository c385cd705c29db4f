//! Builds the transcript for the model from the events of a conversation.
//!
//! Converse accepts a transcript that starts and ends with the user, alternates between the roles and has no
//! blank text. The question's own text is exempt: `sendMessage` has already decided that it is not blank. The
//! message after one with tool calls must have exactly one result of each call, before any text.
use std::collections::HashMap;

use api::{
    json_size::{fitting_suffix, json_size},
    text::{is_blank, is_blank_character},
    types::{ContentBlock, ConversationEvent, Reasoning, SenderKind, StopReason, ToolResult, ToolStatus, ToolUse},
};

use crate::{
    history::{current_events, newest_turns_that_fit},
    knowledge_tool::{REMOVED_PASSAGES, SEARCH_TOOL_NAME},
    model::{Role, ToolOutput, TranscriptBlock, TranscriptMessage},
    tool::StoredCalls,
    transcript_size::{context_size, event_size, trim_tool_results, trimmed_size},
};

/// Asks the model to continue its answer. Some models refuse a request that ends with the start of their own
/// answer, so the transcript ends with this message of the user.
const CONTINUE_PROMPT: &str = "Your answer above broke off. Go on exactly where it stopped: begin with the very next \
    character, repeat nothing, and do not mention the interruption.";

/// The result of a call whose real result was never stored.
pub const UNKNOWN_RESULT: &str = "The result of this call is not known: the turn ended before it was stored. The tool may \
    have run or not.";
/// The part of a continued answer that the model always gets, in JSON-escaped bytes.
const KEPT_ANSWER_MIN_BYTES: usize = 2048;

#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptInput {
    /// Events older than the question, ascending by position.
    pub history: Vec<ConversationEvent>,
    /// Whether the conversation has events older than those in `history`.
    pub history_cut: bool,
    pub question: ConversationEvent,
    /// What the model gets before the question, such as passages of documents.
    pub context: Vec<TranscriptBlock>,
    /// The existing events of an answer that is to be continued, ascending by position.
    pub kept_answer: Vec<ConversationEvent>,
    /// The size limit of the transcript, in bytes of JSON-escaped text.
    pub context_bytes: usize,
    /// The model that gets the transcript. It gets its own reasoning back, and no other's.
    pub model_id: String,
}

/// The newest whole turns that fit, the question, and what is kept of its answer. A kept answer that breaks
/// off in its text is followed by the continue prompt; one that ends with tool calls without results ends the
/// transcript, and their results are to be added.
///
/// The question, the kept steps, and the continue prompt with an end of the answer are always kept, whatever
/// the limit: without them the model would start another answer. Old tool results are removed before whole
/// turns are.
pub fn build_transcript(input: &TranscriptInput) -> Vec<TranscriptMessage> {
    let (steps, open_answer) = split_after_last_step(&input.kept_answer);
    let steps_size: usize = steps.iter().map(trimmed_size).sum();
    let mut budget =
        input.context_bytes.saturating_sub(context_size(&input.context) + event_size(&input.question) + steps_size);
    let kept_texts = kept_answer_texts(open_answer, budget);
    if !kept_texts.is_empty() {
        let kept_size: usize = kept_texts.iter().map(|text| json_size(text)).sum();
        budget = budget.saturating_sub(kept_size + json_size(CONTINUE_PROMPT));
    }

    let mut transcript = Transcript::default();
    for event in newest_turns_that_fit(&input.history, input.history_cut, budget) {
        transcript.push_event(event, EventPart::EndedTurn);
    }
    transcript.push_context(&input.context);
    transcript.push_texts(Role::User, input.question.texts());
    for event in steps {
        let is_of_model = event.model_id.as_ref() == Some(&input.model_id);
        transcript.push_event(event, EventPart::OpenAnswer { with_reasoning: is_of_model && !is_broken_off(event) });
    }
    if !kept_texts.is_empty() {
        transcript.push_texts(Role::Assistant, kept_texts.into_iter());
        transcript.push_texts(Role::User, [CONTINUE_PROMPT].into_iter());
    } else if calls_without_results(&input.kept_answer).is_none() {
        transcript.complete_open_calls();
    }
    let mut messages = transcript.messages;
    trim_tool_results(&mut messages, input.context_bytes);
    messages
}

/// The calls at the end of a kept answer whose results are not stored. Their `answers` are empty. Results of
/// other calls of the same event may be stored, because those calls did not wait. The event that closed a
/// failed run may follow the calls: the next run makes them. It makes none of a cancelled run.
pub fn calls_without_results(kept_answer: &[ConversationEvent]) -> Option<StoredCalls> {
    let index = kept_answer.iter().rposition(|event| event.tool_uses().next().is_some())?;
    let (event, later) = (&kept_answer[index], &kept_answer[index + 1..]);
    let has_ended = |event: &ConversationEvent| event.stop_reason == Some(StopReason::Cancelled) || has_text(event);
    if later.iter().any(has_ended) {
        return None;
    }
    let has_result = |call: &&ToolUse| {
        later.iter().flat_map(ConversationEvent::tool_results).any(|result| result.tool_use_id == call.id)
    };
    let calls: Vec<_> = event.tool_uses().filter(|call| !has_result(call)).cloned().collect();
    (!calls.is_empty()).then(|| StoredCalls { position: event.position, calls, answers: HashMap::new() })
}

/// Turns tool calls and results into text, for an agent without tools: Converse refuses such blocks in a
/// request without tools. The reasoning that led to a call is of no use then.
pub fn without_tool_blocks(messages: Vec<TranscriptMessage>) -> Vec<TranscriptMessage> {
    let to_text = |block| match block {
        TranscriptBlock::Reasoning(_) => None,
        TranscriptBlock::Text(_) | TranscriptBlock::SearchResult(_) => Some(block),
        TranscriptBlock::ToolUse(call) => {
            Some(TranscriptBlock::Text(format!("[Tool call {}: {}]", call.name, call.input)))
        }
        TranscriptBlock::ToolResult { output: ToolOutput::Json(output) | ToolOutput::Text(output), .. } => {
            Some(TranscriptBlock::Text(format!("[Tool result: {output}]")))
        }
        TranscriptBlock::FoundSearchResults { results, .. } => {
            let texts: Vec<_> = results.iter().map(|result| result.text.as_str()).collect();
            Some(TranscriptBlock::Text(format!("[Tool result: {}]", texts.join("\n\n"))))
        }
    };
    messages
        .into_iter()
        .map(|message| TranscriptMessage {
            content: message.content.into_iter().filter_map(to_text).collect(),
            ..message
        })
        .collect()
}

/// Appends a block. Reasoning that was cut at the end of an event becomes one block again, because its
/// signature is of the whole.
pub fn push_block(blocks: &mut Vec<TranscriptBlock>, block: TranscriptBlock) {
    match (blocks.last_mut(), block) {
        (Some(TranscriptBlock::Reasoning(first)), TranscriptBlock::Reasoning(rest))
            if first.signature.is_none() && first.redacted.is_none() =>
        {
            first.text.push_str(&rest.text);
            *first = Reasoning { text: std::mem::take(&mut first.text), ..rest };
        }
        (_, block) => blocks.push(block),
    }
}

/// A block of an answer as the model gets it back. `None` for a blank one.
pub(crate) fn answer_block(block: &ContentBlock) -> Option<TranscriptBlock> {
    if let Some(tool_use) = &block.tool_use {
        return Some(TranscriptBlock::ToolUse(tool_use.clone()));
    }
    if let Some(reasoning) = &block.reasoning {
        return Some(TranscriptBlock::Reasoning(reasoning.clone()));
    }
    block.text.as_ref().filter(|text| !is_blank(text)).map(|text| TranscriptBlock::Text(text.clone()))
}

/// The result that the model gets of a stored or finished tool call.
pub fn result_block(result: &ToolResult) -> TranscriptBlock {
    let output = match (&result.json, &result.text) {
        (Some(json), _) => ToolOutput::Json(json.clone()),
        (None, Some(text)) if !is_blank(text) => ToolOutput::Text(text.clone()),
        (None, _) => ToolOutput::Text("The tool returned nothing.".to_owned()),
    };
    let is_error = result.status != ToolStatus::Succeeded;
    TranscriptBlock::ToolResult { tool_use_id: result.tool_use_id.clone(), is_error, output }
}

/// A page of older events to load for the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderEvents {
    /// The page ends before this position.
    pub before: u32,
    pub at_most: u32,
}

/// The next page to load, or `None` if there are no older events or no room for them. The number of events is
/// estimated from the average size of the events at hand. Superseded events take no room, so that those
/// before them are loaded; at most `context_bytes` of them are read over.
pub fn older_events_to_load(input: &TranscriptInput) -> Option<OlderEvents> {
    if !input.history_cut {
        return None;
    }
    let at_hand = || input.history.iter().chain([&input.question]).chain(&input.kept_answer);
    let before = at_hand().map(|event| event.position).min().filter(|oldest| *oldest > 1)?;
    let read_bytes: usize = at_hand().map(event_size).sum();
    let history_bytes: usize = input.history.iter().map(event_size).sum();
    let current_bytes: usize = current_events(&input.history).map(event_size).sum();
    let superseded_bytes = history_bytes - current_bytes;
    if superseded_bytes > input.context_bytes {
        return None;
    }
    let used_bytes = read_bytes - superseded_bytes;
    let free_bytes = input.context_bytes.checked_sub(used_bytes).filter(|free| *free > 0)?;
    let average_bytes = (read_bytes / at_hand().count()).max(1);
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

/// The events up to the last one of a step with tool calls, and those after it.
fn split_after_last_step(kept_answer: &[ConversationEvent]) -> (&[ConversationEvent], &[ConversationEvent]) {
    let last_step = kept_answer.iter().rposition(ConversationEvent::has_tool_blocks);
    kept_answer.split_at(last_step.map_or(0, |index| index + 1))
}

/// Reasoning that broke off has no signature.
fn is_broken_off(event: &ConversationEvent) -> bool {
    event.stop_reason.is_some() || event.failure.is_some()
}

pub(crate) fn has_text(event: &ConversationEvent) -> bool {
    nonblank_texts(event).next().is_some()
}

pub(crate) fn nonblank_texts(event: &ConversationEvent) -> impl Iterator<Item = &str> {
    event.texts().filter(|text| !is_blank(text))
}

/// A transcript whose last message may have calls without results.
#[derive(Default)]
struct Transcript {
    messages: Vec<TranscriptMessage>,
    /// The calls without results.
    open_calls: Vec<OpenCall>,
}

struct OpenCall {
    id: String,
    is_search: bool,
}

/// What an event is a part of, which decides what of it is in the transcript.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventPart {
    /// The passages that searches have found are left out, but the answers from them are not. So is the
    /// reasoning: no model needs it of ended answers.
    EndedTurn,
    OpenAnswer {
        with_reasoning: bool,
    },
}

impl Transcript {
    /// An event without content leaves open calls open: it closed a run whose calls have results after it.
    fn push_event(&mut self, event: &ConversationEvent, part: EventPart) {
        match event.sender.kind {
            SenderKind::User if has_text(event) => self.push_texts(Role::User, nonblank_texts(event)),
            SenderKind::User => {}
            SenderKind::Agent => self.push_answer(event, part == EventPart::OpenAnswer { with_reasoning: true }),
            SenderKind::Tool => {
                for result in event.tool_results() {
                    self.push_result(result, part);
                }
            }
        }
    }

    /// The blocks stay in their order: a model refuses its own reasoning in another.
    fn push_answer(&mut self, event: &ConversationEvent, with_reasoning: bool) {
        let blocks = event.content.iter().filter_map(answer_block);
        let blocks: Vec<_> =
            blocks.filter(|block| with_reasoning || !matches!(block, TranscriptBlock::Reasoning(_))).collect();
        if !blocks.is_empty() {
            self.complete_open_calls();
        }
        for block in blocks {
            if let TranscriptBlock::ToolUse(call) = &block {
                let is_search = call.name == SEARCH_TOOL_NAME;
                self.open_calls.push(OpenCall { id: call.id.clone(), is_search });
            }
            self.push(Role::Assistant, block);
        }
    }

    fn push_context(&mut self, blocks: &[TranscriptBlock]) {
        self.complete_open_calls();
        for block in blocks {
            self.push(Role::User, block.clone());
        }
    }

    fn push_texts<'a>(&mut self, role: Role, texts: impl Iterator<Item = &'a str>) {
        self.complete_open_calls();
        for text in texts {
            self.push(role, TranscriptBlock::Text(text.to_owned()));
        }
    }

    /// A result of no open call is left out.
    fn push_result(&mut self, result: &ToolResult, part: EventPart) {
        let Some(index) = self.open_calls.iter().position(|call| call.id == result.tool_use_id) else { return };
        let call = self.open_calls.remove(index);
        let mut block = result_block(result);
        if call.is_search
            && part == EventPart::EndedTurn
            && let TranscriptBlock::ToolResult { output, is_error: false, .. } = &mut block
        {
            *output = ToolOutput::Text(REMOVED_PASSAGES.to_owned());
        }
        self.push(Role::User, block);
    }

    /// Adds a result to each call that has none.
    fn complete_open_calls(&mut self) {
        for OpenCall { id: tool_use_id, .. } in std::mem::take(&mut self.open_calls) {
            let output = ToolOutput::Text(UNKNOWN_RESULT.to_owned());
            self.push(Role::User, TranscriptBlock::ToolResult { tool_use_id, is_error: true, output });
        }
    }

    /// Appends to the last message if it has the same role, because roles must alternate.
    fn push(&mut self, role: Role, block: TranscriptBlock) {
        match self.messages.last_mut() {
            Some(last) if last.role == role => push_block(&mut last.content, block),
            _ => self.messages.push(TranscriptMessage { role, content: vec![block] }),
        }
    }
}
