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

/// Batches are cut from the open event, so they are always a prefix of the text that will be stored.
#[derive(Debug)]
pub struct Answer {
    /// Events without room for more text, oldest first.
    full_events: VecDeque<Vec<ContentBlock>>,
    /// The blocks of the event that still grows.
    open_blocks: Vec<Block>,
    /// The published size of the open event.
    open_event_bytes: usize,
    /// The JSON size of the text that is in the open event and in no batch.
    unpublished_bytes: usize,
    batch_max_bytes: usize,
    event_max_bytes: usize,
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

    fn seal_open_event(&mut self) {
        let content = self.take_open_event();
        self.full_events.push_back(content);
    }

    /// The JSON size of text that still fits into the open event. An update carries the text twice: in
    /// `content` and in `text`.
    fn room_for_text(&self, block: u32) -> usize {
        let new_block_bytes = if self.is_last_block(block) { 0 } else { BLOCK_BYTES };
        self.event_max_bytes.saturating_sub(self.open_event_bytes + new_block_bytes) / 2
    }

    fn is_last_block(&self, index: u32) -> bool {
        self.open_blocks.last().is_some_and(|block| block.index == index)
    }

    fn append_to_open_event(&mut self, index: u32, text: &str) {
        if !self.is_last_block(index) {
            self.open_blocks.push(Block { index, text: String::new(), published_len: 0 });
            self.open_event_bytes += BLOCK_BYTES;
        }
        if let Some(block) = self.open_blocks.last_mut() {
            block.text.push_str(text);
        }
        let size = json_size(text);
        self.open_event_bytes += 2 * size;
        self.unpublished_bytes += size;
    }
}
