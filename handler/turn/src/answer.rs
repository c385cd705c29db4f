//! The text of an answer: cut into batches while it arrives and into events to store.
use std::collections::VecDeque;

use api::types::ContentBlock;

use crate::{
    json_size::{fitting_prefix, json_size},
    limits::Limits,
    mutation::Batch,
};

/// Room for an event's members besides its content: ids, names, usage, the message of a failure.
const ENVELOPE_BYTES: usize = 4096;
/// `{"text":""},`
const BLOCK_BYTES: usize = 12;

/// The largest number of content blocks of an event: resolvers loop over the blocks of one event. The same as
/// MAX_EVENT_BLOCKS in resolvers/shared.js.
pub const MAX_EVENT_BLOCKS: usize = 64;

/// All text of one content block is one block of an event, whatever other blocks come in between. Batches are
/// cut from the open event, so the batches of a block are always a prefix of its text that will be stored.
#[derive(Debug)]
pub struct Answer {
    /// Events without room for more text, oldest first.
    full_events: VecDeque<Vec<ContentBlock>>,
    /// The blocks of the event that still grows, at most `event_max_blocks`, in order of their first text.
    open_blocks: Vec<Block>,
    /// The published size of the open event.
    open_event_bytes: usize,
    /// The JSON size of the text that is in the open event and in no batch.
    unpublished_bytes: usize,
    batch_max_bytes: usize,
    event_max_bytes: usize,
    event_max_blocks: usize,
}

#[derive(Debug)]
struct Block {
    index: u32,
    text: String,
    /// The length of the prefix that is in batches.
    published_len: usize,
}

impl Answer {
    pub fn new(limits: &Limits) -> Self {
        Self {
            full_events: VecDeque::new(),
            open_blocks: Vec::new(),
            open_event_bytes: ENVELOPE_BYTES,
            unpublished_bytes: 0,
            batch_max_bytes: limits.batch_max_bytes,
            event_max_bytes: limits.event_max_bytes,
            event_max_blocks: limits.event_max_blocks,
        }
    }

    /// Appends a delta. Text that does not fit into the open event goes into new ones.
    pub fn push_delta(&mut self, block: u32, mut delta: &str) {
        while !delta.is_empty() {
            let mut cut = fitting_prefix(delta, self.room_for_text(block)).cut;
            if cut == 0 && !self.open_blocks.is_empty() {
                self.seal_open_event();
                continue;
            }
            if cut == 0 {
                // A character that does not fit even into an empty event is stored all the same.
                cut = delta.ceil_char_boundary(1);
            }
            let (head, tail) = delta.split_at(cut);
            self.append_to_open_event(block, head);
            delta = tail;
        }
    }

    pub fn has_batch(&self) -> bool {
        self.unpublished_bytes > 0
    }

    /// Whether the next batch is full, so that more text would not make it larger.
    pub fn has_full_batch(&self) -> bool {
        self.unpublished_bytes >= self.batch_max_bytes
    }

    /// The oldest unpublished text of one content block: at least one character, at most the limit.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let block = self.open_blocks.iter_mut().find(|block| block.published_len < block.text.len())?;
        let unpublished = block.text.get(block.published_len..)?;
        let cut = fitting_prefix(unpublished, self.batch_max_bytes).cut.max(unpublished.ceil_char_boundary(1));
        let batch = Batch { block: block.index, text: unpublished[..cut].to_owned() };
        block.published_len += cut;
        self.unpublished_bytes -= json_size(&batch.text);
        Some(batch)
    }

    /// The content of the oldest full event. Its last text may be in no batch, because the event carries it.
    pub fn take_full_event(&mut self) -> Option<Vec<ContentBlock>> {
        self.full_events.pop_front()
    }

    /// The content of the open event, which is empty afterwards.
    pub fn take_open_event(&mut self) -> Vec<ContentBlock> {
        self.open_event_bytes = ENVELOPE_BYTES;
        self.unpublished_bytes = 0;
        self.open_blocks.drain(..).map(|block| ContentBlock::text(block.text)).collect()
    }

    /// The rest of the answer at the end of a step with tool calls: the text events, if there is more text
    /// than fits into one event with the calls, and the event with the calls. The answer is empty afterwards.
    pub fn take_step(&mut self, calls: Vec<ContentBlock>) -> (Vec<Vec<ContentBlock>>, Vec<ContentBlock>) {
        let calls_bytes: usize = calls.iter().map(call_bytes).sum();
        let has_room_for_calls = self.open_event_bytes + calls_bytes <= self.event_max_bytes
            && self.open_blocks.len() + calls.len() <= MAX_EVENT_BLOCKS;
        if !has_room_for_calls && !self.open_blocks.is_empty() {
            self.seal_open_event();
        }
        let event = self.take_open_event().into_iter().chain(calls).collect();
        (self.full_events.drain(..).collect(), event)
    }

    /// The room for other content than text in an event, in JSON-escaped bytes.
    pub const fn event_room(limits: &Limits) -> usize {
        limits.event_max_bytes.saturating_sub(ENVELOPE_BYTES)
    }

    fn seal_open_event(&mut self) {
        let content = self.take_open_event();
        self.full_events.push_back(content);
    }

    /// The JSON size of text that still fits into the open event. An update carries the text twice: in
    /// `content` and in `text`.
    fn room_for_text(&self, block: u32) -> usize {
        let is_open = self.open_blocks.iter().any(|open| open.index == block);
        if !is_open && self.open_blocks.len() == self.event_max_blocks {
            return 0;
        }
        let new_block_bytes = if is_open { 0 } else { BLOCK_BYTES };
        self.event_max_bytes.saturating_sub(self.open_event_bytes + new_block_bytes) / 2
    }

    fn append_to_open_event(&mut self, index: u32, text: &str) {
        match self.open_blocks.iter_mut().find(|block| block.index == index) {
            Some(block) => block.text.push_str(text),
            None => {
                self.open_blocks.push(Block { index, text: text.to_owned(), published_len: 0 });
                self.open_event_bytes += BLOCK_BYTES;
            }
        }
        let size = json_size(text);
        self.open_event_bytes += 2 * size;
        self.unpublished_bytes += size;
    }
}

fn call_bytes(block: &ContentBlock) -> usize {
    block.tool_use.as_ref().map_or(0, |call| 300 + json_size(&call.input))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(content: &[ContentBlock]) -> Vec<&str> {
        content.iter().filter_map(|block| block.text.as_deref()).collect()
    }

    #[test]
    fn alternating_blocks_are_joined_by_index() {
        let mut answer = Answer::new(&Limits::default());
        for (block, delta) in [(0, "a"), (1, "x"), (0, "b"), (1, "y")] {
            answer.push_delta(block, delta);
        }
        assert_eq!(texts(&answer.take_open_event()), ["ab", "xy"]);
    }

    #[test]
    fn event_with_64_blocks_is_full() {
        let mut answer = Answer::new(&Limits::default());
        for block in 0..65 {
            answer.push_delta(block, "a");
        }
        answer.push_delta(64, "b");
        answer.push_delta(3, "c");
        assert_eq!(answer.take_full_event().unwrap().len(), MAX_EVENT_BLOCKS);
        assert_eq!(answer.take_full_event(), None);
        assert_eq!(texts(&answer.take_open_event()), ["ab", "c"]);
    }

    #[test]
    fn full_event_still_accepts_text_of_its_blocks() {
        let mut answer = Answer::new(&Limits::default());
        for block in 0..64 {
            answer.push_delta(block, "a");
        }
        answer.push_delta(0, "b");
        assert_eq!(answer.take_full_event(), None);
        assert_eq!(texts(&answer.take_open_event())[0], "ab");
    }
}
