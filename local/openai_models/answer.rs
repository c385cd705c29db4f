//! Translates the chunks of chat completions into the events of ConverseStream.
use std::time::Duration;

use super::{
    chunk::{Chunk, TokenCounts},
    event::{Delta, Event, Usage},
    failure::{Failure, message},
    think_tags::{Piece, ThinkTags},
    tool_calls::{CallStep, ToolCalls},
};

/// What ends a stream.
const END_OF_STREAM: &str = "[DONE]";
/// A longer white space before a text is sent without waiting for the text.
const MAX_BLANK_BYTES: usize = 1024;
/// What of a server's message is logged, in characters.
const MAX_LOGGED_CHARACTERS: usize = 300;

/// Reads the chunks of one answer. Besides the arguments of calls it keeps no text.
#[derive(Default)]
pub struct AnswerTranslator {
    has_started: bool,
    /// The server has said that the answer is complete.
    is_complete: bool,
    next_index: usize,
    open_block: Option<BlockKind>,
    tags: ThinkTags,
    /// White space that is sent once a text follows: a block of it alone would be refused in the next
    /// transcript.
    blank: String,
    calls: ToolCalls,
    finish_reason: Option<String>,
    usage: Option<TokenCounts>,
}

/// Whether the answer may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Open,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Text,
    Reasoning,
    ToolUse,
}

impl AnswerTranslator {
    /// Takes the data of the next event of the stream.
    pub fn receive(&mut self, data: &str, events: &mut Vec<Event>) -> Result<Progress, Failure> {
        let data = data.trim();
        if data == END_OF_STREAM {
            self.is_complete = true;
            return Ok(Progress::Ended);
        }
        if data.is_empty() {
            return Ok(Progress::Open);
        }
        let chunk = serde_json::from_str(data).map_err(|error| {
            tracing::warn!(%error, "the model server sends a chunk that is none of chat completions");
            Failure::BrokenAnswer
        })?;
        self.receive_chunk(chunk, events).map(|()| Progress::Open)
    }

    /// Takes a whole answer.
    pub fn receive_whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), Failure> {
        let chunk = serde_json::from_slice(body).map_err(|error| {
            tracing::warn!(%error, "the model server gives an answer that is none of chat completions");
            Failure::BrokenAnswer
        })?;
        self.is_complete = true;
        self.receive_chunk(chunk, events)
    }

    /// Ends the answer: the server has sent everything.
    pub fn finish(&mut self, latency: Duration, events: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.has_started {
            return Err(Failure::BrokenAnswer);
        }
        for piece in self.tags.finish() {
            self.add_piece(piece, events);
        }
        self.calls.finish()?;
        self.close_block(events);
        events.push(Event::MessageStop { reason: self.stop_reason()? });
        events.push(Event::Metadata { usage: self.usage.map(usage), latency });
        Ok(())
    }

    fn receive_chunk(&mut self, mut chunk: Chunk, events: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(error) = chunk.error() {
            tracing::warn!(message = loggable(message(&error)), "the model server breaks off its answer");
            return Err(Failure::of_error(&error));
        }
        self.usage = chunk.usage.or(self.usage);
        let Some(choice) = chunk.choice() else { return Ok(()) };
        if !self.has_started {
            self.has_started = true;
            events.push(Event::MessageStart);
        }
        if let Some(delta) = &choice.delta {
            self.add_reasoning(delta.reasoning(), events);
            for piece in self.tags.push(&delta.text()) {
                self.add_piece(piece, events);
            }
            for (position, fragment) in (0..).zip(delta.tool_calls.iter().flatten()) {
                let steps = self.calls.push(position, fragment)?;
                for step in steps {
                    self.add_call_step(step, events)?;
                }
            }
        }
        self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        Ok(())
    }

    fn add_piece(&mut self, piece: Piece, events: &mut Vec<Event>) {
        match piece {
            Piece::Reasoning(text) => self.add_reasoning(&text, events),
            Piece::Text(text) => self.add_text(&text, events),
        }
    }

    fn add_reasoning(&mut self, text: &str, events: &mut Vec<Event>) {
        let is_open = self.open_block == Some(BlockKind::Reasoning);
        let text = if is_open { text } else { text.trim_start() };
        if !text.is_empty() {
            self.open(BlockKind::Reasoning, events);
            self.add_delta(Delta::Reasoning(text.to_owned()), events);
        }
    }

    fn add_text(&mut self, text: &str, events: &mut Vec<Event>) {
        let is_open = self.open_block == Some(BlockKind::Text);
        self.blank.push_str(text);
        if self.blank.is_empty() || (!is_open && is_held(&self.blank)) {
            return;
        }
        self.open(BlockKind::Text, events);
        let text = std::mem::take(&mut self.blank);
        self.add_delta(Delta::Text(text), events);
    }

    /// Fails for a part of a call that a text has ended: Bedrock streams one block after another.
    fn add_call_step(&mut self, step: CallStep, events: &mut Vec<Event>) -> Result<(), Failure> {
        match step {
            CallStep::Start { id, name } => {
                self.blank.clear();
                self.close_block(events);
                self.open_block = Some(BlockKind::ToolUse);
                events.push(Event::ToolUseStart { index: self.next_index, id, name });
                // As Bedrock does.
                self.add_delta(Delta::ToolInput(String::new()), events);
            }
            CallStep::Input(_) if self.open_block != Some(BlockKind::ToolUse) => return Err(Failure::BrokenAnswer),
            CallStep::Input(fragment) => self.add_delta(Delta::ToolInput(fragment), events),
        }
        Ok(())
    }

    fn add_delta(&self, delta: Delta, events: &mut Vec<Event>) {
        events.push(Event::Delta { index: self.next_index, delta });
    }

    fn open(&mut self, kind: BlockKind, events: &mut Vec<Event>) {
        if self.open_block != Some(kind) {
            self.close_block(events);
            self.open_block = Some(kind);
        }
    }

    fn close_block(&mut self, events: &mut Vec<Event>) {
        if self.open_block.take().is_some() {
            events.push(Event::BlockStop { index: self.next_index });
            self.next_index += 1;
        }
    }

    /// Some servers say `stop` after a call. Without any end the answer has broken off.
    fn stop_reason(&self) -> Result<&'static str, Failure> {
        match self.finish_reason.as_deref() {
            None if !self.is_complete => Err(Failure::BrokenAnswer),
            Some("length") => Ok("max_tokens"),
            Some("content_filter") => Ok("content_filtered"),
            _ if !self.calls.is_empty() => Ok("tool_use"),
            _ => Ok("end_turn"),
        }
    }
}

fn is_held(blank: &str) -> bool {
    blank.len() <= MAX_BLANK_BYTES && api::text::is_blank(blank)
}

fn usage(counts: TokenCounts) -> Usage {
    let (input_tokens, output_tokens) =
        (counts.prompt_tokens.unwrap_or_default(), counts.completion_tokens.unwrap_or_default());
    Usage { input_tokens, output_tokens, total_tokens: input_tokens.saturating_add(output_tokens) }
}

/// A server's message as the log has it.
pub(super) fn loggable(message: &str) -> String {
    message.chars().filter(|character| !character.is_control()).take(MAX_LOGGED_CHARACTERS).collect()
}
